"""The outcomes of the tests on each Engine: tracked files, and a table that is made from them.

Each Engine has a JSON file in docs/engines/. In it, each part of the tests has its latest outcome,
with the day and the commit. So a run of one part on one Engine changes one cell of the table. The
README has the table alone; docs/engines.md also says which runs it is from, and what fails.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from scripts import engines
from scripts.marked import written

_ROOT = Path(__file__).resolve().parent.parent
FOLDER = _ROOT / "docs" / "engines"
PAGE = _ROOT / "docs" / "engines.md"
README = _ROOT / "README.md"

# The parts and their tests. The last part has the rest of `tests/e2e`.
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


@dataclass(frozen=True)
class Run:
    """The Engine and the time of the tests."""

    engine: str
    """Name and version, such as `Docker 26.1.5`."""
    compose: str
    """Name and version of Compose."""
    day: str
    """In ISO 8601."""
    commit: str
    """Abbreviated; empty if it is not known. See `current_commit`."""


@dataclass(frozen=True)
class Tally:
    """The outcome of one part on one Engine."""

    run: Run
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """The number of tests that do not apply to this Engine, by the reason."""


Outcomes = Mapping[str, Tally]
"""The outcomes of one Engine by part."""
_OUTCOMES = TypeAdapter(dict[str, Tally])


def parts() -> dict[str, list[str]]:
    """The files of each part, relative to the checkout."""
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


def load(name: str) -> dict[str, Tally]:
    """The outcomes of an Engine by part, without parts that have none."""
    file = _file(name)
    known = _OUTCOMES.validate_json(file.read_bytes()) if file.exists() else {}
    return {part: known[part] for part in parts() if part in known}


def record(name: str, part: str, tally: Tally | None) -> None:
    """Replace the outcome of one part on one Engine. None: it has no outcome any more."""
    outcomes = load(name)
    outcomes.pop(part, None)
    if tally:
        outcomes[part] = tally
    ordered = {each: outcomes[each] for each in parts() if each in outcomes}
    FOLDER.mkdir(exist_ok=True)
    _file(name).write_bytes(_OUTCOMES.dump_json(ordered, indent=2) + b"\n")


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"


def pages() -> dict[Path, str]:
    """The pages that have the table of all Engines, with their current texts."""
    outcomes = {name: load(name) for name in engines.RELEASES}
    texts = {PAGE: f"{table(outcomes)}\n{details(outcomes)}", README: table(outcomes)}
    return {
        page: written(page.read_text(encoding="utf-8"), "engines", text)
        for page, text in texts.items()
    }


def table(outcomes: Mapping[str, Outcomes]) -> str:
    """In Markdown: what passes where."""
    named = _by_title(outcomes)
    rows = [["tests", *named], ["---"] * (len(named) + 1)]
    rows += [[part, *(_cell(each.get(part)) for each in named.values())] for part in parts()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def details(outcomes: Mapping[str, Outcomes]) -> str:
    """In Markdown, for below the table: the runs, what fails, and what does not apply."""
    named = _by_title(outcomes)
    lines = ["", *(line for each in named.values() for line in _runs(each))]
    lines += [line for title, each in named.items() for line in _failures(title, each)]
    lines += [line for title, each in named.items() for line in _left_out(title, each)]
    return "\n".join(lines)


def _by_title(outcomes: Mapping[str, Outcomes]) -> dict[str, Outcomes]:
    return {_title(name, tallies): tallies for name, tallies in outcomes.items()}


def _title(name: str, tallies: Outcomes) -> str:
    """The version of the latest run, or only the name where there was none."""
    latest = max((tally.run for tally in tallies.values()), key=lambda run: run.day, default=None)
    return latest.engine if latest else name.replace("-", " ").capitalize()


def _cell(tally: Tally | None) -> str:
    if tally is None:
        return "not run"
    lost = f", **{len(tally.failed)} fail**" if tally.failed else ""
    left_out = sum(tally.left_out.values())
    return f"{tally.passed} pass{lost}" + (f", {left_out} left out" if left_out else "")


def _runs(tallies: Outcomes) -> Iterator[str]:
    """A line for each run that some cell of the column comes from."""
    by_run: dict[Run, list[str]] = {}
    for part, tally in tallies.items():
        by_run.setdefault(tally.run, []).append(part)
    for run, ran in by_run.items():
        which = f": {'; '.join(ran)}" if len(by_run) > 1 else ""
        versions = ", ".join(filter(None, (run.engine, run.compose)))
        commit = f"commit {run.commit}" if run.commit else "commit not recorded"
        yield f"- {versions}: {run.day}, {commit}{which}"


def _failures(title: str, tallies: Outcomes) -> Sequence[str]:
    lost = sorted({name for tally in tallies.values() for name in tally.failed})
    return [f"\nFails on {title}: `{name}`." for name in lost]


def _left_out(title: str, tallies: Outcomes) -> Sequence[str]:
    reasons: Counter[str] = Counter()
    for tally in tallies.values():
        reasons.update(tally.left_out)
    if not reasons:
        return []
    listed = [f"- {why}: {count}" for why, count in sorted(reasons.items())]
    return [f"\nTests that do not apply to {title}, and why:\n", *listed]
