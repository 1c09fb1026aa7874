"""Shared by the acts of the demo: its parts, checks and output."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty as NothingYet
from queue import Queue
from time import monotonic, sleep

import docker
import grpc
from google.protobuf.struct_pb2 import Struct
from rich.console import Console
from rich.markup import escape

from examples import backend
from scripts.demo_supervisor import DemoError, Supervisor
from scripts.otlp_receiver import Receiver
from service._generated.area_types_pb2 import AuthenticatedJobData

ACTION = "timer-seconds-interval"
REACTION = "console-send-message"

RPC_SECONDS = 60
# The time limit of all waits: the machine may be slow and busy.
PATIENCE_SECONDS = 30.0

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of the supervisor, with a span like a traced backend's."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The gRPC metadata that makes a call a part of the caller's trace."""
        return (("traceparent", f"00-{self.trace_id}-{self.span_id}-01"),)


@dataclass
class Stage:
    """The parts of a run, with names that are unique on this machine."""

    name: str
    client: docker.DockerClient
    engine_socket: Path
    supervisor: Supervisor
    receiver: Receiver
    calls: "Queue[backend.Call]"
    backend_port: int
    secret: str = field(default_factory=lambda: f"token-{secrets.token_hex(8)}")
    caller: Caller = field(default_factory=Caller)
    callbacks: list[backend.Call] = field(default_factory=list)

    @property
    def identifier(self) -> str:
        """The identifier of the action."""
        return f"{ACTION}-{self.name}"

    def launch(self, job: str, identifier: str, caller: Caller, **params: str | int) -> bool:
        """Launch a job, with the secret as its credentials. Fail with the supervisor's error."""
        data = AuthenticatedJobData(name=job, identifier=identifier, params=Struct(), auth=Struct())
        data.params.update({"workflowStepId": self.name, **params})
        data.auth.update({"accessToken": self.secret})
        try:
            answer = self.supervisor.stub.LaunchJob(
                data, timeout=RPC_SECONDS, metadata=caller.metadata
            )
        except grpc.RpcError as error:
            tell(f"LaunchJob: {error}")
            return False
        if answer.HasField("error"):
            tell(f"LaunchJob: {answer.error.code} {answer.error.message}")
        return not answer.HasField("error")


def title(text: str) -> None:
    """Begin a part of the demo."""
    console.print(f"\n[bold]{escape(text)}[/bold]")


def tell(text: str) -> None:
    """Print a text unchanged."""
    console.print(f"   {escape(text)}")


def check(holds: bool, text: str) -> None:
    """Print what has been checked, or end the demo if the check fails."""
    if not holds:
        raise DemoError(f"This does not hold: {text}")
    console.print(f" [green]✓[/green] {escape(text)}")


def eventually(holds: Callable[[], bool], text: str) -> None:
    """Like `check`, but wait until it holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and monotonic() < deadline:
        sleep(0.05)
    check(held, text)


def next_call(calls: "Queue[backend.Call]") -> backend.Call:
    """The next call at the backend."""
    try:
        return calls.get(timeout=PATIENCE_SECONDS)
    except NothingYet:
        raise DemoError(f"No call of the worker arrived within {PATIENCE_SECONDS:g} s") from None
