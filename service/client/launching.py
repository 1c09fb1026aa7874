"""Launches a job, and finds out its launch id."""

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from observability.escaping import printable
from service._generated.area_types_pb2 import AuthenticatedJobData
from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, Job, ListJobsRequest
from service.client.errors import CommandError, ExitCode, usage
from service.client.requests import require_success
from service.client.supervisor import Supervisor

_MOST = 1000
# Pauses between two looks for the job: a launch mostly takes a moment, but minutes with a pull.
_PAUSE, _LONGEST_PAUSE = 0.02, 0.2


@dataclass(frozen=True, slots=True)
class Launched:
    """The job of a launch, and whether this launch has made it.

    There is none if the catalogue has no image for it. With an error, that is not known.
    """

    job: Job | None
    is_own: bool = True
    error: CommandError | None = None


class Launch:
    """A launch under way. Its trace distinguishes its job from others of the same identifier."""

    def __init__(
        self,
        supervisor: Supervisor,
        name: str,
        identifier: str,
        *,
        params: Mapping[str, Any],
        auth: Mapping[str, Any],
    ) -> None:
        self._supervisor, self._name, self._identifier = supervisor, name, identifier
        self._trace_id = secrets.token_hex(16)
        context = [("traceparent", f"00-{self._trace_id}-{secrets.token_hex(8)}-01")]
        request = _request(name, identifier, params, auth)
        self._answer = supervisor.begin(supervisor.jobs.LaunchJob, request, metadata=context)

    def first_seen(self) -> Job | None:
        """The job as soon as there is one, also while it starts; None if the answer comes first."""
        pause = _PAUSE
        while not self._answer.done():
            with suppress(CommandError):
                if job := self._own():
                    return job
            time.sleep(pause)
            pause = min(1.1 * pause, _LONGEST_PAUSE)
        return None

    def finish(self) -> Launched:
        """Wait for the answer. Raises `CommandError` if the launch is refused."""
        answer = self._answer.result()
        require_success(answer, f"{printable(self._identifier)} was not launched")
        try:
            return self._found()
        except CommandError as error:
            return Launched(None, error=error if error.exit_code != ExitCode.UNKNOWN else None)

    def _found(self) -> Launched:
        """The job; that of another launch if it has answered this one."""
        request = GetJobRequest(identifier=self._identifier)
        newest = self._supervisor.call(self._supervisor.observer.GetJob, request)
        if newest.trace_id == self._trace_id:
            return Launched(newest)
        own = self._own()
        return Launched(own or newest, is_own=own is not None)

    def _own(self) -> Job | None:
        request = ListJobsRequest(
            include="both", name=self._name, identifier_prefix=self._identifier, page_size=_MOST
        )
        found = self._supervisor.call(self._supervisor.observer.ListJobs, request).jobs
        return next((job for job in found if job.trace_id == self._trace_id), None)


def _request(
    name: str, identifier: str, params: Mapping[str, Any], auth: Mapping[str, Any]
) -> AuthenticatedJobData:
    """Raises `CommandError`, which has none of the values: they may be secret."""
    try:
        return AuthenticatedJobData(
            name=name, identifier=identifier, params=_struct(params), auth=_struct(auth)
        )
    except (ValueError, OverflowError, RecursionError, DecodeError):
        raise usage(
            "NAME, IDENTIFIER, -p, --auth-file: cannot be sent; allowed are texts in UTF-8, numbers"
            " up to 1.7e308, and lists and objects of at most 40 levels"
        ) from None


def _struct(values: Mapping[str, Any]) -> Struct:
    message = Struct()
    message.update(dict(values))
    return message
