"""Whether a container that was started has begun to run its program.

The first process of a container is an init, and a start is a success as soon as that runs. Whether
the init can run the program shows a moment later: if not, it ends, and says why. A look at the
container's processes takes the Engine some 15 ms (docs/benchmarks.md), so only the first launch of
an image pays for it, and the next one after an exit that may mean that the image has changed.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TypeVar

import docker
from docker.errors import APIError

from service.engine.base import EngineCall, Limits, Status, WorkloadSpec
from service.engine.docker.answers import Commanded, Processes, inspection, read
from service.engine.docker.calls import Call, Calls
from service.engine.docker.podman import plain_name
from service.errors import EngineError, EngineRefused

T = TypeVar("T")

# How long a container is looked at whose program is not to be seen (seconds): then it is taken to
# run. On an Engine that cannot list processes, as one whose host has no `ps`, only an exit tells.
_PATIENCE, _BLIND_PATIENCE = 2.0, 0.3
_POLL = 0.02
_CALL = 5.0  # what the Engine may take for an answer (seconds)
# The names of the processes alone, and their commands with the arguments, which hold secrets.
_COLUMNS, _COMMANDS = "-eo pid,comm", "-eo pid,args"
# An init and a shell end with one of these where they cannot run something; above are signals.
_MAYBE_NOT_RUN = range(1, 128)
# tini is Docker's init, catatonit is Podman's, which does not name the program.
_INIT_SAID = re.compile(
    r"^(?:\[FATAL tini \(\d+\)\]|(?:ERROR \()?catatonit(?::\d+\))?:) (.+)$", re.MULTILINE
)
_CATATONITS = {"failed to exec pid1": "exec {} failed", "failed to fork child": "fork failed"}
# The C library hands a file that the kernel cannot execute to the shell, as a script. The shell
# then runs in the program's place, under its own name.
_SHELL = "sh"
_READ_AS_A_SCRIPT = re.compile(
    r"^\S+: (?:line )?1: (?:\x7fELF|[Ss]yntax error)|^(\S+): \1: cannot execute binary file",
    re.MULTILINE,
)
_FORMAT = "exec format error"
_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class _Program:
    """What decides whether a launch can run: without an entrypoint, an argument is the program."""

    image: str
    argument: str
    limits: Limits


class Beginnings:
    """Tells a launch whose program does not run from one that does."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._trusted: set[_Program] = set()

    async def confirm(self, container_id: str, spec: WorkloadSpec, *, timeout: float) -> None:
        """Return once the program has begun, whatever became of it; at once for a known one.

        Raises `EngineRefused`, with the reason, if it will not. Where nobody can tell, it has.
        """
        program = _Program(spec.image, _first_argument(spec), spec.limits)
        if program in self._trusted:
            return
        try:
            obstacle = await self._obstacle(container_id, timeout)
        except EngineError:  # it has been started, and what came of it shows later
            return
        if obstacle:
            told = spec.redact(obstacle + _advice(obstacle, spec))
            raise EngineRefused(f"the program of {spec.name} cannot be run: {told}")
        self._trusted.add(program)

    def hear(self, image: str, exit_code: int | None) -> None:
        """Look at an image again after an exit that may mean that it was built anew."""
        if exit_code in _MAYBE_NOT_RUN:
            built_anew = plain_name(image)
            self._trusted = {p for p in self._trusted if plain_name(p.image) != built_anew}

    async def _obstacle(self, container_id: str, timeout: float) -> str:
        """Why the program does not run; empty where it has begun."""
        clock = asyncio.get_running_loop().time
        end = clock() + min(_PATIENCE, timeout)
        blind = False
        while clock() < end:
            try:
                if not blind and await self._ask("top", _runs, container_id, timeout):
                    return ""
            except EngineRefused:
                blind, end = True, min(end, clock() + _BLIND_PATIENCE)
            code = await self._ask("inspect", _exit_code, container_id, timeout)
            if code in _MAYBE_NOT_RUN:
                return await self._ask("logs", _words, container_id, timeout)
            if code is not None:
                return ""
            await asyncio.sleep(_POLL)
        return ""

    async def _ask(
        self,
        operation: EngineCall,
        function: Callable[[docker.APIClient, str], T],
        container_id: str,
        timeout: float,
    ) -> T:
        call = Call(operation, lambda c: function(c, container_id), {"container.id": container_id})
        return await self._calls.call(call, timeout=min(_CALL, timeout))


def _first_argument(spec: WorkloadSpec) -> str:
    return next(iter(spec.arguments), "")


def _runs(client: docker.APIClient, container_id: str) -> bool:
    """Whether the program is there, or what it has started.

    The init forks before its child runs the program, so its name does not count. Nor does that of
    a shell in the place of another program: it may be about to fail at the first line.
    """
    try:
        names = set(_last_column(client.top(container_id, _COLUMNS)))
        if _SHELL in names and not _is_asked_for(client, container_id):
            names.remove(_SHELL)
    except APIError as error:
        if error.status_code == HTTPStatus.CONFLICT:  # it does not run any more
            return False
        raise
    return len(names) > 1


def _is_asked_for(client: docker.APIClient, container_id: str) -> bool:
    """Whether a shell runs because the program is one, or a script with `#!/usr/bin/env sh`.

    `env` calls a shell by its name alone, the C library by its path. The arguments, which hold
    secrets, are dropped at once.
    """
    if PurePosixPath(_program(client, container_id)).name == _SHELL:
        return True
    commands = _last_column(client.top(container_id, _COMMANDS))
    return any(command.split(" ", 1)[0] == _SHELL for command in commands)


def _last_column(found: object) -> Iterator[str]:
    """Of the list of a container's processes. Raises `Unreadable`."""
    return (row[-1] for row in read(Processes, found).Processes or ())


def _exit_code(client: docker.APIClient, container_id: str) -> int | None:
    """None while it runs."""
    seen = inspection(client.inspect_container(container_id))
    return seen.exit_code if seen.status is Status.EXITED else None


def _words(client: docker.APIClient, container_id: str) -> str:
    """What the init, or a shell, has said of a program that it could not run; or nothing."""
    output = client.logs(container_id, tail=_LAST_LINES).decode(errors="replace")
    if said := _INIT_SAID.search(output):
        what, colon, why = said[1].partition(": ")
        if told := _CATATONITS.get(what):
            what = told.format(_program(client, container_id))
        return f"{what}{colon}{why}"
    return _FORMAT if _READ_AS_A_SCRIPT.search(output) else ""


def _program(client: docker.APIClient, container_id: str) -> str:
    """What the init has to run; an empty entrypoint is none."""
    config = read(Commanded, client.inspect_container(container_id)).Config
    return next(filter(None, [*(config.Entrypoint or ()), *(config.Cmd or ())]), "")


def _advice(obstacle: str, spec: WorkloadSpec) -> str:
    """What may be wrong, beyond what the kernel said."""
    if obstacle == _FORMAT:
        return f"; was the image {spec.image} built for another processor?"
    if obstacle.startswith("fork"):
        return f"; pids = {spec.limits.pids} has to leave room for the init and the program"
    if f"exec {_first_argument(spec)} failed" in obstacle:
        return (
            f"; the image {spec.image} has no entrypoint,"
            " so that the first argument was taken for the program"
        )
    if "No such file" in obstacle:
        return (
            f"; the image {spec.image} does not have it, or not the interpreter that its first"
            " line names"
        )
    return ""
