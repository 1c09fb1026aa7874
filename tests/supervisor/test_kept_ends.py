"""An engine that keeps how its workloads have ended: a gap in the news takes nothing away."""

from dataclasses import replace

import pytest

from service.engine.workloads import Inspection, Status
from tests.fake_engine.polled import PolledEngine
from tests.supervisor.world import NOTICE, a_world, until


class KeepingEngine(PolledEngine):
    """As Swarm does."""

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        seen = await super().inspect(workload_id, timeout=timeout)
        return replace(seen, witnessed=seen.status is Status.EXITED)


@pytest.mark.parametrize(("code", "outcome"), [(3, "error"), (0, "ended")])
async def test_an_end_in_a_gap_is_told_as_it_was(code: int, outcome: str) -> None:
    async with a_world(engine=KeepingEngine) as world:
        await world.launch("a-1")
        world.engine.go_away()
        await until(lambda: not world.readiness.ready, within=5)
        world.host.exit(world.container("a-1").id, code)
        world.engine.come_back()
        await world.ready()
        await until(lambda: world.states() == {}, within=NOTICE)
        assert {outcome: 1} == world.outcomes("supervisor_exits_total")
