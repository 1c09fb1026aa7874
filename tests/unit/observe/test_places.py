import base64

import pytest

from service.errors import InvalidRequest
from service.jobs.model import Outcome, State
from service.jobs.wanted import EVERY_JOB, Wanted
from service.observe.places import Include, Place, Tokens

_TOKENS = Tokens("0" * 8)
_LIVE, _ENDED = Place("live", 7), Place("ended", 1_700_000_000_000_000)


@pytest.mark.parametrize("place", [_LIVE, _ENDED, Place("live", 0)])
def test_a_token_is_read_back_and_fits_into_a_url(place: Place) -> None:
    token = _TOKENS.write(place, "both", EVERY_JOB)
    assert place == _TOKENS.read(token, "both", EVERY_JOB)
    assert token.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("include", "wanted"),
    [
        ("live", EVERY_JOB),
        ("both", Wanted(name="timer")),
        ("both", Wanted(identifier_prefix="timer")),
        ("both", Wanted(state=State.GONE)),
        ("both", Wanted(outcome=Outcome.OOM)),
        ("both", Wanted(since=0.0)),
        ("both", Wanted(ended_since=0.0)),
        ("both", Wanted(failed=True)),
    ],
)
def test_a_token_is_refused_with_other_filters(include: Include, wanted: Wanted) -> None:
    token = _TOKENS.write(_LIVE, "both", EVERY_JOB)
    with pytest.raises(InvalidRequest, match="page_token: belongs to other filters"):
        _TOKENS.read(token, include, wanted)


def test_a_place_among_live_jobs_is_lost_with_the_process_and_one_in_the_history_is_not() -> None:
    later = Tokens("1" * 8)
    with pytest.raises(InvalidRequest, match="page_token: the supervisor has been restarted"):
        later.read(_TOKENS.write(_LIVE, "both", EVERY_JOB), "both", EVERY_JOB)
    token = _TOKENS.write(_ENDED, "both", EVERY_JOB)
    assert _ENDED == later.read(token, "both", EVERY_JOB)


@pytest.mark.parametrize(
    "token",
    [
        *("x", "====", "é", "\0", "a" * 100_000),
        base64.b64encode(b"l7.00000000").decode(),
        base64.b64encode(b"l7.00000000.0123456789abcdef\n").decode(),
        base64.b64encode(f"l{'9' * 30}.00000000.0123456789abcdef".encode()).decode(),
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match=r"page_token: .* is no token; allowed is"):
        _TOKENS.read(token, "live", EVERY_JOB)


def test_no_number_of_a_token_can_be_changed() -> None:
    token = _TOKENS.write(_LIVE, "live", EVERY_JOB)
    text = base64.b64decode(token + "==").decode()
    changed = base64.b64encode(text.replace("l7", "l8").encode()).decode()
    with pytest.raises(InvalidRequest, match="page_token"):
        _TOKENS.read(changed, "live", EVERY_JOB)


def test_an_odd_filter_has_a_token_too() -> None:
    odd = Wanted(identifier_prefix="\ud800")
    assert _LIVE == _TOKENS.read(_TOKENS.write(_LIVE, "live", odd), "live", odd)
