"""Replaces parts of the source of methods and functions, in memory."""

import inspect
import sys
import textwrap
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple


class Patch(NamedTuple):
    """A method, or a function of a module, and the part of its source that is replaced."""

    owner: type | ModuleType
    method: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A mutant, and how the simulation reports it.

    `control` is a part of the patches that must pass the same episode by itself.
    """

    seen_as: str
    patches: Sequence[Patch]
    control: Sequence[Patch] = ()


def apply(patches: Sequence[Patch]) -> None:
    """Break the code of this process."""
    for patch in patches:
        owner = patch.owner
        module = owner if isinstance(owner, ModuleType) else sys.modules[owner.__module__]
        made: dict[str, Any] = {}
        exec(patched(patch), vars(module), made)
        if isinstance(owner, ModuleType):  # also for those who have imported it by its name
            getattr(owner, patch.method).__code__ = made[patch.method].__code__
        else:
            setattr(owner, patch.method, made[patch.method])


def patched(patch: Patch) -> str:
    """The method's source, broken. Raises ValueError where the code is another by now."""
    source = textwrap.dedent(inspect.getsource(getattr(patch.owner, patch.method)))
    if (times := source.count(patch.old)) != 1:
        raise ValueError(f"{patch.owner.__name__}.{patch.method}: has {patch.old!r} {times} times")
    return source.replace(patch.old, patch.new)
