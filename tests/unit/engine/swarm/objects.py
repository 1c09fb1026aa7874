"""Tasks and services as a manager describes them, for tests."""

from typing import Any

from service.engine.docker.parsing import read
from service.engine.swarm.answers import Service, Task

AT = "2026-11-29T17:00:00.123456789Z"
LATER = "2026-11-29T17:00:09.5Z"
LATEST = "2026-11-29T17:00:30.5Z"


def task_item(
    state: str = "running",
    desired: str = "running",
    *,
    service: str = "s1",
    node: str = "n1",
    err: str = "",
    code: int | None = None,
    container: str = "c1",
    constraints: list[str] | None = None,
    created: str = AT,
    version: int = 10,
) -> dict[str, Any]:
    """A task as `/tasks` lists it."""
    status: dict[str, Any] = {"Timestamp": LATER, "State": state, "Message": "m"}
    if err:
        status["Err"] = err
    if code is not None:
        status["ContainerStatus"] = {"ContainerID": container, "PID": 0, "ExitCode": code}
    return {
        "ID": f"t-{service}-{created}",
        "Version": {"Index": version},
        "CreatedAt": created,
        "UpdatedAt": LATER,
        "Labels": {},
        "Spec": {
            "ContainerSpec": {
                "Image": "i",
                "Args": ["--auth", "secret"],
                "Labels": {"l": "v", "area.supervisor.service": "a-1"},
                "StopGracePeriod": 5_000_000_000,
            },
            "Placement": {"Constraints": constraints or []},
        },
        "ServiceID": service,
        "Slot": 1,
        "NodeID": node,
        "Status": status,
        "DesiredState": desired,
    }


def a_task(*args: Any, **options: Any) -> Task:
    """The same, read."""
    return read(Task, task_item(*args, **options))


def a_service(
    service: str = "s1", *, replicas: int = 1, constraints: list[str] | None = None
) -> Service:
    """A service as it is inspected."""
    return read(
        Service,
        {
            "ID": service,
            "Version": {"Index": 5},
            "CreatedAt": AT,
            "Spec": {
                "Name": "a-1",
                "Labels": {"l": "v"},
                "Mode": {"Replicated": {"Replicas": replicas}},
                "TaskTemplate": {"Placement": {"Constraints": constraints or []}},
            },
        },
    )
