"""Carries out the steps of a plan, each kind beside the others, and counts what came of them."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import docker.errors
import requests
from google.protobuf.empty_pb2 import Empty

from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import AuthenticatedJobData
from tests.chaos.killed import Killed
from tests.chaos.plan import (
    Act,
    ByHand,
    EngineFault,
    Kill,
    KillAll,
    Launch,
    LogFault,
    Restart,
    Round,
    Shortage,
)
from tests.chaos.stage import Stage
from tests.chaos.telling import answer_of, told_of
from tests.support.containers import PREFIX
from tests.support.supervised import struct

STEADY = "steady"
"""What the identifiers of jobs begin with that nobody touches by hand."""

_CUT_OFF_EVERY = 8  # acts, at which one of those that watch is cut off
_PATIENCE = 60.0  # of a client without a deadline of its own
_ALL_DONE = 100.0
# What a request may be answered with: a code of the contract, or a status where the supervisor is
# away or the client has gone. A 500 is always ours, and a 409 has no stranger here to come from;
# a kill is refused (502) where a third party starts the container again.
_ALWAYS = {"OK", "404", "422", "503", "504", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"}
_ALONE = ("engine", "supervisor", "log", "means")
# A launch may wait in vain for the end of another job (429), or be killed while it waits (499).
_LAUNCHED = _ALWAYS | {"429", "499"}
# After these a launch has no effect any more.
_SURE = {"OK", "404", "422", "429", "499"}
_ALLOWED = {Launch: _LAUNCHED, Kill: _ALWAYS | {"502"}, KillAll: _ALWAYS | {"502"}}


class Acts:
    """Many requests at once, a few hands, and one Engine and one supervisor to be ended."""

    def __init__(self, stage: Stage) -> None:
        self.operations: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.wrong: list[str] = []  # answers and ends that must not be
        self.killed = Killed()
        self._stage = stage
        self._lanes = {
            lane: ThreadPoolExecutor(threads, thread_name_prefix=lane)
            for lane, threads in {"requests": 64, "hands": 4, **dict.fromkeys(_ALONE, 1)}.items()
        }

    def play(self, plan: Round) -> None:
        """Carry out a round, step by step at its time; return when everything has been done."""
        began = time.monotonic()
        self.killed.begin_round()
        doing: dict[Future[None], Act] = {}
        for step in plan.steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            if len(doing) % _CUT_OFF_EVERY == 0:
                self._stage.watches.cut_off_one()
            doing[self._submit(step.act)] = step.act
        _, undone = wait(doing, timeout=_ALL_DONE)
        self.wrong += [f"not done within {_ALL_DONE:g} s: {doing[one]}" for one in undone]
        for done in doing.keys() - undone:
            if error := done.exception():
                self.wrong.append(f"{doing[done]}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Let go of the threads."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def _submit(self, act: Act) -> "Future[None]":
        match act:
            case Launch() | Kill() | KillAll():
                return self._lanes["requests"].submit(self._ask, act)
            case ByHand():
                return self._lanes["hands"].submit(self._by_hand, act)
            case EngineFault():
                return self._lanes["engine"].submit(self._engine, act)
            case Restart():
                return self._lanes["supervisor"].submit(self._restart, act)
            case LogFault():
                return self._lanes["log"].submit(self._log_fault, act)
            case Shortage():
                return self._lanes["means"].submit(self._shortage, act)

    # Requests

    def _ask(self, act: Launch | Kill | KillAll) -> None:
        told = told_of(act)
        self.operations[told.partition(" ")[0]] += 1
        before = self._begin(act)
        call = self._call(act)
        if isinstance(act, Launch) and act.hang_up is not None:
            time.sleep(act.hang_up)
            call.cancel()
        answer, message = answer_of(call)
        self.answers[answer] += 1
        if isinstance(act, Launch):
            self.killed.launched(act.identifier, sure=answer in _SURE)
        elif answer == "OK":
            self.killed.killed(before)
        self._stage.say(f"{told} -> {answer} {message}")
        if answer not in _ALLOWED[type(act)]:
            self.wrong.append(f"{told} was answered {answer} {message}")

    def _begin(self, act: Launch | Kill | KillAll) -> Mapping[str, int]:
        match act:
            case Launch():
                self.killed.launching(act.identifier)
                return {}
            case Kill(identifier):
                return self.killed.killing(identifier)
            case KillAll():
                return self.killed.killing()

    def _call(self, act: Launch | Kill | KillAll) -> Any:
        stub = self._stage.supervised.stub
        match act:
            case Launch(name, identifier, params, deadline):
                request = AuthenticatedJobData(
                    name=name, identifier=identifier, params=struct(params)
                )
                return stub.LaunchJob.future(request, **_waiting(deadline))
            case Kill(identifier):
                return stub.KillJob.future(JobId(identifier=identifier), **_waiting())
            case KillAll():
                return stub.KillAllJobs.future(Empty(), **_waiting())

    # Third parties

    def _by_hand(self, act: ByHand) -> None:
        try:
            done = self._touch(act)
        except (docker.errors.APIError, requests.RequestException) as error:
            done = f"{type(error).__name__}"
        else:
            self.faults[f"docker {act.what}"] += bool(done)
        self._stage.say(f"docker {act.what}: {done or 'nothing there'}")

    def _touch(self, act: ByHand) -> str:
        if act.what == "forget":
            return self._forget()
        state = {"unpause": "paused", "start": "exited"}.get(act.what, "running")
        found = sorted(
            (item["Labels"][f"{PREFIX}identifier"], item["Id"])
            for item in self._stage.ours(all_of_them=True)
            if item["State"] == state
        )
        found = [one for one in found if not one[0].startswith(STEADY)]
        if not found:
            return ""
        identifier, container_id = found[int(act.choice * len(found))]
        if act.what in ("restart", "start"):
            self._stage.touched.add(container_id)
        with self._stage.client() as client:
            _HANDS[act.what](client.api, container_id)
        return f"{identifier} {container_id[:12]}"

    def _forget(self) -> str:
        """The next launch of it has to pull."""
        with self._stage.client() as client:
            client.images.remove(self._stage.far, force=True)
        return self._stage.far

    # The Engine

    def _engine(self, act: EngineFault) -> None:
        engine = self._stage.engine
        begin, end = {
            "stop": (engine.stop, engine.start),
            "kill": (engine.kill, engine.start),
            "freeze": (engine.freeze, engine.thaw),
            "odd": (lambda: self._stage.answer_oddly(act.seconds), self._stage.answer_well),
        }[act.what]
        self._stage.say(f"engine: {act.what} for {act.seconds:.1f} s")
        begin()
        time.sleep(act.seconds)
        end()
        self.faults[f"engine {act.what}"] += 1
        self._stage.say("engine: is back")

    # The supervisor

    def _restart(self, act: Restart) -> None:
        self._stage.say(f"supervisor: {act.signal}")
        self._stage.end_life(signal.Signals[act.signal])
        self.killed.forget()
        time.sleep(act.seconds)
        self._stage.begin_life(act.life)
        self.faults[f"supervisor {act.signal}, {act.life.on_start}"] += 1
        self.faults["log on a full disk"] += act.life.log == "a full disk"
        self.faults["few threads and files"] += act.life.poor
        self._stage.say(f"supervisor: starts as {act.life}")

    # Its surroundings

    def _log_fault(self, act: LogFault) -> None:
        tap = self._stage.around.tap
        if tap is None:
            self._stage.say("log: nobody reads it anyway")
            return
        self._stage.say(f"log: its reader {act.what} for {act.seconds:.1f} s")
        with tap.trouble(act.what):
            time.sleep(act.seconds)
        self.faults[f"log's reader {act.what}"] += 1
        self._stage.say("log: is read again")

    def _shortage(self, act: Shortage) -> None:
        with self._stage.shortage(act.of) as begun:
            if not begun:
                self._stage.say(f"no shortage of {act.of}: the supervisor is not there")
                return
            self._stage.say(f"no more {act.of} for {act.seconds:.1f} s")
            time.sleep(act.seconds)
        self.faults[f"no more {act.of}"] += 1
        self._stage.say(f"{act.of} again")


_HANDS: Mapping[str, Callable[[docker.APIClient, str], object]] = {
    "kill": lambda api, container_id: api.kill(container_id),
    "remove": lambda api, container_id: api.remove_container(container_id, force=True),
    "restart": lambda api, container_id: api.restart(container_id, timeout=1),
    "pause": lambda api, container_id: api.pause(container_id),
    "unpause": lambda api, container_id: api.unpause(container_id),
    "start": lambda api, container_id: api.start(container_id),
}


def _waiting(deadline: float | None = None) -> dict[str, Any]:
    """How a call is made: a client outlives the supervisor, and comes when it is there again."""
    return {"timeout": deadline or _PATIENCE, "wait_for_ready": True}
