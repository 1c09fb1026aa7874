"""How a call's credentials name a client."""

import gc
import weakref
from collections.abc import Sequence
from hashlib import sha256

import pytest

from service.access.clients import Client, Clients, Credentials, JobScope, Reason
from service.access.roles import Role

ANYBODY = Client("anonymous", Role.OBSERVER)
BACKEND = Client("backend", Role.BACKEND)
TOKEN = b"0123456789-right_TOKEN"


def clients(anonymous: Client | None = None) -> Clients:
    digest = sha256(TOKEN).digest()
    return Clients([Credentials(BACKEND, [digest], ["dns:backend"])], anonymous)


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_a_right_token_names_its_client(scheme: bytes) -> None:
    assert BACKEND is clients().find([scheme + b" " + TOKEN], ())


WRONG: list[list[bytes]] = [
    [b""],
    [b"Bearer"],
    [b"Bearer "],
    [TOKEN],
    [b"Basic " + TOKEN],
    [b"Bearer  " + TOKEN],
    [b"Bearer " + TOKEN + b" "],
    [b" Bearer " + TOKEN],
    [b"Bearer\t" + TOKEN],
    [b"Bearer " + TOKEN + b"\0"],
    [b"Bearer " + TOKEN[:-1]],
    [b"Bearer " + TOKEN.lower()],
    [b"Bearer " + TOKEN, b"Bearer " + TOKEN],
    [b"Bearer " + TOKEN, b"Basic x"],
    [b"Bearer " + TOKEN + b", Bearer " + TOKEN],
    [b"Bearer " + sha256(TOKEN).hexdigest().encode()],
    [b"Bearer sha256:" + sha256(TOKEN).hexdigest().encode()],
    [b"Bearer " + bytes(32)],
    [b"Bearer " + b"x" * 10 * 2**20],
]


@pytest.mark.parametrize("shown", WRONG, ids=range(len(WRONG)))
def test_anything_else_is_nobodys_even_where_strangers_may_do_something(
    shown: Sequence[bytes],
) -> None:
    assert Reason.UNKNOWN is clients(ANYBODY).find(shown, ())
    assert Reason.UNKNOWN is clients(ANYBODY).find(shown, ["dns:backend"])


def test_a_token_comes_before_a_certificate() -> None:
    other = Client("other", Role.OPERATOR)
    both = Clients(
        [
            Credentials(BACKEND, [sha256(TOKEN).digest()]),
            Credentials(other, certificates=["dns:other"]),
        ]
    )
    assert BACKEND is both.find([b"Bearer " + TOKEN], ["dns:other"])
    assert other is both.find([], ["dns:other"])


def test_without_a_credential_one_is_anonymous_or_nobody() -> None:
    assert ANYBODY is clients(ANYBODY).find([], ())
    assert Reason.MISSING is clients().find([], ())


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["", "timer", "a.b-c"], []),
        ("timer", ["timer"], ["Timer", "timer2", "a-timer", "timer\n", ""]),
        ("github-*", ["github-", "github-issue"], ["github", "x-github-y"]),
        ("*-x-*", ["a-x-b"], ["a-x", "x-b"]),
        ("a.b", ["a.b"], ["aXb"]),
    ],
)
def test_a_pattern_matches_the_whole_name(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    scope = JobScope([pattern])
    assert [] == [name for name in matching if not scope.allows(name)]
    assert [] == [name for name in others if scope.allows(name)]


def test_a_name_that_no_job_can_have_costs_nothing() -> None:
    scope = JobScope(["*a" * 60 + "*"])
    assert not scope.allows("a" * 8 * 2**20)
    assert not scope.allows("a" * 59 + "b" * 60)


def test_tokens_go_with_their_clients() -> None:
    """Even if garbage is not collected, as what a start has frozen."""
    found = clients()
    assert BACKEND is found.find([b"Bearer " + TOKEN], [])
    gone = weakref.ref(found)
    gc.disable()
    try:
        del found
        assert gone() is None
    finally:
        gc.enable()
