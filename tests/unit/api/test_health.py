import asyncio
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from service.api.health import Health

SERVICE = "area_supervisor.AreaSupervisorService"
_LONG = 30.0
FOLLOWING = ("", SERVICE)


class Aborted(Exception):
    pass


class Context:
    async def abort(self, code: Any, details: str) -> None:
        raise Aborted(code.name, details)


def word(response: HealthCheckResponse) -> str:
    return HealthCheckResponse.ServingStatus.Name(response.status)


async def check(health: Health, service: str) -> str:
    return word(await health.Check(HealthCheckRequest(service=service), Context()))


def watch(health: Health, service: str) -> Any:
    return health.Watch(HealthCheckRequest(service=service), Context())


async def following(stream: Any) -> str:
    return word(await asyncio.wait_for(anext(stream), _LONG))


@pytest.fixture
def health() -> Health:
    return Health(SERVICE)


@pytest.mark.parametrize("service", FOLLOWING)
async def test_it_follows_readiness(health: Health, service: str) -> None:
    assert "NOT_SERVING" == await check(health, service)
    health.set_ready(True)
    assert "SERVING" == await check(health, service)
    health.set_ready(False)
    assert "NOT_SERVING" == await check(health, service)


async def test_liveness_is_the_process_alone(health: Health) -> None:
    assert "SERVING" == await check(health, "liveness")
    health.set_ready(True)
    health.set_ready(False)
    health.close()
    assert "SERVING" == await check(health, "liveness")


async def test_liveness_falls_where_only_a_new_start_helps(health: Health) -> None:
    stream = watch(health, "liveness")
    assert "SERVING" == await following(stream)
    upcoming = asyncio.create_task(following(stream))
    await asyncio.sleep(0)  # it waits for a change
    health.set_alive(alive=False)
    assert "NOT_SERVING" == await upcoming
    assert "NOT_SERVING" == await check(health, "liveness")
    health.set_alive(alive=True)
    assert "SERVING" == await check(health, "liveness")
    await stream.aclose()


async def test_a_service_that_is_not_here_is_not_found(health: Health) -> None:
    with pytest.raises(Aborted) as caught:
        await check(health, "other.Service")
    assert ("NOT_FOUND", "no service 'other.Service' here") == caught.value.args
    with pytest.raises(Aborted) as caught:
        await check(health, "x" * 100_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("service", FOLLOWING)
async def test_a_watch_tells_the_status_and_each_change(health: Health, service: str) -> None:
    stream = watch(health, service)
    assert "NOT_SERVING" == await following(stream)
    for ready, told in ((True, "SERVING"), (False, "NOT_SERVING"), (True, "SERVING")):
        upcoming = asyncio.create_task(following(stream))
        await asyncio.sleep(0)
        health.set_ready(ready)
        assert told == await upcoming
    await stream.aclose()


async def test_a_watch_does_not_repeat_itself(health: Health) -> None:
    stream = watch(health, "")
    await following(stream)
    upcoming = asyncio.create_task(anext(stream))
    for _ in range(3):
        health.set_ready(False)
        await asyncio.sleep(0.01)
    assert not upcoming.done()
    health.set_ready(True)
    assert "SERVING" == word(await upcoming)
    await stream.aclose()


async def test_a_change_between_two_looks_is_not_missed(health: Health) -> None:
    stream = watch(health, "")
    await following(stream)
    health.set_ready(True)  # nobody waits at this moment
    assert "SERVING" == await following(stream)
    await stream.aclose()


async def test_a_watch_of_an_unknown_service_goes_on(health: Health) -> None:
    stream = watch(health, "other.Service")
    assert "SERVICE_UNKNOWN" == await following(stream)
    upcoming = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.01)
    assert not upcoming.done()
    health.close()
    with pytest.raises(StopAsyncIteration):
        await upcoming


async def test_closing_sends_the_last_status_and_ends_every_watch(health: Health) -> None:
    health.set_ready(True)
    streams = [watch(health, service) for service in (*FOLLOWING, "liveness")]
    assert ["SERVING"] * 3 == [await following(stream) for stream in streams]
    rest = [asyncio.create_task(collect(stream)) for stream in streams]
    await asyncio.sleep(0.01)
    health.set_ready(False)
    health.close()
    assert [["NOT_SERVING"], ["NOT_SERVING"], []] == await asyncio.wait_for(
        asyncio.gather(*rest), _LONG
    )


async def test_a_close_while_a_status_is_being_sent_is_told_as_well(health: Health) -> None:
    health.set_ready(True)
    stream = watch(health, "")
    assert "SERVING" == await following(stream)  # being sent until the next one is asked for
    health.set_ready(False)
    health.close()
    assert ["NOT_SERVING"] == await asyncio.wait_for(collect(stream), _LONG)


async def collect(stream: Any) -> list[str]:
    return [word(response) async for response in stream]


async def test_a_watch_that_comes_after_the_close_is_told_and_ends(health: Health) -> None:
    health.close()
    assert ["NOT_SERVING"] == await asyncio.wait_for(collect(watch(health, "")), _LONG)
