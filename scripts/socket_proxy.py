"""Writes the configuration of the example's proxy in front of the Engine's socket."""

from pathlib import Path

from service.engine.docker.engine_requests import CREATE_BODY, PULL, REQUESTS, EngineRequest

PAGE = Path(__file__).resolve().parent.parent / "examples" / "socket-proxy" / "haproxy.cfg"
_ALLOWED = "http-request set-var(txn.allowed) bool(true)"

_BEFORE = """\
# HAProxy before the Engine's socket: lets through what the supervisor asks for, and nothing else.
# `make docs` writes this file from service/engine/docker/engine_requests.py. README.md explains it.

global
    # Only refusals are logged.
    log stdout format raw local0
    maxconn 256
    nbthread 2
    # The body of a create has to fit in: a launch may be 1 MiB, and JSON escapes it.
    tune.bufsize 8388608
    presetenv ENGINE_SOCKET /var/run/docker.sock
    presetenv PROXY_SOCKET /run/engine/docker.sock

defaults
    mode http
    log global
    # The status comes last in time, too: without it, the line would be written before the rules.
    log-format "refused: %HM %HP %ST"
    # A stop or the events take as long as they take. The supervisor has time limits of its own.
    timeout client 1d
    timeout server 1d
    timeout connect 5s
    # An Engine that is away is told at once, by 503, and asked again by the supervisor.
    retries 0
    # Who has hung up is hung up on: otherwise the Engine would keep on sending events.
    option abortonclose
    # A new connection reaches the Engine as a new one. It shows that the Engine is shutting down.
    http-reuse never

frontend supervisor
    # For the group that HAProxy runs as.
    bind "unix@${PROXY_SOCKET}" mode 660

"""
_AFTER = """
    # What a container may do is in the body of its create, which is looked through as a whole.
    acl is_create path -m end /containers/create
    http-request wait-for-body time 30s if is_create
    http-request set-var(txn.allowed) bool(false) if is_create !{ req.body -m reg 'CREATE_BODY' }

    # An upgrade would be a connection that nobody looks into.
    http-request set-var(txn.allowed) bool(false) if { req.hdr(upgrade) -m found }

    http-request set-log-level silent if { var(txn.allowed) -m bool }
    http-request deny deny_status 403 REFUSAL unless { var(txn.allowed) -m bool }
    default_backend engine

backend engine
    server engine "unix@${ENGINE_SOCKET}"
"""


# HAProxy has no way to continue a line.
_REFUSAL = """\
content-type application/json string '{"message":"the socket proxy does not allow this request"}'"""


def configuration() -> str:
    """The text of `haproxy.cfg`."""
    after = _AFTER.replace("REFUSAL", _REFUSAL).replace("CREATE_BODY", f"^{CREATE_BODY}$")
    return _BEFORE + "".join(map(_with_its_meaning, REQUESTS)) + _to_uncomment(PULL) + after


def rule(request: EngineRequest) -> str:
    """The rule that lets it through."""
    condition = f"if {{ method {request.method} }} {{ path -m reg '^{request.pattern}$' }}"
    if request.query:
        condition += f" {{ query -m reg '^{request.query}$' }}"
    return f"{_ALLOWED} {condition}"


def _with_its_meaning(request: EngineRequest) -> str:
    return f"    # {request.meaning}\n    {rule(request)}\n"


def _to_uncomment(request: EngineRequest) -> str:
    return f"    # {request.meaning}: remove the # before the next line\n    # {rule(request)}\n"
