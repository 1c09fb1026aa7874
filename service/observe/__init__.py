"""What operators and programs ask about jobs: the use cases of the API to observe."""
