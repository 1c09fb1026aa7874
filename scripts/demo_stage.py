"""What the acts of the demo share: who takes part, how to check, and how to tell."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty as NothingYet
from queue import Queue
from time import monotonic, sleep

import docker
from rich.console import Console
from rich.markup import escape

from examples import backend
from scripts.demo_supervisor import DemoError, Supervisor
from scripts.otlp_receiver import Receiver

JOB = "timer-seconds-interval"

# How long anything may take that should be there at once. The machine may be slow and busy.
PATIENCE_SECONDS = 30.0

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Stage:
    """The parts of one run, with names that nothing else on this machine has."""

    name: str
    client: docker.DockerClient
    engine_socket: Path
    supervisor: Supervisor
    receiver: Receiver
    calls: "Queue[backend.Call]"
    backend_port: int
    secret: str = field(default_factory=lambda: f"token-{secrets.token_hex(8)}")
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    caller_span_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def identifier(self) -> str:
        """Of the job that is launched."""
        return f"{JOB}-{self.name}"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The gRPC metadata with which the caller makes a launch a part of its own trace."""
        return (("traceparent", f"00-{self.trace_id}-{self.caller_span_id}-01"),)


def title(text: str) -> None:
    """Begin a part of the demo."""
    console.print(f"\n[bold]{escape(text)}[/bold]")


def tell(text: str) -> None:
    """Show something as it came."""
    console.print(f"   {escape(text)}")


def check(holds: bool, text: str) -> None:
    """Say what holds, or end the demo because it does not."""
    if not holds:
        raise DemoError(f"This does not hold: {text}")
    console.print(f" [green]✓[/green] {escape(text)}")


def eventually(holds: Callable[[], bool], text: str) -> None:
    """As `check`, for what may take a moment."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and monotonic() < deadline:
        sleep(0.05)
    check(held, text)


def next_call(calls: "Queue[backend.Call]") -> backend.Call:
    """The next call that arrives at the backend."""
    try:
        return calls.get(timeout=PATIENCE_SECONDS)
    except NothingYet:
        raise DemoError(f"No call of the worker arrived within {PATIENCE_SECONDS:g} s") from None
