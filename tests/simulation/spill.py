"""The secret that each launch comes with, and where it must not show up: log, spans, labels."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tests.simulation.virtual import OWNER

_SECRET = "tr0ub4dor"
# JSON escapes the rest of it, in more ways than one.
AUTH: Mapping[str, str] = {"token": f'{_SECRET}"&\\3 ü'}


def spills(text: object) -> bool:
    """Whether a text, or that of an object, has the secret in it."""
    return _SECRET in str(text)


class _Spans(SpanProcessor):
    """Lets a life hear of its spans that have it."""

    def on_end(self, span: ReadableSpan) -> None:
        events = [(event.name, dict(event.attributes or {})) for event in span.events]
        told = f"{span.name} {dict(span.attributes or {})} {events} {span.status.description}"
        if spills(told):
            OWNER.get().hear("span", {"level": "info", "told": told})


PROVIDER = TracerProvider(ALWAYS_ON, Resource.get_empty(), shutdown_on_exit=False)
"""Its spans are looked at, and exported nowhere."""

PROVIDER.add_span_processor(_Spans())

TRACER = PROVIDER.get_tracer("simulation")
