import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests
import structlog

from observability.logs import configure_logs, get_logger
from tests.support.recorded_spans import sampled_span

NOISY = ("urllib3", "docker", "asyncio", "grpc", "opentelemetry")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    for name, its_level in levels.items():
        logging.getLogger(name).setLevel(its_level)


class Lines(list[bytes]):
    def getvalue(self) -> str:
        return b"".join(self).decode()


def configured(*, level: str = "debug", console: bool = False) -> Lines:
    lines = Lines()
    configure_logs(level=level, console=console, write=lines.append)
    return lines


def events(lines: Lines) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def test_an_event_is_one_line_of_json_with_its_level_logger_and_time() -> None:
    stream = configured()
    get_logger("service.x").info("job.launched", job="timer", seconds=1.5)
    [event] = events(stream)
    assert event["timestamp"].endswith("Z")
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    assert {
        "event": "job.launched",
        "level": "info",
        "logger": "service.x",
        "job": "timer",
        "seconds": 1.5,
    } == event


def test_the_query_of_an_address_that_cannot_be_reached_is_not_logged() -> None:
    stream = configured()
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.ConnectionError, match="hunter2") as caught:
        session.post("http://127.0.0.1:1/v1/traces?token=hunter2", timeout=5)
    logging.getLogger("opentelemetry").warning("Transient error %s, retrying", caught.value)
    [event] = events(stream)
    assert "exceeded with url: … (Caused by" in event["event"]
    assert "hunter2" not in stream.getvalue()


def test_a_value_of_several_lines_stays_in_one() -> None:
    stream = configured()
    get_logger("x").info("told", output=["a\nb", "é\u2028"])
    assert 1 == stream.getvalue().count("\n")
    assert ["a\nb", "é\u2028"] == json.loads(stream.getvalue())["output"]


@pytest.mark.parametrize(
    ("odd", "text"), [(logging, "module 'logging'"), ("\ud800", "\ud800"), (2**80, str(2**80))]
)
def test_an_odd_value_is_written_all_the_same(odd: object, text: str) -> None:
    stream = configured()
    get_logger("x").info("told", odd=odd)
    [event] = events(stream)
    assert text in str(event["odd"])
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        ("error", ["error", "critical"]),
    ],
)
def test_what_is_less_serious_than_the_level_is_not_told(level: str, told: list[str]) -> None:
    stream = configured(level=level)
    ours, theirs = get_logger("x"), logging.getLogger("library")
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(ours, name)("ours")
        getattr(theirs, name)("theirs")
    assert [name for name in told for _ in range(2)] == [e["level"] for e in events(stream)]


def test_what_libraries_log_comes_in_the_same_format() -> None:
    stream = configured()
    logging.getLogger("library").warning("took %d s", 3)
    [event] = events(stream)
    assert ("took 3 s", "warning", "library") == (event["event"], event["level"], event["logger"])


@pytest.mark.parametrize("library", NOISY)
def test_libraries_that_tell_of_every_connection_are_told_from_warnings_on(library: str) -> None:
    stream = configured(level="debug")
    logging.getLogger(f"{library}.part").info("connected")
    logging.getLogger(f"{library}.part").warning("trouble")
    assert ["trouble"] == [event["event"] for event in events(stream)]


def fail(token: str) -> None:
    raise RuntimeError(f"failed with {len(token)} characters")


def log_failure(logger: Any) -> None:
    secret = "hunter" + "2"
    try:
        fail(secret)
    except RuntimeError:
        logger.exception("crashed")


@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("ours", [True, False])
def test_a_traceback_is_told_without_the_values_of_variables(ours: bool, console: bool) -> None:
    stream = configured(console=console)
    log_failure(get_logger("x") if ours else logging.getLogger("library"))
    text = stream.getvalue()
    assert "RuntimeError: failed with 7 characters" in text
    assert "in log_failure" in text
    assert "hunter2" not in text


def test_a_traceback_is_one_line_of_json() -> None:
    stream = configured()
    log_failure(get_logger("x"))
    [event] = events(stream)
    assert event["exception"].startswith("Traceback (most recent call last):\n")


# What ends a line for somebody, what a terminal obeys, and what cannot be seen.
ODD = [
    *"\n\r\t\v\f\x07\x08\x1b\x1c\x1d\x1e\x7f\x80\x85\x9b",
    *"\u200b\u2028\u2029\u202e\u2066\ufeff\U000e0041",
]


@pytest.mark.parametrize("letter", ["é", "a"])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_nothing_of_a_text_is_a_line_or_a_command_to_a_terminal(
    odd: str, ours: bool, letter: str
) -> None:
    stream = configured()
    text = f"{letter}{odd}{letter}{odd}"
    if ours:
        get_logger("x").info("told", identifier=text, output=[text])
    else:
        logging.getLogger("library").warning(text)
    line = stream.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert [line] == line.splitlines()
    event = json.loads(line)
    assert ([text] * 2 if ours else text) == (
        [event["identifier"], *event["output"]] if ours else event["event"]
    )


@pytest.mark.parametrize("odd", ODD)
def test_nothing_of_a_text_is_a_command_to_the_terminal_of_a_console(odd: str) -> None:
    stream = configured(console=True)
    get_logger("x").info("told", identifier=f"a{odd}b", job=f"{odd}b", output=[f"a{odd}"])
    logging.getLogger("library").warning("theirs %s", f"a{odd}b")
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert 2 == len(lines)
    assert all(re.sub(r"\x1b\[\d*m", "", line).isprintable() for line in lines)
    assert all(f"a{repr(odd)[1:-1]}b" in line for line in lines)


def test_a_traceback_on_a_console_commands_nothing() -> None:
    stream = configured(console=True)
    try:
        raise RuntimeError("a\x1b[2J\u2028b")  # noqa: TRY301 - it is all that it is for
    except RuntimeError:
        get_logger("x").exception("crashed")
    text = stream.getvalue()
    assert r"RuntimeError: a\u001b[2J\u2028b" in text
    assert "\x1b[2J" not in text
    assert "in test_a_traceback_on_a_console_commands_nothing\n" in text


@pytest.mark.parametrize("field", ["job", "identifier"])
def test_what_a_client_made_up_is_told_as_it_is_up_to_512_characters(field: str) -> None:
    stream = configured()
    for text in ("é" * 512, "é" * 513, "x" * 100_000):
        get_logger("x").info("told", **{field: text})
    told = [event[field] for event in events(stream)]
    assert ["é" * 512, "é" * 512 + "…", "x" * 512 + "…"] == told


def test_an_event_carries_its_trace() -> None:
    stream = configured()
    with sampled_span() as span:
        get_logger("x").info("ours")
        logging.getLogger("library").warning("theirs")
        context = span.get_span_context()
    get_logger("x").info("outside")
    ids = {"trace_id": format(context.trace_id, "032x"), "span_id": format(context.span_id, "016x")}
    assert [ids, ids, {}] == [
        {key: event[key] for key in ("trace_id", "span_id") if key in event}
        for event in events(stream)
    ]


def test_on_a_console_an_event_is_a_line_for_a_person() -> None:
    stream = configured(console=True)
    get_logger("service.x").info("job.launched", job="timer")
    text = stream.getvalue()
    assert 1 == text.count("\n")
    assert not text.startswith("{")
    assert "job.launched" in text


def test_configuring_again_does_not_tell_everything_twice() -> None:
    configured()
    stream = configured()
    get_logger("x").info("once")
    assert 1 == len(events(stream))


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Cyclic(dict[str, object]):
    def __init__(self) -> None:
        self["self"] = self


@pytest.mark.parametrize("odd", [Unspeakable(), Cyclic(), {(1, 2): "pair", "half": "\ud800"}])
@pytest.mark.parametrize("ours", [True, False])
def test_what_cannot_be_shown_is_no_reason_to_fail(odd: object, ours: bool) -> None:
    lines = configured()
    if ours:
        get_logger("x").info("told", odd=odd)
    else:
        logging.getLogger("library").warning("told %d", odd)
    [event] = events(lines)
    assert event["event"].startswith("told")


@pytest.mark.parametrize("odd", [Unspeakable(), "\ud800", Cyclic()])
def test_on_a_console_neither(odd: object) -> None:
    lines = configured(console=True)
    get_logger("x").info("told", odd=odd)
    assert "told" in lines.getvalue()


def test_warnings_of_libraries_are_lines_as_well() -> None:
    lines = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    [event] = events(lines)
    assert ("warning", "py.warnings") == (event["level"], event["logger"])
