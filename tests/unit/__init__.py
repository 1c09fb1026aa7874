"""What is pure or small, by itself: no Engine, no process."""
