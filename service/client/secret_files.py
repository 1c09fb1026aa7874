"""Reads files with secrets: a token, the credentials of a job. No message shows any of it."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

from observability.escaping import printable
from observability.secret_signs import shown_setting
from service.client.errors import CommandError, usage
from service.support.text_file import expanded, read_text

_MOST = 2**20  # bytes: more than a launch may have
_OTHERS = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH


def read_token(origin: str, path: Path) -> str:
    """The token in a file, without white space around it."""
    token = _read(origin, path).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        what = "is empty" if not token else "is not one token"
        raise _wrong(origin, path, what, "a file with one token, as `area-supervisor token` makes")
    return token


def read_credentials(origin: str, path: Path) -> dict[str, Any]:
    """The JSON object in a file, or of standard input if the path is `-`."""
    try:
        text = sys.stdin.read(_MOST + 1) if str(path) == "-" else _read(origin, path)
        found = json.loads(text)
    except (ValueError, RecursionError):  # whose message could show a part of it
        found = None
    if not isinstance(found, dict):
        raise _wrong(origin, path, "is no JSON object", 'an object such as {"access_token": "…"}')
    return found


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine may read or change a file."""
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & _OTHERS)


def _read(origin: str, path: Path) -> str:
    try:
        path = expanded(path)
        text = read_text(path, most=_MOST)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _wrong(origin, path, f"cannot be read ({reason})", "a file of yours") from None
    except ValueError:
        raise _wrong(origin, path, "is not a short text", "UTF-8 of at most 1 MiB") from None
    if sys.stderr.isatty() and readable_by_others(path):
        shown = printable(str(path))
        sys.stderr.write(f"area-supervisor: {shown}: others can read it; chmod 600 is better\n")
    return text


def _wrong(origin: str, path: Path, what: str, allowed: str) -> CommandError:
    return usage(f"{origin}: {shown_setting(str(path))}: {what}; allowed is {allowed}")
