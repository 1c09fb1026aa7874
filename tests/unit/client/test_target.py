"""Which supervisor is meant, and what is shown to it."""

from pathlib import Path

import pytest

from service.client.config_file import config_path, read_config
from service.client.errors import CommandError, ExitCode
from service.client.target import find_target
from tests.support.misplaced_secrets import MISPLACED

FILE = """
current_context = "home"
[contexts.home]
server = "home:1"
trace_url = "http://traces/{trace_id}"
[contexts.work]
server = "work:2"
token_file = "token"
ca = "ca.pem"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With a configuration file."""
    write(tmp_path, FILE)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write(folder: Path, text: str) -> Path:
    path = folder / "area-supervisor" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def server(options: dict[str, str | None], environment: dict[str, str]) -> str:
    return str(find_target(options, environment))


def refusal(options: dict[str, str | None], environment: dict[str, str]) -> str:
    with pytest.raises(CommandError) as caught:
        find_target(options, environment)
    assert ExitCode.USAGE == caught.value.exit_code
    return str(caught.value)


def test_an_option_counts_before_the_environment_and_that_before_the_context(
    environment: dict[str, str],
) -> None:
    variable = environment | {"AREA_SUPERVISOR_SERVER": "variable:3"}
    assert "option:4" == server({"server": "option:4"}, variable)
    assert "variable:3" == server({}, variable)
    assert "home:1" == server({}, environment)
    assert "localhost:50051" == server({}, {})


def test_a_context_is_named_by_an_option_by_a_variable_or_by_the_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, FILE.replace('token_file = "token"', "").replace('ca = "ca.pem"', ""))
    named = environment | {"AREA_SUPERVISOR_CONTEXT": "work"}
    assert "work:2" == server({}, named)
    assert "home:1" == server({"context": "home"}, named)


def test_a_context_that_is_named_as_an_option_counts_before_the_environment(
    environment: dict[str, str],
) -> None:
    variable = environment | {"AREA_SUPERVISOR_SERVER": "variable:3"}
    assert "home:1" == server({"context": "home"}, variable)


def test_an_empty_variable_is_not_set_and_an_empty_option_is_no_value(
    environment: dict[str, str],
) -> None:
    assert "home:1" == server({}, environment | {"AREA_SUPERVISOR_SERVER": ""})
    assert "localhost:50051" == server({"server": ""}, environment)


def test_paths_of_a_context_begin_in_the_folder_of_the_file(environment: dict[str, str]) -> None:
    work = read_config(config_path(environment)).context("work")
    folder = Path(environment["XDG_CONFIG_HOME"]) / "area-supervisor"
    assert str(folder / "token") == work["token_file"]


def test_without_xdg_the_file_is_below_the_home() -> None:
    expected = Path("/home/a/.config/area-supervisor/config.toml")
    assert expected == config_path({"HOME": "/home/a"})
    assert expected == config_path({"HOME": "/home/a", "XDG_CONFIG_HOME": "relative"})


def test_the_template_of_traces_has_the_same_order(environment: dict[str, str]) -> None:
    assert "http://traces/{trace_id}" == find_target({}, environment).trace_url
    other = environment | {"AREA_SUPERVISOR_TRACE_URL": "http://x/{trace_id}"}
    assert "http://x/{trace_id}" == find_target({}, other).trace_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prod", "prod:50051"),
        ("prod.area.internal:1", "prod.area.internal:1"),
        ("10.0.0.7:65535", "10.0.0.7:65535"),
        ("[::1]:5", "[::1]:5"),
        ("[::1]", "[::1]:50051"),
        ("::1", "[::1]:50051"),
    ],
)
def test_an_address_may_leave_out_the_port(text: str, expected: str) -> None:
    assert expected == server({"server": text}, {})


@pytest.mark.parametrize(
    "text", ["http://a:1", "a:0", "a:65536", "a:b", "a b", ":1", "a:1:2", "unix:/x", "\x1b[2J"]
)
def test_what_is_no_address_is_refused_with_its_origin(text: str) -> None:
    message = refusal({}, {"AREA_SUPERVISOR_SERVER": text})
    assert message.startswith("AREA_SUPERVISOR_SERVER: ")
    assert "allowed is HOST or HOST:PORT" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[contexts", "cannot be read"),
        ("\xff", "cannot be read"),
        ("context = 1", "context: is not known"),
        ("contexts = 1", "contexts: is wrong"),
        ("[contexts]\na = 1", "contexts.a: is wrong"),
        ("[contexts.a]\nsrever = 'x'", "contexts.a.srever: is not known; allowed is server or"),
        ("[contexts.a]\nserver = 1", "contexts.a.server: is wrong; allowed is a text"),
        ("current_context = 'x'\n[contexts.a]", "context x: is not in"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(text.encode("latin-1"))
    message = refusal({}, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert str(path) in message
    assert words in message


def test_a_context_that_is_not_there_is_told_with_those_that_are(
    environment: dict[str, str],
) -> None:
    assert "which has home, work" in refusal({"context": "wrok"}, environment)
    assert "which has no context" in refusal({"context": "x"}, {"HOME": "/nowhere"})


# Tokens


def test_a_token_is_what_a_file_has_without_the_end_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    target = find_target({"token_file": str(tmp_path / "token")}, {})
    assert "s3cret" == target.token
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize("text", ["", "\n", "s3cret other", "s3cret\x00", "s3crét", "s3\ncret"])
def test_what_is_no_token_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    message = refusal({"token_file": str(tmp_path / "token")}, {})
    assert message.startswith(f"--token-file: {tmp_path}/token: is ")
    assert "s3" not in message.replace(str(tmp_path), "")


@pytest.mark.parametrize(("value", "secret"), MISPLACED.items())
def test_what_stands_in_place_of_a_file_and_may_be_a_secret_is_not_shown(
    value: str, secret: str
) -> None:
    for option in ("token_file", "ca"):
        told = refusal({option: value}, {})
        assert "(not shown): cannot be read" in told
        assert secret not in told


@pytest.mark.parametrize("option", ["token_file", "ca"])
def test_a_file_in_the_home_of_nobody_is_missing(option: str, tmp_path: Path) -> None:
    text = "~nobody-at-all/x"
    assert f"{text}: cannot be read (No such file" in refusal({option: text}, {})
    write(tmp_path, f'[contexts.a]\n{option} = "{text}"\n')
    told = refusal({"context": "a"}, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert f"{text}: cannot be read (No such file" in told


def test_nor_is_a_password_in_an_address() -> None:
    assert "hunter2" not in refusal({"server": "https://me:hunter2@host"}, {})


def test_a_token_file_that_is_missing_is_told_by_its_name() -> None:
    message = refusal({}, {"AREA_SUPERVISOR_TOKEN_FILE": "/nowhere/t"})
    assert "AREA_SUPERVISOR_TOKEN_FILE: /nowhere/t: cannot be read (No such file" in message


@pytest.mark.parametrize("host", ["prod", "10.0.0.7", "[fe80::1]", "localhost.evil"])
def test_a_token_does_not_travel_in_the_clear(host: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    options: dict[str, str | None] = {"token_file": str(tmp_path / "token"), "server": host}
    assert "would travel in the clear" in refusal(options, {})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9:1", "[::1]:2"])
def test_a_token_may_be_shown_on_this_host_without_tls(host: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    options: dict[str, str | None] = {"token_file": str(tmp_path / "token"), "server": host}
    assert find_target(options, {}).token


# Certificates


def test_files_of_tls_belong_together() -> None:
    assert "--cert: needs --ca, too" == refusal({"cert": "c", "key": "k"}, {})
    assert "--cert: needs --key, too" == refusal({"cert": "c", "ca": "a"}, {})
    assert "--key: needs --cert, too" == refusal({"key": "c", "ca": "a"}, {})


def test_files_of_tls_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert "--ca: /nowhere: cannot be read" in refusal({"ca": "/nowhere"}, {})
    assert "has no certificate that can be read" in refusal({"ca": str(tmp_path / "x")}, {})
