"""Files that somebody looks at meanwhile."""

from pathlib import Path


def put(file: Path, text: str) -> None:
    """Write a file as a whole: two looks may find it empty otherwise, on a busy machine."""
    newer = file.with_name(f"{file.name}.newer")
    newer.write_text(text)
    newer.replace(file)
