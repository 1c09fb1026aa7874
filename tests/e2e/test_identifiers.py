"""Identifiers of every sort: each launches its job, and nothing of it breaks what tells of it."""

import json
import re
import subprocess

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.collector import Collector
from tests.support.http_line import STOPS, Fault, HttpLine, requests, untouched
from tests.support.supervised import Supervised, eventually

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_FORGED = '{"event": "job.exited", "level": "info"}'
# As users paste them, and as somebody would write them who means no good.
_ODD = [
    "github-on-commit-octo/hello\n",
    "\ttab",
    "a\r\nb",
    f"x\n{_FORGED}",
    f"x\u0085{_FORGED}",
    f"x\u2028{_FORGED}\u2029",
    f"x\v{_FORGED}\f\x1c\x1d\x1e",
    "\x1b[2J\x1b[1;31mred",
    "\x1b]0;title\x07",
    "\x9b31mred",
    "back\b\b\bspace\x7f",
    "\u202egnp.exe\u2066",
    "\u200b",
    "\ufeff",
    "a=b,c=d;e",
    "label=area.supervisor.instance=other",
    "\"quotes\" 'and' `more` \\",
    "{{.Names}} %s ${HOME} [bold]markup[/bold]",
    "🚀 Ünïcode 日本 e\u0301",
    "# HELP x\n# TYPE x counter\nx 1\n",
    "y" * 600,
]
_LONGEST = "é" * 65_535  # 131,070 bytes


@pytest.fixture
def traced(start: Start, collector: Collector) -> Supervised:
    """A supervisor that exports its spans soon, and takes over what runs when it starts anew."""
    return start(
        SUPERVISOR_ON_START="adopt",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="50",
    )


def _series(supervised: Supervised) -> set[str]:
    """The names and labels of our metrics; those of gRPC are born with the first call."""
    lines = supervised.http("/metrics")[1].split("\n")
    assert all(line.isprintable() for line in lines)
    return {line.rpartition(" ")[0] for line in lines if line.startswith("supervisor_")}


def _docker_ps(engine: PrivateEngine, what: str) -> list[str]:
    command = ["docker", "-H", engine.host, "ps", "--no-trunc", "--format", what]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return listed.removesuffix("\n").split("\n")


def _assert_the_log_is_sound(supervised: Supervised) -> None:
    """Whoever splits it into lines, by whichever characters, gets JSON, and no terminal obeys."""
    lines = supervised.log().splitlines()
    assert supervised.lines() == lines
    assert all(line.isprintable() for line in lines)
    assert all("event" in json.loads(line) for line in lines)


def _launch_twice(traced: Supervised, client: docker.DockerClient, identifier: str) -> None:
    assert Response() == traced.launch("timer", identifier)
    assert Response() == traced.launch("timer", identifier)
    container = containers.one(client, identifier)  # found by its label
    assert ["--identifier", identifier] == containers.arguments(container)[2:4]
    assert _NAME.fullmatch(str(container.name))
    assert not str(container.name).startswith("y" * 101)


def _launch_as_an_unknown_job(traced: Supervised, identifier: str) -> None:
    unknown = traced.launch(identifier, identifier).error
    assert (404, True) == (unknown.code, unknown.message.isprintable())
    assert len(unknown.message) < 200


def _is_in_each_trace(collector: Collector) -> bool:
    """Whether each identifier is in the spans of its three launches, cut if it is long."""
    launches = [
        span.attributes["supervisor.job.identifier"]
        for span in collector.spans("/area_supervisor.AreaSupervisorService/LaunchJob")
    ]
    return sorted(3 * [identifier[:512] for identifier in _ODD]) == sorted(launches)


def test_nothing_of_an_identifier_breaks_what_tells_of_it(
    traced: Supervised,
    collector: Collector,
    engine: PrivateEngine,
    docker_client: docker.DockerClient,
) -> None:
    before = _series(traced)
    for identifier in _ODD:
        _launch_twice(traced, docker_client, identifier)
        _launch_as_an_unknown_job(traced, identifier)
    assert sorted(_ODD) == traced.running() == containers.live(docker_client)

    # The metrics, and the pages.
    assert before == _series(traced)
    assert 2 * len(_ODD) == traced.metric("supervisor_failures_total") + traced.metric(
        "supervisor_dedups_total"
    )
    assert 200 == traced.http("/readyz")[0]

    # What an operator types: names, and labels as JSON.
    assert all(_NAME.fullmatch(name) for name in _docker_ps(engine, "{{.Names}}"))
    label = '{{json (.Label "area.supervisor.identifier")}}'
    assert sorted(_ODD) == sorted(json.loads(line) for line in _docker_ps(engine, label))

    assert eventually(lambda: _is_in_each_trace(collector))

    for identifier in _ODD[::2]:
        assert Response() == traced.kill(identifier)
    assert sorted(_ODD[1::2]) == traced.running() == containers.live(docker_client)
    assert Response() == traced.kill_all()
    assert [] == containers.everything(docker_client)

    # The log.
    _assert_the_log_is_sound(traced)
    told = [each if len(each) <= 512 else f"{each[:512]}…" for each in _ODD]
    for event in ("job.launched", "launch.dedup", "job.killed", "request.failed"):
        assert sorted(told) == sorted(e["identifier"] for e in traced.events(event)), event


def test_a_console_shows_odd_identifiers_and_obeys_none(start: Start) -> None:
    supervised = start(LOG_FORMAT="console")
    for identifier in _ODD:
        assert Response() == supervised.launch("timer", identifier)
        assert 404 == supervised.launch(identifier, identifier).error.code
    text = re.sub(r"\x1b\[\d*m", "", supervised.log())  # the colours
    assert 2 * len(_ODD) == text.count("job.launched") + text.count("request.failed")
    assert all(line.isprintable() for line in text.split("\n"))
    assert "[1;31m" in text


def test_an_identifier_of_the_largest_size_is_a_job_like_any_other(
    traced: Supervised, collector: Collector, docker_client: docker.DockerClient
) -> None:
    error = traced.launch("timer", _LONGEST + "é").error
    assert 413 == error.code
    assert error.message == (
        "identifier: is 131072 bytes as an argument; at most 131071 are allowed"
    )
    other = _LONGEST[:-1] + "è"
    for identifier in (_LONGEST, other, _LONGEST):
        assert Response() == traced.launch("timer", identifier)
    assert sorted([_LONGEST, other]) == traced.running() == containers.live(docker_client)
    container = containers.one(docker_client, _LONGEST)
    assert "running" == container.status
    assert _LONGEST == containers.arguments(container)[3]

    assert 0 == traced.stop()
    traced.start()
    assert sorted([_LONGEST, other]) == traced.running()
    assert Response() == traced.launch("timer", _LONGEST)
    assert container.id == containers.one(docker_client, _LONGEST).id
    containers.one(docker_client, other).kill()  # its end is told by an event with all its labels
    eventually(lambda: [_LONGEST] == traced.running())
    assert Response() == traced.kill(_LONGEST)
    eventually(lambda: [] == containers.everything(docker_client))  # the end of the other as well

    _assert_the_log_is_sound(traced)
    assert max(len(line) for line in traced.lines()) < 4096
    lives = eventually(lambda: len(collector.spans("job")) == 2 and collector.spans("job"))
    assert lives
    assert ["é" * 512] * 2 == [span.attributes["supervisor.job.identifier"] for span in lives]


def test_what_cannot_be_stopped_is_told_in_some_kilobytes(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    identifiers = [f"{number:02}\x1b\u2028{'x' * 100_000}" for number in range(12)]
    for identifier in identifiers:
        assert Response() == supervised.launch("timer", identifier)
    meddled.meddle = requests("POST", STOPS, Fault.REFUSED)
    error = supervised.kill_all().error
    meddled.meddle = untouched
    assert 502 == error.code
    assert error.message.startswith("12 of 12 jobs could not be stopped: '00\\x1b\\u2028xxx")
    assert error.message.endswith("and 2 more, which the log names")
    assert error.message.isprintable()
    assert len(error.message) < 10_000
    told = [e["identifier"][:2] for e in supervised.events("request.failed")]
    assert [f"{number:02}" for number in range(12)] == sorted(told)
    assert Response() == supervised.kill_all()
    assert [] == containers.everything(docker_client)
