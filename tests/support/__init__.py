"""What the tests share: the Engine, the supervisor as a process, and what listens to it."""
