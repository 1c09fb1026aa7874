#!/usr/bin/env python3
"""Chromium that hears of no change of the machine's network.

It would drop its requests whenever somebody beside it starts a container with a network. The kernel
would tell it through a socket of AF_NETLINK, which it does without if it gets none.
"""

import ctypes
import os
import socket
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EAFNOSUPPORT = 97
_NR, _FIRST_ARGUMENT = 0, 16  # where seccomp_data has them
_SOCKET = {"x86_64": 41, "aarch64": 198}[os.uname().machine]

# Each instruction: what it does, how many to skip if so and if not, and its operand.
_FILTER = [
    (_LOAD, 0, 0, _NR),
    (_JUMP_IF_EQUAL, 0, 3, _SOCKET),
    (_LOAD, 0, 0, _FIRST_ARGUMENT),
    (_JUMP_IF_EQUAL, 0, 1, socket.AF_NETLINK),
    (_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT),
    (_RETURN, 0, 0, _ALLOW),
]


def _forbid_netlink() -> None:
    """Forbid it to this process, and to all that it becomes and starts."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _FILTER))
    program = struct.pack("HP", len(_FILTER), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program)):
        if prctl(*call, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    _forbid_netlink()
    os.execv("/usr/bin/chromium", ["chromium", *sys.argv[1:]])  # noqa: S606 - as it was called
