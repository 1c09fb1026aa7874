"""The errors of the service: the code, reason and gRPC status of each; when to come back.

A class has a `code` for the contract's `Response.error.code`, a `reason` for the label of metrics,
and a gRPC `status` for methods whose answer has no field for errors. Classes with the same code
have the same status, and all but `Cordoned` the same reason. A message says to a person what was
wrong, with which field or job, and what would help. `retry_after` is in how many seconds another
try may succeed, None if that is unknown.
"""

from collections.abc import Iterator, Sequence

from observability.escaping import printable, shown

# The limits of a KillAllFailed message: failures, and characters of each. Clients may limit the
# size of answers, and people read the first lines.
_SHOWN_FAILURES = 10
_SHOWN_CHARACTERS = 300


class SupervisorError(Exception):
    """A request failed."""

    code: int = 500
    reason: str = "internal"
    status: str = "INTERNAL"
    retry_after: int | None = None

    @property
    def message(self) -> str:
        """The text that the caller gets."""
        return str(self)

    def _copy_code(self, error: "SupervisorError") -> None:
        self.code, self.reason, self.status = error.code, error.reason, error.status
        self.retry_after = error.retry_after


class InvalidRequest(SupervisorError):
    """A field of the request has an invalid value."""

    code, reason, status = 400, "invalid", "INVALID_ARGUMENT"


class UnknownJob(SupervisorError):
    """The job name is not in the catalogue."""

    code, reason, status = 404, "unknown_job", "NOT_FOUND"


class NoSuchJob(SupervisorError):
    """Neither a live job nor one of the history is what was asked for."""

    code, reason, status = 404, "unknown_job", "NOT_FOUND"


class TooLarge(SupervisorError):
    """The request is larger than what a worker can be given (`execve`)."""

    code, reason, status = 413, "invalid", "INVALID_ARGUMENT"


class LimitReached(SupervisorError):
    """There are too many launches or jobs. This says nothing about the Engine."""

    code, reason, status = 429, "limit", "RESOURCE_EXHAUSTED"
    retry_after = 5


class TooSlow(SupervisorError):
    """A client takes what it has asked for more slowly than it comes."""

    code, reason, status = 429, "limit", "RESOURCE_EXHAUSTED"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__(
            "the client reads too slowly, and changes are missing;"
            " come back with the last resume_token"
        )


class LaunchKilled(SupervisorError):
    """A kill has ended a launch that waited. Nothing was launched."""

    code, reason, status = 499, "killed", "CANCELLED"


class Draining(SupervisorError):
    """The supervisor is stopping and starts nothing new."""

    code, reason, status = 503, "unavailable", "UNAVAILABLE"
    retry_after = 5  # mostly it ends at once, and the next one is ready a few seconds later


class Cordoned(SupervisorError):
    """An operator has had new launches refused. Counted by itself, since it is no fault."""

    code, reason, status = 503, "cordoned", "UNAVAILABLE"
    retry_after = 60  # maintenance takes its time


class EngineError(SupervisorError):
    """A call to the engine failed."""


class NameTaken(EngineError):
    """Another container has the name. `holder` is its id, if the Engine says it."""

    code, reason, status = 409, "name_taken", "ALREADY_EXISTS"

    def __init__(self, message: str, holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class ImageMissing(EngineError):
    """The image is not on the Engine, or its registry does not have it."""

    code, reason, status = 422, "image_missing", "FAILED_PRECONDITION"


class RegistryDenied(EngineError):
    """The registry of an image does not let this machine pull it."""

    code, reason, status = 424, "registry_denied", "FAILED_PRECONDITION"


class RegistryLimited(EngineError):
    """The registry of an image has had too many pulls. A later one may succeed."""

    code, reason, status = 429, "limit", "RESOURCE_EXHAUSTED"
    retry_after = 60  # the Engine passes on the words of a registry, and not its Retry-After


class RegistryAway(EngineError):
    """The registry of an image cannot be reached, or fails."""

    code, reason, status = 503, "unavailable", "UNAVAILABLE"
    retry_after = 30


class NoRoom(EngineError):
    """No machine has room for it, or is one that it may run on."""

    code, reason, status = 429, "limit", "RESOURCE_EXHAUSTED"
    retry_after = 30


class EngineRefused(EngineError):
    """The Engine answered with an error."""

    code, reason, status = 502, "engine_refused", "INTERNAL"


class NotReady(SupervisorError):
    """The job has started, and has ended or was ended before it was healthy."""

    code, reason, status = 502, "engine_refused", "INTERNAL"


class TooLargeForEngine(EngineRefused):
    """The Engine could not keep, or could not stop, a workload with so much of text."""

    code, reason, status = 413, "invalid", "INVALID_ARGUMENT"


class EngineFailed(EngineRefused):
    """The Engine failed for an internal reason. Another try may succeed."""


class StillRuns(EngineRefused):
    """The Engine does not remove a workload, since it runs: somebody has started it again."""


class EngineUnavailable(EngineError):
    """The Engine cannot be reached."""

    code, reason, status = 503, "unavailable", "UNAVAILABLE"
    retry_after = 5


class EngineUnmounted(EngineUnavailable):
    """The mounted socket of the Engine has been deleted. Only a restart of the process helps."""

    retry_after = 30


class EngineTimeout(EngineError):
    """The Engine took too long. It may still carry out the call."""

    code, reason, status = 504, "timeout", "DEADLINE_EXCEEDED"


class NoSuchWorkload(EngineError):
    """The workload does not exist. No request is answered with this error."""


class Crashed(SupervisorError):
    """A defect of the service. It is counted and logged where it occurs."""

    def __init__(self) -> None:
        super().__init__("an unexpected error; the supervisor's log has the details")


class SharedFailure(SupervisorError):
    """The launch that this request waited for has failed. That launch counts and logs the error."""

    def __init__(self, cause: SupervisorError) -> None:
        super().__init__(cause.message)
        self._copy_code(cause)


class KillAllFailed(SupervisorError):
    """Some jobs could not be stopped; `failures` pairs each identifier with its error."""

    def __init__(self, failures: Sequence[tuple[str, SupervisorError]], total: int) -> None:
        by_reason: dict[str, list[str]] = {}
        for identifier, error in failures[:_SHOWN_FAILURES]:
            reason = printable(error.message)[:_SHOWN_CHARACTERS]
            by_reason.setdefault(reason, []).append(shown(identifier))
        parts = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
        if (more := len(failures) - _SHOWN_FAILURES) > 0:
            parts.append(f"and {more} more, which the log names")
        text = "; ".join(parts)
        super().__init__(f"{len(failures)} of {total} jobs could not be stopped: {text}")
        self._copy_code(failures[0][1])


class Denied(Exception):
    """A client may not touch these jobs: the gRPC status PERMISSION_DENIED.

    The text says for what it has asked. `job` and `identifier` are for the audit.
    """

    def __init__(self, what: str, *, job: str = "", identifier: str = "") -> None:
        super().__init__(what)
        self.job, self.identifier = job, identifier


class NotPossible(Exception):
    """The request cannot be carried out as things are: the gRPC status FAILED_PRECONDITION.

    That is no failure. The text says what would have to be different.
    """


class StartError(Exception):
    """The process cannot start. The operator sees only the message, which is one line."""


def kinds_of(kind: type[SupervisorError]) -> Iterator[type[SupervisorError]]:
    """A class of errors and all its subclasses."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


def reason_of(code: int) -> str:
    """The reason of a code."""
    return REASONS.get(code, SupervisorError.reason)


# By code, for the classes in this module; of several reasons that of the first class.
REASONS = {kind.code: kind.reason for kind in reversed([*kinds_of(SupervisorError)])}
