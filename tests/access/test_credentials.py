"""Credentials that are not quite right, at the gRPC port."""

import asyncio
import time
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty

from service._generated.area_supervisor_pb2 import JobList
from tests.access.served import ANONYMOUS, FILE, Metadata, Served, bearer, refusal, served
from tests.support import http2_raw

_LIST = "/area_supervisor.AreaSupervisorService/ListJobs"
RIGHT = b"Bearer of-prometheus"

_UNKNOWN = (
    "the credential is not a client's; allowed is one `authorization: Bearer TOKEN`, or a"
    " certificate, of a client in the access file"
)
_MISSING = (
    "no credential; allowed is `authorization: Bearer TOKEN`, or a client's certificate where the"
    " port asks for one"
)
UNKNOWN, MISSING = ("UNAUTHENTICATED", _UNKNOWN), ("UNAUTHENTICATED", _MISSING)


def _list(door: Served, *metadata: tuple[str, str]) -> object:
    return door.stub.ListJobs(Empty(), metadata=metadata, timeout=30)


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer of-nobody"),),
        (("authorization", "of-prometheus"),),
        (("authorization", "Basic of-prometheus"),),
        (("authorization", "Bearer  of-prometheus"),),
        (("authorization", "Bearer of-prometheus x"),),
        (("authorization", "Bearer of-prometheus"), ("authorization", "Bearer of-prometheus")),
        (("authorization", "Bearer of-prometheus"), ("authorization", "")),
        (("authorization", "Bearer of-prometheus, Bearer of-prometheus"),),
    ],
)
async def test_what_is_not_one_right_token_is_refused(metadata: Metadata) -> None:
    async with served(FILE + ANONYMOUS) as door:
        assert UNKNOWN == await refusal(_list(door, *metadata))
        assert {"unknown": 1} == door.failures()


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization-bin", "Bearer of-prometheus"),),
        (("x-authorization", "Bearer of-prometheus"),),
        (("token", "of-prometheus"),),
    ],
)
async def test_a_credential_elsewhere_is_none(door: Served, metadata: Metadata) -> None:
    sent = tuple((k, v.encode() if k.endswith("-bin") else v) for k, v in metadata)
    assert MISSING == await refusal(_list(door, *sent))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer of-prometheus\0",
        b"\0Bearer of-prometheus",
        b"Bearer of-prometheus\r\n",
        b"Bearer \xff\xfe",
        b"Bearer of-prometheus ",
        b"Bearer of-prometheus\t",
        b" Bearer of-prometheus",
        b"Bearer " + b"x" * 10 * 2**20,
        RIGHT + b" " * 2**20,
    ],
    ids=range(9),
)
async def test_what_grpcs_own_client_would_not_send_lets_nobody_in(
    door: Served, value: bytes
) -> None:
    await door.launch("timer", "t-1")
    right = [(b"authorization", RIGHT)]
    listed = JobList.FromString((await http2_raw.call(door.port, _LIST, right))[5:])
    assert ["t-1"] == [job.identifier for job in listed.jobs], "a right one is"
    assert b"" == await http2_raw.call(door.port, _LIST, [(b"authorization", value)])
    assert ["t-1"] == await door.listed("prometheus"), "and others are still served"
    assert "Traceback" not in str(door.world.logs)


async def test_a_token_in_the_path_is_none(door: Served) -> None:
    for path in (f"{_LIST}?authorization=Bearer%20of-prometheus", f"{_LIST}?token=of-prometheus"):
        assert b"" == await http2_raw.call(door.port, path, [])


async def test_a_request_is_refused_before_it_is_read(door: Served) -> None:
    """What cannot be parsed is refused for the missing token, and for what it is with one."""
    channel: Any = door.channel
    launch = channel.unary_unary("/area_supervisor.AreaSupervisorService/LaunchJob")
    garbage = b"\xff" * 100
    assert MISSING == await refusal(launch(garbage, timeout=30))
    status = await refusal(launch(garbage, metadata=bearer("backend"), timeout=30))
    assert ("INVALID_ARGUMENT", "the request cannot be read") == status
    calls = door.world.metric("grpc_server_call_started_total")
    assert (2, {}) == (calls, door.world.counted()), "both are calls, and neither is a launch"


async def test_wrong_tokens_in_a_row_are_answered_slower_and_right_ones_as_fast_as_ever(
    door: Served,
) -> None:
    guesses = [
        asyncio.ensure_future(refusal(_list(door, ("authorization", f"Bearer {n}"))))
        for n in range(300)
    ]
    await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
    began = time.monotonic()
    first = await refusal(_list(door, ("authorization", "Bearer x")))
    took = time.monotonic() - began
    assert (UNKNOWN, True) == (first, took >= 0.9)
    began = time.monotonic()
    for _ in range(20):
        await door.listed("prometheus")
    assert time.monotonic() - began < 20, "a second each, if they were delayed"
    assert [UNKNOWN] * 300 == await asyncio.gather(*guesses)
    assert {"unknown": 301} == door.failures()


async def test_calls_without_a_token_end_no_row_of_wrong_ones() -> None:
    """Where strangers may call something, somebody who guesses could do so in between."""
    async with served(FILE + ANONYMOUS) as door:
        began = time.monotonic()
        for _ in range(6):
            assert UNKNOWN == await refusal(_list(door, ("authorization", "Bearer x")))
            await door.listed("")
        assert time.monotonic() - began > 0.6, "0.01 s, and each time twice as much"
