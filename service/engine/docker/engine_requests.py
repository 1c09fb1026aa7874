"""The requests that the adapter sends to the Engine: all that a proxy has to let through.

`make docs` writes examples/socket-proxy/haproxy.cfg of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from service.engine.workload_spec import AUTH_FILE, AUTH_FOLDER

# Regular expressions of the variable parts of paths. Neither `..` nor `%2F` gets through, except
# that docker-py writes the `@` of a digest as %40.
_PARTS = {
    "container": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    "network": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    # Only those without a name of their own.
    "volume": r"[0-9a-f]{64}",
    "image": r"[A-Za-z0-9\[]([A-Za-z0-9_:\]-]|[./][A-Za-z0-9_\[-]|%40)*",
}
# Before 1.24, a start could say what a container may do, too.
_VERSION = r"/v1\.(2[4-9]|[3-9][0-9]|[0-9]{3,})"

# What the body of a create may have. A key with a dot is a label's, one with a slash a folder's in
# `Tmpfs`. `Binds`, other `Mounts`, `Privileged`, `Devices`, `Runtime` and the like are not there,
# in whatever case and with whatever escapes.
_KEYS = """
AttachStderr AttachStdin AttachStdout CapDrop Cmd Config Dns Env ExtraHosts Hard Healthcheck
HostConfig Image Init Interval Labels LogConfig Memory MemoryReservation MemorySwap Name NanoCpus
NetworkDisabled NetworkMode OpenStdin PidsLimit ReadonlyRootfs Retries ShmSize Soft StartPeriod
StdinOnce StopSignal StopTimeout Test Timeout Tmpfs Tty Ulimits User WorkingDir max-file max-size
""".split()  # noqa: SIM905 - one a line would be long
# Those that the Engine gives a container by default.
_CAPABILITIES = """
AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID
SETPCAP SETUID SYS_CHROOT
""".split()  # noqa: SIM905 - likewise
# Those that send nothing anywhere.
_LOG_DRIVERS = ("json-file", "local", "none")
_BLANK = r"[ \t\r\n]*"
_TEXT = r'"([^"\\]++|\\[^\n])*+"'
_CAPABILITY = f'"({"|".join(_CAPABILITIES)})"'
# The volume for its file with credentials. It has no name, so it is no other container's.
_VOLUME = (
    '"Mounts" : [ { "Type" : "volume" , "Target" : '
    f'"{AUTH_FOLDER}" , "VolumeOptions" : {{ "Labels" :'
)
_MEMBERS = (
    rf'"({"|".join(_KEYS)}|/[^"\\]*+|[A-Za-z0-9_-]++(\.[A-Za-z0-9_-]++)++)"{_BLANK}:',
    rf'"SecurityOpt"{_BLANK}:{_BLANK}\[{_BLANK}"no-new-privileges"{_BLANK}\]',
    rf'"Type"{_BLANK}:{_BLANK}"({"|".join(_LOG_DRIVERS)})"',
    rf'"CapAdd"{_BLANK}:{_BLANK}\[{_BLANK}{_CAPABILITY}({_BLANK},{_BLANK}{_CAPABILITY})*+{_BLANK}\]',
    _BLANK.join(map(re.escape, _VOLUME.split())),
)
# For PCRE2. Possessive quantifiers keep it from going back, so it takes time in proportion.
CREATE_BODY = rf'([^"]++|{_TEXT}(?!{_BLANK}:)|{"|".join(_MEMBERS)})*+'


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A kind of request. `path` lacks the version, and has the names of `_PARTS` in braces.

    `query` is a regular expression of the whole query, if not any will do.
    """

    method: str
    path: str
    meaning: str
    query: str = ""

    @property
    def pattern(self) -> str:
        """The regular expression of its whole path, with or without a version."""
        path = self.path.replace(".", r"\.").format(**_PARTS)
        return f"({_VERSION})?{path}"


def _path_is(*paths: str) -> str:
    """The query that names one of these paths, as docker-py writes it."""
    return f"path=({'|'.join(re.escape(quote(path, safe='')) for path in paths)})"


REQUESTS: Sequence[EngineRequest] = (
    EngineRequest("GET", "/_ping", "whether it is there"),
    EngineRequest("GET", "/version", "which API it has, and whether containerd answers"),
    EngineRequest("GET", "/info", "whether it is rootless or remaps users, and its log driver"),
    EngineRequest("GET", "/v4.0.0/libpod/info", "its log driver, with Podman"),
    EngineRequest("GET", "/events", "what happens to our containers"),
    EngineRequest("GET", "/containers/json", "which containers there are"),
    EngineRequest("GET", "/containers/{container}/json", "how one has ended"),
    EngineRequest(
        "GET", "/v4.0.0/libpod/containers/{container}/json", "how long a log may be, with Podman"
    ),
    EngineRequest("GET", "/containers/{container}/logs", "what one prints"),
    EngineRequest("GET", "/containers/{container}/stats", "what one uses"),
    EngineRequest("GET", "/containers/{container}/top", "whether its program has begun"),
    EngineRequest("GET", "/images/{image}/json", "whether an image is missing"),
    EngineRequest("POST", "/containers/create", "a launch"),
    EngineRequest("POST", "/containers/{container}/start", "a launch"),
    EngineRequest("POST", "/containers/{container}/stop", "a kill"),
    EngineRequest(
        "POST", "/containers/{container}/kill", "a kill, with Docker 23 and 24, and Podman"
    ),
    EngineRequest(
        "POST", "/containers/{container}/wait", "a kill, with Docker 23 and 24, and Podman"
    ),
    EngineRequest("POST", "/containers/{container}/unpause", "a kill, with Podman"),
    EngineRequest("POST", "/containers/{container}/rename", "one that cannot be removed"),
    EngineRequest("DELETE", "/containers/{container}", "one that has ended"),
    EngineRequest("GET", "/networks", "whether those of jobs are there, for Diagnose and doctor"),
    EngineRequest("POST", "/networks/{network}/disconnect", "an endpoint of one that is gone"),
    EngineRequest(
        "PUT",
        "/containers/{container}/archive",
        "the file with its credentials",
        _path_is(AUTH_FOLDER),
    ),
    EngineRequest(
        "GET",
        "/containers/{container}/archive",
        "the number of its user; the credentials in that file",
        _path_is("/etc/passwd", AUTH_FILE),
    ),
    EngineRequest("GET", "/volumes", "which files with credentials were left behind"),
    EngineRequest("DELETE", "/volumes/{volume}", "one that was left behind"),
)

# Only let through if the operator wants it: an attacker who has taken over the supervisor could
# bring in any image with it.
PULL = EngineRequest(
    "POST",
    "/images/create",
    "a pull, for a catalogue with `pull`",
    query="tag=[^&]+&fromImage=[^&]+(&platform=[^&]+)?",
)
