"""The secret of each launch, which must not appear in log, spans or labels."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tests.simulation.virtual import OWNER

_SECRET = "tr0ub4dor"
# JSON escapes the rest of it, in more ways than one.
AUTH: Mapping[str, str] = {"token": f'{_SECRET}"&\\3 ü'}


def spills(text: object) -> bool:
    """Whether an object's text contains the secret."""
    return _SECRET in str(text)


class _Spans(SpanProcessor):
    """Reports spans that contain it to their life."""

    def on_end(self, span: ReadableSpan) -> None:
        events = [(event.name, dict(event.attributes or {})) for event in span.events]
        told = f"{span.name} {dict(span.attributes or {})} {events} {span.status.description}"
        if spills(told):
            OWNER.get().hear("span", {"level": "info", "told": told})


PROVIDER = TracerProvider(ALWAYS_ON, Resource.get_empty(), shutdown_on_exit=False)
"""Its spans are checked, and exported nowhere."""

PROVIDER.add_span_processor(_Spans())

TRACER = PROVIDER.get_tracer("simulation")
