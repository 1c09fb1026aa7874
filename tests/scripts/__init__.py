"""The demo and what it shares with the tests: that they leave nothing behind."""
