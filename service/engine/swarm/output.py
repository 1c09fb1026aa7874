"""The output of a service, as a manager sends it: in frames."""

from struct import Struct

from service.engine.docker.log_parser import reported_error

# Before each part of an output: its kind, and its length.
_FRAME = Struct(">BxxxL")
_ERRORS = 3


def output_of(frames: bytes) -> bytes:
    """What a service has written, out of the frames that it comes in. Raises `EngineRefused`.

    A manager reports its errors in the stream, as those of a third kind of output.
    """
    output, at = [], 0
    while at + _FRAME.size <= len(frames):
        kind, length = _FRAME.unpack_from(frames, at)
        at += _FRAME.size
        payload = frames[at : at + length]
        at += length
        if kind == _ERRORS:
            raise reported_error(payload)
        output.append(payload)
    return b"".join(output)
