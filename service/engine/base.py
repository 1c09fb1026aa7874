"""The interface that the adapter of every engine implements.

An adapter implements it for one engine. Everything above uses only this interface.

- Any method may raise the `EngineError`s of `service.errors`. After `EngineUnavailable`,
  `EngineTimeout` and `EngineFailed` it is unknown whether the engine has carried out the call.
- All times are seconds.
- An adapter limits the number of concurrent calls. A call that waits for its turn does not use up
  its time limit. It fails only if the engine answers no call at all.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Literal, Protocol

from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities
from service.engine.configuration import Offers, Trait
from service.engine.events import Event, Listing
from service.engine.name_grammar import NameGrammar
from service.engine.output import Printed, Usage
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Exit, Inspection, Whereabouts, Workload

EngineCall = Literal[
    "ping",
    "create",
    "start",
    "stop",
    "kill",
    "remove",
    "inspect",
    "list",
    "logs",
    "stats",
    "events",
    "top",
    "info",
    "rename",
    "upload",
    "download",
    "pull",
]
"""The names of an engine's calls, in metrics and spans."""


class Engine(Protocol):
    """Runs workloads. Its methods may be called concurrently, for different workloads."""

    @property
    def title(self) -> str:
        """Its name in messages, such as `Docker Engine`."""

    @property
    def name_grammar(self) -> NameGrammar:
        """The allowed names of workloads."""

    @property
    def capabilities(self) -> Capabilities:
        """Its optional capabilities."""

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        """Find the workload that this process runs in. Reads this host, and calls no engine."""

    async def ping(self, *, deep: bool = False) -> None:
        """Return if the engine answers within a few seconds.

        With `deep`, it also has to reach its own runtime of workloads, which may hang by itself.
        """

    async def leaving(self) -> bool:
        """Whether it is stopping, with its workloads: it accepts no new connection."""

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """Create and start a workload. Return when its program has begun.

        If the engine refuses to start it, if its program cannot be run, or if it lacks a health
        check that is `required`, the workload is removed again. A program that has begun is a
        success, whatever its exit code, and however soon.

        The timeout counts from the first call to the engine. Raises NameTaken, ImageMissing,
        NoRoom and EngineRefused. After EngineUnavailable, EngineTimeout and EngineFailed, a
        workload with these labels may exist, or may appear later.
        """

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        """Start a workload like one that has exited, with its name, and with these labels as well.

        The exited one gives up its name, and stays. An engine may also start the same workload
        again, with its id. A second call, after one that may have been carried out, may find its
        name taken by the successor.

        `redact` makes of the exited one what removes secrets from what the engine says of its
        successor.

        Raises NoSuchWorkload, and the errors of `start`; EngineRefused also if it has not exited,
        or has a folder of the host that is not allowed any more.
        """

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        """Send its stop signal, and SIGKILL after the grace. Return when it has exited.

        An engine may use the grace of the `WorkloadSpec` instead. It is a success if the machine
        of the workload is lost.
        None means that the exit is not known, and that the caller has to inspect. Any number of
        stops may be under way: they take turns, and each grace counts from its own signal. It is
        a success if the workload does not run. Raises NoSuchWorkload.
        """

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        """Remove a workload. Return when its name is free, or if it does not exist.

        False if somebody else has removed it. Without `force`, a live one is refused
        (EngineRefused).
        """

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        """The details of a workload. Raises NoSuchWorkload."""

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        """The last lines of its output. `edit` may be called in a thread.

        Raises NoSuchWorkload, and EngineRefused with UNREADABLE_LOG.
        """

    def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """Its output so far, oldest first, and with `follow` its later output, too.

        `since` is in nanoseconds since the epoch; earlier lines may be among them. With `tail`,
        only so many of the last lines, or a few more. A caller that stops reading
        slows down no other call.

        It ends when the workload has ended, or when the connection is lost, and then may raise an
        EngineError. Where the same workload may be started again it may go on.

        Raises NoSuchWorkload, and EngineRefused with UNREADABLE_LOG.
        """

    async def stats(
        self, workload_ids: Sequence[str], *, timeout: float
    ) -> Mapping[str, Usage | None]:
        """The usage of live workloads; None for one on a machine that cannot be asked.

        Workloads without an answer in time are left out.
        """

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """All workloads with the label of this instance, live or not.

        Those for which `unless` is true are left out. It may be called in a thread, so that of
        100,000 workloads the event loop gets only the few that matter.
        """

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """All workloads with these labels, live or not, including those of others."""

    async def names(self) -> Sequence[str]:
        """All names that are taken on the engine, including those of others' workloads."""

    async def traits(self) -> frozenset[Trait]:
        """Its configuration, as far as it affects workloads."""

    async def offers(self) -> Offers:
        """The runtimes and drivers that it offers to workloads."""

    def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """Follow the engine: yield a Listing first, then Events, without a gap in between.

        An engine without events polls (`service.engine.polled_events`). When the connection is
        lost, this ends or raises an EngineError.
        """

    async def close(self) -> None:
        """Release threads and connections. Later calls raise EngineUnavailable."""
