"""The acts of the demo. Each ends the demo if a check fails."""

import time

from google.protobuf.empty_pb2 import Empty

from scripts.demo_stage import ACTION, RPC_SECONDS, Stage, check, eventually, next_call, tell
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import AuthenticatedJobData
from service.jobs.labels import LABEL_PREFIX

_INTERVAL_SECONDS = 1
_CALLS = 3
# Sends SIGABRT to the worker, the child of its container's init.
_ABORT = 'import os; os.kill(int(open("/proc/1/task/1/children").read().split()[0]), 6)'
_ABORTED = 134
_SHOWN_METRICS = (
    "supervisor_launches_total",
    "supervisor_dedups_total",
    "supervisor_kills_total",
    "supervisor_exits_total",
    "supervisor_jobs_running",
    "supervisor_engine_up",
)


def launch(stage: Stage) -> None:
    """A launch over gRPC, and the worker's calls of the backend."""
    check(_launch(stage), f"LaunchJob of {ACTION} as {stage.identifier}: success")
    containers = stage.supervisor.jobs_on_the_engine()
    check(len(containers) == 1, "one container runs")
    tell(f"container {containers[0].name}, with the labels")
    for label, value in sorted(containers[0].labels.items()):
        if label.startswith(LABEL_PREFIX):
            tell(f"   {label}={value}")
    for number in range(_CALLS):
        call = next_call(stage.calls)
        stage.callbacks.append(call)
        tell(f"backend <- {call}")
        about = (call.method, call.identifier)
        check(about == ("OnAction", stage.identifier), f"call {number + 1} of the worker arrived")


def launch_again(stage: Stage) -> None:
    """A launch of a job that already runs."""
    check(_launch(stage), "LaunchJob of the same identifier: success")
    check(len(stage.supervisor.jobs_on_the_engine()) == 1, "still one container runs")
    jobs = stage.supervisor.stub.ListJobs(Empty(), timeout=RPC_SECONDS).jobs
    for job in jobs:
        tell(f"ListJobs: {job.name}  {job.identifier}  {job.status}")
    check([job.status for job in jobs] == ["running"], "ListJobs shows one job, running")
    unknown = AuthenticatedJobData(name="no-such-job", identifier="x")
    error = stage.supervisor.stub.LaunchJob(unknown, timeout=RPC_SECONDS).error
    tell(f"LaunchJob of a name that is not in the catalogue: {error.code} {error.message}")
    check(error.code == 404, "an unknown name is refused with 404")  # noqa: PLR2004


def health(stage: Stage) -> None:
    """Health over gRPC and HTTP, and the image's own health check."""
    for service in ("", "area_supervisor.AreaSupervisorService", "liveness"):
        status = stage.supervisor.health(service)
        check(
            status == "SERVING", f"grpc.health.v1 of {service or 'the server as a whole'}: {status}"
        )
    for path in ("/livez", "/readyz"):
        code, body = stage.supervisor.get(path)
        check(code == 200, f"GET {path}: {code} {body}")  # noqa: PLR2004
    result = stage.supervisor.execute("area-supervisor", "health", "--service", "liveness")
    check(result == 0, "the image's health check passes")


def kill(stage: Stage) -> None:
    """A kill, and a kill of a job that does not run."""
    begun = time.monotonic()
    answer = stage.supervisor.stub.KillJob(
        JobId(identifier=stage.identifier), timeout=RPC_SECONDS, metadata=stage.caller.metadata
    )
    check(not answer.HasField("error"), f"KillJob: success in {time.monotonic() - begun:.2f} s")
    check(not stage.supervisor.jobs_on_the_engine(), "its container is gone")
    jobs = stage.supervisor.stub.ListJobs(Empty(), timeout=RPC_SECONDS).jobs
    check(not jobs, "ListJobs is empty")
    again = stage.supervisor.stub.KillJob(JobId(identifier=stage.identifier), timeout=RPC_SECONDS)
    check(not again.HasField("error"), "KillJob of what does not run: success")


def metrics(stage: Stage) -> None:
    """The metrics of the previous acts."""
    expected = {
        ("supervisor_launches_total", ""): 1.0,
        ("supervisor_dedups_total", ""): 1.0,
        ("supervisor_kills_total", "stopped"): 1.0,
        ("supervisor_jobs_running", ""): 0.0,
    }
    eventually(lambda: expected.items() <= _samples(stage).items(), "the metrics say the same:")
    for name, labels, value in stage.supervisor.metrics():
        if name in _SHOWN_METRICS and (value or name == "supervisor_jobs_running"):
            pairs = ",".join(f'{key}="{text}"' for key, text in labels.items())
            tell(f"{name}{{{pairs}}} {value:g}")


def crash(stage: Stage) -> None:
    """A worker that crashes cannot tell the backend: the supervisor does."""
    identifier = _crashing(stage)
    launched = stage.launch(ACTION, identifier, stage.caller, seconds=_INTERVAL_SECONDS)
    check(launched, f"LaunchJob of {ACTION} as {identifier}: success")
    tell(f"backend <- {next_call(stage.calls)}")
    stage.supervisor.jobs_on_the_engine()[0].exec_run(["python3", "-c", _ABORT])
    tell("its worker aborts, as one with a defect does")
    while (call := next_call(stage.calls)).method != "OnError":
        pass  # it has called once more before
    for line in str(call).splitlines():
        tell(f"backend <- {line}")
    stage.callbacks.append(call)
    check(call.identifier == identifier, "OnError has its identifier")
    check(f"exit code {_ABORTED}" in call.content, "and says how it has ended")
    eventually(lambda: not stage.supervisor.jobs_on_the_engine(), "its container is gone")


def no_secret(stage: Stage) -> None:
    """The secrets in `auth` are nowhere else."""
    written = {
        "log": stage.supervisor.log(),
        "metrics": stage.supervisor.get("/metrics")[1],
        "spans": "".join(span.raw for span in stage.receiver.spans()),
        "backend's calls": "".join(map(str, stage.callbacks)),
    }
    for name, text in written.items():
        check(bool(text) and stage.secret not in text, f"no token of `auth` in the {name}")


def stop(stage: Stage) -> None:
    """SIGTERM to the supervisor's container."""
    begun = time.monotonic()
    code = stage.supervisor.terminate()
    check(code == 0, f"SIGTERM: the supervisor exits with 0 after {time.monotonic() - begun:.1f} s")
    tell("the last lines of its log:")
    for line in stage.supervisor.log().splitlines()[-4:]:
        tell(line)


def look_back(stage: Stage) -> None:
    """After another start, the history still has what has ended."""
    stage.supervisor.start_again()
    for command in (("describe", _crashing(stage)), ("history",)):
        tell(f"$ area-supervisor {' '.join(command)}")
        shown = stage.supervisor.operate(*command)
        for line in shown.splitlines():
            tell(line)
        check(_crashing(stage) in shown, f"{command[0]} knows of the crash")
        check(stage.secret not in shown, "and shows no token of `auth`")


def _crashing(stage: Stage) -> str:
    return f"{stage.identifier}-that-crashes"


def _launch(stage: Stage) -> bool:
    return stage.launch(ACTION, stage.identifier, stage.caller, seconds=_INTERVAL_SECONDS)


def _samples(stage: Stage) -> dict[tuple[str, str], float]:
    """The samples of our job, by name and outcome."""
    return {
        (name, labels.get("outcome", "")): value
        for name, labels, value in stage.supervisor.metrics()
        if labels.get("job_name") == ACTION
    }
