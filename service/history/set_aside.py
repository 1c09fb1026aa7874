"""Moves a broken file out of the way, and keeps it: somebody may still recover something."""

import time
from pathlib import Path

from observability.logs import get_logger
from observability.secret_signs import unless_secret
from service.history.opening import stat_of

log = get_logger(__name__)

_NAMED = ".broken-"
# A disk that breaks file after file must not fill up with them.
_MOST = 5


def set_aside(path: Path, error: Exception) -> bool:
    """Move the file and its log; False if there are many of them already. Raises `OSError`."""
    if len(_earlier(path)) >= _MOST:
        return False
    name = f"{path.name}{_NAMED}{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    if stat_of(path.with_name(name)):
        return False  # the next try has another name
    for side in ("-shm", "-wal", ""):
        if stat_of(path, side):
            path.with_name(path.name + side).rename(path.with_name(name + side))
    log.warning(
        "history.set_aside",
        path=unless_secret(str(path)),
        kept_as=unless_secret(name),
        error=str(error),
    )
    return True


def _earlier(path: Path) -> list[Path]:
    """The files that were set aside before."""
    begin = path.name + _NAMED
    found = [each for each in path.parent.iterdir() if each.name.startswith(begin)]
    return [each for each in found if not each.name.endswith(("-wal", "-shm"))]
