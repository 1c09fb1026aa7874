"""Structured logs on stdout: one line per event, JSON for machines or columns for a terminal."""

import logging
import sys
from typing import TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry the trace, and whatever context is bound."""
    return cast("FilteringBoundLogger", structlog.get_logger(logger_name=name))


def configure_logs(*, level: str, console: bool, stream: TextIO = sys.stdout) -> None:
    """Send our events, and what libraries log, to one stream in one format.

    `level` is one of debug, info, warning, error.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_logger,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    renderers = _renderers(console=console)
    # Ours go straight to the stream: a detour through `logging` would cost as much again.
    structlog.configure(
        processors=[*shared, *renderers],
        logger_factory=structlog.WriteLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    # Below warning, these tell of every connection and every export.
    for noisy in ("urllib3", "docker", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _renderers(*, console: bool) -> list[Processor]:
    if console:
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    # Tracebacks as text, without the local variables: those hold requests, and secrets.
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _add_logger(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord | None = event.get("_record")
    event["logger"] = event.pop("logger_name") if record is None else record.name
    return event


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event
