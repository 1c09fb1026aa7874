import asyncio
import contextvars
import ssl

import pytest

from observability.callers import (
    NAMELESS,
    NO_CALLER,
    CallContext,
    Caller,
    caller,
    certificate_names,
)


class Context:
    """What gRPC tells of a call."""

    def __init__(self, peer: str, *metadata: tuple[str, str | bytes]) -> None:
        self._peer, self._metadata = peer, metadata

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata


def seen(peer: str, *metadata: tuple[str, str | bytes]) -> Caller:
    """The caller of such a call."""
    return contextvars.copy_context().run(_note, Context(peer, *metadata))


def _note(context: Context) -> Caller:
    CallContext(context)
    return caller()


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ("ipv4:127.0.0.1:40122", "127.0.0.1:40122"),
        ("ipv6:%5B::1%5D:40122", "[::1]:40122"),
        ("ipv6:[::1]:40122", "[::1]:40122"),  # before gRPC 1.42
        ("ipv6:%5Bfe80::1%25eth0%5D:7", "[fe80::1%eth0]:7"),
        ("unix:", "unix:"),
        ("unix:/run/%41.sock", "unix:/run/%41.sock"),
        ("vsock:2:50051", "vsock:2:50051"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_is_told_as_people_write_it(peer: str, told: str) -> None:
    assert Caller(told) == seen(peer)


def test_a_user_agent_is_told_as_it_was_sent() -> None:
    sent = ("traceparent", "x"), ("user-agent", "grpc-node-js/1.9.14"), ("a-bin", b"\xff")
    assert Caller("1.2.3.4:5", "grpc-node-js/1.9.14") == seen("ipv4:1.2.3.4:5", *sent)


def test_of_a_long_user_agent_more_is_kept_than_is_told_and_not_all() -> None:
    """A launch keeps it for as long as it waits, and a kill."""
    kept = seen("ipv4:1.2.3.4:5", ("user-agent", "x" * 2**20)).user_agent
    assert 512 < len(kept) < 2048


def test_of_two_user_agents_the_one_is_told_that_the_span_has() -> None:
    sent = ("user-agent", "first"), ("user-agent", "last")
    assert "last" == seen("ipv4:1.2.3.4:5", *sent).user_agent


def test_an_event_has_what_is_known() -> None:
    assert {} == NO_CALLER.fields
    assert {"peer": "1.2.3.4:5"} == Caller("1.2.3.4:5").fields
    assert {"peer": "1.2.3.4:5", "user_agent": "x"} == Caller("1.2.3.4:5", "x").fields
    assert {"peer": "1.2.3.4:5", "client": "c"} == Caller("1.2.3.4:5", client="c").fields
    everything = {"peer": "1.2.3.4:5", "user_agent": "x", "client": "c"}
    assert everything == Caller("1.2.3.4:5", "x", "c").fields


@pytest.mark.parametrize(
    ("peer", "address"),
    [("1.2.3.4:5", "1.2.3.4"), ("[::1]:5", "[::1]"), ("unix:", "unix"), ("unknown", "")],
)
def test_an_address_is_the_peer_without_its_port(peer: str, address: str) -> None:
    assert address == Caller(peer).address


async def test_what_is_begun_for_a_caller_stays_its_own() -> None:
    """And what others begin meanwhile is not."""
    hold = asyncio.Event()

    async def work() -> Caller:
        await hold.wait()
        return caller()

    async def request(peer: str) -> "asyncio.Task[Caller]":
        CallContext(Context(peer))
        return asyncio.create_task(work())

    begun = [await asyncio.create_task(request(f"ipv4:10.0.0.{n}:1")) for n in (1, 2)]
    hold.set()
    assert [Caller("10.0.0.1:1"), Caller("10.0.0.2:1")] == await asyncio.gather(*begun)
    assert caller() is NO_CALLER


_TAGS = {"peer_uri": b"\x86", "peer_dns": b"\x82", "peer_email": b"\x81"}


class Secured(Context):
    """A connection whose client has shown a certificate. Real ones: tests/access."""

    def __init__(self, **facts: list[bytes]) -> None:
        super().__init__("ipv4:1.2.3.4:5")
        names = [
            _TAGS[key] + (b"\x81" if len(name) > 127 else b"") + bytes([len(name)]) + name
            for key, values in facts.items()
            if key in _TAGS
            for name in values
        ]
        pem = ssl.DER_cert_to_PEM_cert(b"0" + b"".join(names)).encode()
        self._facts = {"x509_pem_cert": [pem], **facts}

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._facts


class Unsecured(Secured):
    """A connection without a certificate of its client."""

    def auth_context(self) -> dict[str, list[bytes]]:
        return {key: value for key, value in self._facts.items() if key != "x509_pem_cert"}


def test_the_names_in_a_certificate_say_of_which_kind_they_are() -> None:
    context = Secured(
        transport_security_type=[b"ssl"],
        x509_common_name=[b"backend"],
        peer_uri=[b"spiffe://area/Backend", b"https://area/" + b"b" * 150],
        peer_dns=[b"Backend.area.internal"],
        peer_ip=[b"10.0.0.1"],
        peer_email=[b"backend@area"],
    )
    assert {
        "spiffe://area/Backend",
        "https://area/" + "b" * 150,
        "dns:backend.area.internal",
        "ip:10.0.0.1",
        "email:backend@area",
    } == set(certificate_names(context))


def test_a_name_does_not_pass_for_one_of_another_kind() -> None:
    uris = [b"dns:backend.area.internal", b"ip:10.0.0.1", b"email:a@b", b"urn:x"]
    assert (NAMELESS,) == certificate_names(Secured(peer_uri=uris))
    assert (NAMELESS,) == certificate_names(Secured(peer_dns=[b"//area"]))


def test_without_a_certificate_there_are_no_names() -> None:
    assert () == certificate_names(Unsecured(transport_security_type=[b"ssl"]))
    assert () == certificate_names(Unsecured())
