"""Keeps the registry in step with the Engine: events, comparison, adoption, clean-up."""
