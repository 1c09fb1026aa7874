"""A real Prometheus scrapes a supervisor at work: what the dashboards and the alerts then get."""

import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from dashboards.reading import FILES, Question, as_grafana_would, choices, filled_in, panels
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import catalog, containers, worker
from tests.support.line import Line, a_line
from tests.support.load import Load
from tests.support.prometheus import Prometheus, Series
from tests.support.supervised import Supervised, eventually

_PROMETHEUS_FOLDER = Path(__file__).parents[2] / "dashboards" / "prometheus"
_TEXTS = {path: path.read_text() for path in sorted(_PROMETHEUS_FOLDER.glob("*.yml"))}
_RULES = [path for path, text in _TEXTS.items() if re.search("^groups:", text, re.MULTILINE)]

_ALERTS = 'ALERTS{{alertname="{}", alertstate="firing"}}'
_ENDS = {"SupervisorActionEnded", "SupervisorJobEndsEarly", "SupervisorJobsEndedByOthers"}
_SCRAPE = 1.0  # seconds
# From the first scrapes that a rate needs to the last that have seen it all.
_SETTLE = 6 * _SCRAPE
_QUESTIONS = [
    pytest.param(question, id=f"{file.stem}: {panel.title}: {question.legend}")
    for file in FILES
    for panel in panels(file)
    for question in panel.questions
]
# Names of panels and series that are 0 here: there is no Swarm, no TLS and no access file, no file
# has a fault, production keeps no container, no job has a health check, nothing is pulled, the
# history is in memory, the backend is told of nothing, and the watch reads.
_OFF = (
    *("{{node}}", "TLS", "Certificates", "Refused calls", "Refused files", "Kept containers"),
    *("Unhealthy", "Pulls", "pulls have waited", "Restarts", "History: what", "History's file"),
    *("Crashes told", "too slow"),
)
_CHOICES = [
    pytest.param(label, series, id=f"{file.stem}: {label}")
    for file in FILES
    for label, series in choices(file)
]
_WITH_EXEMPLARS = [each for each in _QUESTIONS if each.values[0].exemplars]  # type: ignore[union-attr]
# What others do to an action past the supervisor, by the action's name.
_PAST_IT: Mapping[str, Callable[[Container], object]] = {
    "killed": Container.kill,
    "stopped": lambda container: container.stop(timeout=1),
    "removed": lambda container: container.remove(force=True),
}
_REACTIONS = ("bad-reaction", "good-reaction")
_ACTIONS = ("bad-action", "suicidal", "switched-off", *_PAST_IT)
_MORE_JOBS = "".join(
    f'{name} = {{ kind = "{kind}", image = "{worker.IMAGE}" }}\n'
    for kind, names in (("action", _ACTIONS), ("reaction", _REACTIONS))
    for name in names
) + (
    f'narrow = {{ kind = "action", image = "{worker.IMAGE}", max_running = 1,'
    ' when_full = "wait" }\n'
)


@dataclass(frozen=True, slots=True)
class Run:
    """A supervisor's life as Prometheus has seen it."""

    prometheus: Prometheus
    supervised: Supervised
    traces: set[str]
    began: float
    quiet: float  # a time at which it was ready and nothing had been asked of it
    ended: float

    def filled_in(self, question: Question) -> str:
        shown = self.ended - self.began
        return question.filled_in(as_grafana_would(scrape_interval=_SCRAPE, shown=shown))


@pytest.fixture(scope="module")
def line(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The way to the Engine."""
    with a_line(tmp_path_factory.mktemp("line") / "engine.sock", engine.socket) as line:
        yield line


@pytest.fixture(scope="module")
def run(
    line: Line, docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """All sorts of requests and ends, and an Engine that is away for a while."""
    directory = tmp_path_factory.mktemp("watched")
    (directory / "catalog.toml").write_text(catalog.TEXT + _MORE_JOBS)
    settings = {
        "DOCKER_HOST": line.host,
        "JOB_CATALOG": str(directory / "catalog.toml"),
        "JOB_STOP_GRACE_SECONDS": "1",
    }
    with Supervised(directory, settings) as supervised:
        load = Load(supervised)
        _leave_something_behind(supervised, load)
        target = f"127.0.0.1:{supervised.metrics_port}"
        began = time.time()
        with Prometheus(directory, target, rules=_RULES) as prometheus:
            time.sleep(_SETTLE)
            quiet = time.time()
            load.watch_jobs()
            load.launch_what_ends()
            load.fail()
            load.launch_and_kill()
            load.watch_health()
            _wait_for_room(load, prometheus)
            _crash(load)
            _act_past_it(load, docker_client)
            _await_ends(supervised, {"suicidal", *_PAST_IT})
            _be_away(line, supervised, load, docker_client)
            _drop_lines(supervised, load)
            time.sleep(_SETTLE)
            yield Run(prometheus, supervised, load.traces, began, quiet, time.time())
    containers.remove_everything(docker_client)


def _leave_something_behind(supervised: Supervised, load: Load) -> None:
    load.launch("timer")
    supervised.stop(signal.SIGKILL)
    supervised.start()


def _wait_for_room(load: Load, prometheus: Prometheus) -> None:
    first = load.launch("narrow")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(load.launch, "narrow")
        time.sleep(2 * _SCRAPE)
        eventually(lambda: prometheus.now("sum(supervisor_launches_waiting) > 0"), within=30)
        load.kill(first)
        load.kill(second.result())


def _crash(load: Load) -> None:
    """A release that does not run, beside what ends soon for good reasons."""
    for _ in range(8):
        load.launch("bad-reaction", {"exit": 1})
        load.launch("bad-action", {"signal": "ABRT"})
        load.launch("good-reaction", {"exit": 0})
        load.kill(load.launch("switched-off"))


def _act_past_it(load: Load, client: docker.DockerClient) -> None:
    for name, act in _PAST_IT.items():
        act(containers.one(client, load.launch(name)))
    load.launch("suicidal", {"signal": "KILL"})


def _await_ends(supervised: Supervised, names: set[str]) -> None:
    """An end that is not reported yet when the Engine goes away is `lost`."""

    def reported(name: str) -> bool:
        return supervised.metric("supervisor_exits_total", job_name=name) > 0

    eventually(lambda: all(map(reported, names)), within=30)


def _be_away(line: Line, supervised: Supervised, load: Load, client: docker.DockerClient) -> None:
    """Meanwhile a job dies, a launch waits, and containers of ours turn up."""
    dies = load.launch("timer")
    line.cut()
    eventually(lambda: 0 == supervised.metric("supervisor_ready"))
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(load.launch, "timer")
        containers.one(client, dies).kill()
        labels = containers.labels_of_another("default", "runs", "1" * 16)
        containers.stranger(client, "runs", labels)
        labels = containers.labels_of_another("default", "was-never-started", "2" * 16)
        client.containers.create(worker.IMAGE, labels=labels)
        time.sleep(2 * _SCRAPE)
        line.mend()
        waits.result()
    eventually(supervised.is_ready)


def _drop_lines(supervised: Supervised, load: Load) -> None:
    """A log that may not grow any more, as on a full disk."""
    assert supervised.process is not None
    process = supervised.process.pid
    size, most = resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    load.launch("unknown")
    eventually(lambda: 0 < supervised.metric("supervisor_log_lines_dropped_total"))
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, most))


@pytest.mark.parametrize("question", _QUESTIONS)
def test_each_query_of_each_panel_shows_what_has_happened(
    run: Run, question: Question, request: pytest.FixtureRequest
) -> None:
    expression = run.filled_in(question)
    if question.instant:
        answer = run.prometheus.now(expression, at=run.ended)
    else:
        answer = run.prometheus.over(expression, run.began, run.ended)
    highest = max(number for series in answer for number in series.numbers)
    is_off = any(name in request.node.name for name in _OFF)
    assert (highest == 0) if is_off else (highest > 0)


@pytest.mark.parametrize("question", _QUESTIONS)
def test_no_panel_is_empty_before_anything_has_happened(run: Run, question: Question) -> None:
    assert [] != run.prometheus.now(run.filled_in(question), at=run.quiet)


@pytest.mark.parametrize(("label", "series"), _CHOICES)
def test_one_can_choose_the_target(run: Run, label: str, series: str) -> None:
    variables = as_grafana_would(scrape_interval=_SCRAPE, shown=run.ended - run.began)
    there = {"job": "supervisor", "instance": f"127.0.0.1:{run.supervised.metrics_port}"}
    assert [there[label]] == run.prometheus.label_values(label, filled_in(series, variables))


@pytest.mark.parametrize("question", _WITH_EXEMPLARS)
def test_exemplars_lead_to_the_traces_of_the_requests(run: Run, question: Question) -> None:
    found = run.prometheus.exemplars(run.filled_in(question), run.began, run.ended)
    ids = {exemplar["labels"]["trace_id"] for exemplar in found}
    assert ids & run.traces
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_both_histograms_of_requests_have_exemplars(run: Run) -> None:
    for name in ("supervisor_launch_duration_seconds", "grpc_server_call_duration_seconds"):
        assert [] != run.prometheus.exemplars(f"{name}_bucket", run.began, run.ended), name


def test_the_failure_that_a_series_is_born_with_is_shown(run: Run) -> None:
    """Which a rate does not see: the image was missing once, and never before."""
    (question,) = (
        question
        for file in FILES
        for panel in panels(file)
        for question in panel.questions
        if panel.title == "Failures by reason"
    )
    answer = run.prometheus.over(run.filled_in(question), run.began, run.ended)
    (missing,) = (s for s in answer if s.labels == {"reason": "image_missing"})
    assert 1 == max(missing.numbers)


def test_prometheus_evaluates_every_rule(run: Run) -> None:
    rule = re.compile("^ *- (?:alert|record): ", re.MULTILINE)
    written = sum(len(rule.findall(text)) for text in _TEXTS.values())
    rules = run.prometheus.rules()
    assert written == len(rules)
    assert {} == {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"}


def test_an_alert_tells_of_each_action_that_ended_and_of_no_reaction_that_failed(run: Run) -> None:
    """Those that were killed as asked and those that ended well are none either."""
    own = {"timer", "weather", "small", "bad-action", "suicidal"}
    assert own | _PAST_IT.keys() == _firing(run, "SupervisorActionEnded")
    told = 'job_name_outcome:supervisor_exits:increase15m{job_name="timer"} > 0'
    assert {"ended", "lost"} == {
        s.labels["outcome"] for s in run.prometheus.now(told, at=run.ended)
    }


def test_an_alert_tells_of_jobs_that_crash_at_once_and_of_none_that_end_well_or_are_killed(
    run: Run,
) -> None:
    assert {"bad-reaction", "bad-action"} == _firing(run, "SupervisorJobEndsEarly")


def test_an_alert_tells_of_jobs_that_others_have_ended_and_of_none_that_ended_by_themselves(
    run: Run,
) -> None:
    assert 1 == len(run.prometheus.now(_ALERTS.format("SupervisorJobsEndedByOthers"), at=run.ended))
    counted = run.prometheus.now(
        "job_name:supervisor_exits_by_others:increase15m > 0", at=run.ended
    )
    assert {name: [1] for name in _PAST_IT} == {s.labels["job_name"]: s.numbers for s in counted}


def _firing(run: Run, alert: str) -> set[str]:
    firing = run.prometheus.now(_ALERTS.format(alert), at=run.ended)
    return {series.labels["job_name"] for series in firing}


def test_promtool_finds_no_fault_with_the_metrics(run: Run) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=run.supervised.http("/metrics")[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stdout)


def test_ends_are_counted_also_of_a_process_that_has_run_for_long(
    start: Start, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """The rules then compare with earlier scrapes: here from the first second on, not after 900."""
    rules = tmp_path / "alerts.yml"
    text = (_PROMETHEUS_FOLDER / "alerts.yml").read_text()
    assert "< 900" in text
    rules.write_text(text.replace("< 900", "< 0"))
    supervised = start()
    target = f"127.0.0.1:{supervised.metrics_port}"
    with Prometheus(tmp_path, target, rules=[rules]) as prometheus:
        eventually(lambda: prometheus.now("count_over_time(supervisor_exits_total[1m]) > 1"))
        for number in range(6):
            assert Response() == supervised.launch("timer", f"t-{number}", {"exit": 143})
        eventually(supervised.is_idle)
        assert Response() == supervised.launch("weather", "w-1")
        containers.one(docker_client, "w-1").kill()
        eventually(lambda: _ENDS == _names(prometheus.now("ALERTS")), within=30)
        counted = prometheus.now("job_name:supervisor_early_exits:increase15m > 0")
        assert {"timer"} <= {series.labels["job_name"] for series in counted}


def _names(alerts: Iterable[Series]) -> set[str]:
    return {alert.labels["alertname"] for alert in alerts}
