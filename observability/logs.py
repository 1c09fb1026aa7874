"""Structured logs on stdout: one line per event, JSON for machines or columns for a terminal."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol, TextIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

# Fields that a client fills, and how many characters of them are told.
_FROM_CLIENTS = ("job", "identifier")
_TOLD_CHARACTERS = 512
# Of these, some can be printed after all.
_NOT_PRINTABLE = re.compile(r"[^ -~]+")
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


def configure_logs(*, level: str, console: bool, stream: TextIO = sys.stdout) -> None:
    """Send our events, and what libraries log, to one stream in one format.

    `level` is one of debug, info, warning, error.
    """
    renderer = _console() if console else _render
    # Ours go straight to the stream: a detour through `logging` would cost as much again.
    structlog.configure(
        processors=[_envelope, renderer],
        logger_factory=structlog.WriteLoggerFactory(stream),
        wrapper_class=_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_envelope],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    # Below warning, these tell of every connection and every export.
    for noisy in ("urllib3", "docker", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _bound_logger(least: int) -> type[structlog.BoundLoggerBase]:
    """Our own, for levels from `least` on: an event goes from processor to processor, and out.

    In structlog's loggers, which can do more, the way takes as long as all that it leads to.
    """

    def method(name: str) -> Callable[..., None]:
        def tell(self: structlog.BoundLoggerBase, event: str, **fields: object) -> None:
            told: Any = {**self._context, **fields, "event": event}
            if name == "exception":
                told["exc_info"] = True
            for process in self._processors:
                told = process(self._logger, name, told)
            self._logger.msg(told)

        return tell

    methods = {
        name: method(name) if level >= least else _say_nothing for name, level in _LEVELS.items()
    }
    return type("BoundLogger", (structlog.BoundLoggerBase,), methods)


def _say_nothing(_: structlog.BoundLoggerBase, event: str, **fields: object) -> None:
    """What is told below the least level."""


def _envelope(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What every event has. In one step: a dedup has hardly anything that costs more."""
    record: logging.LogRecord | None = event.get("_record")
    event["logger"] = event.pop("logger_name") if record is None else record.name
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

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        told = {key: _presentable(value) for key, value in event.items()}
        return str(columns(logger, method, {**told, "timestamp": _text(event["timestamp"])}))

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


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    if "exc_info" in event:
        # As text, without the local variables: those hold requests, and secrets.
        event = structlog.processors.format_exc_info(logger, method, event)
    try:
        line = orjson.dumps(event, default=_text, option=orjson.OPT_UTC_Z).decode()
    except TypeError:  # half a character, or a number without end: no event is lost for that
        return json.dumps(event, default=_text)
    # Hardly ever is there more to look at: what is below U+0020 is escaped by now.
    return line if line.isascii() and "\x7f" not in line else _escaped(line)


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
    return str(value)
