"""Rows of the two dashboards, by what their panels show."""
