"""Reads files that people write: `.env` and the catalogue."""

import os
import threading
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from queue import Empty, SimpleQueue

# How long to wait for a writer to a named pipe (seconds).
_PIPE_TIMEOUT = 5.0


def read_text(path: Path, *, most: int = -1) -> str:
    """Read a UTF-8 file, with or without a byte order mark. It may be a named pipe.

    Raises OSError and ValueError, also if it has more than `most` bytes; -1 is no limit.
    """
    size = most + 1 if most >= 0 else -1
    data = _read_in_time(path, size) if path.is_fifo() else _read(path, size)
    if 0 <= most < len(data):
        raise ValueError(f"it is larger than {most} bytes")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ValueError("it is UTF-16; save it as UTF-8")
    return data.decode("utf-8-sig").replace("\r\n", "\n")


def expanded(path: Path | str) -> Path:
    """The path with the home of `~` or `~user`; as it is if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - that of `Path` raises RuntimeError


def _read(path: Path, size: int) -> bytes:
    """At most so many bytes, because a device may have no end; -1 for all."""
    with path.open("rb") as file:
        return file.read(size)


def _read_in_time(path: Path, size: int) -> bytes:
    """Read in a thread. If no writer comes, or none finishes, the thread is abandoned."""
    results: SimpleQueue[bytes | OSError] = SimpleQueue()

    def read() -> None:
        try:
            results.put(_read(path, size))
        except OSError as error:
            results.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        result = results.get(timeout=_PIPE_TIMEOUT)
    except Empty:
        message = f"no program has written into this named pipe for {_PIPE_TIMEOUT:g} s"
        raise TimeoutError(message) from None
    if isinstance(result, OSError):
        raise result
    return result
