"""The arguments of a worker: pairs of --KEY VALUE, with any keys."""

from collections.abc import Mapping, Sequence

# The exit code for wrong arguments.
BAD_ARGUMENTS = 2


class ArgumentError(Exception):
    """An argument is missing or wrong. The message contains no value: it may be a secret."""


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """Read the pairs.

    The supervisor passes on every parameter of the job, also those that are for others, and a
    value may begin with dashes: so argparse does not fit.
    """
    if len(arguments) % 2:
        raise ArgumentError("the arguments are not pairs of --KEY VALUE")
    keys = arguments[::2]
    for place, key in enumerate(keys):
        if not key.startswith("--"):
            raise ArgumentError(f"argument {2 * place + 1} should be a --KEY")
    return dict(zip((key.removeprefix("--") for key in keys), arguments[1::2], strict=True))


def required(options: Mapping[str, str], key: str) -> str:
    """Return the value of a required key."""
    if not options.get(key):
        raise ArgumentError(f"--{key}: is missing")
    return options[key]
