"""grpcurl, as far as the documents use it: Debian has no package of the real one.

`python -m tests.support.grpcurl -plaintext [-d JSON] ADDRESS list|SERVICE/METHOD`
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

import grpc

from tests.support.reflection import ReflectingClient


def parsed(arguments: Sequence[str]) -> Namespace:
    """What is asked of whom."""
    options = ArgumentParser(prog="grpcurl", exit_on_error=False)
    options.add_argument("-plaintext", action="store_true", required=True)
    options.add_argument("-d", default="{}")
    options.add_argument("address")
    options.add_argument("what")
    return options.parse_args(arguments)


def answer(client: ReflectingClient, asked: Namespace) -> object:
    """What grpcurl would print, read."""
    return client.services() if asked.what == "list" else client.call(asked.what, asked.d)


def main() -> None:
    """Print the answer."""
    asked = parsed(sys.argv[1:])
    with grpc.insecure_channel(asked.address) as channel:
        sys.stdout.write(json.dumps(answer(ReflectingClient(channel), asked)) + "\n")


if __name__ == "__main__":
    main()
