"""The event stream: what is between the events, and where it ends."""

import json
import queue
from collections.abc import Mapping
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from requests import Response
from structlog.testing import capture_logs

from service.engine.docker.event_stream import EventStream
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.events import Change, Event

_LABELS = {"a": "b"}


def _told(action: str, labels: Mapping[str, str]) -> bytes:
    actor = {"ID": "c1", "Attributes": labels}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor}).encode()


_STARTED = _told("start", _LABELS)


def _heard(stream: bytes, labels: Mapping[str, str] = _LABELS) -> list[Event | str | None]:
    """The events, and `images` for each change of images."""
    response = Response()
    response.raw = BytesIO(stream)
    told: Any = SimpleNamespace(_response=response)
    events = EventStream(labels, TolerantReader())
    events.open(cast("docker.APIClient", SimpleNamespace(events=lambda **_: told)))
    heard: queue.Queue[Event | str | None] = queue.Queue()
    events.drain(heard.put, lambda: heard.put("images"))
    return list(iter(lambda: heard.get(timeout=10), None))


def test_an_empty_line_is_neither_an_event_nor_the_end() -> None:
    event = Event(id="c1", change=Change.STARTED, labels={"a": "b"})
    assert [event, event] == _heard(b"\n" + _STARTED + b"\n\r\n\n" + _STARTED + b"\n")


def test_what_is_no_json_ends_the_stream() -> None:
    assert [Event(id="c1", change=Change.STARTED, labels={"a": "b"})] == _heard(
        _STARTED + b"\nnonsense\n" + _STARTED + b"\n"
    )


@pytest.mark.parametrize(
    "odd",
    [
        b"[]",
        b'{"Action": 7}',
        b'{"Action": "die"}',
        b'{"Action": "die", "Actor": {}}',
        b'{"Action": "die", "Actor": {"ID": null, "Attributes": {}}}',
        b'{"Action": "die", "Actor": {"ID": "c1", "Attributes": {"a": 7}}}',
        b'{"Action": "die", "Actor": {"ID": "c1", "Attributes": [7]}}',
    ],
)
def test_an_odd_event_is_told_once_and_passed_over(odd: bytes) -> None:
    event = Event(id="c1", change=Change.STARTED, labels={"a": "b"})
    with capture_logs() as logs:
        assert [event] == _heard(odd + b"\n" + odd + b"\n" + _STARTED + b"\n")
    assert ["answer.unreadable"] == [log["event"] for log in logs]


@pytest.mark.parametrize(
    ("code", "known"), [("7", 7), ("-1", None), ("x", None), ("9" * 9999, None)]
)
def test_an_exit_code_that_is_none_is_left_open(code: str, known: int | None) -> None:
    attributes = {"exitCode": code}
    died = json.dumps({"Action": "die", "Actor": {"ID": "c1", "Attributes": attributes}}).encode()
    assert [Event(id="c1", change=Change.EXITED, labels=attributes, exit_code=known)] == _heard(
        died, labels={}
    )


def test_labels_that_are_null_are_none() -> None:
    died = b'{"Action": "destroy", "Actor": {"ID": "c1", "Attributes": null}}'
    assert [Event(id="c1", change=Change.REMOVED, labels={})] == _heard(died, labels={})


@pytest.mark.parametrize(
    ("attributes", "signal"), [({"signal": "15"}, 15), ({"signal": "x"}, 0), ({}, 0)]
)
def test_a_signal_has_its_number_or_0(attributes: dict[str, str], signal: int) -> None:
    """A label may hide it, and Podman does not tell it."""
    told = json.dumps({"Action": "kill", "Actor": {"ID": "c1", "Attributes": attributes}}).encode()
    assert [Event(id="c1", change=Change.SIGNALLED, labels=attributes, signal=signal)] == _heard(
        told, labels={}
    )


def test_containers_of_others_are_passed_over_by_their_labels() -> None:
    others = [_told("start", labels) for labels in ({}, {"a": "c"}, {"b": "b"}, {"A": "b"})]
    ours = _told("start", {"a": "b", "c": "d"})
    event = Event(id="c1", change=Change.STARTED, labels={"a": "b", "c": "d"})
    assert [event] == _heard(b"\n".join([*others, ours, *others]))


def test_a_change_of_an_image_is_told_in_its_place_among_the_events() -> None:
    tagged = b'{"Type": "image", "Action": "tag", "Actor": {"ID": "sha256:1", "Attributes": null}}'
    removed = b'{"Type": "image", "Action": "remove"}'
    committed = _told("commit", {})  # of Podman alone; Docker also reports a tag
    event = Event(id="c1", change=Change.STARTED, labels=_LABELS)
    assert [event, "images", event, "images", "images"] == _heard(
        b"\n".join([_STARTED, tagged, _STARTED, removed, committed])
    )
