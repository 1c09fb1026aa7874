"""The service that backends call: translates between the contract's messages and the use cases."""

import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct, Value

from observability.escaping import shown
from observability.grpc_calls import InBandError
from observability.label_values import UNKNOWN
from observability.metrics import Metrics
from observability.redaction.redactor import NO_SECRETS, Redactor
from service._generated import area_supervisor_pb2 as messages
from service._generated.area_supervisor_pb2_grpc import (
    AreaSupervisorServiceServicer,
    add_AreaSupervisorServiceServicer_to_server,
)
from service._generated.area_types_pb2 import AuthenticatedJobData, Error, Response
from service.access.audit import Record, audit_call
from service.access.current_call import scope_of_call
from service.api.aborting import abort, say_when_to_retry
from service.api.services import GrpcService
from service.errors import Denied, EngineUnavailable, SupervisorError, TooLarge, reason_of
from service.jobs.model import JobSpec, JsonValue
from service.lifecycle.use_cases import Supervisor
from service.reporting.request_reports import Operation, record_crash, record_failure
from service.state.idempotency import key_in
from service.state.readiness import Readiness

_DESCRIPTOR = messages.DESCRIPTOR.services_by_name["AreaSupervisorService"]
SERVICE = _DESCRIPTOR.full_name

# A larger request cannot fit into a container's arguments, and reading it would take seconds.
MAX_MESSAGE_BYTES = 8 * 2**20


class JobsService(AreaSupervisorServiceServicer):
    """Answers the backend. Errors are returned in `Response.error`."""

    def __init__(self, supervisor: Supervisor, readiness: Readiness, metrics: Metrics) -> None:
        self._supervisor = supervisor
        self._readiness = readiness
        self._metrics = metrics

    def as_service(self) -> GrpcService:
        return GrpcService(
            _DESCRIPTOR,
            partial(add_AreaSupervisorServiceServicer_to_server, self),
            error_in=in_band_error,
        )

    async def LaunchJob(self, request: AuthenticatedJobData, context: Any) -> Response:
        began = time.perf_counter()
        _check_scope(request)
        whole = request.SerializeToString(deterministic=True)
        # Python's hash has a random key in each process, so it does not reveal the secrets.
        fingerprint = hash(whole)
        if self._supervisor.repeats(request.identifier, fingerprint):
            return Response()
        try:
            _check_size(whole)
            key = key_in(context.invocation_metadata())
        except SupervisorError as error:
            record_failure(
                self._metrics, "launch", request.name, request.identifier, error, began=began
            )
            audit_call(Record(request.name, request.identifier, error.reason))
            return _failure(error)
        auth = _json_object(request.auth)
        params = _json_object(request.params)
        spec = JobSpec(request.name, request.identifier, params, auth, fingerprint, key)
        work = self._supervisor.launch(spec)
        redact = Redactor(auth)
        return await self._answer(
            context, work, "launch", spec.name, spec.identifier, redact=redact
        )

    async def KillJob(self, request: messages.JobId, context: Any) -> Response:
        work = self._supervisor.kill(request.identifier, scope_of_call())
        return await self._answer(context, work, "kill", identifier=request.identifier)

    async def KillAllJobs(self, request: Empty, context: Any) -> Response:
        return await self._answer(context, self._supervisor.kill_all(scope_of_call()), "kill_all")

    async def ListJobs(self, request: Empty, context: Any) -> messages.JobList:
        if not self._readiness.listed:
            await abort(context, EngineUnavailable(self._readiness.reason))
        answer = messages.JobList()
        add = answer.jobs.add  # a third of the time of a list of messages, which would be copied
        for job in self._supervisor.list_jobs(scope_of_call()):
            add(name=job.name, identifier=job.identifier, status=job.state)
        return answer

    async def _answer(
        self,
        context: Any,
        work: Awaitable[object],
        operation: Operation,
        job: str = UNKNOWN,
        identifier: str = "",
        *,
        redact: Redactor = NO_SECRETS,
    ) -> Response:
        try:
            await work
        except SupervisorError as error:
            say_when_to_retry(context, error)
            return _failure(error)
        except Denied:  # the access guard answers
            raise
        except Exception:  # noqa: BLE001 - a defect of ours: the caller gets a 500
            return _failure(record_crash(self._metrics, operation, job, identifier, redact))
        return Response()


def in_band_error(response: object) -> InBandError | None:
    """The error in an answer, for spans and metrics."""
    if isinstance(response, Response) and response.HasField("error"):
        return InBandError(reason_of(response.error.code), response.error.message)
    return None


def _check_scope(request: AuthenticatedJobData) -> None:
    """Raise `Denied` if the client may not touch the job. Repeated requests are checked, too."""
    if not scope_of_call().allows(request.name):
        what = f"the job {shown(request.name)}"
        raise Denied(what, job=request.name, identifier=request.identifier)


def _check_size(whole: bytes) -> None:
    if (size := len(whole)) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"the request: is {size} bytes; at most {MAX_MESSAGE_BYTES} are allowed")


def _failure(error: SupervisorError) -> Response:
    """An answer with the error."""
    return Response(error=Error(code=error.code, message=error.message))


def _json_object(struct: Struct) -> Mapping[str, JsonValue]:
    return {key: _json(value) for key, value in struct.fields.items()}


def _json(value: Value) -> JsonValue:
    """A Value as plain JSON: whole numbers as int, a Value without a kind as null.

    protobuf's `json_format` renders 3599 as 3599.0, and raises on values that our own error
    messages name.
    """
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return dict(_json_object(value.struct_value))
        case "list_value":
            return [_json(item) for item in value.list_value.values]
        case _:
            return None
