"""`make test-engines`: runs the tests that should pass on any Engine, and says what passes where.

The outcomes are kept in docs/engines/. docs/engines.md and the README have a table
that is written from them.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as ET

import pytest
import typer

from examples import images
from scripts import engine_outcomes, engines, prepare
from scripts.engine_outcomes import Run, Tally, parts
from scripts.progress import PrerequisiteError, say

_ROOT = Path(__file__).resolve().parent.parent
_CACHE = _ROOT / ".cache" / "engines"
_SECONDS = 3600.0  # for one part on one Engine, on a busy machine
_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
# As in `make test`, without the fake engine, which is the same everywhere.
_OPTIONS = (
    *("--numprocesses=3", "--dist=loadfile", "--no-loadscope-reorder"),
    *("-k", "not fake", "-m", "not long"),
    *("--reruns=1", "--only-rerun=^EngineLockedOutError", "--rerun-show-tracebacks"),
)
# A run writes these itself.
_OUTCOMES = (":!docs/engines", ":!docs/engines.md", ":!README.md")


def main(
    only: Annotated[list[str] | None, typer.Option(help="An Engine; may be repeated.")] = None,
    part: Annotated[list[int] | None, typer.Option(help="A row, from 1; may be repeated.")] = None,
) -> None:
    """Run the tests on each Engine, print the table, and write it into its pages."""
    wanted = [row for number, row in enumerate(parts(), 1) if number in (part or [number])]
    try:
        tallies = [tally for name in only or engines.RELEASES for tally in _run(name, wanted)]
    except (PrerequisiteError, images.BuildError) as error:
        sys.exit(f"test-engines: {error}")
    finally:
        _write()
    sys.exit(any(tally.failed for tally in tallies))


def _write() -> None:
    for page, text in engine_outcomes.pages().items():
        page.write_text(text, encoding="utf-8")
    outcomes = {name: engine_outcomes.load(name) for name in engines.RELEASES}
    print(f"\n{engine_outcomes.table(outcomes)}\n{engine_outcomes.details(outcomes)}")


def _run(name: str, wanted: Iterable[str]) -> list[Tally]:
    """Run each part, and record its outcome immediately."""
    os.environ[engines.VARIABLE] = name
    versions = prepare.prepare()
    tallies = []
    for part in wanted:
        say(f"{versions[0]}: {part} ...")
        run = Run(*versions, datetime.now(UTC).date().isoformat(), current_commit(_ROOT))
        engine_outcomes.record(name, part, None)  # drop the outcome of an earlier run
        report = _report(name, parts()[part])
        tallies.append(counted(run, ET.parse(report).iter("testcase")))  # noqa: S314 - our own
        engine_outcomes.record(name, part, tallies[-1])
    return tallies


def _report(name: str, files: Sequence[str]) -> Path:
    """Run tests with pytest. Return its report."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    report = _CACHE / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *files, *_OPTIONS, f"--junitxml={report}"]
    with subprocess.Popen(command, cwd=_ROOT) as process:
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that its engines end, too
            raise PrerequisiteError(f"on {name} it took over {_SECONDS:.0f} s") from None
    if process.returncode not in _ENDS or not report.exists():
        raise PrerequisiteError(
            f"the tests on {name} came to no end (pytest: {process.returncode})"
        )
    return report


def counted(run: Run, cases: Iterable[ET.Element]) -> Tally:
    """The outcome of a run, from the cases of pytest's report."""
    passed, failed, left_out = 0, [], Counter[str]()
    for case in cases:
        if (skipped := case.find("skipped")) is not None:
            left_out[skipped.get("message", "")] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(case.get("name", ""))
        else:
            passed += 1
    return Tally(run, passed, failed, dict(left_out))


def current_commit(checkout: Path) -> str:
    """The commit of a checkout, ` with changes` if tracked files differ from it; empty without git.

    Outcomes of earlier parts are no such change.
    """
    try:
        commit = _git(checkout, "rev-parse", "--short=10", "HEAD")
        changes = _git(
            checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", *_OUTCOMES
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit} with changes" if changes else commit


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    typer.run(main)
