"""Reads answers of the Engine, whatever they are about.

An Engine, or a proxy in front of it, may answer anything. An answer of another shape is
`Unreadable`: the text says where, and shows no value, because that may be a secret.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

# Raised by docker-py, and by our own code, if an answer has another shape.
MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Unreadable(ValueError):
    """An answer of an unexpected shape."""


class Answer(BaseModel):
    """A part of an answer. Other fields are ignored."""

    # Frozen, because pydantic copies a default for each answer unless it can be hashed.
    model_config = ConfigDict(strict=True, frozen=True)


A = TypeVar("A", bound=Answer)


def read(kind: type[A], answer: object) -> A:
    """Validate an answer, or a part of one. Raises `Unreadable`."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise Unreadable(_fault(error)) from None


def read_list(answer: object) -> list[Any]:
    """A list of any items. Raises `Unreadable`."""
    if not isinstance(answer, list):
        raise Unreadable("it is not a list")
    return answer


def _fault(error: ValidationError) -> str:
    """The first fault. Keys of labels are left out, because anybody may set labels."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = [str(part) for part in first["loc"][:2]]
    return f"{'.'.join(where) or 'all of it'}: {first['msg']}"
