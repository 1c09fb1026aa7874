import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from docker.errors import APIError

from observability.methods import InBandError
from service._generated.area_types_pb2 import Error, Response
from service.api.jobs_service import in_band_error
from service.engine.docker.errors import mapped
from service.errors import (
    REASONS,
    Draining,
    EngineError,
    EngineFaltered,
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
    assert set(REASONS) == {int(number) for number in found if number}


@pytest.fixture
def _reasons_as_they_were() -> Iterator[None]:
    before = dict(REASONS)
    yield
    REASONS.clear()
    REASONS.update(before)


@pytest.mark.usefixtures("_reasons_as_they_were")
def test_a_new_error_adds_its_code_by_itself() -> None:
    class Teapot(EngineError):
        code, reason = 418, "teapot"

    answer = Response(error=Error(code=Teapot.code, message="short and stout"))
    assert InBandError("teapot", "short and stout") == in_band_error(answer)


@pytest.mark.usefixtures("_reasons_as_they_were")
def test_a_code_has_one_reason_only() -> None:
    with pytest.raises(TypeError, match="the reason of 504 is 'timeout'"):
        type("Slow", (SupervisorError,), {"code": 504, "reason": "slow"})


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


def test_a_shared_failure_says_the_same_and_is_not_counted_again() -> None:
    cause = ImageMissing("image x: is not there")
    shared = SharedFailure(cause)
    assert (422, "image_missing", "image x: is not there") == (
        shared.code,
        shared.reason,
        shared.message,
    )
    assert (True, False) == (cause.counted, shared.counted)


def _kill_all(*failures: tuple[str, SupervisorError], total: int = 500) -> str:
    return KillAllFailed(failures, total).message


def test_what_could_not_be_killed_is_told_by_its_identifiers() -> None:
    error = KillAllFailed([("a", EngineTimeout("too slow")), ("b", EngineRefused("no"))], 5)
    assert "2 of 5 jobs could not be stopped: 'a': too slow; 'b': no" == error.message
    assert (504, "timeout") == (error.code, error.reason)


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
    failures = [
        (character * 131_000, EngineRefused(f"{number}: {character * 100_000}"))
        for number in range(2_000)
    ]
    message = _kill_all(*failures, total=2_000)
    assert message.startswith("2000 of 2000 jobs could not be stopped: ")
    assert message.isprintable()
    assert len(message.encode()) < 16_384


def test_the_code_of_one_error_is_its_own() -> None:
    SharedFailure(ImageMissing("x"))
    assert (500, "internal") == (SharedFailure.code, SharedFailure.reason)


def test_a_socket_that_may_not_be_used_is_told_with_what_helps() -> None:
    with pytest.raises(EngineUnavailable) as caught, mapped("ping", ""):
        raise PermissionError(13, "Permission denied")
    assert "cannot be reached: Permission denied (" in caught.value.message
    assert "label:disable" in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, EngineRefused),
        (500, EngineFaltered),
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
    with pytest.raises(EngineError) as caught, mapped("create", "a-1"):
        raise APIError("x", response, "<html>")
    assert kind is type(caught.value)
