import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.metrics import Metrics
from service._generated.area_supervisor_pb2 import JobId, JobList
from service._generated.area_types_pb2 import AuthenticatedJobData, Error, Response
from service.access.clients import ALL_JOBS, JobScope
from service.api.jobs_service import (
    MAX_MESSAGE_BYTES,
    JobsService,
    _json,
    _json_object,
    in_band_error,
)
from service.app.metric_labels import new_metrics
from service.errors import (
    EngineUnavailable,
    ImageMissing,
    KillAllFailed,
    LimitReached,
    NoRoom,
    SharedFailure,
    SupervisorError,
)
from service.jobs.arguments import arguments_of
from service.jobs.catalog_keys import Entry
from service.jobs.model import Job, JobSpec, JsonValue, Kind
from service.lifecycle.use_cases import Supervisor
from service.state.readiness import Readiness
from tests.support.samples import NAMES, a_job

# From the message to plain JSON


def number(value: float) -> Value:
    return Value(number_value=value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Value(string_value="Paris"), "Paris"),
        (Value(string_value=""), ""),
        (Value(bool_value=True), True),
        (Value(bool_value=False), False),
        (Value(null_value=0), None),  # type: ignore[arg-type]
        (Value(), None),
        (Value(struct_value=Struct()), {}),
        (Value(list_value=ListValue()), []),
        (Value(list_value=ListValue(values=[Value(), number(3)])), [None, 3]),
        (
            Value(struct_value=Struct(fields={"a": number(2.5), "b": Value()})),
            {"a": 2.5, "b": None},
        ),
    ],
)
def test_a_value_becomes_plain_json(value: Value, plain: JsonValue) -> None:
    assert plain == _json(value)
    assert type(plain) is type(_json(value))


@pytest.mark.parametrize(
    ("given_number", "argument"),
    [
        (1000000, "1000000"),
        (3599.0, "3599"),
        (0, "0"),
        (-0.0, "0"),
        (-12, "-12"),
        (2**53, "9007199254740992"),
        (1e21, "1000000000000000000000"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (-0.5, "-0.5"),
        (1.5e300, str(int(1.5e300))),
        (123456789.123, "123456789.123"),
    ],
)
def test_a_number_becomes_an_argument_whole_or_in_its_shortest_form(
    given_number: float, argument: str
) -> None:
    assert argument == launch_arguments({"n": number(given_number)}, {})[-1]
    in_list = Value(list_value=ListValue(values=[number(given_number)]))
    assert f"[{argument}]" == launch_arguments({"n": in_list}, {})[-1]
    in_object = Value(struct_value=Struct(fields={"x": number(given_number)}))
    assert f'{{"x":{argument}}}' == launch_arguments({"n": in_object}, {})[-1]
    assert f'{{"x":{argument}}}' == launch_arguments({}, {"x": number(given_number)})[5]


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200)
def test_a_number_keeps_its_value_and_is_no_longer_than_needed(value: float) -> None:
    argument = launch_arguments({"n": number(value)}, {})[-1]
    assert value == float(argument)
    if value.is_integer():
        assert str(int(value)) == argument
    else:
        digits = sum(character.isdigit() for character in argument.split("e")[0].strip("-0."))
        assert digits <= 17


def launch_arguments(params: dict[str, Value], auth: dict[str, Value]) -> list[str]:
    spec = JobSpec(
        "timer",
        "t-1",
        _json_object(Struct(fields=params)),
        _json_object(Struct(fields=auth)),
    )
    return list(arguments_of(spec, Entry(kind=Kind.ACTION, image="x"), "h:1"))


def test_a_value_with_no_kind_is_left_out_and_stays_a_null_inside() -> None:
    inner = Value(list_value=ListValue(values=[Value(), Value(null_value=0)]))  # type: ignore[arg-type]
    params = {"a": Value(), "b": inner, "c": Value(null_value=0)}  # type: ignore[arg-type]
    assert ["--b", "[null,null]"] == launch_arguments(params, {})[6:]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_carry_is_left_for_validation_to_name(value: float) -> None:
    converted = _json(number(value))
    assert isinstance(converted, float)
    assert not math.isfinite(converted)


# From a use case to the answer


class Recording:
    """What the servicer asks of the use cases; each ends as it is told."""

    def __init__(self, ends: Exception | None = None, jobs: list[Job] | None = None) -> None:
        self._ends = ends
        self._jobs = jobs or []
        self.asked: list[Any] = []
        self.fingerprints: list[tuple[str, int]] = []

    def repeats(self, identifier: str, fingerprint: int) -> bool:
        self.fingerprints.append((identifier, fingerprint))
        return self.fingerprints.count((identifier, fingerprint)) > 1

    async def launch(self, spec: JobSpec) -> None:
        self._note(spec)

    async def kill(self, identifier: str, scope: JobScope) -> None:
        assert scope is ALL_JOBS
        self._note(identifier)

    async def kill_all(self, scope: JobScope) -> None:
        assert scope is ALL_JOBS
        self._note("all")

    def list_jobs(self, scope: JobScope) -> list[Job]:
        assert scope is ALL_JOBS
        return self._jobs

    def _note(self, what: object) -> None:
        self.asked.append(what)
        if self._ends:
            raise self._ends


class Aborted(Exception):
    pass


class Context:
    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata
        self.trailing: tuple[tuple[str, str], ...] = ()

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.trailing = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def abort(self, code: Any, details: str) -> None:
        raise Aborted(code.name, details)


def servicer(recording: Recording, *, listed: bool = True) -> tuple[JobsService, Metrics]:
    metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
    readiness = Readiness("Docker Engine")
    if listed:
        readiness.set_in_step()
    return JobsService(cast("Supervisor", recording), readiness, metrics), metrics


REQUEST = AuthenticatedJobData(
    name="timer",
    identifier="t-1",
    params=Struct(fields={"seconds": number(3)}),
    auth=Struct(fields={"token": Value(string_value="hunter2")}),
)
CALLS: list[tuple[str, Callable[..., Awaitable[Response]]]] = [
    ("launch", lambda s, context=None: s.LaunchJob(REQUEST, context or Context())),
    ("kill", lambda s, context=None: s.KillJob(JobId(identifier="t-1"), context)),
    ("kill_all", lambda s, context=None: s.KillAllJobs(Empty(), context)),
]


async def test_a_launch_is_asked_for_with_everything_that_the_message_says() -> None:
    recording = Recording()
    await servicer(recording)[0].LaunchJob(REQUEST, Context())
    assert [JobSpec("timer", "t-1", {"seconds": 3}, {"token": "hunter2"})] == recording.asked


async def test_the_very_same_request_is_recognized_whatever_the_order_of_its_fields() -> None:
    recording = Recording()
    made, _ = servicer(recording)
    one, other = Struct(), Struct()
    one.update({"a": 1, "b": [2]})
    other.update({"b": [2], "a": 1})
    for params in (one, other):
        request = AuthenticatedJobData(name="timer", identifier="t-1", params=params)
        assert Response() == await made.LaunchJob(request, Context())
    assert 1 == len(recording.asked)
    (first, second) = recording.fingerprints
    assert first == second


async def test_any_other_request_is_not() -> None:
    recording = Recording()
    made, _ = servicer(recording)
    other = AuthenticatedJobData()
    other.CopyFrom(REQUEST)
    other.auth.update({"token": "hunter3"})
    for request in (REQUEST, other):
        await made.LaunchJob(request, Context())
    assert 2 == len(recording.asked) == len(set(recording.fingerprints))


async def test_a_request_that_is_too_large_is_refused_before_it_is_read() -> None:
    recording = Recording()
    params = Struct()
    params.update({"a": "x" * MAX_MESSAGE_BYTES})
    request = AuthenticatedJobData(name="timer", identifier="t-1", params=params)
    response = await servicer(recording)[0].LaunchJob(request, Context())
    assert (413, []) == (response.error.code, recording.asked)


async def test_a_launch_without_params_and_auth_has_none() -> None:
    recording = Recording()
    await servicer(recording)[0].LaunchJob(
        AuthenticatedJobData(name="timer", identifier="t-1"), Context()
    )
    assert [JobSpec("timer", "t-1", {}, {})] == recording.asked


@pytest.mark.parametrize(("_operation", "call"), CALLS)
async def test_success_is_an_answer_without_an_error(
    _operation: str, call: Callable[[JobsService], Awaitable[Response]]
) -> None:
    response = await call(servicer(Recording())[0])
    assert not response.HasField("error")
    assert in_band_error(response) is None


@pytest.mark.parametrize(("_operation", "call"), CALLS)
@pytest.mark.parametrize(
    "error",
    [
        ImageMissing("image x: is not there"),
        SharedFailure(ImageMissing("image x: is not there")),
    ],
)
async def test_a_failure_travels_in_the_answer(
    _operation: str, call: Callable[[JobsService], Awaitable[Response]], error: SupervisorError
) -> None:
    response = await call(servicer(Recording(error))[0])
    assert Error(code=422, message="image x: is not there") == response.error
    assert ("image_missing", "image x: is not there") == in_band_error(response)


@pytest.mark.parametrize(("_operation", "call"), CALLS)
@pytest.mark.parametrize(
    ("error", "trailing"),
    [
        (LimitReached("x"), (("retry-after", "5"),)),
        (SharedFailure(EngineUnavailable("x")), (("retry-after", "5"),)),
        (KillAllFailed([("a", NoRoom("x"))], 1), (("retry-after", "30"),)),
        (ImageMissing("x"), ()),
    ],
)
async def test_some_failures_tell_when_to_come_back(
    _operation: str,
    call: Callable[..., Awaitable[Response]],
    error: SupervisorError,
    trailing: tuple[tuple[str, str], ...],
) -> None:
    context = Context()
    response = await call(servicer(Recording(error))[0], context)
    assert (error.code, trailing) == (response.error.code, context.trailing)


@pytest.mark.parametrize(("operation", "call"), CALLS)
async def test_what_nobody_expected_is_a_500_that_tells_nothing(
    operation: str, call: Callable[[JobsService], Awaitable[Response]]
) -> None:
    made, metrics = servicer(Recording(RuntimeError("hunter2 at line 3")))
    response = await call(made)
    assert (
        Error(code=500, message="an unexpected error; the supervisor's log has the details")
        == response.error
    )
    job = "timer" if operation == "launch" else "unknown"
    assert 1 == metrics.registry.get_sample_value(
        "supervisor_failures_total",
        {"job_name": job, "operation": operation, "reason": "internal"},
    )


async def test_the_log_of_what_nobody_expected_has_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[dict[str, Any]] = []

    class Log:
        def critical(self, event: str, **details: Any) -> None:
            told.append({"event": event, **details})

    monkeypatch.setattr("service.reporting.request_reports.log", Log())
    await servicer(Recording(RuntimeError("hunter2 is odd")))[0].LaunchJob(REQUEST, Context())
    assert ["request.crashed"] == [event["event"] for event in told]
    assert "RuntimeError: [redacted] is odd" in told[0]["traceback"]
    assert "hunter2" not in str(told)


async def test_the_live_jobs_are_listed_with_their_state() -> None:
    jobs = [a_job("a"), a_job("b", name="mail", identifier="m", workload_id="c1")]
    listed = await servicer(Recording(jobs=jobs))[0].ListJobs(Empty(), Context())
    assert isinstance(listed, JobList)
    assert [("timer", "timer-1", "starting"), ("mail", "m", "starting")] == [
        (job.name, job.identifier, job.status) for job in listed.jobs
    ]


async def test_before_the_first_listing_the_list_is_unavailable() -> None:
    context = Context()
    with pytest.raises(Aborted) as caught:
        await servicer(Recording(), listed=False)[0].ListJobs(Empty(), context)
    assert ("UNAVAILABLE", "the Docker Engine has not answered yet") == caught.value.args
    assert (("retry-after", "5"),) == context.trailing


async def test_after_the_first_listing_the_list_is_the_last_that_is_known() -> None:
    readiness = Readiness("Docker Engine")
    metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
    made = JobsService(cast("Supervisor", Recording(jobs=[a_job()])), readiness, metrics)
    readiness.set_in_step()
    readiness.set_away("gone")
    assert 1 == len((await made.ListJobs(Empty(), Context())).jobs)


# From the answer to spans and metrics


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, "invalid"),
        (404, "unknown_job"),
        (409, "name_taken"),
        (413, "invalid"),
        (422, "image_missing"),
        (429, "limit"),
        (499, "killed"),
        (500, "internal"),
        (502, "engine_refused"),
        (503, "unavailable"),
        (504, "timeout"),
    ],
)
def test_an_error_in_an_answer_has_a_reason(code: int, reason: str) -> None:
    assert (reason, "m") == in_band_error(Response(error=Error(code=code, message="m")))


@pytest.mark.parametrize("answer", [Response(), JobList(), Empty(), None])
def test_any_other_answer_has_no_error(answer: object) -> None:
    assert in_band_error(answer) is None


def test_what_could_not_be_killed_has_the_first_reason() -> None:
    error = KillAllFailed([("a", ImageMissing("x"))], 1)
    response = Response(error=Error(code=error.code, message=error.message))
    assert ("image_missing", error.message) == in_band_error(response)
