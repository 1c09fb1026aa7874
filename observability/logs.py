"""Structured logs: one line per event, as JSON or as columns for a terminal."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol, TextIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

# Fields with texts from clients, and the limit of their length.
_FROM_CLIENTS = ("job", "identifier", "user_agent", "certificate")
_MOST_CHARACTERS = 512
# Some of these characters can be printed: see `_escape`.
_NOT_PRINTABLE = re.compile(r"[^ -~]+")
# In messages of urllib3. The path and the query of a collector's address may hold a token.
_OF_URLLIB3 = re.compile(r"(Max retries exceeded with url: )\S+")
_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class _Log(Protocol):
    def __call__(self, event: str, **fields: object) -> None: ...


class Logger(Protocol):
    """Logs events. An event has a name and fields."""

    debug: _Log
    info: _Log
    warning: _Log
    error: _Log
    exception: _Log  # adds the exception that is being handled
    critical: _Log


def get_logger(name: str) -> Logger:
    """A logger whose events contain the ids of the trace and the span."""
    return cast("Logger", structlog.get_logger(logger_name=name))


def always_logging(name: str) -> Logger:
    """A logger like those of `get_logger`, for what LOG_LEVEL must not hide."""
    everything = structlog.make_filtering_bound_logger(_LEVELS["debug"])
    return cast("Logger", structlog.wrap_logger(None, wrapper_class=everything, logger_name=name))


Write = Callable[[bytes], object]
"""Writes a line, which ends with a newline."""


def configure_logs(*, level: str, console: bool, write: Write) -> None:
    """Write our events and the logs of libraries in the same format.

    `level` is one of debug, info, warning, error.
    """
    processors = [_add_common_fields, _console() if console else _render]
    # Our events do not pass `logging`, which would double their cost.
    structlog.configure(
        processors=processors,
        logger_factory=lambda *_: _Output(write),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Handler(processors, write)]
    root.setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)
    # At lower levels, these log every connection and every export.
    for noisy in ("urllib3", "docker", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_without_metadata)


def _without_metadata(record: logging.LogRecord) -> bool:
    """Hide metadata that is not UTF-8, which gRPC logs with a traceback: it may be a token."""
    if record.msg == "Invalid encoding on %s":
        record.args, record.exc_info = ("metadata from a client",), None
    return True


class _Output:
    """The end of the chain: structlog calls the method of an event's level with the line."""

    def __init__(self, write: Write) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write


class _Handler(logging.Handler):
    """Turns the logs of libraries into events."""

    def __init__(self, processors: Sequence[Processor], write: Write) -> None:
        super().__init__()
        self._processors = processors
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        event: Any = {"event": _message(record), "logger_name": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for process in self._processors:
            event = process(None, record.levelname.lower(), event)
        self._write(event)


def _message(record: logging.LogRecord) -> str:
    try:
        return _OF_URLLIB3.sub(r"\1…", record.getMessage())
    except Exception:  # noqa: BLE001 - the arguments do not match, or cannot be formatted
        return _text(record.msg)


def _add_common_fields(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the fields of every event: in one step, because this is much of the cost of a dedup."""
    event["logger"] = event.pop("logger_name")
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)
    for field in _FROM_CLIENTS:
        if len(text := event.get(field, "")) > _MOST_CHARACTERS:
            event[field] = text[:_MOST_CHARACTERS] + "…"
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


def _console() -> Processor:
    columns = structlog.dev.ConsoleRenderer(exception_formatter=_plain_traceback)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        fields = {key: _presentable(value) for key, value in event.items()}
        fields["timestamp"] = _text(event["timestamp"])
        try:
            line = columns(logger, method, fields)
        except Exception:  # noqa: BLE001 - a value whose `repr` fails must not lose the event
            fields = {key: _presentable(_text(value)) for key, value in event.items()}
            line = columns(logger, method, fields)
        return f"{line}\n".encode(errors="backslashreplace")

    return render


class _Literal:
    """A text that structlog shows as a Python literal, since it calls `repr`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _presentable(value: object) -> object:
    """The value, or a literal if it is a text that a terminal would interpret."""
    return _Literal(value) if isinstance(value, str) and not value.isprintable() else value


def _plain_traceback(sio: TextIO, exc_info: ExcInfo) -> None:
    """Write the traceback, with the characters escaped that a terminal would interpret."""
    raw = StringIO()
    structlog.dev.plain_traceback(raw, exc_info)
    sio.write("\n".join(map(_escaped, raw.getvalue().split("\n"))))


def _render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    if "exc_info" in event:
        # As text without the local variables, which contain requests and secrets.
        event = structlog.processors.format_exc_info(logger, method, event)
    try:
        line = orjson.dumps(event, default=_text, option=_LINE)
    except TypeError:  # orjson refuses lone surrogates and integers above 64 bits
        line = _render_odd(event)
    # Characters below U+0020 are escaped already, so most lines are done.
    if line.isascii() and b"\x7f" not in line:
        return line
    return _escaped(line.decode().removesuffix("\n")).encode() + b"\n"


def _render_odd(event: EventDict) -> bytes:
    try:
        text = json.dumps(event, default=_text, skipkeys=True)
    except (ValueError, RecursionError):  # the event contains itself
        text = json.dumps({key: _text(value) for key, value in event.items()})
    return text.encode() + b"\n"


def _escaped(text: str) -> str:
    """The text, with unprintable characters as JSON escapes.

    JSON allows these characters, but many readers take some for line ends (U+0085, U+2028), and
    terminals interpret some (U+009B is ESC and a bracket).
    """
    return _NOT_PRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in match[0])


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a log must never cause a failure
        return f"<{type(value).__name__}>"
