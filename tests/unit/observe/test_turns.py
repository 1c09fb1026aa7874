import asyncio

import pytest

from service.observe import turns as module
from service.observe.turns import AT_ONCE, PAUSE, Turns


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0)


def no_round() -> None:
    pass


class Watchers:
    """Watchers by name, who wait for one turn each."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.called: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def wait(self, *names: str, idle: bool = False) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._wait(name, idle=idle))

    async def _wait(self, name: str, *, idle: bool) -> None:
        await self.turns.next(idle=idle)
        self.called.append(name)


async def a_while() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_has_something_to_send_comes_in_turn() -> None:
    watchers = Watchers(Turns(no_round))
    watchers.wait("a", "b", "c")
    await a_while()
    assert ["a", "b", "c"] == watchers.called


async def test_who_is_idle_waits_for_news_and_comes_behind_the_others() -> None:
    watchers = Watchers(Turns(no_round))
    watchers.wait("idle", idle=True)
    await a_while()
    assert [] == watchers.called
    watchers.wait("busy")
    await asyncio.sleep(0)
    watchers.turns.announce_news()
    await a_while()
    assert ["busy", "idle"] == watchers.called


async def test_everybody_who_waited_for_news_has_a_turn_before_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE", 60)
    rounds: list[int] = []
    watchers = Watchers(Turns(lambda: rounds.append(len(watchers.called))))
    waiting = [str(number) for number in range(AT_ONCE + 2)]
    watchers.wait(*waiting, idle=True)
    await a_while()
    for called in (AT_ONCE, AT_ONCE + 2, AT_ONCE + 3):
        watchers.turns.announce_news()
        watchers.turns._call()
        await a_while()
        assert called == len(watchers.called)
        if called == AT_ONCE:
            watchers.wait("quick", idle=True)
            await asyncio.sleep(0)
    assert [0, AT_ONCE + 2] == rounds
    assert [*waiting, "quick"] == watchers.called


async def test_few_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 60)
    watchers = Watchers(Turns(no_round))
    watchers.wait(*map(str, range(AT_ONCE + 1)))
    await asyncio.sleep(0)
    watchers.turns._call()
    await a_while()
    assert AT_ONCE == len(watchers.called)
    watchers.turns._call()
    await a_while()
    assert [*map(str, range(AT_ONCE + 1))] == watchers.called


async def test_nothing_is_left_of_a_client_that_has_gone() -> None:
    turns = Turns(no_round)
    watchers = Watchers(turns)
    watchers.wait("idle", idle=True)
    watchers.wait("busy")
    await asyncio.sleep(0)
    for task in watchers.tasks.values():
        task.cancel()
    turns.announce_news()  # the clients have gone, and their tasks do not know it yet
    turns._call()
    await a_while()
    assert [] == watchers.called
    assert not turns._idle
    assert not turns._line


async def test_at_the_close_nobody_waits() -> None:
    watchers = Watchers(Turns(no_round))
    watchers.wait("idle", idle=True)
    watchers.wait("busy")
    await asyncio.sleep(0)
    watchers.tasks["busy"].cancel()
    watchers.turns.close()
    watchers.wait("late", idle=True)
    await a_while()
    assert ["idle", "late"] == watchers.called


async def test_idle_watches_without_news_need_no_timer() -> None:
    turns = Turns(no_round)
    idle = asyncio.create_task(turns.next(idle=True))
    await a_while()
    assert turns._timer is None
    turns.announce_news()
    await idle
    await a_while()
    assert turns._timer is None


async def test_at_most_five_hundred_have_a_turn_in_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE", PAUSE)
    watchers, loop = Watchers(Turns(no_round)), asyncio.get_running_loop()
    began = loop.time()
    watchers.wait(*map(str, range(100)))
    await asyncio.gather(*watchers.tasks.values())
    assert loop.time() - began >= 0.9 * 100 / 500
