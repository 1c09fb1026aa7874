"""The questions of a check-up to an engine that jobs do not need. All calls here block."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from service.engine.configuration import Offers, Trait
from service.engine.workloads import Workload


class Ran(NamedTuple):
    """The exit code and the output of a program; None if it has not ended in time."""

    code: int | None
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """The facts about an engine. A text that it does not give is empty."""

    product: str  # `Docker` or `Podman`
    version: str
    system: str = ""  # of its host, with the kernel
    cgroups: str = ""  # their version and driver
    # By catalogue key: whether the host can limit it.
    limits: Mapping[str, bool] = field(default_factory=dict)
    clock: float = 0.0  # by how much it is ahead of ours, if that is known (seconds)
    folder: str = ""  # where images and containers are, on its host
    lost_nodes: Sequence[str] = ()  # machines of a Swarm that are down, by name
    traits: frozenset[Trait] = frozenset()
    offers: Offers = field(default_factory=Offers)


class Examiner(Protocol):
    """Examines an engine. Its methods raise `EngineError`s, and may be called from any thread."""

    @property
    def shown(self) -> str:
        """The engine's address, without a password."""

    @property
    def address(self) -> str:
        """Its address, as the lock on an instance has it. May contain a password."""

    @property
    def socket(self) -> str:
        """The path of its Unix socket; empty if it is not on this host."""

    def facts(self) -> EngineFacts:
        """The facts about it. Raises `StartError` if it can never be used as it is set up."""

    def ping(self) -> None:
        """Return if it answers at all, even if its runtime of workloads hangs."""

    def networks(self) -> Collection[str]:
        """The names of its networks."""

    def images(self, names: Iterable[str]) -> frozenset[str]:
        """The images that it has, of these names."""

    def workloads(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """All with these labels, live or not."""

    def own_image(self) -> str:
        """The image of the container that this process runs in; empty if there is none."""

    def run(self, image: str, network: str, command: Sequence[str], *, within: float) -> Ran:
        """Run a program in a container that is removed at once."""

    def close(self) -> None:
        """Remove what `run` has left if it was interrupted."""
