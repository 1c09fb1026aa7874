"""The formats of `-o`."""

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

# JSON escapes only those below a blank; these, too, can break a terminal.
_CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Format(StrEnum):
    """How jobs are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.", show_default=True)]


def as_json(value: Any) -> str:
    """JSON over several lines."""
    return _CONTROLS.sub(_escape, json.dumps(value, ensure_ascii=not _takes_unicode(), indent=2))


def as_json_line(value: Any) -> str:
    """JSON in one line."""
    return _CONTROLS.sub(_escape, json.dumps(value, ensure_ascii=not _takes_unicode()))


def json_list(values: Iterable[Any]) -> Iterator[str]:
    """The parts of a JSON list, each as soon as its value is there."""
    before = "["
    for value in values:
        yield before + "\n" + "\n".join(f"  {line}" for line in as_json(value).splitlines())
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def as_yaml(value: Any) -> str:
    """YAML in blocks."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        """Quotes what has control characters: only there they can be escaped."""

    def represented(dumper: Any, text: str) -> Any:
        style = '"' if _CONTROLS.search(text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represented)
    text = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=_takes_unicode(), width=1000
    )
    return _CONTROLS.sub(_escape, text)


def _takes_unicode() -> bool:
    """Whether standard output takes all characters. Python's own escapes would be no JSON."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
