import pytest

from service.jobs.keys.values import read_duration, write_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("250ms", 0.25),
        ("1s", 1.0),
        ("1.5h", 5400.0),
        ("15m", 900.0),
        ("24h", 86400.0),
        ("8784h", 8784 * 3600.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert seconds == read_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "15", "m", "15 m", " 15m", "15m\n", "-1s", "+1s", "1e3s", "1_0s", ".5s", "5.s", "1d"),
        *("15M", "8785h", "1h30m", "inf s", "nans", "\u0661s", "9" * 400 + "s"),
        *(15, 1.5, None, True, ["1s"]),
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_duration(text)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.25, 30.0, 3600.125, 8784 * 3600.0])
def test_what_is_written_is_read_as_it_was(seconds: float) -> None:
    assert seconds == read_duration(write_duration(seconds))
