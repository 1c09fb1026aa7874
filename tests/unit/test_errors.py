import importlib
import pkgutil
import re
from pathlib import Path

import grpc
import pytest
import requests
from docker.errors import APIError

import service
from observability.grpc_calls import InBandError
from service._generated.area_types_pb2 import Error, Response
from service.api.jobs_service import _failure, in_band_error
from service.app.metric_labels import LABELS
from service.engine.docker.error_mapping import translated_errors
from service.errors import (
    REASONS,
    Cordoned,
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    KillAllFailed,
    NameTaken,
    NoSuchWorkload,
    SharedFailure,
    SupervisorError,
    kinds_of,
)

# The interface: what clients, metrics and spans know the errors by.
ANSWERS = {
    400: ("invalid", "INVALID_ARGUMENT"),
    404: ("unknown_job", "NOT_FOUND"),
    409: ("name_taken", "ALREADY_EXISTS"),
    413: ("invalid", "INVALID_ARGUMENT"),
    422: ("image_missing", "FAILED_PRECONDITION"),
    424: ("registry_denied", "FAILED_PRECONDITION"),
    429: ("limit", "RESOURCE_EXHAUSTED"),
    499: ("killed", "CANCELLED"),
    500: ("internal", "INTERNAL"),
    502: ("engine_refused", "INTERNAL"),
    503: ("unavailable", "UNAVAILABLE"),
    504: ("timeout", "DEADLINE_EXCEEDED"),
}


@pytest.mark.parametrize("kind", [*kinds_of(SupervisorError)])
def test_every_error_is_answered_counted_and_documented(kind: type[SupervisorError]) -> None:
    """A new error is a class in service/errors.py; a new code also a row in ANSWERS."""
    assert kind.code in ANSWERS, "ANSWERS in this file"
    error = kind.__new__(kind, "what was wrong")  # without what some of them are made of
    reason, status = ANSWERS[kind.code]
    assert status == error.status
    assert error.reason == ("cordoned" if kind is Cordoned else reason)  # which is no fault
    assert error.status in grpc.StatusCode.__members__
    answer = _failure(error)
    assert Error(code=kind.code, message="what was wrong") == answer.error
    assert InBandError(reason, "what was wrong") == in_band_error(answer)
    assert error.reason in LABELS.reasons
    assert (error.retry_after is not None) == (kind.code in (429, 503))
    if issubclass(kind, EngineError) and kind not in (EngineError, NoSuchWorkload):
        assert error.reason in LABELS.engine_reasons


def test_every_error_stands_in_the_module_of_errors() -> None:
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {"service.errors"} == {kind.__module__ for kind in kinds_of(SupervisorError)}


def test_every_answer_is_one_of_an_error() -> None:
    assert set(ANSWERS) == set(REASONS), "ANSWERS in this file"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("proto/area_types.proto", r"\b([45]\d\d) \w"),
        ("docs/api.md", r"^\| (\d{3}) \|"),
        ("docs/metrics.md", r"^\| `\w+` \| (\d{3})(?:, (\d{3}))? \|"),
    ],
)
def test_every_code_is_in_the_documents(document: str, code: str) -> None:
    text = (Path(__file__).parents[2] / document).read_text(encoding="utf-8")
    found = {number for match in re.finditer(code, text, re.MULTILINE) for number in match.groups()}
    assert set(REASONS) == {int(number) for number in found if number}, document


def test_a_code_that_nobody_knows_is_told_as_ours() -> None:
    answer = Response(error=Error(code=999, message="odd"))
    assert InBandError("internal", "odd") == in_band_error(answer)


@pytest.mark.parametrize(
    "kind",
    [NameTaken, ImageMissing, EngineRefused, EngineUnavailable, EngineTimeout, NoSuchWorkload],
)
def test_what_an_engine_answers_is_an_engine_error(kind: type[SupervisorError]) -> None:
    assert issubclass(kind, EngineError)


def test_a_taken_name_knows_its_holder() -> None:
    assert ("taken", "c1") == (str(NameTaken("taken", "c1")), NameTaken("taken", "c1").holder)
    assert NameTaken("taken").holder is None


def test_a_shared_failure_is_answered_like_its_cause() -> None:
    shared = SharedFailure(ImageMissing("image x: is not there"))
    assert (422, "image_missing", "FAILED_PRECONDITION", "image x: is not there") == (
        shared.code,
        shared.reason,
        shared.status,
        shared.message,
    )


def _kill_all(*failures: tuple[str, SupervisorError], total: int = 500) -> str:
    return KillAllFailed(failures, total).message


def test_what_could_not_be_killed_is_told_by_its_identifiers() -> None:
    error = KillAllFailed([("a", EngineTimeout("too slow")), ("b", EngineRefused("no"))], 5)
    assert "2 of 5 jobs could not be stopped: 'a': too slow; 'b': no" == error.message
    assert (504, "timeout", "DEADLINE_EXCEEDED") == (error.code, error.reason, error.status)


def test_a_reason_is_told_once_for_all_that_could_not_be_killed_for_it() -> None:
    slow, no = EngineTimeout("too slow"), EngineRefused("no")
    message = _kill_all(("a", slow), ("b", no), ("c", EngineTimeout("too slow")))
    assert "3 of 500 jobs could not be stopped: 'a', 'c': too slow; 'b': no" == message


def test_ten_of_those_that_could_not_be_killed_are_named() -> None:
    ten = [(f"t-{number}", EngineTimeout("too slow")) for number in range(10)]
    names = ", ".join(f"'t-{number}'" for number in range(10))
    assert f"10 of 500 jobs could not be stopped: {names}: too slow" == _kill_all(*ten)
    more = [*ten, *[("x", EngineRefused("no"))] * 2]
    expected = f"12 of 500 jobs could not be stopped: {names}: too slow; and 2 more, which the log"
    assert f"{expected} names" == _kill_all(*more)


@pytest.mark.parametrize("character", ["x", "é", "🚀", "\n", "\x1b", "\u2028", "\U000e0041"])
def test_what_could_not_be_killed_is_some_kilobytes_whatever_there_is_of_it(character: str) -> None:
    identifier, reason = character * 131_000, character * 100_000
    some = [(identifier, EngineRefused(f"{number}: {reason}")) for number in range(20)]
    message = _kill_all(*(some * 100), total=2_000)
    assert message.startswith("2000 of 2000 jobs could not be stopped: ")
    assert message.isprintable()
    assert len(message.encode()) < 16_384


def test_the_code_of_one_error_is_its_own() -> None:
    SharedFailure(ImageMissing("x"))
    assert (500, "internal") == (SharedFailure.code, SharedFailure.reason)


def test_a_socket_that_may_not_be_used_is_told_with_what_helps() -> None:
    with pytest.raises(EngineUnavailable) as caught, translated_errors("ping", ""):
        raise PermissionError(13, "Permission denied")
    assert "cannot be reached: Permission denied (" in caught.value.message
    assert "label:disable" in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, EngineRefused),
        (500, EngineFailed),
        (502, EngineUnavailable),
        (503, EngineUnavailable),
        (504, EngineTimeout),
    ],
)
def test_a_proxy_tells_that_its_engine_is_away_or_hangs(
    status: int, kind: type[EngineError]
) -> None:
    response = requests.Response()
    response.status_code = status
    with pytest.raises(EngineError) as caught, translated_errors("create", "a-1"):
        raise APIError("x", response, "<html>")
    assert kind is type(caught.value)
