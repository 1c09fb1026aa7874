"""What the page loads: browsers keep it, since its address changes when it changes."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from os import stat_result
from typing import Any

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = files("service.console") / "static"
AGAIN = (FOLDER / "again.js").read_text(encoding="utf-8")
"""The script that is in the page itself, as no other one could tell that scripts are missing."""
ALLOWED = f"'sha256-{b64encode(sha256(AGAIN.encode()).digest()).decode()}'"
"""What a Content-Security-Policy calls it."""


def _stamp() -> str:
    every = sorted(FOLDER.iterdir(), key=lambda each: each.name)
    return sha256(b"".join(each.read_bytes() for each in every)).hexdigest()[:16]


PLACE = f"/static/{_stamp()}"
"""Where they are."""


def assets() -> Mount:
    """The route to them."""
    return Mount(PLACE, _Kept(directory=str(FOLDER)))


class _Kept(StaticFiles):
    def file_response(
        self, full_path: Any, stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "max-age=31536000, immutable"
        return response
