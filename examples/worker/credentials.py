"""The credentials of a worker, wherever the catalogue's key `auth` puts them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.worker.arguments import ArgumentError


def credentials(options: Mapping[str, str]) -> dict[str, Any]:
    """Read the credentials. `options` are the arguments.

    The variable is removed: programs that are started from here would inherit it.
    """
    variable = os.environ.pop("AREA_AUTH", "{}")
    try:
        found: dict[str, Any] = json.loads(_text(options, variable))
    except OSError as error:
        raise ArgumentError(f"--auth-file: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ArgumentError("the credentials are not JSON") from None
    return found


def _text(options: Mapping[str, str], variable: str) -> str:
    if "auth" in options:
        return options["auth"]
    if "auth-file" in options:
        return Path(options["auth-file"]).read_text(encoding="utf-8")
    return variable
