"""Docker's `config.json`: of all that is in it, HTTP headers for the Engine are used, if any.

Its credentials are for pulls and its proxies for builds: the supervisor has neither. So nothing in
this file is a reason not to start; what cannot be used is told, and left out.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from observability.logs import get_logger
from observability.printable import printable

log = get_logger(__name__)

_MOST_BYTES = 1024 * 1024
_TOLD_FAULTS = 3
# They say where a request ends and what is in it, which only its sender knows.
_OURS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}


def _is_not_ours(name: str) -> str:
    if name.lower() in _OURS:
        raise ValueError("this header is set by the supervisor itself")
    return name


_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_Name = Annotated[str, Field(pattern=_NAME), AfterValidator(_is_not_ours)]
_Value = Annotated[str, Field(pattern=r"^[\t\x20-\x7e\xa0-\xff]*$")]


class _Used(BaseModel):
    model_config = ConfigDict(strict=True)

    headers: dict[_Name, _Value] = Field(default={}, alias="HttpHeaders")


class _Login(BaseModel):
    model_config = ConfigDict(strict=True)

    auth: Annotated[str, Field(min_length=1)] = "none"


class _Unused(BaseModel):
    model_config = ConfigDict(strict=True)

    auths: dict[str, _Login] = {}
    proxies: dict[str, dict[str, str]] = {}


def http_headers() -> Mapping[str, str]:
    """What goes with each call to the Engine, from the file that Docker's clients read."""
    path = _found()
    if path is None:
        return {}
    try:
        content = _content(path)
    except OSError as error:
        _tell(path, error.strerror or "it cannot be read")
        return {}
    used, faults = _checked(_Used, content)
    if not faults:
        _, faults = _checked(_Unused, content)
    if faults:
        _tell(path, "; ".join(faults[:_TOLD_FAULTS]))
    return used.headers if isinstance(used, _Used) else {}


def _found() -> Path | None:
    # Not pathlib's, which raises for a user without a home.
    folders = (os.environ.get("DOCKER_CONFIG"), os.path.expanduser("~/.docker"))  # noqa: PTH111
    paths = [os.path.join(folder, "config.json") for folder in folders if folder]  # noqa: PTH118
    return next((Path(path) for path in paths if os.path.exists(path)), None)  # noqa: PTH110


def _content(path: Path) -> bytes:
    """What is in it. Raises `OSError`; never waits, as for a named pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 - it is open already
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is no regular file")
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(0, "it is larger than 1 MiB")
    return content


def _checked(model: type[BaseModel], content: bytes) -> tuple[Any, list[str]]:
    """What is in it, or what is wrong with it, without any of its values."""
    try:
        return model.model_validate_json(content), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return None, [_fault(each["loc"], each["msg"]) for each in found]


def _fault(where: tuple[int | str, ...], what: str) -> str:
    return printable(": ".join(filter(None, [".".join(map(str, where)), what])))


def _tell(path: Path, reason: str) -> None:
    log.warning("config_json.ignored", path=str(path), reason=reason)
