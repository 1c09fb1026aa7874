"""Requests and their answers in a few words."""

from typing import Any

import grpc

from tests.chaos.plan import Kill, KillAll, Launch


def told_of(act: Launch | Kill | KillAll) -> str:
    """What a request asks for."""
    match act:
        case Launch(name, identifier, params, deadline, hang_up):
            patience = "" if deadline is None else f" within {deadline:.2f} s"
            patience += "" if hang_up is None else f" hanging up after {hang_up:.2f} s"
            return f"launch {name} {identifier} {dict(params) or ''}{patience}"
        case Kill(identifier):
            return f"kill {identifier}"
        case KillAll():
            return "kill_all"


def answer_of(call: Any) -> tuple[str, str]:
    """The code inside the answer, or the call's status, in a word; and what it says."""
    try:
        response = call.result()
    except grpc.FutureCancelledError:
        return "CANCELLED", ""
    except grpc.RpcError as error:
        return str(error.code().name), ""
    if response.HasField("error"):
        return str(response.error.code), response.error.message
    return "OK", ""
