"""Removes secrets from texts that other programs wrote."""
