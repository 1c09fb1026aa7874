"""Catalogues in a file, as tests write them."""

from pathlib import Path

import pytest

from service.errors import StartError
from service.jobs.catalog_file import load_catalog
from service.jobs.catalog_keys import Entry


def fault(path: Path, text: str) -> str:
    """What is wrong with a catalogue, after the file's name."""
    path.write_text(text)
    with pytest.raises(StartError) as caught:
        load_catalog(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def entry(path: Path, keys: str) -> Entry:
    path.write_text(f"[jobs]\nx = {{ {keys} }}")
    found = load_catalog(path).get("x")
    assert found is not None
    return found
