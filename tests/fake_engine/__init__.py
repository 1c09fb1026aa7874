"""An engine in memory, for failures that a real one does not produce on demand."""
