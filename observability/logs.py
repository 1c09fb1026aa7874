"""Structured logs: one line per event, JSON for machines or columns for a terminal."""

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

# Fields that a client fills, and how many characters of them are told.
_FROM_CLIENTS = ("job", "identifier", "user_agent")
_TOLD_CHARACTERS = 512
# Of these, some can be printed after all.
_NOT_PRINTABLE = re.compile(r"[^ -~]+")
_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}


class _Tell(Protocol):
    def __call__(self, event: str, **fields: object) -> None: ...


class Logger(Protocol):
    """Tells of events, each a name and some fields."""

    debug: _Tell
    info: _Tell
    warning: _Tell
    error: _Tell
    exception: _Tell  # with the one that is being handled
    critical: _Tell


def get_logger(name: str) -> Logger:
    """A logger whose events carry the trace."""
    return cast("Logger", structlog.get_logger(logger_name=name))


Write = Callable[[bytes], object]
"""Takes a line with its newline."""


def configure_logs(*, level: str, console: bool, write: Write) -> None:
    """Send our events, and what libraries log, one way in one format.

    `level` is one of debug, info, warning, error.
    """
    processors = [_envelope, _console() if console else _render]
    # Ours go straight there: a detour through `logging` would cost as much again.
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
    # Below warning, these tell of every connection and every export.
    for noisy in ("urllib3", "docker", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_without_metadata)


def _without_metadata(record: logging.LogRecord) -> bool:
    """Hide what a client has sent and is not UTF-8, which gRPC logs: it may be a token."""
    if record.msg == "Invalid encoding on %s":
        record.args = ("what a client has sent",)
    return True


class _Output:
    """The end of the chain: structlog calls the method of an event's level with the line."""

    def __init__(self, write: Write) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write


class _Handler(logging.Handler):
    """Makes an event of what a library logs, and sends it where ours go."""

    def __init__(self, processors: Sequence[Processor], write: Write) -> None:
        super().__init__()
        self._processors = processors
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        told: Any = {"event": _message(record), "logger_name": record.name}
        if record.exc_info:
            told["exc_info"] = record.exc_info
        for process in self._processors:
            told = process(None, record.levelname.lower(), told)
        self._write(told)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - the arguments do not fit, or cannot be shown
        return _text(record.msg)


def _envelope(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What every event has. In one step: a dedup has hardly anything that costs more."""
    event["logger"] = event.pop("logger_name")
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = datetime.now(UTC)
    for field in _FROM_CLIENTS:
        if len(text := event.get(field, "")) > _TOLD_CHARACTERS:
            event[field] = text[:_TOLD_CHARACTERS] + "…"
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


def _console() -> Processor:
    columns = structlog.dev.ConsoleRenderer(exception_formatter=_plain_traceback)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        told = {key: _presentable(value) for key, value in event.items()}
        told["timestamp"] = _text(event["timestamp"])
        try:
            line = columns(logger, method, told)
        except Exception:  # noqa: BLE001 - no event is lost for a value that cannot be shown
            told = {key: _presentable(_text(value)) for key, value in event.items()}
            line = columns(logger, method, told)
        return f"{line}\n".encode(errors="backslashreplace")

    return render


class _Literal:
    """A text that is shown as Python writes it: structlog leaves it to `repr`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _presentable(value: object) -> object:
    """A text that a terminal would obey in part becomes a literal; most do not change."""
    return _Literal(value) if isinstance(value, str) and not value.isprintable() else value


def _plain_traceback(sio: TextIO, exc_info: ExcInfo) -> None:
    """What a terminal would obey is in it as an escape; its lines stay lines."""
    raw = StringIO()
    structlog.dev.plain_traceback(raw, exc_info)
    sio.write("\n".join(map(_escaped, raw.getvalue().split("\n"))))


def _render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    if "exc_info" in event:
        # As text, without the local variables: those hold requests, and secrets.
        event = structlog.processors.format_exc_info(logger, method, event)
    try:
        line = orjson.dumps(event, default=_text, option=_LINE)
    except TypeError:  # half a character, or a number without end: no event is lost for that
        line = _render_odd(event)
    # Hardly ever is there more to look at: what is below U+0020 is escaped by now.
    if line.isascii() and b"\x7f" not in line:
        return line
    return _escaped(line.decode().removesuffix("\n")).encode() + b"\n"


def _render_odd(event: EventDict) -> bytes:
    try:
        text = json.dumps(event, default=_text, skipkeys=True)
    except (ValueError, RecursionError):  # it holds itself
        text = json.dumps({key: _text(value) for key, value in event.items()})
    return text.encode() + b"\n"


def _escaped(text: str) -> str:
    """The text with what cannot be printed as JSON escapes.

    JSON allows it, but some of it ends a line for many readers (U+0085, U+2028), and a terminal
    obeys some (U+009B is ESC and a bracket).
    """
    return _NOT_PRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in match[0])


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a log is never the reason for anything
        return f"<{type(value).__name__}>"
