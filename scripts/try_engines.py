"""`make test-engines`: runs what any Engine should pass on each, and says what passes where.

The outcomes are kept, and once there is one of each, the README's table is written anew.
"""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as ET

import typer
from pydantic import TypeAdapter

from scripts import engines, images, prepare
from scripts.progress import PrerequisiteError, say

_ROOT = Path(__file__).resolve().parent.parent
_README = _ROOT / "README.md"
_CACHE = _ROOT / ".cache" / "engines"
_BLOCK = re.compile(r"(<!-- engines -->\n).*?(<!-- end -->)", re.DOTALL)
_SECONDS = 3600.0  # for all tests on one Engine

# What begins the names of the tests, and what they are about.
_PARTS = {
    "tests.engine.": "the contract of the adapter",
    "tests.e2e.": "end to end",
    "tests.dashboards.test_compose": "`docker-compose.yml`, with and without its profile",
}
_PATHS = ("tests/engine", "tests/e2e", "tests/dashboards/test_compose.py")
# As `make test` does it. The fake Engine is the same everywhere.
_OPTIONS = (
    *("--numprocesses=3", "--dist=loadfile", "--no-loadscope-reorder", "-k", "not fake"),
    *("--reruns=1", "--only-rerun=^EngineLockedOutError", "--rerun-show-tracebacks"),
)


@dataclass(frozen=True)
class Outcome:
    """What a run of the tests on one Engine has shown."""

    engine: str
    compose: str
    passed: Mapping[str, int]
    failed: Mapping[str, Sequence[str]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many tests, by the reason why they do not apply."""


_OUTCOME = TypeAdapter(Outcome)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="This alone; the others as they were last.")
    ] = None,
) -> None:
    """Run the tests on each Engine, print a table, and write it into the README."""
    try:
        for name in only or engines.RELEASES:
            _kept(name).write_bytes(_OUTCOME.dump_json(_run(name)))
    except (PrerequisiteError, images.BuildError) as error:
        sys.exit(f"test-engines: {error}")
    names = [name for name in engines.RELEASES if _kept(name).exists()]
    outcomes = [_OUTCOME.validate_json(_kept(name).read_bytes()) for name in names]
    text = table(outcomes)
    print(f"\n{text}")
    if len(outcomes) == len(engines.RELEASES):
        _README.write_text(written(_README.read_text("utf-8"), text), encoding="utf-8")
    sys.exit(any(lost for each in outcomes for lost in each.failed.values()))


def _kept(name: str) -> Path:
    """Where the last outcome of an Engine is kept."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    return _CACHE / f"{name}.json"


def _run(name: str) -> Outcome:
    os.environ[engines.VARIABLE] = name
    versions = prepare.prepare()
    say(f"The tests on {versions[0]}, which may take half an hour ...")
    report = _kept(name).with_suffix(".xml")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *_PATHS, *_OPTIONS, f"--junitxml={report}"]
    with subprocess.Popen(command, cwd=_ROOT) as process:
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that its engines end, too
            raise PrerequisiteError(
                f"the tests on {name} took more than {_SECONDS:.0f} s"
            ) from None
    if not report.exists():
        raise PrerequisiteError(f"the tests on {name} came to no end")
    return outcome(*versions, ET.parse(report).iter("testcase"))  # noqa: S314 - our own


def outcome(engine: str, compose: str, cases: Iterable[ET.Element]) -> Outcome:
    """Counted from pytest's report."""
    passed: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    failed: dict[str, list[str]] = {}
    for case in cases:
        part = _part(case.get("classname", ""))
        if (skipped := case.find("skipped")) is not None:
            left_out[skipped.get("message", "")] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.setdefault(part, []).append(case.get("name", ""))
        else:
            passed[part] += 1
    return Outcome(engine, compose, passed, failed, left_out)


def _part(classname: str) -> str:
    return next(part for prefix, part in _PARTS.items() if f"{classname}.".startswith(prefix))


def table(outcomes: Sequence[Outcome]) -> str:
    """In Markdown: what passes where, and below it what fails, and what does not apply."""
    heads = [f"{each.engine}, {each.compose}" for each in outcomes]
    rows = [["tests", *heads], ["---"] * (len(outcomes) + 1)]
    rows += [[part, *(_cell(each, part) for each in outcomes)] for part in _PARTS.values()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for each in outcomes:
        names = sorted(name for lost in each.failed.values() for name in lost)
        lines += [f"\nFails on {each.engine}: `{name}`." for name in names]
    for each in outcomes:
        if each.left_out:
            reasons = sorted(f"- {why}: {count}" for why, count in each.left_out.items())
            lines.append(f"\nTests that do not apply to {each.engine}, and why:\n")
            lines += reasons
    return "\n".join(lines)


def _cell(one: Outcome, part: str) -> str:
    words = [f"{one.passed.get(part, 0)} pass"]
    if lost := one.failed.get(part):
        words.append(f"**{len(lost)} fail**")
    return ", ".join(words)


def written(page: str, text: str) -> str:
    """The page with its block written anew. Raises ValueError if it has none."""
    if not _BLOCK.search(page):
        raise ValueError("the page has no block <!-- engines -->")
    return _BLOCK.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)


if __name__ == "__main__":
    typer.run(main)
