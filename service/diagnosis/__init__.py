"""Finds out what needs attention, and says what to do: for `Diagnose` and for `doctor`."""
