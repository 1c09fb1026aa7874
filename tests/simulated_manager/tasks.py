"""Services and tasks as a manager describes them, and what the program of a task does."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

_FRAME = b"\x01\x00\x00\x00"  # what comes next is standard output


def node_id(number: int) -> str:
    """The id of a node; that of the first is `NODE`."""
    return f"simulatednode{number + 1:013}"


def new_id() -> str:
    """25 characters, as SwarmKit's ids have."""
    return secrets.token_hex(13)[:25]


NODE, HOSTNAME = node_id(0), "simulated"


def shown(seconds: float) -> str:
    """A time as Go has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True, eq=False)
class Service:
    """What is to run."""

    spec: dict[str, Any]
    created_at: float
    version: int
    id: str = field(default_factory=new_id)
    removed: bool = False

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    def described(self) -> Mapping[str, Any]:
        """As `/services` has it."""
        return {
            "ID": self.id,
            "Version": {"Index": self.version},
            "CreatedAt": shown(self.created_at),
            "UpdatedAt": shown(self.created_at),
            "Spec": self.spec,
            "Endpoint": {"Spec": {"Mode": "dnsrr"}},
        }


@dataclass(eq=False)
class Task:
    """One run of a service's container."""

    service: Service
    spec: Mapping[str, Any]
    created_at: float
    version: int
    state: str = "new"
    desired: str = "running"
    err: str = ""
    since: float = 0.0
    node: str = ""
    code: int | None = None
    id: str = field(default_factory=new_id)
    container: str = ""
    _encoded: tuple[int, bytes] = (-1, b"")

    @property
    def runs(self) -> bool:
        return self.state == "running"

    @property
    def constraints(self) -> Sequence[str]:
        placement = self.spec.get("Placement") or {}
        return placement.get("Constraints") or []

    @property
    def image(self) -> str:
        return str(self.spec["ContainerSpec"]["Image"])

    @property
    def grace(self) -> float:
        """From SIGTERM to SIGKILL (seconds)."""
        return float(self.spec["ContainerSpec"].get("StopGracePeriod") or 10e9) / 1e9

    @property
    def stop_signal(self) -> str:
        return str(self.spec["ContainerSpec"].get("StopSignal") or "SIGTERM")

    @property
    def has_init(self) -> bool:
        return bool(self.spec["ContainerSpec"].get("Init"))

    @cached_property
    def arguments(self) -> Sequence[str]:
        return self.spec["ContainerSpec"].get("Args") or []

    def option(self, name: str) -> str | None:
        """What follows an argument."""
        given = list(self.arguments)
        return given[given.index(name) + 1] if name in given else None

    def output(self) -> str:
        """What the tests' worker prints."""
        variables = dict(each.split("=", 1) for each in self.spec["ContainerSpec"].get("Env") or [])
        lines = [f"argument: {each}" for each in self.arguments]
        lines.append(f"traceparent: {variables.get('TRACEPARENT', '')}")
        if (said := self.option("--say")) is not None:
            lines.append(said)
        return "".join(f"{line}\n" for line in lines)

    def encoded(self) -> bytes:
        """As `/tasks` has it, in JSON. It is made once for each version: a listing may be long."""
        version, text = self._encoded
        if version != self.version:
            text = json.dumps(self._described()).encode()
            self._encoded = self.version, text
        return text

    def _described(self) -> Mapping[str, Any]:
        status: dict[str, Any] = {
            "Timestamp": shown(self.since),
            "State": self.state,
            "Message": self.state,
            "PortStatus": {},
        }
        if self.err:
            status["Err"] = self.err
        if self.container:
            ended = {} if self.code is None else {"ExitCode": self.code}
            status["ContainerStatus"] = {"ContainerID": self.container, "PID": 0, **ended}
        return {
            "ID": self.id,
            "Version": {"Index": self.version},
            "CreatedAt": shown(self.created_at),
            "UpdatedAt": shown(self.since),
            "Labels": {},
            "Spec": {**self.spec, "ForceUpdate": 0},
            "ServiceID": self.service.id,
            "Slot": 1,
            **({"NodeID": self.node} if self.node else {}),
            "Status": status,
            "DesiredState": self.desired,
            "NetworksAttachments": [{"Network": {"Spec": {"Name": "host"}}}],
        }


def framed(text: str) -> bytes:
    """What a service has written, as a manager sends it: a frame for each line."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    return b"".join(_FRAME + len(line).to_bytes(4, "big") + line for line in lines)
