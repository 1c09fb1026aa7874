"""What runs the jobs: the interface (`base`), its adapters, and a fake for the tests."""
