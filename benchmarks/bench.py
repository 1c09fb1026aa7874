"""The environment of a measurement: an Engine, supervisors, the size, and a progress bar."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import docker
from rich.progress import Progress

from benchmarks.calls import launch_of
from benchmarks.h2load import H2load
from benchmarks.stats import interleaved
from examples import images
from scripts.private_engine import PrivateEngine
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from tests.support.supervised import Supervised

T = TypeVar("T")

CATALOG_FILE = Path(__file__).with_name("catalog.toml")
_IMAGE = "supervisor-bench-worker"
_BASE = "supervisor-bench-busybox"
# The folder of the Engine's data. A disk would affect the figures, also by what was deleted: ext4
# without a journal scans all inodes that were freed in the last minutes
# (`recently_deleted` in the kernel's fs/ext4/ialloc.c).
_IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder with a name of its own is made in it
# A worker that ignores its arguments, does nothing, and exits at once on SIGTERM.
_ENTRYPOINT = ["/bin/busybox", "sh", "-c", "exec /bin/busybox sleep 1000000"]


class Bench:
    """Holds the resources that measurements share. Releases them at the end of the block."""

    def __init__(
        self, progress: Progress, *, quick: bool, beside: Mapping[str, Path] | None = None
    ) -> None:
        """`beside` has other checkouts by name, whose supervisors are measured as well."""
        self.quick = quick
        self.beside = beside or {}
        self._progress = progress
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.h2load = H2load(self.directory)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def engine(self) -> PrivateEngine:
        """The Engine, with the image of the workers."""
        data = self._stack.enter_context(tempfile.TemporaryDirectory(dir=_IN_MEMORY))
        engine = self._stack.enter_context(PrivateEngine(Path(data)))
        with closing(docker.DockerClient(engine.host)) as client:
            make_worker(client)
        return engine

    @property
    def engine_version(self) -> str:
        """The Engine's name and version, as it reports them."""
        with closing(docker.DockerClient(self.engine.host)) as client:
            return str(client.version()["Version"])

    def size(self, full: int, quick: int) -> int:
        """A number, or a smaller one for a quick run."""
        return quick if self.quick else full

    def new_supervisor(self, **environment: str) -> Supervised:
        """A supervisor for the Engine, as an operator would run it. It is not started yet."""
        settings = {
            "DOCKER_HOST": self.engine.host,
            "JOB_CATALOG": str(CATALOG_FILE),
            "LOG_LEVEL": "info",
        }
        return Supervised(self.directory, settings | environment)

    @contextmanager
    def supervisor(self, **environment: str) -> Iterator[Supervised]:
        """A supervisor that is SERVING, until the end of the block, which also ends its jobs."""
        with self.new_supervisor(**environment) as supervised:
            yield supervised
            supervised.kill_all()

    @contextmanager
    def others(self, **environment: str) -> Iterator[dict[str, Supervised]]:
        """Supervisors of the other checkouts by name, until the end of the block."""
        with ExitStack() as stack:
            yield {
                who: stack.enter_context(
                    self.supervisor(
                        PYTHONPATH=str(folder), SUPERVISOR_INSTANCE=f"beside-{n}", **environment
                    )
                )
                for n, (who, folder) in enumerate(self.beside.items())
            }

    def rounds(self, contenders: Sequence[T], rounds: int, text: str) -> Iterator[T]:
        """The contenders in each round, with a line that shows the progress."""
        turns = list(interleaved(contenders, rounds))
        yield from self._progress.track(turns, description=text)


def make_worker(client: docker.DockerClient) -> None:
    """Make the image of the workers on an Engine."""
    images.import_busybox(client, _BASE)
    container = client.containers.create(_BASE, entrypoint=_ENTRYPOINT, command=[])
    container.commit(_IMAGE)
    container.remove()


def launch(stub: AreaSupervisorServiceStub, identifier: str) -> None:
    """Launch a job. Raise if the launch failed."""
    answer = stub.LaunchJob(launch_of(identifier), timeout=60)
    if answer != Response():
        raise RuntimeError(f"{identifier} was not launched: {answer}")
