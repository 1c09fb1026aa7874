"""`/metrics` with METRICS_ACCESS=required."""

import asyncio
from contextlib import suppress

import pytest

from tests.access.served import ANONYMOUS, FILE, Served, get, page_of, served


async def test_it_takes_an_observer_and_tells_others_what_is_missing(door: Served) -> None:
    status, text, _ = await get(door, "/metrics", "prometheus")
    assert (200, True) == (status, "supervisor_ready" in text)
    status, text, headers = await get(door, "/metrics", "")
    assert (401, "Bearer") == (status, headers["WWW-Authenticate"])
    assert text.startswith("no credential; allowed is `authorization: Bearer TOKEN`")
    told = "client backend may not call /metrics; its role backend allows LaunchJob, KillJob,"
    assert (403, f"{told} KillAllJobs and ListJobs\n") == (await get(door, "/metrics", "backend"))[
        :2
    ]
    assert {"missing": 1, "denied": 1} == door.failures()
    missing, denied = door.events("call.refused")
    assert ("/metrics", "missing") == (missing["method"], missing["reason"])
    assert ("/metrics", "backend") == (denied["method"], denied["client"])
    assert denied["peer"].startswith("127.0.0.1:")


async def test_strangers_see_it_where_the_file_says_so() -> None:
    async with served(FILE + ANONYMOUS) as door:
        assert 200 == (await get(door, "/metrics", ""))[0]
        assert 401 == (await get(door, "/metrics", "nobody"))[0]


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("/metrics?token=of-prometheus", []),
        ("/metrics?access_token=of-prometheus", []),
        ("/metrics?authorization=Bearer%20of-prometheus", []),
        ("/metrics", ["of-prometheus"]),
        ("/metrics", ["Basic of-prometheus"]),
        ("/metrics", ["Bearer  of-prometheus"]),
        ("/metrics", ["Bearer of-prometheus x"]),
        ("/metrics", ["Bearer of-prometheus", "Bearer of-prometheus"]),
        ("/metrics", ["Bearer of-prometheus", "Basic x"]),
        ("//metrics", []),
        ("/%6detrics", []),
        ("http://x/metrics", []),
    ],
)
async def test_it_takes_a_token_in_one_place_only(
    door: Served, page: str, shown: list[str]
) -> None:
    status, text, _ = await asyncio.to_thread(page_of, door.http_port, page, *shown)
    assert (401, False) == (status, "supervisor_ready" in text)


async def test_probes_get_through_while_hundreds_try_wrong_tokens(door: Served) -> None:
    wrong = [asyncio.create_task(_guess(door)) for _ in range(200)]
    for _ in range(20):
        assert 200 == (await get(door, "/livez", ""))[0]
    await asyncio.gather(*wrong)
    assert 200 == (await get(door, "/metrics", "prometheus"))[0]


async def _guess(door: Served) -> None:
    """Some wrong tokens. At the limit, the port closes connections that are idle."""
    with suppress(OSError):
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.http_port)
            writer.write(b"GET /metrics HTTP/1.0\r\nAuthorization: Bearer x\r\n\r\n")
            answer = await reader.read()
            assert not answer or answer.startswith(b"HTTP/1.1 401 ")
            writer.close()
