from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a catalogue may be."""
    return tmp_path / "jobs.toml"
