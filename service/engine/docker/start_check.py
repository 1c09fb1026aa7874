"""Checks that a started container runs its program.

The first process of a container is an init, and a start succeeds as soon as the init runs. If the
init cannot run the program, it prints the reason and exits a moment later. To list a container's
processes takes the Engine some 15 ms (docs/benchmarks.md). So only the first launch of an image is
checked, and the first one after the Engine has reported a change of images, or after an exit that
may mean that the image was built again.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from time import monotonic, sleep
from typing import TypeVar

from docker.errors import APIError

from service.engine.base import EngineCall
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.containers import last_output
from service.engine.docker.inspections import Inspected, Processes, inspection
from service.engine.docker.parsing import read
from service.engine.docker.podman import plain_name
from service.engine.workload_spec import Confinement, Limits, Surroundings, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineError, EngineRefused

T = TypeVar("T")

# How long to wait for the program (seconds); after that, it counts as running. The second is for an
# Engine that does not list processes: its host has no `ps`, or the container is about to exit.
_WAIT, _BLIND_WAIT = 2.0, 0.5
_POLL = 0.02
_CALL = 5.0  # the time limit of a call (seconds)
# The first has only the names of processes; the second also their arguments, which hold secrets.
_NAMES, _COMMANDS = "-eo pid,comm", "-eo pid,args"
# Exit codes of an init or a shell that cannot run a program. Higher ones are signals.
MAYBE_NOT_RUN = range(1, 128)
# tini is Docker's init. catatonit is Podman's, which does not name the program.
_INIT_ERROR = re.compile(
    r"^(?:\[FATAL tini \(\d+\)\]|(?:ERROR \()?catatonit(?::\d+\))?:) (.+)$", re.MULTILINE
)
_CATATONIT = {"failed to exec pid1": "exec {} failed", "failed to fork child": "fork failed"}
# If the kernel cannot execute a file, the C library passes it to the shell as a script. The shell
# then runs in place of the program, under its own name. Busybox 1.37 counts its lines from 0.
_SHELL = "sh"
_READ_AS_SCRIPT = re.compile(
    r"^\S+: (?:line )?[01]: (?:\x7fELF|[Ss]yntax error)|^(\S+): \1: cannot execute binary file",
    re.MULTILINE,
)
_FORMAT = "exec format error"
_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Program:
    """The facts that decide whether a program can run. The argument counts without entrypoint."""

    image: str
    platform: str
    argument: str
    limits: Limits
    confinement: Confinement
    surroundings: Surroundings


class StartCheck:
    """Finds launches whose program cannot be run.

    `epoch` counts the changes of images that the Engine has reported. A launch takes it before the
    Engine looks the image up, so that its outcome says nothing about a later image of this name.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._trusted: set[Program] = set()
        self.epoch = 0

    async def confirm(
        self, container_id: str, spec: WorkloadSpec, epoch: int, *, timeout: float
    ) -> None:
        """Return when the program has begun, even if it has exited; at once for a known program.

        Raises `EngineRefused` with the reason if it cannot be run. If the Engine does not know, the
        program counts as running.
        """
        if not spec.init:  # then the start itself fails
            return
        program = program_of(spec)
        if epoch == self.epoch and program in self._trusted:
            return
        try:
            obstacle = await self._find_obstacle(container_id, timeout)
        except EngineError:  # the container has been started, and its exit will be reported
            return
        if obstacle:
            reason = spec.redact(obstacle + advice(obstacle, spec))
            raise EngineRefused(f"the program of {spec.name} cannot be run: {reason}")
        if epoch == self.epoch:
            self._trusted.add(program)

    def forget(self) -> None:
        """Check all images again: a name may stand for another image now."""
        self.epoch += 1
        self._trusted.clear()

    def handle_exit(self, image: str, exit_code: int | None) -> None:
        """Check an image again after an exit that may mean that it was built again.

        Not every Engine reports that: Docker 20.10 does not if BuildKit has built it.
        """
        if exit_code in MAYBE_NOT_RUN:
            built_again = plain_name(image)
            self._trusted = {p for p in self._trusted if plain_name(p.image) != built_again}

    async def _find_obstacle(self, container_id: str, timeout: float) -> str:
        """The reason why the program cannot be run, or "" if it has begun."""
        clock = asyncio.get_running_loop().time
        end = clock() + min(_WAIT, timeout)
        while clock() < end:
            try:
                if await self._call("top", _runs, container_id, timeout):
                    return ""
            except EngineRefused:  # no processes are listed, and it does not exit
                return ""
            code = await self._call("inspect", _exit_code, container_id, timeout)
            if code in MAYBE_NOT_RUN:
                return await self._call("logs", _init_error, container_id, timeout)
            if code is not None:
                return ""
            await asyncio.sleep(_POLL)
        return ""

    async def _call(
        self,
        operation: EngineCall,
        function: Callable[[Client, str], T],
        container_id: str,
        timeout: float,
    ) -> T:
        call = Call(operation, lambda c: function(c, container_id), {"container.id": container_id})
        return await self._calls.call(call, timeout=min(_CALL, timeout))


def program_of(spec: WorkloadSpec) -> Program:
    """The program that a workload runs."""
    return Program(
        spec.image,
        spec.source.platform,
        _first_argument(spec),
        spec.limits,
        spec.confinement,
        spec.surroundings,
    )


def _first_argument(spec: WorkloadSpec) -> str:
    return next(iter(spec.arguments), "")


def _runs(client: Client, container_id: str) -> bool:
    """Whether the program runs, or a process that it has started.

    The init forks before its child executes the program, so the init's name does not count. Nor
    does a shell in place of another program: it may fail at the first line.
    """
    try:
        names = set(_last_column(client.top(container_id, _NAMES)))
        if _SHELL in names and not _is_shell_expected(client, container_id):
            names.remove(_SHELL)
    except APIError as error:
        if error.status_code == HTTPStatus.CONFLICT or _exits(client, container_id):
            return False
        raise
    return len(names) > 1


def _exits(client: Client, container_id: str) -> bool:
    """Whether the container exits, for which reason the Engine may fail to list its processes.

    Docker's answers to that have many texts, as each layer below it has its own.
    """
    end = monotonic() + _BLIND_WAIT
    while _exit_code(client, container_id) is None:
        if monotonic() > end:
            return False
        sleep(_POLL)
    return True


def _is_shell_expected(client: Client, container_id: str) -> bool:
    """Whether the program is a shell, or a script with `#!/usr/bin/env sh`.

    `env` starts a shell by its name, the C library by its path. The arguments, which hold secrets,
    are dropped at once.
    """
    if PurePosixPath(_program(client, container_id)).name == _SHELL:
        return True
    commands = _last_column(client.top(container_id, _COMMANDS))
    return any(command.split(" ", 1)[0] == _SHELL for command in commands)


def _last_column(found: object) -> Iterator[str]:
    """The last column of a list of processes. Raises `Unreadable`."""
    return (row[-1] for row in read(Processes, found).Processes or ())


def _exit_code(client: Client, container_id: str) -> int | None:
    """The exit code, or None while the container runs."""
    seen = inspection(client.inspect_container(container_id))
    return seen.exit_code if seen.status is Status.EXITED else None


def _init_error(client: Client, container_id: str) -> str:
    """The error of an init or a shell that could not run the program, or ""."""
    output = last_output(client, container_id, _LAST_LINES) or ""
    return obstacle_in(output, lambda: _program(client, container_id))


def obstacle_in(output: str, program: Callable[[], str]) -> str:
    """The reason why the program cannot be run, from the last lines of output, or ""."""
    if match := _INIT_ERROR.search(output):
        failure, colon, reason = match[1].partition(": ")
        if text := _CATATONIT.get(failure):
            failure = text.format(program())
        return f"{failure}{colon}{reason}"
    return _FORMAT if _READ_AS_SCRIPT.search(output) else ""


def _program(client: Client, container_id: str) -> str:
    """The program that the init runs. An empty entrypoint counts as none."""
    config = read(Inspected, client.inspect_container(container_id)).Config
    return next(filter(None, [*(config.Entrypoint or ()), *(config.Cmd or ())]), "")


def advice(obstacle: str, spec: WorkloadSpec) -> str:
    """A likely cause, to append to the kernel's message."""
    if obstacle == _FORMAT:
        return f"; was the image {spec.image} built for another processor?"
    if obstacle.startswith("fork"):
        return f"; pids = {spec.limits.pids} has to leave room for the init and the program"
    if f"exec {_first_argument(spec)} failed" in obstacle:
        return (
            f"; the image {spec.image} has no entrypoint,"
            " so that the first argument was taken for the program"
        )
    if "Permission denied" in obstacle and (spec.confinement.user or spec.confinement.cap_drop):
        return "; `user` or `cap_drop` in the catalogue may keep it from its own files"
    if "No such file" in obstacle:
        return (
            f"; the image {spec.image} does not have it, or not the interpreter that its first"
            " line names"
        )
    return ""
