"""The commands that call a supervisor, on one of messages alone."""

import io
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import grpc
import pytest
import yaml
from google.protobuf.timestamp_pb2 import Timestamp

from scripts.certificates import Authority
from scripts.ports import free_port
from service._generated.area_types_pb2 import AuthenticatedJobData, Error, Response
from service._generated.supervisor.v1 import observer_pb2 as api
from service.cli.completions import complete_job_name
from service.client.errors import CommandError
from service.client.secret_files import read_credentials, read_token
from tests.support.command_line import Ran, run
from tests.support.fake_observer import Fake, a_job, serving


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def server(fake: Fake) -> Iterator[str]:
    with serving(fake) as address:
        yield address


_SUCCESS = {"state": "gone", "outcome": "success"}


def ago(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(time.time() - seconds))


def ended(identifier: str, outcome: str = "error", **more: Any) -> api.Job:
    return a_job(identifier, state="gone", outcome=outcome, **more)


def on(server: str, *arguments: str, **more: Any) -> Ran:
    return run("--server", server, *arguments, **more)


# Ends


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0)])
def test_a_signal_in_the_middle_of_a_lock_ends_a_command_like_any_other(
    end: BaseException, code: int, server: str
) -> None:
    def in_the_middle(*_arguments: Any, **_more: Any) -> None:
        lock = threading.Lock()
        with lock:
            lock.release()
            raise end

    with mock.patch("service.client.supervisor.Supervisor.call", in_the_middle):
        assert Ran(code, "", "") == on(server, "jobs")


# Lists


def test_jobs_are_a_table_that_programs_can_read(fake: Fake, server: str) -> None:
    fake.jobs += [a_job("a", created=ago(125), restarts=2), a_job("bcd", state="starting")]
    titles, first, second = on(server, "jobs").out.splitlines()
    assert ["IDENTIFIER", "JOB", "STATE", "RESTARTS", "AGE"] == titles.split()
    *told, age = first.split()
    assert ["a", "timer-seconds-interval", "running", "2"] == told
    assert re.fullmatch(r"2m\d+s", age)  # on a busy machine
    assert ["bcd", "timer-seconds-interval", "starting", "0"] == second.split()[:4]


def test_a_job_that_waits_for_its_image_says_so(fake: Fake, server: str) -> None:
    fake.jobs += [a_job("a", state="starting", pulling=True), a_job("b", pulling=True)]
    _, first, second = on(server, "jobs").out.splitlines()
    assert "starting (pulling)" in first
    assert "pulling" not in second


def test_no_jobs_are_the_titles_alone_or_an_empty_list(server: str) -> None:
    assert 1 == len(on(server, "jobs").out.splitlines())
    assert [] == json.loads(on(server, "jobs", "-o", "json").out)
    assert [] == yaml.safe_load(on(server, "jobs", "-o", "yaml").out)
    assert not on(server, "jobs", "-o", "name").out


def test_json_and_yaml_have_each_field_of_the_api(fake: Fake, server: str) -> None:
    started = Timestamp(seconds=1_764_475_200, nanos=5_000_000)
    fake.jobs += [a_job("a", started=started, launched_by={"client": "backend"}), a_job("b")]
    for output, parse in (("json", json.loads), ("yaml", yaml.safe_load)):
        first, second = parse(on(server, "jobs", "-o", output).out)
        assert [field.name for field in api.Job.DESCRIPTOR.fields] == list(first)
        assert "2025-11-30T04:00:00.005000Z" == first["started"]
        assert {"client": "backend", "peer": "", "user_agent": ""} == first["launched_by"]
        for unset in ("exit_code", "started", "ended", "launched_by", "restart_at"):
            assert second[unset] is None
        assert ("", "", 0, False) == tuple(
            second[unset] for unset in ("outcome", "node", "restarts", "out_of_memory")
        )


def test_a_list_goes_over_all_pages(fake: Fake, server: str) -> None:
    fake.jobs += [a_job(str(number)) for number in range(1201)]
    assert 1201 == len(json.loads(on(server, "jobs", "-o", "json").out))
    assert [str(number) for number in range(1201)] == on(
        server, "jobs", "-o", "name"
    ).out.splitlines()
    assert 1201 == len(yaml.safe_load(on(server, "jobs", "-o", "yaml").out))


def test_a_restart_between_two_pages_is_a_failure_and_no_wrong_usage(
    fake: Fake, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(request: api.ListJobsRequest, context: grpc.ServicerContext) -> None:
        if request.page_token:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_token: it was restarted")

    fake.jobs += [a_job(str(number)) for number in range(501)]
    monkeypatch.setattr(fake, "_heard", heard)
    ran = on(server, "jobs", "-o", "name")
    assert (1, "area-supervisor: page_token: it was restarted\n") == (ran.code, ran.err)


def test_the_filters_reach_the_supervisor(fake: Fake, server: str) -> None:
    options = ["--name", "timer-*", "--identifier", "timer-4", "--state", "running"]
    on(server, "jobs", *options, "--since", "2026-11-30T04:00:00Z")
    (asked,) = fake.asked
    assert ("live", "timer-*", "timer-4", "running") == (
        asked.include,
        asked.name,
        asked.identifier_prefix,
        asked.state,
    )
    assert Timestamp(seconds=1_796_011_200) == asked.since
    on(server, "jobs", "-a")
    on(server, "history", "--outcome", "oom")
    assert ["both", "ended"] == [each.include for each in fake.asked[1:]]
    assert "oom" == fake.asked[2].outcome
    on(server, "history", "--failed", "--since", "2026-11-30T04:00:00Z")
    lately = fake.asked[3]
    assert (True, Timestamp(seconds=1_796_011_200)) == (lately.failed, lately.ended_since)
    assert not lately.HasField("since")  # of the launch, which may be long ago


def test_history_is_a_table_of_a_hundred_and_says_that_there_are_more(
    fake: Fake, server: str
) -> None:
    fake.jobs += [ended(str(number)) for number in range(150)]
    ran = on(server, "history")
    assert 101 == len(ran.out.splitlines())
    assert "There are more than these 100: -n 0 shows all.\n" == ran.err
    assert 151 == len(on(server, "history", "-n", "0").out.splitlines())
    assert 3 == len(on(server, "history", "-n", "2").out.splitlines())
    assert 150 == len(json.loads(on(server, "history", "-o", "json").out))
    assert 7 == len(json.loads(on(server, "history", "-o", "json", "-n", "7").out))


def test_history_says_how_and_why(fake: Fake, server: str) -> None:
    lines = "Traceback\nboom\n\n"
    fake.jobs.append(ended("a", started=ago(70), ended=ago(10), exit_code=3, last_lines=lines))
    titles, row = on(server, "history").out.splitlines()
    assert ["IDENTIFIER", "JOB", "OUTCOME", "ENDED", "RAN", "LAST", "LINE"] == titles.split()
    *told, since, ran, last = row.split()
    assert ["a", "timer-seconds-interval", "error", "(3)", "1m", "boom"] == [*told, ran, last]
    assert re.fullmatch(r"1\ds", since)  # on a busy machine


def test_names_cannot_break_a_terminal_or_a_list(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("a\nb\x1b[2J\x9b\u202e", last_lines="\x1b]0;title\x07\u2028"))
    for output in ("table", "wide", "name", "json", "yaml"):
        text = on(server, "jobs", "-o", output).out
        assert text.replace("\n", "").isprintable(), output
    (job,) = json.loads(on(server, "jobs", "-o", "json").out)
    assert "a\nb\x1b[2J\x9b\u202e" == job["identifier"]
    assert on(server, "describe", job["identifier"]).out.replace("\n", "").isprintable()


# One job


def test_describe_tells_all_that_is_known(fake: Fake, server: str) -> None:
    fake.jobs.append(
        ended(
            "a",
            launch_id="0123456789abcdef",
            exit_code=3,
            out_of_memory=True,
            node="worker-1",
            image_digest="sha256:12",
            trace_id="ab" * 16,
            last_lines="one\n\x1b[31mtwo\n",
            launched_by={"client": "backend", "peer": "10.0.0.7:1"},
            ended=ago(65),
        )
    )
    for which in ("a", "0123456789abcdef"):
        out = on(server, "describe", which).out
        for words in ("error (3)", "out of memory", "worker-1", "sha256:12", "ab" * 16):
            assert words in out
        assert re.search(r"\(1m\d+s ago\)", out)
        assert "backend, 10.0.0.7:1" in out
        assert out.endswith("Last lines:\n  one\n  two\n")
    assert "a" == json.loads(on(server, "describe", "a", "-o", "json").out)["identifier"]
    assert "a" == yaml.safe_load(on(server, "describe", "a", "-o", "yaml").out)["identifier"]
    assert "a\n" == on(server, "describe", "a", "-o", "name").out


def test_an_identifier_that_looks_like_a_launch_id_is_found(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("0123456789abcdef", launch_id="1" * 16))
    assert "1" * 16 in on(server, "describe", "0123456789abcdef").out


@pytest.mark.parametrize("which", ["nope", "0123456789abcdef"])
@pytest.mark.parametrize("command", ["describe", "logs", "trace", "kill"])
def test_what_is_not_known_is_an_exit_3(command: str, which: str, server: str) -> None:
    ran = on(server, command, which)
    assert (3, "") == (ran.code, ran.out)
    assert which in ran.err
    assert 1 == len(ran.err.splitlines())


def test_logs_print_both_streams_as_they_are_into_a_pipe(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("a"))
    at = Timestamp(seconds=1_764_475_200)
    fake.lines = [
        api.LogLine(stream="stdout", text="one\n", time=at),
        api.LogLine(stream="stderr", text="\x1b[31mtwo\r\n", time=at),
        api.LogLine(text="three", time=at),
    ]
    assert "one\n\x1b[31mtwo\nthree\n" == on(server, "logs", "a").out
    out = on(server, "logs", "a", "-t", "--tail", "5", "--since", "10m").out
    assert "2025-11-30T04:00:00.000000Z one\n" == out.splitlines(keepends=True)[0]
    asked = fake.asked[-1]
    assert (5, True, False) == (asked.tail, asked.timestamps, asked.follow)
    assert abs(asked.since.seconds - time.time() + 600) < 60
    assert not fake.asked[0].HasField("tail")
    fake.jobs.append(a_job("b", launch_id="0123456789abcdef"))
    assert 0 == on(server, "logs", "0123456789abcdef").code
    assert "0123456789abcdef" == fake.asked[-1].launch_id


def test_logs_have_no_time_where_the_history_has_kept_none(fake: Fake, server: str) -> None:
    fake.jobs.append(ended("a"))
    fake.lines = [api.LogLine(text="last words")]
    assert "last words\n" == on(server, "logs", "a", "--timestamps").out


def test_top_prints_once_into_a_pipe(fake: Fake, server: str) -> None:
    small = api.JobStats(identifier="small", cpu=0.1, memory_bytes=512, processes=1)
    big = api.JobStats(
        identifier="big", cpu=1.5, memory_bytes=3 * 2**20, memory_limit_bytes=4 * 2**20
    )
    fake.stats = [small, big]
    titles, first, second = on(server, "top").out.splitlines()
    assert "IDENTIFIER JOB CPU MEMORY LIMIT OF LIMIT PROCESSES" == " ".join(titles.split())
    assert ["big", "-", "1.50", "3.0", "MiB", "4.0", "MiB", "75%", "0"] == first.split()
    assert ["small", "-", "0.10", "512", "B", "-", "-", "1"] == second.split()
    assert "small" in on(server, "top", "--sort", "identifier").out.splitlines()[2]


def test_top_names_what_is_not_measured_and_says_why(fake: Fake, server: str) -> None:
    fake.stats = [api.JobStats(identifier="here", cpu=0.1, node="n-1")]
    fake.unmeasured = [
        api.UnmeasuredJob(identifier="there", name="timer", node="n-2", reason="other_machine"),
        api.UnmeasuredJob(identifier="slow", node="n-1", reason="no_answer"),
        api.UnmeasuredJob(identifier="also there", node="n-3", reason="other_machine"),
    ]
    ran = on(server, "top")
    _titles, first, *rest = (line.split() for line in ran.out.splitlines())
    assert ("here", "n-1") == (first[0], first[-1])
    assert ["also", "slow", "there"] == [row[0] for row in rest]
    assert ["there", "timer", "-", "-", "-", "-", "-", "n-2"] == rest[-1]
    assert (
        "not measured: 2 on other machines of the Swarm, which its manager cannot measure\n"
        "not measured: 1 for which the Engine did not answer in time\n"
    ) == ran.err


def test_trace_prints_the_link_or_the_id(fake: Fake, server: str) -> None:
    fake.jobs += [a_job("a", trace_id="ab" * 16), a_job("b")]
    assert "ab" * 16 + "\n" == on(server, "trace", "a").out
    template = {"AREA_SUPERVISOR_TRACE_URL": "http://t/{trace_id}/x"}
    assert f"http://t/{'ab' * 16}/x\n" == on(server, "trace", "a", **template).out
    assert f"http://t/{'ab' * 16}/x" in on(server, "describe", "a", **template).out
    assert 1 == on(server, "trace", "b").code
    assert 2 == on(server, "trace", "a", "--url", "http://t").code


# Kills


def test_kill_takes_several_and_goes_on_after_a_failure(fake: Fake, server: str) -> None:
    fake.jobs += [a_job("a"), ended("b")]
    ran = on(server, "kill", "nope", "a", "b")
    assert (3, "a killed\nb had ended already\n") == (ran.code, ran.out)
    assert ["nope", "a", "b"] == [
        each.identifier for each in fake.asked if type(each).__name__ == "JobId"
    ]


def test_a_kill_without_an_identifier_is_an_exit_2_and_asks_nothing(
    fake: Fake, server: str
) -> None:
    fake.jobs.append(a_job("a"))
    ran = on(server, "kill", "", "a")
    assert (2, "a killed\n") == (ran.code, ran.out)
    assert "IDENTIFIER: is empty" in ran.err
    assert "" not in [each.identifier for each in fake.asked]


def test_a_kill_that_fails_is_an_exit_1(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("a"))
    fake.response = Response(error=Error(code=504, message="the Engine does not answer"))
    for command in (["kill", "a"], ["kill-all", "--yes"]):
        ran = on(server, *command)
        assert (1, "") == (ran.code, ran.out)
        assert "(504): the Engine does not answer" in ran.err


@pytest.mark.parametrize(
    ("arguments", "answer", "code"),
    [([], "", 1), ([], "n\n", 1), ([], "\n", 1), ([], "y\n", 0), (["-y"], "", 0)],
)
def test_kill_all_asks(
    arguments: list[str], answer: str, code: int, fake: Fake, server: str
) -> None:
    fake.jobs += [a_job("a"), a_job("b")]
    ran = on(server, "kill-all", *arguments, stdin=answer)
    assert code == ran.code
    assert ("2 jobs killed\n" if code == 0 else "") == ran.out
    assert (2 if code == 0 else 1) == len(fake.asked)
    assert ("Kill all 2 jobs of localhost:" in ran.err) is not bool(arguments)


def test_cordon_tells_the_reason(fake: Fake, server: str) -> None:
    assert f"{server} cordoned\n" == on(server, "cordon", "disk change").out
    assert f"{server} uncordoned\n" == on(server, "uncordon").out
    assert "disk change" == fake.asked[0].reason


# Launches


def launches(fake: Fake, **end: Any) -> None:
    """Have a launch make a job, which is live or has ended at once."""

    def launch(data: AuthenticatedJobData, trace_id: str) -> None:
        values = {"name": data.name, "launch_id": "1" * 16, "trace_id": trace_id} | end
        fake.jobs.insert(0, a_job(data.identifier, **values))

    fake.launch = launch


def test_a_launch_has_its_parameters_and_credentials(
    fake: Fake, server: str, tmp_path: Path
) -> None:
    launches(fake)
    (tmp_path / "auth").write_text('{"token": "s3cret"}')
    values = ["-p", "n=5", "-p", "text=a b", "-p", 'five="5"', "-p", "big=12345678901234567890"]
    ran = on(server, "launch", "timer", "x", *values, "--auth-file", str(tmp_path / "auth"))
    assert (0, f"x launched: {'1' * 16}\n", "") == (ran.code, ran.out, ran.err)
    data = fake.asked[0]
    assert ("timer", "x") == (data.name, data.identifier)
    expected = {"n": 5, "text": "a b", "five": "5", "big": "12345678901234567890"}
    assert expected == dict(data.params)
    assert {"token": "s3cret"} == dict(data.auth)
    on(server, "launch", "timer", "x", "--auth-file", "-", stdin='{"token": "other"}')
    assert {"token": "other"} == dict(fake.asked[-2].auth)


@pytest.mark.parametrize("code", [400, 404, 409, 429, 502, 503])
def test_a_refused_launch_is_an_exit_1_whatever_its_code(
    code: int, fake: Fake, server: str
) -> None:
    fake.response = Response(error=Error(code=code, message="name: 'x' is\nnot there"))
    ran = on(server, "launch", "x", "y", "--wait")
    assert (1, "") == (ran.code, ran.out)
    assert f"area-supervisor: y was not launched ({code}): \"name: 'x' is\\nnot there\"\n" == (
        ran.err
    )


def test_a_dedup_is_told_apart_from_a_launch(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("x", launch_id="2" * 16))
    assert f"x runs already: {'2' * 16}\n" == on(server, "launch", "timer", "x").out


def test_a_reaction_that_shares_its_identifier_is_told_by_its_trace(
    fake: Fake, server: str
) -> None:
    launches(fake)
    fake.jobs.append(a_job("x", launch_id="2" * 16))
    launch = fake.launch

    def behind_another(data: AuthenticatedJobData, trace_id: str) -> None:
        launch(data, trace_id)
        fake.jobs.insert(0, a_job("x", launch_id="3" * 16))

    fake.launch = behind_another
    assert f"x launched: {'1' * 16}\n" == on(server, "launch", "timer", "x").out


def test_a_launch_of_no_job_says_so_and_nothing_is_waited_for(server: str) -> None:
    ran = on(server, "launch", "timer", "x", "--wait")
    assert 0 == ran.code
    assert ran.out.startswith("x launched: there is no job; it has no image in the catalogue")


@pytest.mark.parametrize(("outcome", "code"), [("success", 0), ("error", 1), ("killed", 1)])
def test_launch_waits_for_the_end(outcome: str, code: int, fake: Fake, server: str) -> None:
    launches(fake)
    answer = api.WatchJobsResponse

    def then_it_ends(data: AuthenticatedJobData, trace_id: str) -> None:
        live = a_job(data.identifier, launch_id="1" * 16, trace_id=trace_id)
        gone = ended("x", outcome, launch_id="1" * 16, trace_id=trace_id)
        fake.jobs[:] = [gone]
        fake.watches.put([
            answer(kind="snapshot", jobs=[live], complete=True, resume_token="e.1"),
            answer(kind="changes", jobs=[gone], resume_token="e.2"),
        ])  # fmt: skip

    fake.launch = then_it_ends
    ran = on(server, "launch", "timer", "x", "--wait")
    last = f"{'1' * 16} has ended: {outcome}\n"
    assert (code, f"x launched: {'1' * 16}\n{last}") == (ran.code, ran.out)


def test_a_launch_that_has_ended_before_anybody_watches_is_not_waited_for(
    fake: Fake, server: str
) -> None:
    launches(fake, state="gone", outcome="success")
    fake.watches.put([api.WatchJobsResponse(kind="snapshot", complete=True, resume_token="e.1")])
    assert 0 == on(server, "launch", "timer", "x", "--wait").code


def test_the_end_of_a_launch_is_known_without_a_history(fake: Fake, server: str) -> None:
    launches(fake)
    live, gone = (a_job("x", launch_id="1" * 16, **end) for end in ({}, _SUCCESS))

    def answers() -> Any:
        yield api.WatchJobsResponse(kind="snapshot", jobs=[live], complete=True, resume_token="e.1")
        fake.jobs.clear()
        yield api.WatchJobsResponse(kind="changes", jobs=[gone], resume_token="e.2")

    fake.watches.put(answers())
    ran = on(server, "launch", "timer", "x", "--wait")
    assert (0, f"{'1' * 16} has ended: success") == (ran.code, ran.out.splitlines()[-1])


def test_the_output_of_a_launch_is_alone_on_standard_output(fake: Fake, server: str) -> None:
    launches(fake, state="gone", outcome="error", exit_code=3)
    fake.lines = [api.LogLine(stream="stdout", text="hello")]
    fake.ended.set()
    fake.watches.put([api.WatchJobsResponse(kind="snapshot", complete=True, resume_token="e.1")])
    ran = on(server, "launch", "timer", "x", "--logs")
    assert (1, "hello\n") == (ran.code, ran.out)
    assert "has ended: error (3)" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "x"],
        ["-p", "=x"],
        ["-p", "a=1", "-p", "a=2"],
        ["--auth-file", "/nowhere"],
        ["--auth-file", "list.json"],
        ["--auth-file", "deep.json"],
        ["--auth-file", "levels.json"],
        ["--auth-file", "half.json"],
        ["--auth-file", "number.json"],
        ["-p", "x=" + "[" * 60 + "]" * 60],
        ["-p", "x=\udcff"],
    ],
)
def test_a_launch_that_cannot_be_meant_is_an_exit_2_and_launches_nothing(
    arguments: list[str],
    fake: Fake,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "list.json").write_text('["s3cret"]')
    (tmp_path / "deep.json").write_text("[" * 100_000 + "s3cret")
    levels = "[" * 60 + '"s3cret"' + "]" * 60
    (tmp_path / "levels.json").write_text(f'{{"token": {levels}}}')
    (tmp_path / "half.json").write_text('{"token": "s3cret\\ud800"}')
    (tmp_path / "number.json").write_text('{"token": "s3cret", "n": 1' + "0" * 400 + "}")
    monkeypatch.chdir(tmp_path)
    ran = on(server, "launch", "x", "y", *arguments)
    assert (2, "", []) == (ran.code, ran.out, fake.asked)
    assert "s3cret" not in ran.err
    assert 1 == len(ran.err.splitlines())


def test_credentials_that_are_not_utf_8_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.TextIOWrapper(io.BytesIO(b'{"token": "s3cret\xff"}'), "utf-8")
    monkeypatch.setattr("sys.stdin", given)
    with pytest.raises(CommandError, match="is no JSON object") as refusal:
        read_credentials("--auth-file", Path("-"))
    assert "s3cret" not in str(refusal.value)


# Errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["describe", "\udcff"],
        ["jobs", "--name", "\udcff"],
        ["cordon", "\udcff"],
        ["logs", "a", "--tail", "100001"],
        ["logs", "a", "--tail", "2147483648"],
    ],
)
def test_what_no_message_can_have_is_an_exit_2(
    arguments: list[str], fake: Fake, server: str
) -> None:
    ran = on(server, *arguments)
    assert (2, "", []) == (ran.code, ran.out, fake.asked)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, 4),
        (grpc.StatusCode.PERMISSION_DENIED, 4),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.UNAVAILABLE, 5),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["history", "-o", "json"],
        ["describe", "a"],
        ["logs", "a"],
        ["top"],
        ["trace", "a"],
        ["launch", "a", "b"],
        ["kill-all", "-y"],
        ["cordon"],
        ["uncordon"],
        ["jobs", "-w"],
    ],
)
def test_a_status_is_one_line_and_one_exit_code(
    command: list[str], status: grpc.StatusCode, code: int, fake: Fake, server: str
) -> None:
    fake.refusal = status, "no\x1b, because"
    ran = on(server, *command)
    assert (code, "") == (ran.code, ran.out)
    assert 1 == len(ran.err.splitlines())
    assert ran.err.startswith("area-supervisor: ")
    assert "\x1b" not in ran.err


def test_a_client_that_may_not_look_can_kill_and_launch(fake: Fake, server: str) -> None:
    heard = fake._heard

    def only_the_contract(request: Any, context: grpc.ServicerContext) -> None:
        heard(request, context)
        if type(request).__module__.startswith("supervisor"):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")

    fake._heard = only_the_contract  # type: ignore[method-assign]
    assert (0, "x killed\n") == ((ran := on(server, "kill", "x")).code, ran.out)
    assert (0, "x launched\n") == ((ran := on(server, "launch", "timer", "x")).code, ran.out)
    ran = on(server, "launch", "timer", "x", "--wait")
    assert (4, "x launched\n") == (ran.code, ran.out)


def test_a_kill_does_not_need_an_answer_about_the_job(fake: Fake, server: str) -> None:
    heard = fake._heard

    def not_yet(request: Any, context: grpc.ServicerContext) -> None:
        heard(request, context)
        if isinstance(request, api.GetJobRequest):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the Engine has not been listed yet")

    fake._heard = not_yet  # type: ignore[method-assign]
    assert (0, "x killed\n") == ((ran := on(server, "kill", "x")).code, ran.out)


def test_a_supervisor_that_is_not_there_is_an_exit_5_at_once() -> None:
    began = time.monotonic()
    ran = run("jobs", "--server", f"localhost:{free_port()}")
    assert (5, "") == (ran.code, ran.out)
    assert ": cannot be reached: Connection refused\n" in ran.err
    assert time.monotonic() - began < 10


def test_the_options_go_before_or_after_the_command(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("a"))
    assert "a\n" == run("jobs", "--server", server, "-o", "name").out
    assert "a\n" == run("--server", "localhost:1", "jobs", "--server", server, "-o", "name").out
    assert "a\n" == run("jobs", "-o", "name", AREA_SUPERVISOR_SERVER=server).out


def test_a_connection_for_a_command_without_one_is_an_exit_2() -> None:
    for command in ("health", "check", "remove-legacy", "catalog"):
        ran = run("--server", "prod", command)
        assert (2, "") == (ran.code, ran.out)
        assert f"area-supervisor: {command}: calls no supervisor" in ran.err


def test_the_token_is_shown_and_is_nowhere_else(fake: Fake, server: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    ran = on(server, "jobs", "--token-file", str(tmp_path / "token"))
    assert "Bearer s3cret" == fake.metadata["authorization"]
    fake.refusal = grpc.StatusCode.UNAUTHENTICATED, "no"
    refused = on(server, "jobs", "--token-file", str(tmp_path / "token"))
    assert "s3cret" not in ran.out + ran.err + refused.out + refused.err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_completion_leaves_the_warning_about_a_token_file_to_commands(
    server: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o644)
    with redirect_stderr(terminal := _Terminal()):
        read_token("--token-file", token)
        assert "chmod 600" in terminal.getvalue()
    given: Any = SimpleNamespace(params={"server": server, "token_file": str(token)}, parent=None)
    with redirect_stderr(silent := _Terminal()):
        complete_job_name(given, "")
    assert not silent.getvalue()


# TLS


_OURS, _OTHERS = Authority("ours"), Authority("others")


@pytest.fixture
def secured(fake: Fake) -> Iterator[str]:
    """Its port speaks TLS, and wants to see a certificate."""
    pair = _OURS.issue("localhost")
    credentials = grpc.ssl_server_credentials([(pair.key, pair.chain)], _OURS.pem, True)  # noqa: FBT003
    with serving(fake, credentials) as address:
        yield address


def files(folder: Path, trusts: Authority = _OURS, of: Authority = _OURS) -> list[str]:
    """The options of a client's connection with TLS."""
    (folder / "ca.pem").write_bytes(trusts.pem)
    pair = of.issue("spiffe://area/person").write(folder)
    return ["--ca", f"{folder}/ca.pem", "--cert", str(pair.chain), "--key", str(pair.key)]


def test_a_connection_with_certificates_shows_the_token(
    fake: Fake, secured: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret")
    ran = on(secured, "jobs", *files(tmp_path), "--token-file", str(tmp_path / "token"))
    assert (0, "") == (ran.code, ran.err)
    assert "Bearer s3cret" == fake.metadata["authorization"]


def through_a_pipe(path: str) -> str:
    """What a shell makes of `<(cat PATH)`."""
    read, write = os.pipe()
    os.write(write, Path(path).read_bytes())
    os.close(write)
    return f"/dev/fd/{read}"


def test_a_certificate_and_its_key_may_come_through_pipes(secured: str, tmp_path: Path) -> None:
    *ca, _, chain, _, key = files(tmp_path)
    pair = ["--cert", through_a_pipe(chain), "--key", through_a_pipe(key)]
    assert Ran(0, "", "") == on(secured, "jobs", "-o", "name", *ca, *pair)


def test_a_wrong_connection_is_an_exit_5_with_what_may_help(
    fake: Fake, secured: str, tmp_path: Path
) -> None:
    plain = on(secured, "jobs")
    assert 5 == plain.code
    assert plain.err.endswith("; if it speaks TLS, give --ca\n")
    without = on(secured, "jobs", *files(tmp_path)[:2])
    stranger = on(secured, "jobs", *files(tmp_path, of=_OTHERS))
    misled = on(secured, "jobs", *files(tmp_path, trusts=_OTHERS))
    with serving(fake) as address:
        surplus = on(address, "jobs", *files(tmp_path))
    for ran in (plain, without, stranger, misled, surplus):
        assert (5, "") == (ran.code, ran.out)
        assert ran.err.startswith("area-supervisor: localhost:")
        assert 1 == len(ran.err.splitlines())


@pytest.mark.parametrize("given", [str, through_a_pipe])
def test_a_key_of_another_certificate_is_told(
    secured: str, tmp_path: Path, given: Callable[[str], str]
) -> None:
    (tmp_path / "other").mkdir()
    other = given(str(_OURS.issue("x").write(tmp_path / "other").key))
    *ca, _, chain, _, _ = files(tmp_path)
    ran = on(secured, "jobs", *ca, "--cert", given(chain), "--key", other)
    assert 2 == ran.code
    assert f"--key: {other}: is not the key of" in ran.err
