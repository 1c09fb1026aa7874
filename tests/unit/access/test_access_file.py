"""What the access file may have in it, and what is said of what it may not."""

import re
import textwrap
from hashlib import sha256
from pathlib import Path

import pytest

from service.access.access_file import clients_in, load_clients
from service.access.clients import Reason
from service.access.tokens import hash_line, new_token
from service.errors import StartError

HASH = hash_line("right")
CLIENT = f'role = "backend"\ntokens = ["{HASH}"]'
SECRET = "s3cr3t-in-clear"

TOKENS = (
    'allowed is a list of at least one "sha256:" with 64 digits from 0 to f after it, of a token'
    " that is not empty; `area-supervisor token` makes a token and its line"
)
ROLES = 'allowed is "backend", "operator" or "observer"'
JOBS = "allowed is a list of job names, in which * stands for any text; at least one"
KEYS = "allowed are role, jobs, tokens, certificates"
TABLES = "allowed are [clients.NAME] and [anonymous]"
NAME = (
    "is not a client's name; allowed is a letter or digit, then at most 62 letters, digits, _ . or"
    " -, and not anonymous"
)


def test_a_file_with_every_key_is_read() -> None:
    second = hash_line("second")
    clients = clients_in(f"""
        [clients.backend]
        tokens = ["{HASH}", "{second}"]
        certificates = ["spiffe://area/Backend", "dns:Backend.area.internal"]
        role = "backend"
        jobs = ["github-*", "timer"]

        [clients.night-shift]
        tokens = ["{hash_line("night")}"]
        role = "operator"

        [anonymous]
        role = "observer"
        jobs = ["timer"]
    """)
    assert ["backend", "night-shift", "anonymous"] == [each.name for each in clients.all]
    backend, night, anonymous = clients.all
    assert ("backend", "operator", "observer") == (backend.role, night.role, anonymous.role)
    assert [True, True, False, False] == list(
        map(backend.jobs.allows, ("github-issue", "timer", "timers", "x-github-"))
    )
    assert night.jobs.allows("whatever")
    for shown in ([b"Bearer right"], [b"Bearer second"]):
        assert backend is clients.find(shown, ())
    for name in ("spiffe://area/Backend", "dns:backend.area.internal"):
        assert backend is clients.find([], ["dns:other", name])
    assert anonymous is clients.find([], [])


def test_a_made_token_is_found_by_its_line() -> None:
    token = new_token()
    assert len(token) >= 43
    assert hash_line(token) == f"sha256:{sha256(token.encode()).hexdigest()}"
    assert token != new_token()


def fault(text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        clients_in(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def client(text: str) -> str:
    """The fault of a client with this in its table."""
    return fault(f"[clients.backend]\n{text}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'role = "backend"\ntokens = ["{SECRET}"]', f"tokens: {TOKENS}"),
        (f'role = "backend"\ntokens = "{SECRET}"', f"tokens: {TOKENS}"),
        (f'role = "backend"\ntokens = ["{HASH}", "{SECRET}"]', f"tokens: {TOKENS}"),
        (f'role = "backend"\ntokens = ["{HASH.upper()}"]', f"tokens: {TOKENS}"),
        (f'role = "backend"\ntokens = ["{HASH} "]', f"tokens: {TOKENS}"),
        ('role = "backend"\ntokens = []', f"tokens: {TOKENS}"),
        (f'role = "backend"\ntokens = ["{hash_line("")}"]', f"tokens: {TOKENS}"),
        (f'role = "{SECRET}"\ntokens = ["{HASH}"]', f"role: {ROLES}"),
        (f'role = "Backend"\ntokens = ["{HASH}"]', f"role: {ROLES}"),
        (f'tokens = ["{HASH}"]', f"role: is missing; {ROLES}"),
        (f"{CLIENT}\njobs = []", f"jobs: {JOBS}"),
        (f'{CLIENT}\njobs = "timer"', f"jobs: {JOBS}"),
        (f'{CLIENT}\njobs = ["a job"]', f"jobs: {JOBS}"),
        (
            f"{CLIENT}\n{SECRET.replace('s3', 'x')} = 1",
            f"xcr3t-in-clear: is not a key of the access file; {KEYS}",
        ),
    ],
)
def test_a_fault_of_a_client_is_told_with_its_key_and_what_is_allowed(text: str, told: str) -> None:
    assert f"clients.backend.{told}" == client(text)


def test_a_client_has_to_show_something() -> None:
    told = "has neither tokens nor certificates; allowed is one of them, or both"
    assert f"clients.backend: {told}" == client('role = "backend"')


@pytest.mark.parametrize("certificate", ["", "backend", "dns:", "spiffe:area", "dns:a b", "://x"])
def test_a_name_of_a_certificate_says_of_which_kind_it_is(certificate: str) -> None:
    told = client(f'role = "backend"\ncertificates = ["{certificate}"]')
    assert told.startswith("clients.backend.certificates: allowed is a list of at least one URI")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lets nobody in; allowed is at least one table [clients.NAME]"),
        (f'token = "{SECRET}"', f"token: is not a key of the access file; {TABLES}"),
        ("clients = []", f"clients: is not a table; {TABLES}"),
        (f'clients.backend = "{SECRET}"', f"clients.backend: is not a table; {TABLES}"),
        (f"[clients.anonymous]\n{CLIENT}", f"clients.anonymous: {NAME}"),
        (f'[clients."a b"]\n{CLIENT}', f"clients.a b: {NAME}"),
        ("[anonymous]", f"anonymous.role: is missing; {ROLES}"),
        (
            f"[anonymous]\n{CLIENT}",
            "anonymous.tokens: is not a key of the access file; allowed are role, jobs",
        ),
        (
            f"[clients.a]\n{CLIENT}\n[clients.b]\n{CLIENT}",
            "clients.b.tokens: has one that clients.a has; allowed is each only once",
        ),
        (f"{SECRET}", "is not TOML (at end of document)"),
        (f'x = "{SECRET}', "is not TOML (at end of document)"),
        ("x = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_fault_of_the_file_is_told_without_what_it_has(text: str, told: str) -> None:
    assert told == fault(text)


@pytest.mark.parametrize(
    "content", [b"\xff" + SECRET.encode(), SECRET.encode("utf-16"), b"#" * 2**21]
)
def test_what_is_no_text_or_too_much_is_told_with_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_bytes(content)
    with pytest.raises(StartError, match=f"^ACCESS_FILE={path}: ") as caught:
        load_clients(path)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load_clients(tmp_path / "none.toml")
    told = f"ACCESS_FILE={tmp_path}/none.toml: cannot be read: No such file or directory"
    assert told == str(caught.value)
    with pytest.raises(StartError, match=r"cannot be read: Is a directory$"):
        load_clients(tmp_path)
    with pytest.raises(StartError, match=r"cannot be read: it is a device$"):
        load_clients(Path("/dev/zero"))


def test_the_example_of_the_page_lets_nobody_in_who_guesses() -> None:
    """Somebody will copy it as it is."""
    page = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    clients = clients_in(textwrap.dedent(text))
    for token in ("", "test", "token", "TOKEN", "backend", "secret", "password"):
        assert clients.find([b"Bearer " + token.encode()], ()) is Reason.UNKNOWN


def test_two_names_of_one_certificate_that_are_two_clients_let_nobody_in() -> None:
    clients = clients_in(
        '[clients.a]\nrole = "backend"\ncertificates = ["dns:a"]\n'
        '[clients.b]\nrole = "operator"\ncertificates = ["dns:b"]\n'
        '[anonymous]\nrole = "operator"'
    )
    assert Reason.UNKNOWN is clients.find([], ["dns:a", "dns:b"])
    assert Reason.UNKNOWN is clients.find([], ["dns:c"])
