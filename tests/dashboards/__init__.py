"""The dashboards as files: what a linter, and we, expect of them."""
