import pytest

from observability.metrics import REASONS as METRIC_REASONS
from service.errors import (
    REASONS,
    Draining,
    EngineError,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    InvalidRequest,
    KillAllFailed,
    LimitReached,
    NameTaken,
    NoSuchWorkload,
    SharedFailure,
    SupervisorError,
    TooLarge,
    UnknownJob,
)

CODES = {
    InvalidRequest: (400, "invalid"),
    UnknownJob: (404, "unknown_job"),
    NameTaken: (409, "name_taken"),
    TooLarge: (413, "invalid"),
    LimitReached: (429, "limit"),
    ImageMissing: (422, "image_missing"),
    SupervisorError: (500, "internal"),
    EngineRefused: (502, "engine_refused"),
    EngineUnavailable: (503, "unavailable"),
    Draining: (503, "unavailable"),
    EngineTimeout: (504, "timeout"),
}


@pytest.mark.parametrize(("kind", "expected"), CODES.items())
def test_an_error_has_the_code_of_the_contract_and_its_reason(
    kind: type[SupervisorError], expected: tuple[int, str]
) -> None:
    error = kind("what was wrong")
    assert (*expected, "what was wrong") == (error.code, error.reason, error.message)


def test_every_code_has_the_reason_of_its_errors() -> None:
    assert dict(CODES.values()) == REASONS


def test_every_reason_is_one_that_the_metrics_know() -> None:
    assert set(REASONS.values()) <= set(METRIC_REASONS)


@pytest.mark.parametrize(
    "kind",
    [NameTaken, ImageMissing, EngineRefused, EngineUnavailable, EngineTimeout, NoSuchWorkload],
)
def test_what_an_engine_answers_is_an_engine_error(kind: type[SupervisorError]) -> None:
    assert issubclass(kind, EngineError)


def test_a_taken_name_knows_its_holder() -> None:
    assert ("taken", "c1") == (str(NameTaken("taken", "c1")), NameTaken("taken", "c1").holder)
    assert NameTaken("taken").holder is None


def test_a_shared_failure_says_the_same_and_is_not_counted_again() -> None:
    cause = ImageMissing("image x: is not there")
    shared = SharedFailure(cause)
    assert (422, "image_missing", "image x: is not there") == (
        shared.code,
        shared.reason,
        shared.message,
    )
    assert (True, False) == (cause.counted, shared.counted)


def test_what_could_not_be_killed_is_told_by_its_identifiers() -> None:
    error = KillAllFailed([("a", EngineTimeout("too slow")), ("b", EngineRefused("no"))], 5)
    assert "2 of 5 jobs could not be stopped: a: too slow; b: no" == error.message
    assert (504, "timeout") == (error.code, error.reason)


def test_the_code_of_one_error_is_its_own() -> None:
    SharedFailure(ImageMissing("x"))
    assert (500, "internal") == (SharedFailure.code, SharedFailure.reason)
