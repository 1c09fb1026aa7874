"""The one error boundary of the adapter: what docker-py and below raise, as ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, UnknownProtocol

import requests
from docker.errors import APIError, DockerException

from observability.redaction.redactor import Redactor
from service.engine.docker.advice import with_help
from service.engine.docker.answers import MISREAD, Unreadable
from service.engine.docker.connection import NOT_DOCKER
from service.errors import (
    EngineError,
    EngineFaltered,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    NameTaken,
    NoSuchWorkload,
)
from service.support.process_limits import lacking

KEEP_NOTHING = Redactor()
# What proxies say whose Engine is away: HAProxy the one, nginx, Traefik and Caddy the other.
_AWAY = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY}
HOLDER = re.compile(r'container "?([0-9a-f]{64})')


@contextmanager
def mapped(operation: str, target: str, redact: Redactor = KEEP_NOTHING) -> Iterator[None]:
    """Turn exceptions into the `EngineError`s; `target` says what the call was about."""
    try:
        yield
    except APIError as error:
        raise _from_answer(operation, target, error, redact) from None
    except (requests.exceptions.Timeout, TimeoutError):
        raise too_long(operation, target) from None
    except requests.exceptions.JSONDecodeError:
        raise _misread(operation, target, "it is no JSON") from None
    except MemoryError as error:
        raise EngineUnavailable(str(lacking(error))) from None
    except (DockerException, requests.exceptions.RequestException, HTTPException, OSError) as error:
        told = lacking(error) or f"the Docker Engine cannot be reached: {_why(error)}"
        raise EngineUnavailable(told) from None
    except Unreadable as error:
        raise _misread(operation, target, str(error)) from None
    except MISREAD as error:  # whose text may be a secret of the answer
        raise _misread(operation, target, type(error).__name__) from None


def too_long(operation: str, target: str) -> EngineTimeout:
    """What is raised for a call that has taken all of its time."""
    about = f" for {target}" if target else ""
    return EngineTimeout(f"the Docker Engine took too long: {operation}{about}")


def _misread(operation: str, target: str, why: str) -> EngineFaltered:
    """What was asked may have been done."""
    about = f" for {target}" if target else ""
    return EngineFaltered(
        f"the Docker Engine answered what cannot be read: {operation}{about}: {why}"
    )


def _why(error: BaseException) -> str:
    """What the operating system said, from underneath what three libraries made of it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return with_help(inner.strerror)
        if isinstance(inner, BadStatusLine | UnknownProtocol) and not isinstance(inner, OSError):
            return NOT_DOCKER
        inner = inner.__cause__ or inner.__context__
    return str(error) if isinstance(error, DockerException) else type(error).__name__


def _from_answer(  # noqa: PLR0911 - a case, a return
    operation: str, target: str, error: APIError, redact: Redactor
) -> EngineError:
    """An error that the Engine has answered, told by its HTTP status and by what was asked."""
    explanation = str(error.explanation or error)
    text = redact(explanation)
    status = error.status_code or 0
    if operation == "create" and status == HTTPStatus.NOT_FOUND:
        return ImageMissing(
            f"image {target}: is not on the Docker Engine, and images are never pulled here;"
            " build or tag it under this name"
        )
    if operation == "create" and status == HTTPStatus.CONFLICT:
        holder = HOLDER.search(explanation)
        told = f"the container's name is taken: {with_help(text)}"
        return NameTaken(told, holder and holder[1])
    if operation != "start" and status == HTTPStatus.NOT_FOUND:
        return NoSuchWorkload(f"container {target}: does not exist")
    about = f" for {target}" if target else ""
    if status in _AWAY:
        return EngineUnavailable(f"the Docker Engine cannot be reached: {text}")
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return too_long(operation, target)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return EngineFaltered(f"the Docker Engine failed: {operation}{about}: {text}")
    return EngineRefused(f"the Docker Engine refused: {operation}{about}: {with_help(text)}")
