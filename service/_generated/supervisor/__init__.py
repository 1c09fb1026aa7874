"""Generated from proto/ by scripts/generate: not to be edited."""
