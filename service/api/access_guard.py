"""Checks each call against the access file, before its method.

Its refusals are observed as calls. It parses requests itself, after its decision.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

import grpc

from observability.callers import CallContext, caller
from observability.grpc_handlers import Behavior, Handler, as_coroutine, make_handler
from observability.interceptor import reader
from service.access.access import MISSING, Access, Refusal
from service.access.clients import Client, JobScope, Reason
from service.access.current_call import CurrentCall, current_call, note_call, scope_of_call
from service.access.roles import OPEN
from service.access.throttle import Throttle
from service.api.open_streams import OpenStreams, OtherJobs, Revoked
from service.errors import Denied

_STATUS = {
    Reason.MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Reason.UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    Reason.DENIED: grpc.StatusCode.PERMISSION_DENIED,
}
# Answers to wrong tokens that are delayed at a time: about as many as a connection has streams.
_MOST_WAITING = 1000

# Of a call that is not admitted.
_refusal: ContextVar[Refusal] = ContextVar("refusal", default=MISSING)


class AccessGuard:
    """Refuses calls, and ends the open streams of clients that have been removed."""

    def __init__(self, access: Access, certificate_names: Callable[[Any], Sequence[str]]) -> None:
        """The function gives the names in the certificate of a call's client."""
        self._access = access
        self._certificate_names = certificate_names
        self._throttle = Throttle(_MOST_WAITING)
        self._streams = OpenStreams()
        access.subscribe(self._streams.check)

    def identify(self, method: str, context: CallContext) -> str:
        """Admit a call or not, before its request is parsed. Return the name of its client."""
        if method in OPEN:
            return ""
        found = self._decide(method, context)
        if isinstance(found, Refusal):
            _refusal.set(found)
            return found.client.name if found.client else ""
        note_call(CurrentCall(found, method, partial(self._certificate_names, context)))
        return found.name

    def before(self, method: str, handler: Handler) -> Handler:
        """A handler that serves the calls of a method that are admitted."""
        if method in OPEN:
            return handler
        takes_stream, gives_stream = handler.request_streaming, handler.response_streaming
        serve = as_coroutine(handler)
        if takes_stream or gives_stream:
            serve = self._revocable(method, serve)
        read = reader(None if takes_stream else handler.request_deserializer)

        async def guarded(request: Any, context: Any) -> Any:
            if (call := current_call()) is None:
                return await self._refuse(method, _refusal.get(), context)
            if self._throttle.in_use and not call.client.is_stranger:
                self._throttle.forget(caller().address)
            try:
                return await serve(read(request), context)
            except Denied as denied:
                refusal = self._access.denied(denied)
            except Revoked as revoked:
                refusal = revoked.refusal
            except OtherJobs as other:
                text, refusal = str(other), None
            if refusal is None:
                return await context.abort(grpc.StatusCode.UNAVAILABLE, text)
            return await self._refuse(method, refusal, context)

        return make_handler(
            guarded,
            takes_stream=takes_stream,
            gives_stream=gives_stream,
            request_deserializer=handler.request_deserializer if takes_stream else None,
            response_serializer=handler.response_serializer,
        )

    def _decide(self, method: str, context: Any) -> Client | Refusal:
        tokens = _tokens(context.invocation_metadata()) if self._access.accepts_tokens else ()
        certificate = () if tokens else self._certificate_names(context)
        return self._access.decide(method, tokens, certificate)

    def _revocable(self, method: str, serve: Behavior) -> Behavior:
        async def serve_until_revoked(requests: Any, context: Any) -> Any:
            decide = partial(self._why_to_end, method, context, scope_of_call())
            return await self._streams.serve(serve(requests, context), decide)

        return serve_until_revoked

    def _why_to_end(self, method: str, context: Any, jobs: JobScope) -> Exception | None:
        """Why a stream may not go on that has begun for these jobs."""
        found = self._decide(method, context)
        if isinstance(found, Refusal):
            return Revoked(found)
        return None if found.jobs.patterns == jobs.patterns else OtherJobs()

    async def _refuse(self, method: str, refusal: Refusal, context: Any) -> Any:
        self._access.report(method, refusal, self._certificate_names(context))
        if refusal.reason is Reason.UNKNOWN:
            await self._throttle.wait(caller().address)
        await context.abort(_STATUS[refusal.reason], refusal.text)


def _tokens(metadata: Any) -> Sequence[bytes]:
    """The values of `authorization`."""
    return [each.value.encode() for each in metadata if each.key == "authorization"]
