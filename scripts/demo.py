"""`make demo`: runs everything once for real, and checks each step.

A backend asks over gRPC; the supervisor, in its container, launches workers on a real Docker
Engine; they call the backend back; health, metrics and traces tell of it. Everything has names of
its own and is removed at the end: what was on the machine before is left as it was.
"""

import secrets
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import NoReturn

import docker
import docker.errors
import grpc
import requests

from examples import backend, images
from examples.images import BuildError
from scripts import demo_acts, demo_engine, demo_supervisor, demo_traces
from scripts.demo_stage import Stage, console, tell, title
from scripts.demo_supervisor import DemoError, Supervisor
from scripts.otlp_receiver import Receiver
from scripts.progress import PrerequisiteError, step

_ROOT = Path(__file__).resolve().parent.parent
_WORKER = "supervisor-demo-worker"  # as examples/catalog.toml calls it

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Expected errors, whose messages say enough. Anything else is a defect of the demo.
_FAILURES = (
    BuildError,
    DemoError,
    PrerequisiteError,
    docker.errors.DockerException,
    grpc.RpcError,
    requests.RequestException,
)

_ACTS = (
    ("A launch", demo_acts.launch),
    ("The same launch again, and one that is refused", demo_acts.launch_again),
    ("Health", demo_acts.health),
    ("The kill", demo_acts.kill),
    ("Metrics", demo_acts.metrics),
    ("Traces", demo_traces.calls),
    ("The traces of an action's callbacks", demo_traces.action),
    ("A reaction: one trace from the backend to its worker and back", demo_traces.reaction),
    ("A crash, of which the backend is told", demo_acts.crash),
    ("Secrets", demo_acts.no_secret),
    ("The stop", demo_acts.stop),
    ("What an operator sees afterwards", demo_acts.look_back),
)


def main() -> int:
    """Run the demo, and always clean up."""
    _let_signals_interrupt()
    try:
        with ExitStack() as stack:
            try:
                code = _outcome(stack)
            finally:
                _let_nothing_interrupt_the_cleanup()
    except _FAILURES as error:
        return _failed(f"It could not clean up. {error}")
    title("Everything is cleaned up")
    if code == 0:
        console.print("[bold green]The demo has shown everything that it should.[/bold green]")
    return code


def _outcome(stack: ExitStack) -> int:
    """Run all acts. Print an error at once. Return the exit code."""
    try:
        _perform(stack)
    except _FAILURES as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        console.print("\nInterrupted.")
        return 130
    return 0


def _failed(reason: str) -> int:
    console.print(f"\nThe demo has failed. {reason}", style="bold red", markup=False)
    return 1


def _perform(stack: ExitStack) -> None:
    name = f"demo-{secrets.token_hex(4)}"
    title("A Docker Engine")
    client, engine_socket = demo_engine.find_or_start(stack)
    receiver = Receiver()  # the worker's image gets its address
    stack.callback(receiver.stop)
    title("The images")
    image, worker = _images(stack, client, name, receiver)
    title("The backend, a collector for traces, and the supervisor in its container")
    stage = _stage(stack, name, client, engine_socket, receiver)
    _start(stack, stage, image, worker)
    for act, perform in _ACTS:
        title(act)
        perform(stage)


def _images(
    stack: ExitStack, client: docker.DockerClient, name: str, receiver: Receiver
) -> tuple[str, str]:
    """The images of the supervisor and of the workers, under names of this run."""
    made: list[str] = []
    stack.callback(images.remove, client, made)
    image, worker = f"area-{name}:supervisor", f"area-{name}:worker"
    base = {"BASE_IMAGE": images.base_image(client, f"area-{name}-base", made)}
    images.build(client, "Dockerfile", image, base, made)
    traced = base | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address}
    images.build(client, "examples/worker/Dockerfile", worker, traced, made)
    return image, worker


def _stage(
    stack: ExitStack,
    name: str,
    client: docker.DockerClient,
    engine_socket: Path,
    receiver: Receiver,
) -> Stage:
    calls: Queue[backend.Call] = Queue()
    server, port = backend.serve("127.0.0.1:0", calls.put)
    stack.callback(server.stop, 1)
    supervisor = stack.enter_context(Supervisor(client, name))
    return Stage(name, client, engine_socket, supervisor, receiver, calls, port)


def _start(stack: ExitStack, stage: Stage, image: str, worker: str) -> None:
    tell(f"the example backend listens on 127.0.0.1:{stage.backend_port}")
    tell(f"a collector for traces listens on 127.0.0.1:{stage.receiver.port}")
    with step("Starting the supervisor until it is SERVING"):
        stage.supervisor.start(
            demo_supervisor.Parts(
                image=image,
                engine_socket=stage.engine_socket,
                catalog=_catalog(stack, worker),
                backend_port=stage.backend_port,
                otlp_port=stage.receiver.port,
            )
        )
    tell(f"gRPC with TLS on 127.0.0.1:{stage.supervisor.grpc_port}; this demo has a certificate")
    tell(f"metrics and probes on https://127.0.0.1:{stage.supervisor.http_port}")


def _catalog(stack: ExitStack, worker: str) -> Path:
    """The example catalogue, with this run's name for the worker's image.

    It lies in the checkout: an Engine in a virtual machine may share only its user's folders.
    """
    (_ROOT / ".cache").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=_ROOT / ".cache"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    example = (_ROOT / "examples" / "catalog.toml").read_text(encoding="utf-8")
    catalog = folder / "catalog.toml"
    catalog.write_text(example.replace(_WORKER, worker), encoding="utf-8")
    folder.chmod(0o755)
    return catalog


def _let_signals_interrupt() -> None:
    """Handle SIGTERM, and SIGHUP of a closed terminal, like Ctrl-C."""
    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _let_nothing_interrupt_the_cleanup() -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    title("Cleaning up")


if __name__ == "__main__":
    sys.exit(main())
