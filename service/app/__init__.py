"""The process: its settings, the wiring of its parts, its start and end, its event loop."""
