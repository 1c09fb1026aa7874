import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.unit.history.ends import in_file

_ROUNDS = 5


def test_a_sigkill_at_any_moment_loses_the_last_second_at_most_and_never_the_file(
    path: Path,
) -> None:
    chance, first, rows = random.Random(1), 0, 0
    for _ in range(_ROUNDS):
        safe = _until_a_sigkill(path, first, chance.uniform(0.1, 0.6))
        kept = in_file(path)
        assert safe in range(first, safe + 1)
        missing = set(range(max(first, safe - 1000), safe + 1)) - _numbers(kept)
        assert not missing
        assert rows <= len(kept) <= 2000 + 1000
        rows, first = min(len(kept), 2000), max(_numbers(kept)) + 1
        with closing(sqlite3.connect(path)) as connection:
            assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
    assert not list(path.parent.glob("*.broken-*"))


def _numbers(kept: object) -> set[int]:
    assert isinstance(kept, list)
    return {int(launch_id.removeprefix("launch-")) for launch_id in kept}


def _until_a_sigkill(path: Path, first: int, seconds: float) -> int:
    """Add jobs for a while; the last one that has to be there."""
    command = [sys.executable, "-m", "tests.unit.history.killed", str(path), str(first)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout
        while not (line := process.stdout.readline().strip()).isdigit():
            assert process.poll() is None  # it logs, too
        time.sleep(seconds)  # the moment of the SIGKILL, which no condition may choose
        process.kill()
        said = [line, *process.stdout.read().split("\n")]
    return [int(line) for line in said[:-1] if line.isdigit()][-1]
