"""What can go wrong, as a small tree.

    SupervisorError            what a request can be answered with
    ├── InvalidRequest   400
    ├── UnknownJob       404
    ├── TooLarge         413
    ├── LimitReached     429
    ├── Draining         503
    ├── Crashed          500
    ├── KillAllFailed    the code of the first failure in it
    ├── SharedFailure    the code of the launch that it waited for
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

`code` goes into the contract's `Response.error.code`, `reason` into the label of that name.
Every message is for a person: what was wrong, with which field or job, and what would help.
"""

from collections.abc import Sequence
from typing import ClassVar

from observability.printable import printable, shown

# Of what KillAllJobs could not stop, this many jobs are told, with so much of each reason: a client
# may limit an answer, and a person reads the first lines.
_TOLD_FAILURES = 10
_TOLD_CHARACTERS = 300


# The reason that each code of `Response.error` stands for: every class of the tree adds its own.
REASONS = {500: "internal"}


class SupervisorError(Exception):
    """A request that could not be carried out."""

    code: int = 500
    reason: str = "internal"
    counted: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """Note the class's code; a code has one reason, whichever error it is of."""
        if REASONS.setdefault(cls.code, cls.reason) != cls.reason:
            raise TypeError(f"{cls.__name__}: the reason of {cls.code} is {REASONS[cls.code]!r}")

    @property
    def message(self) -> str:
        """The text that the caller gets."""
        return str(self)


class InvalidRequest(SupervisorError):
    """A field of the request has a value that is not allowed."""

    code = 400
    reason = "invalid"


class UnknownJob(SupervisorError):
    """The catalogue does not know this job name."""

    code = 404
    reason = "unknown_job"


class TooLarge(SupervisorError):
    """The arguments would not fit through the kernel's `execve`."""

    code = 413
    reason = "invalid"


class LimitReached(SupervisorError):
    """As many launches or jobs as may be are there. Nothing is known of the Engine by that."""

    code = 429
    reason = "limit"


class Draining(SupervisorError):
    """The supervisor is stopping and starts nothing new."""

    code = 503
    reason = "unavailable"


class EngineError(SupervisorError):
    """The Engine did not do what it was asked."""


class NameTaken(EngineError):
    """Another container holds the name. `holder` is its id where the Engine told it."""

    code = 409
    reason = "name_taken"

    def __init__(self, message: str, holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class ImageMissing(EngineError):
    """The image is not on the Engine, and nothing is pulled here."""

    code = 422
    reason = "image_missing"


class EngineRefused(EngineError):
    """The Engine answered with an error."""

    code = 502
    reason = "engine_refused"


class EngineFaltered(EngineRefused):
    """The Engine failed at it, for a reason of its own: asked again, it may do it."""


class EngineUnavailable(EngineError):
    """The Engine cannot be reached."""

    code = 503
    reason = "unavailable"


class EngineUnmounted(EngineUnavailable):
    """The Engine's socket that is mounted here has been deleted: nobody will ever listen on it."""


class EngineTimeout(EngineError):
    """The Engine took too long. What was asked may still happen."""

    code = 504
    reason = "timeout"


class NoSuchWorkload(EngineError):
    """The container does not exist (any more)."""


class Crashed(SupervisorError):
    """Something that nobody had thought of. It is counted and logged where it arose."""

    counted = False

    def __init__(self) -> None:
        super().__init__("an unexpected error; the supervisor's log has the details")


class SharedFailure(SupervisorError):
    """The launch that this one waited for has failed. It is counted there, once."""

    counted = False

    def __init__(self, cause: SupervisorError) -> None:
        super().__init__(cause.message)
        self.code, self.reason = cause.code, cause.reason


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
        self.code, self.reason = failures[0][1].code, failures[0][1].reason


class StartError(Exception):
    """The process cannot start. The message is the one line that the operator sees."""
