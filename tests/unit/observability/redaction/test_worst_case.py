"""The longest texts and secrets that are searched, made to be slow: none may hold up a process."""

import json
import subprocess
import sys

import pytest

N, M = 65_536, 16_384
PEM = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\n-----END KEY-----\n"


def repeated(unit: str) -> tuple[str, object]:
    """A text and a secret that are nothing else."""
    return (unit * N)[:N], (unit * M)[:M]


CASES: dict[str, tuple[str, object]] = {
    "backslashes and a key": ("\\" * N, PEM),
    "backslashes and many": ("\\" * N, "a" + "\\" * (M - 1)),
    "a near miss": ("-" * N, "-" * (M - 1) + "y"),
    "prefixes": (("a" * 170 + "b") * (N // 171), ["a" * length for length in range(1, 180)]),
    "many small": ("abcdefgh" * (N // 8), [f"{number:x}z" for number in range(M // 6)]),
    "one letter": ("a " * (N // 2), "a"),
    "of quotes": ("'" * N, ["'" * length for length in range(1, 60)]),
    "%25 from the left": ("%" + "25" * (N // 2 - 1), "%" + "25" * (M // 2 - 1)),
    "&amp; from the left": ("&" + "amp;" * (N // 4 - 1), "&" + "amp;" * (M // 4 - 1)),
    "\\x5c from the left": ("\\" + "x5c" * (N // 3 - 1), "\\" + "x5c" * (M // 3 - 1)),
    "deep JSON": ("x" * N, "[" * M),
} | {
    unit: repeated(unit)
    for unit in (
        *("-", "é", "\\", "%", "&", "&a", "%a", "\\%", "%25", "&amp;", "\\u005c", "'", "\n", "Ã"),
        *("\\xc3\\xa4", "\\303\\244", "%F0%9F%98%80", "\\ud83d\\ude00", "Ã¤", "Ã\x83Â¤", "abcd\\n"),
    )
}

# In a process of its own, since a thread that never gives way could not be told to end.
# Its processor time counts: the machine may be busy with other things.
_CHILD = """
import json, sys, time
from observability.redaction.redactor import Redactor
text, secrets = json.load(sys.stdin)
began = time.process_time()
Redactor(secrets)(text)
print(time.process_time() - began)
"""


@pytest.mark.parametrize("case", CASES)
def test_the_worst_case_takes_less_than_a_second(case: str) -> None:
    given = json.dumps(CASES[case]).encode()
    child = [sys.executable, "-c", _CHILD]
    done = subprocess.run(child, input=given, stdout=subprocess.PIPE, check=True, timeout=20)
    assert float(done.stdout) < 1
