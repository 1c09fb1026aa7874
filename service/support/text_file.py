"""Reading a file that a person has written: the settings' or the catalogue's."""

import threading
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from queue import Empty, SimpleQueue

# A named pipe is empty until somebody writes into it (seconds).
_PATIENCE = 5.0


def read_text(path: Path) -> str:
    """The text, which is UTF-8, with or without a byte order mark. A named pipe is waited for.

    Raises OSError and ValueError.
    """
    data = _read_in_time(path) if path.is_fifo() else path.read_bytes()
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ValueError("it is UTF-16; save it as UTF-8")
    return data.decode("utf-8-sig").replace("\r\n", "\n")


def _read_in_time(path: Path) -> bytes:
    """In a thread, which is left to itself where nobody ever writes, or ends."""
    results: SimpleQueue[bytes | OSError] = SimpleQueue()

    def read() -> None:
        try:
            results.put(path.read_bytes())
        except OSError as error:
            results.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        result = results.get(timeout=_PATIENCE)
    except Empty:
        message = f"nobody has written into this named pipe for {_PATIENCE:g} s"
        raise TimeoutError(message) from None
    if isinstance(result, OSError):
        raise result
    return result
