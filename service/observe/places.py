"""Places in a list of jobs, and the tokens with which a client goes on after one of them.

A place is the number of a live job in the registry, or the position of an ended one in the history.
Jobs come and go around it, and it stays where it is.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from observability.escaping import shown
from service.errors import InvalidRequest
from service.jobs.wanted import Wanted

Include = Literal["live", "ended", "both"]

_TOKEN = re.compile(r"([le])([0-9]{1,18})\.([0-9a-f]{8})\.([0-9a-f]{16})", re.ASCII)
_PARTS: dict[str, Literal["live", "ended"]] = {"l": "live", "e": "ended"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is in its part of the list."""

    part: Literal["live", "ended"]
    number: int


class Tokens:
    """Writes and reads the tokens of lists. `epoch` differs for each run of this process."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def write(self, place: Place, include: Include, wanted: Wanted) -> str:
        """The token to go on after a place."""
        begun = f"{place.part[0]}{place.number}.{self._epoch}"
        text = f"{begun}.{_digest(begun, include, wanted)}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, token: str, include: Include, wanted: Wanted) -> Place:
        """The place of a token. Raises `InvalidRequest`."""
        found = _TOKEN.fullmatch(_decoded(token))
        if found is None:
            raise InvalidRequest(
                f"page_token: {shown(token)} is no token; allowed is the next_page_token of the"
                " page before, or nothing"
            )
        part, number, epoch, digest = found.groups()
        if digest != _digest(f"{part}{number}.{epoch}", include, wanted):
            raise InvalidRequest(
                "page_token: belongs to other filters; allowed are the filters of the page before"
            )
        if part == "l" and epoch != self._epoch:
            raise InvalidRequest(
                "page_token: the supervisor has been restarted since the page before; begin with"
                " the first page again"
            )
        return Place(_PARTS[part], int(number))


def _decoded(token: str) -> str:
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _digest(begun: str, include: Include, wanted: Wanted) -> str:
    return hashlib.sha256(repr((begun, include, wanted)).encode(errors="replace")).hexdigest()[:16]
