"""Debian's Chromium, without a screen, for the tests and the pictures of the console."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from scripts import apt

_PROGRAM = Path(__file__).with_name("undisturbed_chromium.py")
# Root needs the first one. The others keep it from asking hosts of its maker at each start.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def ensure_installed() -> None:
    """Install it, and a font, if it is missing. Raises PrerequisiteError."""
    apt.ensure("chromium", "chromium")


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser, closed after the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PROGRAM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
