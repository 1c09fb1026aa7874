"""Mutants of restarts, limits, pulls and turns that the simulation has to notice."""

from collections.abc import Mapping

from service.app.wiring import Core
from service.jobs import restarts, transitions
from service.lifecycle.image_pulls import ImagePulls
from service.lifecycle.launch_tasks import LaunchTasks
from service.lifecycle.restarter import Restarter
from service.lifecycle.time_limits import TimeLimits
from service.lifecycle.unhealthy_jobs import UnhealthyJobs
from service.state.line import Line
from tests.simulation.mutating import Mutant, Patch

POLICY_MUTANTS: Mapping[str, Mutant] = {
    "attempts are not counted": Mutant(
        "a restart that must not be",
        [Patch(restarts, "_next", "if used >= policy.attempts:", "if False:")],
    ),
    "an attempt too few": Mutant(
        "a job that was not started again",
        [
            Patch(
                restarts, "_next", "if used >= policy.attempts:", "if used + 1 >= policy.attempts:"
            )
        ],
    ),
    "the window does not begin anew": Mutant(
        "restarts miscounted",
        [Patch(restarts, "_next", "at - so_far.window_began <= policy.window", "True")],
    ),
    "a final exit code is like any other": Mutant(
        "a restart that must not be",
        [Patch(restarts, "after_end", "exited.exit_code in policy.final_exit_codes", "False")],
    ),
    "the waits do not start over": Mutant(
        "restarts miscounted",
        [
            Patch(
                restarts, "_next", "0 if ran > policy.most else so_far.in_a_row", "so_far.in_a_row"
            )
        ],
    ),
    "a restart comes too early": Mutant(
        "a restart too early",
        [Patch(Restarter, "_waited", "time.time()) <= 0", "time.time()) <= 0.2")],
    ),
    "nothing is started again": Mutant(
        "a job without a live container",
        [Patch(Restarter, "_follow", "await self._restart_in_turn(job)", "return")],
    ),
    "a successor does not know how often": Mutant(
        "restarts miscounted",
        [Patch(Restarter, "_make_successor", "restart_labels(job.restarts)", "{}")],
    ),
    "a kill does not end the wait for a restart": Mutant(
        "an answer that must not be",
        [Patch(transitions, "advance", "job.exit_seen and not job.backing_off", "job.exit_seen")],
    ),
    "a time limit ends with a life of the supervisor": Mutant(
        "a job past its time",
        [
            Patch(
                TimeLimits,
                "_follow_if_limited",
                "if job.time_limit is not None:",
                "if job.time_limit is not None and not job.adopted:",
            )
        ],
    ),
    "an end after its time looks like any other": Mutant(
        "a wrong outcome",
        [
            Patch(
                TimeLimits,
                "_end",
                'self._registry.observe(job.launch_id, EndBegun("time_limit"))',
                "pass",
            )
        ],
    ),
    "a launch does not wait until its job is healthy": Mutant(
        "a launch that was answered too early",
        [
            Patch(
                LaunchTasks,
                "_await_health",
                "await self.health_waits.until_ready(job.launch_id)",
                "pass",
            )
        ],
    ),
    "an unhealthy job runs on": Mutant(
        "an unhealthy job that was not started again",
        [Patch(UnhealthyJobs, "_follow_if_asked", "if job.restart is not None", "if False")],
    ),
    "as many images are pulled at once as are asked for": Mutant(
        "too many pulls",
        [Patch(ImagePulls, "_in_turn", "await self._wait_for_place()", "pass")],
    ),
    "a pull goes on for nobody": Mutant(
        "a pull that nobody waits for",
        [Patch(ImagePulls, "pull", "self._pulls.cancel(key)", "pass")],
    ),
    "a kill waits for a pull": Mutant(
        "a kill that waits for a launch",
        [Patch(LaunchTasks, "_pull", "with self.launches.endable(job.launch_id):", "if True:")],
    ),
    "the first launch goes first, whatever its priority": Mutant(
        "a launch out of turn",
        [Patch(Line, "call_next", "max(able, key=self._priority_of)", "able[0]")],
    ),
    "a job keeps its turn": Mutant(
        "a launch out of turn",
        [
            Patch(
                Line,
                "call_next",
                "self._turns[name] = left",
                "self._turns = {name: left, **self._turns}",
            )
        ],
    ),
    "the history lacks what was killed": Mutant(
        "an end that is not in the history",
        [Patch(Core, "_keep_ended", "job.started_at is not None", "not job.kill_intended")],
    ),
}
