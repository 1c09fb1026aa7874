"""The access file: its keys, their allowed values, and how it is read. No error shows a value."""

import re
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from observability.escaping import printable
from observability.secret_signs import shown_setting
from service.access.clients import (
    ALL_JOBS,
    ANONYMOUS,
    Client,
    Clients,
    Credentials,
    JobScope,
)
from service.access.roles import Role
from service.errors import StartError
from service.support.text_file import read_text

_CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# The hash of an empty text: scripts write it if their variable with the token is empty.
_OF_NOTHING = sha256(b"").hexdigest()
_HASH = re.compile(rf"sha256:(?!{_OF_NOTHING})[0-9a-f]{{64}}")
_CERTIFICATE = re.compile(r"(dns|ip|email):[!-~]{1,253}|[a-z][a-z0-9+.-]*://[!-~]{1,2000}")
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,128}")
# tomllib quotes the text at fault, which may be a token.
_PLACE = re.compile(r"\(at [^()]*\)$")
_MOST_BYTES = 2**20


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError
        return value

    return AfterValidator(check)


def _key(default: object, description: str, *, allowed: str, example: str) -> Any:
    """A field, as docs/access.md shows it; the example is TOML."""
    extra: dict[str, Any] = {"allowed": allowed, "example": example}
    return Field(default, description=description, json_schema_extra=extra)


def _some(*, description: str, allowed: str, example: str) -> Any:
    """A list, which may be left out and may not be empty."""
    extra: dict[str, Any] = {"allowed": allowed, "example": example}
    return Field(None, min_length=1, description=description, json_schema_extra=extra)


class Anonymous(BaseModel):
    """The rights of a client without a credential."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    role: Annotated[Role, Field(strict=False)] = _key(
        ...,
        "what it may call",
        allowed='"backend", "operator" or "observer"',
        example='"backend"',
    )
    jobs: list[Annotated[str, _matching(_PATTERN)]] | None = _some(
        description="the jobs that it may launch, kill and list, by name; without this key all",
        allowed="a list of job names, in which * stands for any text; at least one",
        example='["github-*", "timer-*"]',
    )

    def named(self, name: str) -> Client:
        """The client."""
        jobs = ALL_JOBS if self.jobs is None else JobScope(self.jobs)
        return Client(name, self.role, jobs)


class Entry(Anonymous):
    """A client of the file."""

    tokens: list[Annotated[str, _matching(_HASH)]] | None = _some(
        description="the SHA-256 of each of its tokens; several, so that they can be changed",
        allowed='a list of at least one "sha256:" with 64 digits from 0 to f after it, of a token'
        " that is not empty; `area-supervisor token` makes a token and its line",
        example='["sha256:e168d5f5f5c1f434f7cd997c43c10a4e39c7621409aeabedffd2296b435f52da"]',
    )
    certificates: list[Annotated[str, _matching(_CERTIFICATE)]] | None = _some(
        description="names (SAN) of which its certificate has one",
        allowed='a list of at least one URI, such as "spiffe://area/backend", or "dns:", "ip:" or'
        ' "email:" with a name after it',
        example='["dns:backend.area.internal"]',
    )

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not self.tokens and not self.certificates:
            raise ValueError("has neither tokens nor certificates; allowed is one of them, or both")
        return self

    def credentials(self, name: str) -> Credentials:
        """The client, with its credentials."""
        digests = [bytes.fromhex(token.removeprefix("sha256:")) for token in self.tokens or ()]
        return Credentials(self.named(name), digests, list(map(canonical, self.certificates or ())))


def canonical(certificate_name: str) -> str:
    """A name of a certificate as `certificate_names` gives it."""
    return certificate_name if "://" in certificate_name else certificate_name.lower()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: dict[str, Entry] = {}
    anonymous: Anonymous | None = None

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if not self.clients and not self.anonymous:
            raise ValueError("lets nobody in; allowed is at least one table [clients.NAME]")
        for name in self.clients:
            if name == ANONYMOUS or not _CLIENT_NAME.fullmatch(name):
                raise ValueError(
                    f"clients.{printable(name)}: is not a client's name; allowed is a letter or"
                    " digit, then at most 62 letters, digits, _ . or -, and not anonymous"
                )
        return self

    @model_validator(mode="after")
    def _credentials_differ(self) -> Self:
        owners: dict[str, str] = {}
        for name, entry in self.clients.items():
            for key in ("tokens", "certificates"):
                for each in map(canonical, getattr(entry, key) or ()):
                    if each in owners:
                        raise ValueError(
                            f"clients.{name}.{key}: has one that clients.{owners[each]} has;"
                            " allowed is each only once"
                        )
                    owners[each] = name
        return self


def load_clients(path: Path) -> Clients:
    """Read the file. Raises `StartError` with the file, the key and what is allowed."""
    try:
        return clients_in(_text_of(path))
    except (OSError, ValueError) as error:
        raise StartError(f"ACCESS_FILE={shown_setting(str(path))}: {error}") from None


def _text_of(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"is larger than {_MOST_BYTES} bytes")
        if path.is_char_device():  # it may have no end
            raise ValueError("cannot be read: it is a device")
        return read_text(path)
    except UnicodeDecodeError:  # its text has a part of the file
        raise ValueError("cannot be read: it is not UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None


def clients_in(text: str) -> Clients:
    """The clients in the text of a file. Raises `ValueError` with the key and what is allowed."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise ValueError(_first_fault(error)) from None
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        raise ValueError(f"is not TOML {place[0] if place else ''}".rstrip()) from None
    known = [entry.credentials(name) for name, entry in file.clients.items()]
    anonymous = file.anonymous.named(ANONYMOUS) if file.anonymous else None
    return Clients(known, anonymous)


_NO_TABLE = ("dict_type", "model_type")


def _first_fault(error: ValidationError) -> str:
    """The first fault. What the file has in that place may be a token, and is not shown."""
    fault = error.errors(include_url=False, include_input=False)[0]
    keys = [str(part) for part in fault["loc"] if isinstance(part, str)]
    where = ".".join(map(printable, keys))
    text = _describe(fault, keys)
    return f"{where}: {text}" if where else text


def _describe(fault: ErrorDetails, keys: list[str]) -> str:
    kind = fault["type"]
    holder: type[BaseModel] = Anonymous if keys[:1] == [ANONYMOUS] else Entry
    if kind == "extra_forbidden":
        if len(keys) == 1:
            return "is not a key of the access file; allowed are [clients.NAME] and [anonymous]"
        return f"is not a key of the access file; allowed are {', '.join(holder.model_fields)}"
    if kind in _NO_TABLE:
        return "is not a table; allowed are [clients.NAME] and [anonymous]"
    if kind == "value_error" and len(keys) < _DEPTH_OF_A_KEY[holder]:
        return str(fault["ctx"]["error"])
    extra = holder.model_fields[keys[-1]].json_schema_extra
    assert isinstance(extra, dict)
    prefix = "is missing; " if kind == "missing" else ""
    return f"{prefix}allowed is {extra['allowed']}"


_DEPTH_OF_A_KEY: dict[type[BaseModel], int] = {Anonymous: 2, Entry: 3}
