"""What can go wrong, as a small tree.

    SupervisorError            what a request can be answered with
    ├── InvalidRequest   400
    ├── UnknownJob       404
    ├── TooLarge         413
    ├── LimitReached     429
    ├── Draining         503
    ├── Crashed          500
    ├── KillAllFailed    as the first failure in it
    ├── SharedFailure    as the launch that it waited for
    └── EngineError      what an engine can answer
        ├── NameTaken          409
        ├── ImageMissing       422
        ├── EngineRefused      502
        │   └── EngineFaltered     (it may do it if asked again)
        ├── EngineUnavailable  503
        │   └── EngineUnmounted    (and it will be, until the process is started anew)
        ├── EngineTimeout      504
        └── NoSuchWorkload     (never leaves the service)

    StartError                 what ends the start of the process

Each class says in one line what its errors are called elsewhere: `code` in the contract's
`Response.error.code`, `reason` in the label of that name, and `status` in gRPC, for a method whose
answer has no room for an error. A code has one reason and one status.
Every message is for a person: what was wrong, with which field or job, and what would help.
"""

from collections.abc import Iterator, Sequence

from observability.printable import printable, shown

# Of what KillAllJobs could not stop, this many jobs are told, with so much of each reason: a client
# may limit an answer, and a person reads the first lines.
_TOLD_FAILURES = 10
_TOLD_CHARACTERS = 300


class SupervisorError(Exception):
    """A request that could not be carried out."""

    code: int = 500
    reason: str = "internal"
    status: str = "INTERNAL"

    @property
    def message(self) -> str:
        """The text that the caller gets."""
        return str(self)

    def _answer_as(self, error: "SupervisorError") -> None:
        self.code, self.reason, self.status = error.code, error.reason, error.status


class InvalidRequest(SupervisorError):
    """A field of the request has a value that is not allowed."""

    code, reason, status = 400, "invalid", "INVALID_ARGUMENT"


class UnknownJob(SupervisorError):
    """The catalogue does not know this job name."""

    code, reason, status = 404, "unknown_job", "NOT_FOUND"


class TooLarge(SupervisorError):
    """The arguments would not fit through the kernel's `execve`."""

    code, reason, status = 413, "invalid", "INVALID_ARGUMENT"


class LimitReached(SupervisorError):
    """As many launches or jobs as may be are there. Nothing is known of the Engine by that."""

    code, reason, status = 429, "limit", "RESOURCE_EXHAUSTED"


class Draining(SupervisorError):
    """The supervisor is stopping and starts nothing new."""

    code, reason, status = 503, "unavailable", "UNAVAILABLE"


class EngineError(SupervisorError):
    """The Engine did not do what it was asked."""


class NameTaken(EngineError):
    """Another container holds the name. `holder` is its id where the Engine told it."""

    code, reason, status = 409, "name_taken", "ALREADY_EXISTS"

    def __init__(self, message: str, holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class ImageMissing(EngineError):
    """The image is not on the Engine, and nothing is pulled here."""

    code, reason, status = 422, "image_missing", "FAILED_PRECONDITION"


class EngineRefused(EngineError):
    """The Engine answered with an error."""

    code, reason, status = 502, "engine_refused", "INTERNAL"


class EngineFaltered(EngineRefused):
    """The Engine failed at it, for a reason of its own: asked again, it may do it."""


class EngineUnavailable(EngineError):
    """The Engine cannot be reached."""

    code, reason, status = 503, "unavailable", "UNAVAILABLE"


class EngineUnmounted(EngineUnavailable):
    """The Engine's socket that is mounted here has been deleted: nobody will ever listen on it."""


class EngineTimeout(EngineError):
    """The Engine took too long. What was asked may still happen."""

    code, reason, status = 504, "timeout", "DEADLINE_EXCEEDED"


class NoSuchWorkload(EngineError):
    """The container does not exist (any more)."""


class Crashed(SupervisorError):
    """A defect. It is counted and logged where it arose."""

    def __init__(self) -> None:
        super().__init__("an unexpected error; the supervisor's log has the details")


class SharedFailure(SupervisorError):
    """The launch that this request waited for has failed. That launch counts and logs it."""

    def __init__(self, cause: SupervisorError) -> None:
        super().__init__(cause.message)
        self._answer_as(cause)


class KillAllFailed(SupervisorError):
    """Some jobs could not be stopped; `failures` pairs each identifier with its error."""

    def __init__(self, failures: Sequence[tuple[str, SupervisorError]], total: int) -> None:
        by_reason: dict[str, list[str]] = {}
        for identifier, error in failures[:_TOLD_FAILURES]:
            reason = printable(error.message)[:_TOLD_CHARACTERS]
            by_reason.setdefault(reason, []).append(shown(identifier))
        told = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
        if (more := len(failures) - _TOLD_FAILURES) > 0:
            told.append(f"and {more} more, which the log names")
        super().__init__(f"{len(failures)} of {total} jobs could not be stopped: {'; '.join(told)}")
        self._answer_as(failures[0][1])


class StartError(Exception):
    """The process cannot start. The message is the one line that the operator sees."""


def kinds_of(kind: type[SupervisorError]) -> Iterator[type[SupervisorError]]:
    """A class of errors and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


def reason_of(code: int) -> str:
    """The reason that a code in an answer stands for."""
    return REASONS.get(code, SupervisorError.reason)


# By code. Of the classes here: an error of another module would be missed.
REASONS = {kind.code: kind.reason for kind in kinds_of(SupervisorError)}
