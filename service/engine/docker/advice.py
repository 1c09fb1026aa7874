"""What helps against some of the Engine's words, which are for whoever set the Engine up."""

_PRIVILEGES = (
    "the socket is for its owner and its group; under SELinux, a container that mounts it needs"
    " `security_opt: [label:disable]`"
)
_HELPS = {
    "cannot share the host's network namespace when user namespaces are enabled": (
        "with userns-remap JOB_NETWORK has to be a network of the Engine"
    ),
    "is already in use by an external entity": (
        "Podman has not finished to create or to remove one, and no list shows what is left of it:"
        " free the name with `podman rm NAME` on its host"
    ),
    "container-init binary not found": "install catatonit on its host, the init of Podman",
    "Permission denied": _PRIVILEGES,
}


def with_help(text: str) -> str:
    """The words, and what helps if that is known."""
    helps = next((help_ for words, help_ in _HELPS.items() if words in text), None)
    return f"{text} ({helps})" if helps else text
