"""What a trace tells of waits: those that there were, and no others."""

import pytest
from opentelemetry import trace

from observability import spans
from tests.supervisor.world import World, until
from tests.support.recorded_spans import Recorded


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The spans of the world. A wait has one, however short it is."""
    made = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.provider)
    monkeypatch.setattr(spans, "_A_WAIT", 0)
    return made


def _waits(recorded: Recorded) -> list[str]:
    return [span.name for span in recorded.spans if span.name.startswith("wait for ")]


async def test_what_waits_for_nothing_has_no_span_of_a_wait(
    world: World, recorded: Recorded
) -> None:
    """A busy machine would make one of it, if the time were taken without a reason to wait."""
    with recorded.tracer.start_as_current_span("request"):
        await world.launch("a-1")
        await world.launch("a-1")
        await world.kill("a-1")
        await world.launch("r-1", "mail")
        await world.supervisor.kill_all()
    assert [] == _waits(recorded)


async def test_a_kill_tells_of_the_launch_that_it_waits_for(
    world: World, recorded: Recorded
) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    with recorded.tracer.start_as_current_span("request"):
        kill = world.killing("a-1")
        await until(lambda: world.states() == {"a-1": "stopping"})
        hold.release()
        assert (0, 0) == (await launch.answer(), await kill.answer())
    assert ["wait for launch"] == _waits(recorded)


async def test_a_kill_tells_of_the_engine_that_it_waits_for(
    world: World, recorded: Recorded
) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    await until(lambda: not world.readiness.in_step)
    with recorded.tracer.start_as_current_span("request"):
        kill = world.killing("a-1")
        await until(lambda: world.states() == {"a-1": "stopping"})
        world.engine.come_back()
        assert 0 == await kill.answer()
    assert ["wait for engine"] == _waits(recorded)


async def test_a_launch_tells_of_the_image_that_it_waits_for(
    world: World, recorded: Recorded
) -> None:
    world.host.registry.add("far")
    with recorded.tracer.start_as_current_span("request"):
        await world.launch("a-1", "far")
    assert ["wait for image"] == _waits(recorded)
