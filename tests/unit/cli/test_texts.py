"""What people write and read: durations, times, parameters; control characters."""

import json
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

from service.cli import terminal
from service.cli.formats import as_json, as_json_line, as_yaml
from service.cli.parameters import parse_parameters
from service.cli.terminal import harmless
from service.cli.times import duration, parse_since
from service.client.errors import CommandError, ExitCode


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m5s"),
        (601, "10m"),
        (3_725, "1h2m"),
        (36_000, "10h"),
        (90_000, "1d1h"),
        (86_400 * 400, "400d"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert text == duration(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), ("0s", 0)],
)
def test_since_may_be_a_duration(text: str, seconds: float) -> None:
    found = parse_since(text)
    assert found is not None
    assert abs(time.time() - seconds - found) < 5


def test_since_before_all_time_is_since_its_beginning() -> None:
    assert 0.0 == parse_since("9" * 30 + "d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-30T04:00:00Z", 1_796_011_200),
        ("2026-11-30T04:00:00.5+00:00", 1_796_011_200.5),
        ("2026-11-30T06:00:00+02:00", 1_796_011_200),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_since_may_be_a_time(text: str, expected: float) -> None:
    assert expected == parse_since(text)


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "10 m", "yesterday", "2026-13-01", "9" * 9])
def test_another_since_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"--since: .*allowed is a duration") as caught:
        parse_since(text)
    assert ExitCode.USAGE == caught.value.exit_code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-2.5", -2.5),
        ("true", True),
        ("null", None),
        ('"5"', "5"),
        ("[1, 2]", [1, 2]),
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("", ""),
        ("a=b", "a=b"),
        ("a b", "a b"),
        ("007", "007"),
        ("1.10", "1.10"),
        ("1e5", "1e5"),
        ("5.0", "5.0"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("9007199254740993", "9007199254740993"),
        ("1" * 5000, "1" * 5000),
        ("[" * 100_000, "[" * 100_000),
        ("{a: 1}", "{a: 1}"),
    ],
)
def test_a_parameter_is_json_or_else_a_text(text: str, value: object) -> None:
    found = parse_parameters([f"key={text}"])["key"]
    assert (value, type(value)) == (found, type(found))


def test_a_line_of_another_program_cannot_steer_a_terminal() -> None:
    line = "a\tb\x1b[31mred\x1b[2J\x07\x9b\r\u202e"
    plain = "a\tbred\\x1b[2J\\x07\\x9b\\r\\u202e"
    assert plain == harmless(line)
    assert plain.replace("red", "\x1b[31mred") + "\x1b[0m" == harmless(line, colours=True)
    assert "日本語 é" == harmless("日本語 é")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_those_who_want_them(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert expected is terminal.has_colours()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_and_yaml_are_whole_whatever_the_encoding_of_the_output(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"identifier": "é 世界 😀 \u202e \x85"}
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding=encoding))
    texts = as_json(value), as_json_line(value), as_yaml(value)
    assert [encoding != "utf-8"] * 3 == [text.isascii() for text in texts]
    assert [value] * 3 == [json.loads(texts[0]), json.loads(texts[1]), yaml.safe_load(texts[2])]
