"""Reads the values of catalogue keys: sizes, durations, images, users, capabilities, folders."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from posixpath import normpath
from typing import Any

from pydantic import BeforeValidator

from service.engine.workload_spec import AUTH_FOLDER, Tmpfs

_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
_SIZE = re.compile(r"([0-9]+)([kmg])")
# The Engine refuses less.
_LEAST_MEMORY = 6 * 2**20
_MOST_SIZE = 2**50
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_LONGEST = 8784 * 3600.0  # a leap year
_DAY = 86400.0
_LONGEST_GRACE = 3600.0  # that of `JOB_STOP_GRACE_SECONDS`
_MOST_CODE = 255
# Those that end a program, or that one may take for a request to end.
_SIGNALS = """
SIGTERM SIGINT SIGQUIT SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGABRT SIGWINCH SIGRTMIN+3 SIGKILL
"""
# The grammar of github.com/distribution/reference, and Docker's rules: a first part without a dot
# and a port is not a registry but a part of the name, and names are in lower case.
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"localhost|{_LABEL}(\.{_LABEL})+|\[[0-9A-Fa-f:]+\]"
_REGISTRY = rf"(({_HOST})(:[0-9]+)?|{_LABEL}:[0-9]+)"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"
_IMAGE = re.compile(rf"({_REGISTRY}/)?(?P<path>{_PART}(/{_PART})*)(:{_TAG})?(@({_DIGEST}))?")
_LONGEST_PATH = 255
# A name as useradd(8) allows it, or a number.
_WHO = r"([A-Za-z_][A-Za-z0-9_.-]{0,31}|[0-9]{1,10})"
_USER = re.compile(rf"({_WHO}(:{_WHO})?)?")
_MOST_ID = 2**31 - 1  # the Engine's
# As Go names them, in lower case.
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
# All that capabilities(7) has.
_CAPABILITIES = """
AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE
MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG
SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE
SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
"""
_ALL = "ALL"
# The Engine mounts these itself, and the supervisor `AUTH_FOLDER`. /dev/shm is like any other.
_KEPT = re.compile(rf"/|(/proc|/sys|{AUTH_FOLDER})(/.*)?|/dev")
_PATH = re.compile(r"/(?!/)[^\x00-\x1f:,]*")
_MODE = re.compile(r"[0-7]{3,4}")
_RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# SwarmKit's constraints (manager/constraint): a node fulfils none whose key it does not know.
_CONSTRAINT = re.compile(
    r"(node\.(id|hostname|ip|role|platform\.(os|arch))|(node|engine)\.labels\.[A-Za-z0-9_.-]+)"
    r" *(==|!=) *[A-Za-z0-9:_./ -]+"
)


def _bytes(value: str) -> int:
    """A size such as `"256m"` in bytes."""
    match = _SIZE.fullmatch(value)
    if not match or not 0 < (size := int(match[1]) * _UNITS[match[2]]) <= _MOST_SIZE:
        raise ValueError
    return size


def read_size(value: object, least: int = 0) -> int:
    """A size in bytes."""
    if not isinstance(value, str) or (size := _bytes(value)) < least:
        raise ValueError
    return size


def read_memory(value: object) -> int:
    """A size that the Engine takes as a limit, in bytes."""
    return read_size(value, _LEAST_MEMORY)


def read_duration(text: object) -> float:
    """A duration such as `"15m"` in seconds, at most a year. Raises `ValueError`."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or (seconds := float(match[1]) * _SECONDS[match[2]]) > _LONGEST:
        raise ValueError
    return seconds


def write_duration(seconds: float) -> str:
    """A text that `read_duration` reads as these seconds, to the millisecond."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def read_period(text: object) -> object:
    """A time of a health check, in seconds. To Docker, 0 would be that of the image."""
    return _duration(text, 0.1, _DAY)


def read_wait(text: object) -> object:
    """How long a launch may wait, in seconds."""
    return _duration(text, 1.0, _DAY)


def read_grace(text: object) -> object:
    """How long a job may have to stop, in seconds."""
    return _duration(text, 0.0, _LONGEST_GRACE)


def read_time_limit(text: object) -> object:
    """How long a job may run, in seconds."""
    return _duration(text, 1.0, _LONGEST)


read_window = read_time_limit


def read_back_off(text: object) -> object:
    """How long to wait before a restart, in seconds."""
    return _duration(text, 0.001, _DAY)


def _duration(text: object, least: float, most: float) -> float:
    seconds = read_duration(text)
    if not least <= seconds <= most:
        raise ValueError
    return seconds


def read_command(value: object) -> object:
    """A program and its arguments."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError
    if not value or not value[0] or any("\0" in each for each in value):
        raise ValueError
    return tuple(value)


def read_signal(value: str) -> str:
    """A signal by its name."""
    if value not in _SIGNALS.split():
        raise ValueError
    return value


def read_image(value: str) -> str:
    """An image reference. The limit of its length applies without registry, tag and digest."""
    match = _IMAGE.fullmatch(value)
    if match is None or len(match["path"]) > _LONGEST_PATH:
        raise ValueError
    return value


def read_platform(value: str) -> str:
    """`OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`, or "" for the Engine's own."""
    if value and not _PLATFORM.fullmatch(value):
        raise ValueError
    return value


def read_user(value: str) -> str:
    """`USER` or `USER:GROUP`, or "" for that of the image."""
    ids = [int(part) for part in value.split(":") if part.isdecimal()]
    if not _USER.fullmatch(value) or any(each > _MOST_ID for each in ids):
        raise ValueError
    return value


def list_of(read: Callable[[str], Any]) -> BeforeValidator:
    """A list of different texts, each as `read` returns it, as a tuple."""

    def validate(value: object) -> object:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError
        if len(set(value)) < len(value):
            raise ValueError
        return tuple(read(each) for each in value)

    return BeforeValidator(validate)


def list_of_codes() -> BeforeValidator:
    """A list of different exit codes, as a tuple."""

    def validate(value: object) -> object:
        if not isinstance(value, list) or len(set(map(str, value))) < len(value):
            raise ValueError
        if not all(type(each) is int and 0 <= each <= _MOST_CODE for each in value):
            raise ValueError
        return tuple(value)

    return BeforeValidator(validate)


def read_capability(value: str) -> str:
    """A capability without CAP_."""
    if value not in _CAPABILITIES.split():
        raise ValueError
    return value


def read_capability_or_all(value: str) -> str:
    """Likewise, or `ALL`."""
    return value if value == _ALL else read_capability(value)


def read_tmpfs(value: str) -> Tmpfs:
    """`PATH` or `PATH:size=16m,mode=1777`. Swarm knows no other option."""
    path, colon, text = value.partition(":")
    if not _PATH.fullmatch(path) or normpath(path) != path or _KEPT.fullmatch(path):
        raise ValueError
    pairs = [option.split("=") for option in text.split(",")] if colon else []
    options = dict(pairs)
    if len(options) < len(pairs) or options.keys() - {"size", "mode"}:
        raise ValueError
    mode = options.get("mode")
    if mode is not None and not _MODE.fullmatch(mode):
        raise ValueError
    size = _bytes(options["size"]) if "size" in options else None
    return Tmpfs(path, size, None if mode is None else int(mode, 8))


def read_constraint(value: str) -> str:
    """A constraint of Swarm. One that no node could ever fulfil is refused."""
    if not _CONSTRAINT.fullmatch(value):
        raise ValueError
    return value


def read_address(value: str) -> str:
    """An IP address."""
    if "%" in value:  # of one interface of one machine
        raise ValueError
    ip_address(value)
    return value


def read_runtime(value: str) -> str:
    """A runtime of the Engine, or "" for its default."""
    if value and not _RUNTIME.fullmatch(value):
        raise ValueError
    return value
