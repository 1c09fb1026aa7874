"""Says what a command waits for, on a terminal only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from observability.escaping import printable


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show that something goes on, beside the output."""
    shown = nullcontext()
    if sys.stderr.isatty() and sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        shown = Console(stderr=True).status(Text(f"{printable(text)} …"))  # type: ignore[assignment]
    with shown:
        yield
