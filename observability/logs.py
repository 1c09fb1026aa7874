"""Structured logs on stdout: one line per event, JSON for machines or columns for a terminal."""

import logging
import sys
from typing import TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

Logger = structlog.stdlib.BoundLogger


def get_logger(name: str) -> Logger:
    """A logger whose events carry the trace, and whatever context is bound."""
    return cast("Logger", structlog.get_logger(name))


def configure_logs(*, level: str, console: bool, stream: TextIO = sys.stdout) -> None:
    """Send our events, and what libraries log, to one stream in one format.

    `level` is one of debug, info, warning, error.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(console, shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Below warning, these tell of every connection and every export.
    for noisy in ("urllib3", "docker", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _formatter(console: bool, shared: list[Processor]) -> logging.Formatter:
    if console:
        renderer: list[Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        # Tracebacks as text, without the local variables: those hold requests, and secrets.
        renderer = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event
