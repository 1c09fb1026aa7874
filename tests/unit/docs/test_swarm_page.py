"""docs/swarm.md says what each state of a task means."""

import re
from pathlib import Path

from service.engine.swarm.answers import TaskState

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "swarm.md"


def test_every_state_of_a_task_is_in_the_table() -> None:
    _, _, section = _PAGE.read_text(encoding="utf-8").partition("## What a task's state means")
    table, _, _ = section.partition("| answer of a manager |")
    states = " ".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE))
    assert {state.name.lower() for state in TaskState} <= set(re.findall(r"\w+", states))
