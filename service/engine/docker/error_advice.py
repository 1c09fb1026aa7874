"""What an operator can do about some error messages of the Engine."""

_PRIVILEGES = (
    "the socket is for its owner and its group; under SELinux, a container that mounts it needs"
    " `security_opt: [label:disable]`"
)
_RUNTIME = "`runtime` in the catalogue: `docker info` lists those that the Engine has"
_LOG = "`log` in the catalogue: `docker info` lists the drivers that the Engine has"
_ADVICE = {
    "cannot share the host's network namespace when user namespaces are enabled": (
        "with userns-remap JOB_NETWORK has to be a network of the Engine"
    ),
    "is already in use by an external entity": (
        "Podman has not finished to create or to remove one, and no list shows what is left of it:"
        " free the name with `podman rm NAME` on its host"
    ),
    "unknown user error looking up user": (  # Podman's, for a file that is for this user
        "the image has no such user: give `user` in the catalogue as a number"
    ),
    "no matching entries in ": "the image has no such user or group; a number needs no entry there",
    "could not select device driver": (
        "`gpus` in the catalogue: the host of the Engine has no driver for containers, such as the"
        " NVIDIA Container Toolkit"
    ),
    "Unknown runtime specified": _RUNTIME,
    "unknown or invalid runtime name": _RUNTIME,  # from Docker 23 on
    "error setting rlimit": (
        "`ulimits` in the catalogue: one of them is more than the host of the Engine allows"
    ),
    "error looking up logging plugin": _LOG,
    "invalid log driver": _LOG,  # Podman's
    "bind source path does not exist": (
        "`volumes` in the catalogue: make the folder on the host of the Engine first"
    ),
    "container-init binary not found": "install catatonit on its host, the init of Podman",
    "Permission denied": _PRIVILEGES,
    "the socket proxy does not allow this": (
        "examples/socket-proxy/README.md says what the proxy before the Engine lets through"
    ),
}


def with_advice(text: str) -> str:
    """The message, with advice if there is any."""
    advice = next((advice for words, advice in _ADVICE.items() if words in text), None)
    return f"{text} ({advice})" if advice else text
