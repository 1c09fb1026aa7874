"""Looks from inside of a container: whether it reaches the backend, and how full the disk is."""

import re
from collections.abc import Sequence

from service.diagnosis.case import Case
from service.diagnosis.seen import Disk, Inside
from service.errors import EngineRefused, ImageMissing

# How many images are tried, and how long each try may take, with its connection (seconds).
_MOST_IMAGES, _WITHIN = 3, 12.0
_NO_TOOL = 77
_NO_PROGRAM = (126, 127)  # a shell's exit codes
# Programs that most images have. Each part connects, sends nothing, and says why it cannot connect.
_SCRIPT = r"""
exec 2>&1
{ df -Pk / || busybox df -Pk /; } 2>/dev/null
have() { command -v "$1" >/dev/null 2>&1; }
if have python3; then
  exec python3 -c 'import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()
except OSError as e: sys.exit(e.strerror or str(e))' "$1" "$2"
elif have node; then
  exec node -e 'const s = require("net").connect({ host: process.argv[1], port: +process.argv[2] },
    () => process.exit(0)); const end = (e) => { console.log(e.message); process.exit(1); };
    s.on("error", end); s.setTimeout(5000, () => end(Error("timed out")))' "$1" "$2"
elif have busybox && busybox nc --help 2>&1 | grep -q -e '-e PROG'; then
  exec busybox nc -w 5 "$1" "$2" -e true
elif have nc; then
  exec nc -z -w 5 "$1" "$2"
elif have bash && have timeout; then
  exec timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
fi
exit 77
"""
_DISK = re.compile(r"^\S.*?\s(\d+)\s+\d+\s+(\d+)\s+\d+%\s+/$", re.MULTILINE)


def look_from_inside(case: Case, network: str, host: str, port: int) -> Inside | str:
    """Look with the first image that can; why none can."""
    if not case.runs_containers:
        return "no container may be run (--no-container)"
    images = _candidates(case)
    if not images:
        return "no image of the catalogue is on the Engine"
    why = ""
    for image in images[:_MOST_IMAGES]:
        seen = _look_with(case, image, network, host, port)
        if isinstance(seen, Inside):
            return seen
        why = f"{image}: {seen}"
    return why


def _candidates(case: Case) -> Sequence[str]:
    """Our own image, which has Python, and those of the catalogue that are there."""
    own = case.engine.own_image()
    there = case.engine.images(sorted(case.known_catalog.images))
    return list(dict.fromkeys([*([own] if own else []), *sorted(there)]))


def _look_with(case: Case, image: str, network: str, host: str, port: int) -> Inside | str:
    command = ["/bin/sh", "-c", _SCRIPT, "sh", host, str(port)]
    try:
        ran = case.engine.run(image, network, command, within=_WITHIN)
    except (EngineRefused, ImageMissing) as refused:
        return refused.message
    if ran.code is None:
        return Inside(image, reached=False, why=f"no answer within {_WITHIN:g} s")
    if ran.code in (_NO_TOOL, *_NO_PROGRAM):
        return "it has no program that can connect"
    last = ran.output.splitlines()[-1] if ran.output else f"exit code {ran.code}"
    return Inside(image, ran.code == 0, last, _disk_in(ran.output))


def _disk_in(output: str) -> Disk | None:
    found = _DISK.search(output)
    return Disk(int(found[1]) * 1024, int(found[2]) * 1024) if found else None
