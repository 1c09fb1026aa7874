"""Reads what a request asks for: its query, or its body, whose size is limited."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request

from observability.escaping import shown

MOST_BODY = 64 * 2**10
"""The largest body that is no launch (bytes)."""

# How long a body may take to arrive (seconds): it occupies one of the few connections.
_LONGEST = 30.0


class BadBody(ValueError):
    """A body with a fault; the text says what is allowed."""


async def read_json(request: Request, *, most: int) -> dict[str, Any]:
    """A JSON object of at most so many bytes. Raises `BadBody`."""
    try:
        value = orjson.loads(await _read(request, most=most))
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadBody("the request: is not a JSON object")
    return value


async def read_field(request: Request, name: str, *, most: int) -> str:
    """A field of a form; "" without it. Raises `BadBody`."""
    try:
        form = parse_qs((await _read(request, most=most)).decode(), max_num_fields=10)
    except ValueError:
        raise BadBody("the request: is not a form") from None
    return form.get(name, [""])[0]


def parsed(kind: type[Message], fields: Mapping[str, Any]) -> Any:
    """A message of the API from JSON. Raises `BadBody`, which names the field.

    The words of protobuf would have its value, which may be a secret.
    """
    message, known = kind(), kind.DESCRIPTOR.fields_by_name
    for name, value in fields.items():
        if name not in known:
            raise BadBody(f"{shown(name)}: is not known; allowed are {', '.join(known)}")
        try:
            json_format.ParseDict({name: value}, message)
        except (json_format.ParseError, RecursionError):
            raise BadBody(f"{name}: is not of the type that it has in the API") from None
    return message


def message_of(kind: type[Message], query: QueryParams) -> Any:
    """A message of the API from a query, whose values are texts. Raises `BadBody`."""
    known = kind.DESCRIPTOR.fields_by_name
    return parsed(kind, {name: _value(known.get(name), query, name) for name in query})


def _value(field: Any, query: QueryParams, name: str) -> Any:
    if field is not None and field.is_repeated:
        return query.getlist(name)
    if field is not None and field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "false": False}.get(query[name], query[name])
    return query[name]


async def _read(request: Request, *, most: int) -> bytes:
    """A body of at most so many bytes. Raises `BadBody`, also if it takes too long."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(_LONGEST):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise BadBody(f"the request: is too large; at most {most} bytes are allowed")
                parts.append(part)
    except TimeoutError:
        raise BadBody(f"the request: has not arrived within {_LONGEST:g} s") from None
    except ClientDisconnect:
        raise BadBody("the request: has not arrived whole") from None
    return b"".join(parts)
