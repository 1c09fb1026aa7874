"""Turns docker-py's exceptions and the Engine's error answers into the errors of the service."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, UnknownProtocol

import requests
from docker.errors import APIError, DockerException, InvalidVersion

from observability.redaction.redactor import NO_SECRETS, Redactor
from service.engine.docker.connection import NOT_DOCKER
from service.engine.docker.error_advice import with_advice
from service.engine.docker.parsing import MISREAD, Unreadable
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    NameTaken,
    NoSuchWorkload,
)
from service.support.process_limits import find_shortage

# Proxies answer this when the Engine is away: HAProxy the first; nginx, Traefik, Caddy the second.
_AWAY = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY}
# What Docker answers with 500 although another try cannot help: a user or a group that the image
# does not have, GPUs that its host does not have, and limits above those of its host.
_FINAL = ("no matching entries in ", "could not select device driver", "error setting rlimit")
HOLDER = re.compile(r'container "?([0-9a-f]{64})')


@contextmanager
def translated_errors(operation: str, target: str, redact: Redactor = NO_SECRETS) -> Iterator[None]:
    """Turn exceptions into `EngineError`s. `target` names the object of the call in messages."""
    try:
        yield
    except APIError as error:
        raise _from_answer(operation, target, error, redact) from None
    except (requests.exceptions.Timeout, TimeoutError):
        raise timeout_error(operation, target) from None
    except requests.exceptions.JSONDecodeError:
        raise _misread(operation, target, "it is not JSON") from None
    except MemoryError as error:
        raise EngineUnavailable(str(find_shortage(error))) from None
    except InvalidVersion as error:  # of the API, for what was asked
        raise EngineRefused(f"the Docker Engine is too old: {operation}: {error}") from None
    except (DockerException, requests.exceptions.RequestException, HTTPException, OSError) as error:
        message = find_shortage(error) or f"the Docker Engine cannot be reached: {_reason(error)}"
        raise EngineUnavailable(message) from None
    except Unreadable as error:
        raise _misread(operation, target, str(error)) from None
    except MISREAD as error:  # its text may contain a secret of the answer
        raise _misread(operation, target, type(error).__name__) from None


def timeout_error(operation: str, target: str) -> EngineTimeout:
    """The error of a call that has run out of time."""
    about = f" for {target}" if target else ""
    return EngineTimeout(f"the Docker Engine took too long: {operation}{about}")


def _misread(operation: str, target: str, why: str) -> EngineFailed:
    """The error of an unreadable answer. The Engine may have carried out the call."""
    about = f" for {target}" if target else ""
    return EngineFailed(f"the Docker Engine's answer cannot be read: {operation}{about}: {why}")


def _reason(error: BaseException) -> str:
    """The operating system's message, from below the errors that three libraries made of it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return with_advice(inner.strerror)
        if isinstance(inner, BadStatusLine | UnknownProtocol) and not isinstance(inner, OSError):
            return NOT_DOCKER
        inner = inner.__cause__ or inner.__context__
    return str(error) if isinstance(error, DockerException) else type(error).__name__


def _from_answer(  # noqa: PLR0911 - a case, a return
    operation: str, target: str, error: APIError, redact: Redactor
) -> EngineError:
    """The error for an answer, by its HTTP status and by the operation."""
    explanation = str(error.explanation or error)
    text = redact(explanation)
    status = error.status_code or 0
    if operation == "create" and status == HTTPStatus.NOT_FOUND:
        return ImageMissing(
            f"image {target}: is not on the Docker Engine; build or tag it under this name, or have"
            " it pulled (`pull` in the catalogue)"
        )
    if operation == "create" and status == HTTPStatus.CONFLICT:
        holder = HOLDER.search(explanation)
        message = f"the container's name is taken: {with_advice(text)}"
        return NameTaken(message, holder and holder[1])
    # Docker does not give the logs of a container that is being removed.
    is_leaving = operation == "logs" and status == HTTPStatus.CONFLICT
    if is_leaving or (operation != "start" and status == HTTPStatus.NOT_FOUND):
        return NoSuchWorkload(f"container {target}: does not exist")
    about = f" for {target}" if target else ""
    if status in _AWAY:
        return EngineUnavailable(f"the Docker Engine cannot be reached: {text}")
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return timeout_error(operation, target)
    final = any(words in explanation for words in _FINAL)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not final:
        return EngineFailed(f"the Docker Engine failed: {operation}{about}: {text}")
    return EngineRefused(f"the Docker Engine refused: {operation}{about}: {with_advice(text)}")
