"""The figures of a play, for a person."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.chaos.play import Report


def show(console: Console, report: Report) -> None:
    """Print what was done, and what was seen."""
    table = Table(title=f"Chaos, SEED={report.seed}", show_header=False, title_justify="left")
    table.add_row("duration", f"{report.seconds:.0f} s, {report.rounds} rounds")
    table.add_row("supervisor's lives", str(report.lives))
    table.add_row("operations", _counted(report.operations))
    table.add_row("answers", _counted(report.answers))
    table.add_row("faults", _counted(report.faults))
    table.add_row("invariants checked", _counted(report.checked))
    if report.agreement:
        waits = sorted(report.agreement)
        median = waits[len(waits) // 2]
        table.add_row("until all agree", f"median {median:.1f} s, longest {waits[-1]:.1f} s")
    if report.late:
        table.add_row("waited for", "\n".join(report.late))
    table.add_row("violations", "1, see above" if report.violation else "0")
    console.print(table)


def _counted(counter: Counter[str]) -> str:
    lines = [f"{number:6} {what}" for what, number in counter.most_common()]
    return "\n".join([f"{counter.total():6} in all", *lines])
