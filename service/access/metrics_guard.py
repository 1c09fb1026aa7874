"""Checks requests for `/metrics` against the access file, with METRICS_ACCESS=required."""

from http import HTTPStatus

from observability.callers import note_caller
from observability.http_pages import Answer, Guard, Request, text_answer
from service.access.access import Access, Refusal
from service.access.clients import Reason
from service.access.roles import METRICS_PAGE
from service.access.throttle import Throttle

# The port has 64 connections. At most this many wait, so that probes get through.
_MOST_WAITING = 16
_ASK = ("WWW-Authenticate", "Bearer")


def metrics_guard(access: Access) -> Guard:
    """A guard for the page of the metrics."""
    throttle = Throttle(_MOST_WAITING)

    async def guard(request: Request) -> Answer | None:
        caller = note_caller(request.peer, request.headers.get("user-agent", ""))
        value = request.headers.get("authorization")
        sent = [] if value is None else [value.encode("latin-1")]
        found = access.decide(METRICS_PAGE, sent)
        if not isinstance(found, Refusal):
            if not found.is_stranger:
                throttle.forget(caller.address)
            return None
        access.report(METRICS_PAGE, found)
        if found.reason is Reason.UNKNOWN:
            await throttle.wait(caller.address)
        if found.reason is Reason.DENIED:
            return text_answer(HTTPStatus.FORBIDDEN, found.text)
        return text_answer(HTTPStatus.UNAUTHORIZED, found.text, _ASK)

    return guard
