"""The event stream: what is between the events, and where it ends."""

import json
import queue
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import docker
from requests import Response

from service.engine._events import EventStream
from service.engine.base import Change, Event

_STARTED = json.dumps({"Action": "start", "Actor": {"ID": "c1", "Attributes": {"a": "b"}}}).encode()


def _heard(stream: bytes) -> list[Event | None]:
    response = Response()
    response.raw = BytesIO(stream)
    told: Any = SimpleNamespace(_response=response)
    events = EventStream(["a=b"])
    events.open(cast("docker.APIClient", SimpleNamespace(events=lambda **_: told)))
    heard: queue.Queue[Event | None] = queue.Queue()
    events.drain(heard.put)
    return list(iter(lambda: heard.get(timeout=10), None))


def test_an_empty_line_is_neither_an_event_nor_the_end() -> None:
    event = Event(id="c1", change=Change.STARTED, labels={"a": "b"})
    assert [event, event] == _heard(b"\n" + _STARTED + b"\n\r\n\n" + _STARTED + b"\n")


def test_what_is_no_event_ends_the_stream() -> None:
    assert [Event(id="c1", change=Change.STARTED, labels={"a": "b"})] == _heard(
        _STARTED + b"\nnonsense\n" + _STARTED + b"\n"
    )
