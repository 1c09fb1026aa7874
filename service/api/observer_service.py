"""The service for operators and programs: translates between its messages and the use cases."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args

import grpc

from observability.escaping import shown
from service._generated.supervisor.v1 import observer_pb2 as messages
from service._generated.supervisor.v1.observer_pb2_grpc import (
    JobObserverServicer,
    add_JobObserverServicer_to_server,
)
from service.access.current_call import scope_of_call
from service.api.aborting import aborting
from service.api.job_messages import message_of
from service.api.output_messages import logs_message, logs_wanted, stats_message
from service.api.services import GrpcService, OneQueue
from service.api.timestamps import nanoseconds_of
from service.api.watch_messages import EncodedJobs, watch_message
from service.errors import InvalidRequest
from service.jobs.model import Outcome, State
from service.jobs.wanted import Wanted
from service.observe.batches import Selection
from service.observe.observer import Observer
from service.observe.places import Include

_DESCRIPTOR = messages.DESCRIPTOR.services_by_name["JobObserver"]
SERVICE = _DESCRIPTOR.full_name

_PAGE, _LARGEST_PAGE = 100, 1000
# Clients of gRPC accept 4 MiB, unless they are set to accept more.
_MOST_BYTES = 3_500_000
# What a message needs inside of another, beside its own size: its tag, and its size.
_FRAME = 8
_LONGEST_NAME = 1000

E = TypeVar("E", bound=StrEnum)


class ObserverService(JobObserverServicer):
    """Answers those who look at jobs. Errors are gRPC statuses."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._encoded = EncodedJobs()

    def as_service(self) -> GrpcService:
        return GrpcService(_DESCRIPTOR, self._add_to, close=self._observer.close)

    async def GetJob(self, request: messages.GetJobRequest, context: Any) -> messages.Job:
        async with aborting(context):
            job = await self._observer.jobs.get(
                launch_id=request.launch_id, identifier=request.identifier, scope=scope_of_call()
            )
        return message_of(job)

    async def ListJobs(
        self, request: messages.ListJobsRequest, context: Any
    ) -> messages.ListJobsResponse:
        async with aborting(context):
            return await self._page(request)

    async def ListNames(
        self, request: messages.ListNamesRequest, context: Any
    ) -> messages.ListNamesResponse:
        names = self._observer.names.that_begin(request.prefix, scope=scope_of_call())
        return messages.ListNamesResponse(names=names)

    async def WatchJobs(
        self, request: messages.WatchJobsRequest, context: Any
    ) -> AsyncIterator[Any]:
        async with aborting(context):
            wanted = Wanted(
                name=name_pattern(request.name), identifier_prefix=request.identifier_prefix
            )
            selection = Selection(wanted, scope_of_call())
            watch = self._observer.watching.watch(selection, request.resume_token, self._encoded.of)
            async for message in watch:
                yield watch_message(message)

    async def StreamLogs(
        self, request: messages.StreamLogsRequest, context: Any
    ) -> AsyncIterator[messages.StreamLogsResponse]:
        async with aborting(context):
            wanted = logs_wanted(request)
            job = await self._observer.jobs.get(
                launch_id=request.launch_id, identifier=request.identifier, scope=scope_of_call()
            )
            async with aclosing(self._observer.logs.stream(job, wanted)) as found:
                async for lines in found:
                    yield logs_message(lines, timestamps=request.timestamps)

    async def Stats(self, request: messages.StatsRequest, context: Any) -> messages.StatsResponse:
        async with aborting(context):
            found = await self._observer.stats.of(request.launch_ids, scope=scope_of_call())
        return stats_message(found)

    async def Diagnose(
        self, request: messages.DiagnoseRequest, context: Any
    ) -> messages.DiagnoseResponse:
        async with aborting(context):
            found = await self._observer.diagnosis.find(scope_of_call())
        answer = messages.DiagnoseResponse()
        for each in found:
            answer.findings.add(
                check=each.check,
                status=each.status,
                subject=each.subject,
                message=each.message,
                help=each.help,
            )
        return answer

    async def Cordon(
        self, request: messages.CordonRequest, context: Any
    ) -> messages.CordonResponse:
        async with aborting(context):
            self._observer.cordoning.cordon(request.reason, scope_of_call())
        return messages.CordonResponse()

    async def Uncordon(
        self, request: messages.UncordonRequest, context: Any
    ) -> messages.UncordonResponse:
        self._observer.cordoning.uncordon(scope_of_call())
        return messages.UncordonResponse()

    def _add_to(self, server: Any) -> None:
        # Added before the generated handler, which would encode encoded messages again.
        watch: Any = grpc.unary_stream_rpc_method_handler(
            self.WatchJobs, request_deserializer=messages.WatchJobsRequest.FromString
        )
        one_queue: Any = OneQueue(server)
        one_queue.add_registered_method_handlers(SERVICE, {"WatchJobs": watch})
        add_JobObserverServicer_to_server(self, one_queue)

    async def _page(self, request: messages.ListJobsRequest) -> messages.ListJobsResponse:
        """As many jobs as were asked for, or as fit into a message."""
        jobs, answer, size, place = self._observer.jobs, messages.ListJobsResponse(), 0, None
        wanted, include, most = wanted_of(request), _include(request), _page_size(request)
        token = request.page_token
        after = jobs.tokens.read(token, include, wanted) if token else None
        scope = scope_of_call()
        every = jobs.each(include, wanted, after=after, most=most + 1, scope=scope)
        async with aclosing(every):
            async for placed in every:
                message = message_of(placed.job)
                size += message.ByteSize() + _FRAME
                if place and (len(answer.jobs) == most or size > _MOST_BYTES):
                    answer.next_page_token = jobs.tokens.write(place, include, wanted)
                    break
                answer.jobs.append(message)
                place = placed.place
        return answer


def wanted_of(request: messages.ListJobsRequest) -> Wanted:
    """The filters of a list. Raises `InvalidRequest`."""
    return Wanted(
        name=name_pattern(request.name),
        identifier_prefix=request.identifier_prefix,
        state=_one_of(State, "state", request.state),
        outcome=_one_of(Outcome, "outcome", request.outcome),
        since=_time(request, "since"),
        ended_since=_time(request, "ended_since"),
        failed=request.failed,
    )


def name_pattern(name: str) -> str:
    """A pattern of names that is not too long. Raises `InvalidRequest`."""
    if (length := len(name)) > _LONGEST_NAME:
        raise InvalidRequest(f"name: has {length} characters; at most {_LONGEST_NAME} are allowed")
    return name


def _time(
    request: messages.ListJobsRequest, field: Literal["since", "ended_since"]
) -> float | None:
    if not request.HasField(field):
        return None
    return nanoseconds_of(field, getattr(request, field)) / 1e9


def _include(request: messages.ListJobsRequest) -> Include:
    include: Include
    for include in get_args(Include):
        if include == (request.include or "live"):
            return include
    raise _not_among(get_args(Include), "include", request.include)


def _one_of(values: type[E], field: str, value: str) -> E | None:
    if not value:
        return None
    try:
        return values(value)
    except ValueError:
        raise _not_among(list(values), field, value) from None


def _not_among(values: Sequence[str], field: str, value: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {shown(value)} is none of {', '.join(values)}")


def _page_size(request: messages.ListJobsRequest) -> int:
    if not 0 <= request.page_size <= _LARGEST_PAGE:
        raise InvalidRequest(
            f"page_size: is {request.page_size}; allowed are 0 to {_LARGEST_PAGE}, and 0 is {_PAGE}"
        )
    return request.page_size or _PAGE
