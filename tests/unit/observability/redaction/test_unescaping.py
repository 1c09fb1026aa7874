"""However often, and by whatever, a secret was quoted."""

import html
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.redaction.redactor import REDACTED, Redactor

# Each has a word of small letters that no spelling takes apart.
SECRETS = [
    "it's-a-secret",
    "pässwort-x",
    "double\"and'single",
    "back\\slash\\nancy",
    "tab\tand\nnewline",
    "$HOME/`dollar`!",
    "emoji😀",
    "Ã¤-mojibake",
    "100%25&amp;\\x41literal",
    "a b+c plus",
]


def pieces(secret: str) -> Sequence[str]:
    return re.findall("[a-z]{4,}", secret)


def assert_gone(secret: str, spelled: str) -> None:
    left = Redactor({"t": secret})(spelled)
    assert REDACTED in left, spelled
    assert [] == [piece for piece in pieces(secret) if piece in left], spelled


# The shells that there are: `make test` installs busybox, the others are Debian's own.
SHELLS = [name for name in ("bash", "dash", "busybox") if shutil.which(name)]


def run(*command: str, locale: str) -> str:
    done = subprocess.run(command, env={"LC_ALL": locale}, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_shell_that_traces_gives_nothing_away(secret: str, shell: str, locale: str) -> None:
    command = [f"/bin/{shell}", *(["sh"] if shell == "busybox" else [])]
    argument = json.dumps({"token": secret}, ensure_ascii=False)
    script = 'true "$1" "$2" "https://$1@x.example/"'
    traced = run(*command, "-xc", script, "worker", secret, argument, locale=locale)
    assert traced.startswith("+ true ")
    assert_gone(secret, traced)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("secret", SECRETS)
def test_what_quotes_for_a_shell_gives_nothing_away(secret: str, locale: str) -> None:
    script = 'v=$1; printf "%q\n" "$v"; echo "${v@Q}"; declare -p v'
    assert_gone(secret, run("/bin/bash", "-c", script, "worker", secret, locale=locale))
    assert_gone(secret, run("/bin/ls", f"/nowhere/{secret}", locale=locale))


def in_javascript(text: str) -> str:
    """`JSON.stringify`, as a page that must hold no tags escapes it."""
    written = json.dumps(text, ensure_ascii=False)
    return written.replace("&", r"\u0026").replace("<", r"\u003c").replace("/", r"\/")


def in_c(text: str) -> str:
    """`$'…'` of a shell in the C locale."""
    octal = "".join(f"\\{octet:03o}" if octet >= 0x80 else chr(octet) for octet in text.encode())
    return "$'" + octal.replace("'", r"\'") + "'"


WRITERS: dict[str, Callable[[str], str]] = {
    "json": json.dumps,
    "json in unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "javascript": in_javascript,
    "repr": repr,
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "c": in_c,
    "quote": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "shlex": shlex.quote,
    "html": html.escape,
    "html by number": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("secret", SECRETS)
def test_every_writer_is_read(secret: str, writer: str) -> None:
    write = WRITERS[writer]
    assert_gone(secret, f"it says {write(secret)}, and {write(write(secret))}")


# Letters that no escape has, and much that looks like a part of one.
LETTERS = "GHJKLMNOPQ"
PARTS = [
    *LETTERS,
    *LETTERS,
    *"'\"\\ $%&+#;/<>{}\n\t\b\f\v\rnxu",
    *["ä", "é", "世", "😀", "\x80", "Ã¤", "Ã", "¤", "123", "234", "41", "x41", "u00e9", "amp;"],
    *["%41", "%25", "%C3", "%A4", "&amp;", "&lt;", "&#92;", "&eacute;"],
    *["\\n", "\\x41", "\\x78", "\\xc3", "\\303\\244", "\\u00e4", "\\u0025", "\\ud83d", "'\\''"],
]
TRICKY = (
    st.lists(st.sampled_from(PARTS), min_size=3, max_size=10)
    .map("".join)
    .filter(lambda secret: len([letter for letter in secret if letter in LETTERS]) > 1)
)


@given(TRICKY, st.lists(st.sampled_from(sorted(WRITERS)), max_size=3))
@settings(max_examples=300)
def test_no_secret_survives_being_written_three_times(secret: str, writers: Sequence[str]) -> None:
    written = secret
    for writer in writers:
        written = WRITERS[writer](written)
    left = Redactor({"deep": [secret]})(f"XY: {written} :Z")
    assert not set(LETTERS + "äéÃ¤世😀") & set(left), left


# `\` before a secret makes it look like an escape: newline, tab, a byte in hexadecimal or octal.
@pytest.mark.parametrize("secret", ["nancy", "tessa-1", "x41secret", "u00e9secret", "234-secret"])
@pytest.mark.parametrize("written", [str, repr, json.dumps, shlex.quote, ascii])
def test_a_secret_goes_after_a_backslash(secret: str, written: Callable[[str], str]) -> None:
    assert_gone(secret, written(f"CORP\\{secret}"))
    assert_gone(secret, written(written(f"100%{secret} &{secret};")))


@pytest.mark.parametrize(
    "spelled",
    [
        "%E4-mojo",  # JavaScript's escape()
        "%u00e4-mojo",
        "\\u{e4}-mojo",  # JavaScript, Rust, Swift
        "\\x{e4}-mojo",  # Perl, Elixir
        "\\U000000e4-mojo",
        "&auml;-mojo",
        "&#228;-mojo",
        "&#xE4;-mojo",
        "Ã¤-mojo",  # UTF-8 taken for Latin-1
    ],
)
def test_a_letter_is_read_as_other_languages_write_it(spelled: str) -> None:
    assert f"<{REDACTED}>" == Redactor({"t": "ä-mojo"})(f"<{spelled}>")


@pytest.mark.parametrize(
    "broken", ["\\u{110000}", "&#x110000;", "&nosuch;", "\\xc3", "%F5%80", "\\"]
)
def test_what_only_looks_like_an_escape_stays(broken: str) -> None:
    assert f"{broken} {REDACTED} {broken}" == Redactor({"t": "s3cret"})(f"{broken} s3cret {broken}")
