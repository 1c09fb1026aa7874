"""Delays the answers to wrong tokens from one address, the more of them there are in a row."""

import asyncio
from collections import OrderedDict

# The delays: the first, and the longest (seconds). Each wrong token doubles it.
_FIRST, _LONGEST = 0.01, 1.0
_MOST_ADDRESSES = 4096


class Throttle:
    """Belongs to one port. Keeps the addresses of the last wrong tokens only."""

    def __init__(self, most_waiting: int) -> None:
        """`most_waiting` answers are delayed at a time; others are given at once.

        An answer that waits keeps its connection or stream.
        """
        self._most_waiting = most_waiting
        self._waiting = 0
        self._delays: OrderedDict[str, float] = OrderedDict()
        self.in_use = False  # whether there have been wrong tokens

    def forget(self, address: str) -> None:
        """Forget the wrong tokens of an address, because a correct credential came from it."""
        self._delays.pop(address, None)
        self.in_use = bool(self._delays)

    async def wait(self, address: str) -> None:
        """Wait, after a wrong token from an address."""
        delay = min(_LONGEST, self._delays.pop(address, _FIRST / 2) * 2)
        self._delays[address] = delay
        self.in_use = True
        if len(self._delays) > _MOST_ADDRESSES:
            self._delays.popitem(last=False)
        if self._waiting >= self._most_waiting:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(delay)
        finally:
            self._waiting -= 1
