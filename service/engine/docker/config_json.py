"""Reads Docker's `config.json`: HTTP headers for the Engine.

Its logins are for pulls (`registry_logins`) and its proxies for builds. So no fault in this file
keeps the supervisor from starting: unusable parts are logged and ignored.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from observability.escaping import printable
from observability.logs import get_logger

log = get_logger(__name__)

_MOST_BYTES = 1024 * 1024
_LOGGED_FAULTS = 3
# These describe the body and the end of a request, which only the client knows.
_OURS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}


def _refuse_ours(name: str) -> str:
    if name.lower() in _OURS:
        raise ValueError("this header is set by the supervisor itself")
    return name


_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_Name = Annotated[str, Field(pattern=_NAME), AfterValidator(_refuse_ours)]
_Value = Annotated[str, Field(pattern=r"^[\t\x20-\x7e\xa0-\xff]*$")]


class _Used(BaseModel):
    model_config = ConfigDict(strict=True)

    headers: dict[_Name, _Value] = Field(default={}, alias="HttpHeaders")


class _Login(BaseModel):
    model_config = ConfigDict(strict=True)

    auth: Annotated[str, Field(min_length=1)] = "none"


class _NotForCalls(BaseModel):
    model_config = ConfigDict(strict=True)

    auths: dict[str, _Login] = {}
    proxies: dict[str, dict[str, str]] = {}


def http_headers() -> Mapping[str, str]:
    """The headers for each call to the Engine, from the file that Docker's clients read."""
    path = _find()
    if path is None:
        return {}
    try:
        content = _read(path)
    except OSError as error:
        _log_ignored(path, error.strerror or "it cannot be read")
        return {}
    used, faults = _validate(_Used, content)
    if not faults:
        _, faults = _validate(_NotForCalls, content)
    if faults:
        _log_ignored(path, "; ".join(faults[:_LOGGED_FAULTS]))
    return used.headers if isinstance(used, _Used) else {}


def read_config() -> bytes | None:
    """The file that Docker's clients read; None if there is none. Raises `OSError`."""
    path = _find()
    return None if path is None else _read(path)


def _find() -> Path | None:
    # Not with pathlib, which raises for a user without a home.
    folders = (os.environ.get("DOCKER_CONFIG"), os.path.expanduser("~/.docker"))  # noqa: PTH111
    paths = [os.path.join(folder, "config.json") for folder in folders if folder]  # noqa: PTH118
    return next((Path(path) for path in paths if os.path.exists(path)), None)  # noqa: PTH110


def _read(path: Path) -> bytes:
    """The content. Raises `OSError`. Never blocks, not even at a named pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 - it is open already
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is not a regular file")
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(0, "it is larger than 1 MiB")
    return content


def _validate(model: type[BaseModel], content: bytes) -> tuple[Any, list[str]]:
    """The parsed content, or else its faults, which show none of its values."""
    try:
        return model.model_validate_json(content), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return None, [_fault(each["loc"], each["msg"]) for each in found]


def _fault(where: tuple[int | str, ...], what: str) -> str:
    return printable(": ".join(filter(None, [".".join(map(str, where)), what])))


def _log_ignored(path: Path, reason: str) -> None:
    log.warning("config_json.ignored", path=str(path), reason=reason)
