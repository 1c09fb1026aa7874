"""Reads the contexts of the file `config.toml`: supervisors, under names that the user chooses."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observability.escaping import printable
from service.client.errors import CommandError, usage
from service.support.text_file import expanded, read_text

KEYS = ("server", "token_file", "ca", "cert", "key", "trace_url")
_PATHS = frozenset({"token_file", "ca", "cert", "key"})
_MOST = 2**20


@dataclass(frozen=True, slots=True)
class Config:
    """The contexts of a file. `current` counts if nobody names another; "" is none."""

    path: Path
    current: str = ""
    contexts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def context(self, name: str) -> Mapping[str, str]:
        """The values of a context, with paths from the folder of the file on."""
        if name not in self.contexts:
            there = ", ".join(map(printable, self.contexts)) or "no context"
            raise usage(f"context {printable(name)}: is not in {self.path}, which has {there}")
        return {
            key: str(self.path.parent / expanded(value)) if key in _PATHS else value
            for key, value in self.contexts[name].items()
        }


def config_path(environment: Mapping[str, str]) -> Path:
    """Where the file is: in XDG_CONFIG_HOME, by default ~/.config."""
    folder = environment.get("XDG_CONFIG_HOME") or ""
    if not Path(folder).is_absolute():  # the standard has relative ones ignored
        folder = str(Path(environment.get("HOME") or "/") / ".config")
    return Path(folder) / "area-supervisor" / "config.toml"


def read_config(path: Path) -> Config:
    """The contexts, none if there is no file. Raises `CommandError`."""
    try:
        table = tomllib.loads(read_text(path, most=_MOST))
    except (FileNotFoundError, NotADirectoryError):
        return Config(path)
    except (OSError, ValueError) as error:
        raise usage(f"{printable(str(path))}: cannot be read: {error}") from None
    return _checked(path, table)


def _checked(path: Path, table: Mapping[str, Any]) -> Config:
    _require_known(path, table, ("current_context", "contexts"), "")
    current = _text(path, table, "current_context", "")
    contexts = table.get("contexts", {})
    if not isinstance(contexts, dict):
        raise _wrong(path, "contexts", "tables such as [contexts.production]")
    config = Config(path, current, {name: _context(path, name, contexts) for name in contexts})
    if current:
        config.context(current)
    return config


def _context(path: Path, name: str, contexts: Mapping[str, Any]) -> Mapping[str, str]:
    values, place = contexts[name], f"contexts.{name}."
    if not isinstance(values, dict):
        raise _wrong(path, f"contexts.{name}", f"a table with {', '.join(KEYS)}")
    _require_known(path, values, KEYS, place)
    return {key: _text(path, values, key, place) for key in values}


def _require_known(
    path: Path, table: Mapping[str, Any], allowed: tuple[str, ...], place: str
) -> None:
    for key in table:
        if key not in allowed:
            raise _wrong(path, place + key, " or ".join(allowed), "is not known")


def _text(path: Path, table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise _wrong(path, place + key, "a text in quotes")
    return value


def _wrong(path: Path, key: str, allowed: str, what: str = "is wrong") -> CommandError:
    return usage(f"{path}: {printable(key)}: {what}; allowed is {allowed}")
