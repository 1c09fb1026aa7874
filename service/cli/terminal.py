"""Output on a terminal: colours, its width, and characters that it must not obey."""

import os
import re
import shutil
import sys

import typer

# Colours of a program's own output; all other control characters could move the cursor, change the
# title, or answer for the user.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_WIDTH = 80


def width() -> int | None:
    """The columns of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else None


def has_colours() -> bool:
    """Whether standard output shows colours, and its user wants them."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def coloured(text: str, colour: str) -> str:
    """The text in a colour, if there are any; "" is the usual one."""
    return typer.style(text, fg=colour) if colour and has_colours() else text


def harmless(text: str, *, colours: bool = False) -> str:
    """A line of another program, with its control characters written out.

    With `colours` its own colours stay, and end with the line.
    """
    if text.isprintable():
        return text
    parts, end = [], ""
    for part in re.split(f"({_COLOUR.pattern})", text):
        if _COLOUR.fullmatch(part):
            parts.append(part if colours else "")
            end = "\x1b[0m" if colours else ""
        else:
            parts.append("".join(map(_written_out, part)))
    return "".join(parts) + end


def _written_out(character: str) -> str:
    plain = character.isprintable() or character == "\t"
    return character if plain else character.encode("unicode_escape").decode("ascii")
