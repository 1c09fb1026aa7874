"""`make test-engines`: runs what any Engine should pass on each, and says what passes where.

Outcomes are kept, and the table of docs/engines.md is written anew from those that there are.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as ET

import pytest
import typer
from pydantic import TypeAdapter

from scripts import engines, images, prepare
from scripts.marked import written
from scripts.progress import PrerequisiteError, say

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "engines.md"
_CACHE = _ROOT / ".cache" / "engines"
_SECONDS = 1800.0  # for one part on one Engine
_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)

# What is tried, and by which tests; what is left of `tests/e2e` is the last part.
_E2E = {
    "launches": "launch modes names identifiers not_run limits hundreds idempotency",
    "ends and kills": "kill stop list sigkill set_aside orphans ended_by_others",
    "starts and restarts": "start restart adopt legacy",
    "an Engine that fails or goes away": "engine_away engine_faults engine_leaving engine_words"
    " live_restore notice agreement",
    "from its image, with real workers, `up`, `stop`, `down`": "callback worker_traces",
}
_REST = "everything else, end to end"
_COMPOSE = "`docker-compose.yml`, with and without its profile"
# As `make test` does it. The fake Engine is the same everywhere.
_OPTIONS = (
    *("--numprocesses=3", "--dist=loadfile", "--no-loadscope-reorder", "-k", "not fake"),
    *("--reruns=1", "--only-rerun=^EngineLockedOutError", "--rerun-show-tracebacks"),
)


@dataclass
class Tally:
    """What one part has shown on one Engine."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """How many tests, by the reason why they do not apply."""
    day: str = ""
    """When it was shown: the code may have changed since then."""


@dataclass
class Outcome:
    """What the tests have shown on one Engine, by part."""

    engine: str = ""
    compose: str = ""
    tallies: dict[str, Tally] = field(default_factory=dict)


_OUTCOME = TypeAdapter(Outcome)


def parts() -> dict[str, list[str]]:
    """Which files each part runs."""
    named = {
        part: [f"tests/e2e/test_{n}.py" for n in names.split()] for part, names in _E2E.items()
    }
    taken = {file for files in named.values() for file in files}
    every = sorted(str(file.relative_to(_ROOT)) for file in _ROOT.glob("tests/e2e/test_*.py"))
    return {
        "the contract of the adapter": ["tests/engine"],
        _COMPOSE: ["tests/dashboards/test_compose.py"],
        **named,
        _REST: [file for file in every if file not in taken],
    }


def main(
    only: Annotated[list[str] | None, typer.Option(help="An Engine; may be repeated.")] = None,
    part: Annotated[list[int] | None, typer.Option(help="A row, from 1; likewise.")] = None,
) -> None:
    """Run the tests on each Engine, print a table, and write it into docs/engines.md."""
    wanted = [row for number, row in enumerate(parts(), 1) if number in (part or [number])]
    try:
        for name in only or engines.RELEASES:
            _run(name, wanted)
    except (PrerequisiteError, images.BuildError) as error:
        sys.exit(f"test-engines: {error}")
    outcomes = [_kept(name) for name in engines.RELEASES]
    text = table(outcomes)
    print(f"\n{text}")
    _PAGE.write_text(written(_PAGE.read_text("utf-8"), "engines", text), encoding="utf-8")
    sys.exit(any(each.failed for outcome in outcomes for each in outcome.tallies.values()))


def _run(name: str, wanted: Iterable[str]) -> None:
    """Each part, whose outcome is kept as soon as there is one."""
    os.environ[engines.VARIABLE] = name
    versions = prepare.prepare()
    for part in wanted:
        say(f"{versions[0]}: {part} ...")
        _keep(name, versions, part, None)  # what was seen earlier is not what this run shows
        _keep(name, versions, part, _tally(_report(name, parts()[part])))


def _report(name: str, files: Sequence[str]) -> Path:
    """Have pytest run these; its report."""
    report = _file(name).with_suffix(".xml")
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


def _tally(report: Path) -> Tally:
    tally = counted(ET.parse(report).iter("testcase"))  # noqa: S314 - our own
    tally.day = datetime.now(UTC).date().isoformat()
    return tally


def counted(cases: Iterable[ET.Element]) -> Tally:
    """What pytest's report tells."""
    tally = Tally()
    left_out: Counter[str] = Counter()
    for case in cases:
        if (skipped := case.find("skipped")) is not None:
            left_out[skipped.get("message", "")] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            tally.failed.append(case.get("name", ""))
        else:
            tally.passed += 1
    tally.left_out = dict(left_out)
    return tally


def _file(name: str) -> Path:
    """Where the outcome of an Engine is kept."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    return _CACHE / f"{name}.json"


def _kept(name: str) -> Outcome:
    file = _file(name)
    return (
        _OUTCOME.validate_json(file.read_bytes())
        if file.exists()
        else Outcome(name.replace("-", " ").capitalize())
    )


def _keep(name: str, versions: tuple[str, str], part: str, tally: Tally | None) -> None:
    """What a part has shown on an Engine, or that it has shown nothing."""
    outcome = _kept(name)
    outcome.engine, outcome.compose = versions
    outcome.tallies.pop(part, None)
    if tally:
        outcome.tallies[part] = tally
    _file(name).write_bytes(_OUTCOME.dump_json(outcome))


def table(outcomes: Sequence[Outcome]) -> str:
    """In Markdown: what passes where, and below it what fails, and what does not apply."""
    heads = [", ".join(filter(None, (each.engine, each.compose))) for each in outcomes]
    rows = [["tests", *heads], ["---"] * (len(outcomes) + 1)]
    rows += [[part, *(_cell(each.tallies.get(part)) for each in outcomes)] for part in parts()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for each in outcomes:
        lost = sorted({name for tally in each.tallies.values() for name in tally.failed})
        lines += [f"\nFails on {each.engine}: `{name}`." for name in lost]
    for each in outcomes:
        if days := sorted({tally.day for tally in each.tallies.values() if tally.day}):
            lines.append(f"\n{each.engine} was tried on {', '.join(days)}.")
    return "\n".join([*lines, *(line for each in outcomes for line in _left_out(each))])


def _cell(tally: Tally | None) -> str:
    if tally is None:
        return "not run"
    lost = f", **{len(tally.failed)} fail**" if tally.failed else ""
    left_out = sum(tally.left_out.values())
    return f"{tally.passed} pass{lost}" + (f", {left_out} left out" if left_out else "")


def _left_out(outcome: Outcome) -> list[str]:
    reasons: Counter[str] = Counter()
    for tally in outcome.tallies.values():
        reasons.update(tally.left_out)
    if not reasons:
        return []
    listed = [f"- {why}: {count}" for why, count in sorted(reasons.items())]
    return [f"\nTests that do not apply to {outcome.engine}, and why:\n", *listed]


if __name__ == "__main__":
    typer.run(main)
