"""Publishes a run: a JSON file, pictures, and tables in the docs."""

from pathlib import Path

from pydantic import TypeAdapter

from benchmarks import plots, report
from benchmarks.result import Run

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "benchmarks.md"
_IMAGES = _ROOT / "docs" / "images"
_CACHE = _ROOT / ".cache" / "bench"


def keep(run: Run) -> Path:
    """Write all files beside the docs. Return their folder."""
    folder = _CACHE / ("quick" if run.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_bytes(TypeAdapter(Run).dump_json(run, indent=1))
    _draw(run, folder)
    return folder


def publish(run: Run, *, everything: bool) -> None:
    """Update the page and its pictures with the measurements of the run."""
    page = _PAGE.read_text(encoding="utf-8")
    if everything:
        page = report.replaced(page, "goals", report.goals(run.results))
        page = report.replaced(page, "machine", report.machine(run.machine))
    for result in run.results:
        page = report.replaced(page, result.name, report.markdown(result))
    _PAGE.write_text(page, encoding="utf-8")
    _IMAGES.mkdir(exist_ok=True)
    _draw(run, _IMAGES)


def _draw(run: Run, folder: Path) -> None:
    for result in run.results:
        plots.save(result, folder / f"bench-{result.name}.png")
