"""Odd answers: what the supervisor asks the Engine, it is told with something wrong in it."""

import json
import random
import threading
from collections.abc import Callable
from typing import Any

from tests.support.http_line import Rewrite

# Of the answers to what changes nothing: what was asked for is tried again, and seldom enough meets
# four of these in a row.
_SHARE = 0.15
_BODIES = (b"", b"<html>a proxy's page</html>", b"null", b'{"message": 7}')
_VALUES: tuple[object, ...] = (7, [], {})
# Without them an answer would be no odd one, but one about somebody else's container.
_WHOSE = {"Id", "Config", "Labels"}


def odd_answers(seed: float, share: float = _SHARE) -> Rewrite:
    """An edit for a share of the answers."""
    chance, lock = random.Random(seed), threading.Lock()

    def rewrite(method: str, path: str) -> Callable[[bytes], bytes] | None:
        with lock:
            if method != "GET" or "/events" in path or chance.random() >= share:
                return None
            number = chance.random()
        return lambda body: _spoilt(body, random.Random(number))

    return rewrite


def _spoilt(body: bytes, chance: random.Random) -> bytes:
    """Another body, or something else in one place of it."""
    if chance.random() < 0.3:
        return chance.choice(_BODIES)
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    holder = _somewhere(answer, chance)
    if isinstance(holder, dict) and holder.keys() - _WHOSE:
        key = chance.choice(sorted(holder.keys() - _WHOSE))
        if chance.random() < 0.5:
            del holder[key]
        else:
            holder[key] = chance.choice(_VALUES)
    return json.dumps(answer).encode()


def _somewhere(answer: Any, chance: random.Random) -> Any:
    """A table in an answer: of a list, an item; of a container, it or what it is made of."""
    if isinstance(answer, list):
        return chance.choice(answer) if answer else None
    within = [answer.get(key) for key in ("State", "Config")] if isinstance(answer, dict) else []
    return chance.choice([answer, *within])
