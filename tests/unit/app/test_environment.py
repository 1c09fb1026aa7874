import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import ValidationError

import service
from service.app.environment import drop_service_links, load_env_file, load_settings
from service.errors import StartError
from service.settings import Settings

A_PORT = "a whole number from 1 to 65535"
A_NAME = "a letter or digit, then at most 62 letters, digits, _ . or -"
FOLDERS = "paths from /, separated by colons, without .. and without / at the end; not / itself"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """An environment with no setting in it; afterwards it is as it was."""
    before = dict(os.environ)
    for key in before:
        if key.lower() in Settings.model_fields:
            del os.environ[key]
    yield
    os.environ.clear()
    os.environ.update(before)


def settings(**variables: str) -> Settings:
    os.environ.update(variables)
    return load_settings()


def fault(**variables: str) -> str:
    with pytest.raises(StartError) as caught:
        settings(**variables)
    return str(caught.value)


# Values


def test_the_defaults_are_those_that_deployments_know() -> None:
    assert {
        "grpc_server_port": 50051,
        "grpc_callback_host": "localhost",
        "grpc_callback_port": 50050,
        "report_crashes": False,
        "report_crashes_target": None,
        "go_env": "development",
        "metrics_port": 9464,
        "bind_address": None,
        "grpc_tls_cert_file": None,
        "grpc_tls_key_file": None,
        "grpc_tls_client_ca_file": None,
        "metrics_tls_cert_file": None,
        "metrics_tls_key_file": None,
        "console_port": None,
        "console_open": False,
        "console_hosts": "",
        "grafana_url": "",
        "trace_url_template": "",
        "access_file": None,
        "metrics_access": "open",
        "job_catalog": None,
        "job_network": "host",
        "allowed_host_paths": "",
        "job_stop_grace_seconds": 5,
        "launch_timeout_seconds": 30,
        "supervisor_instance": "default",
        "supervisor_engine": "docker",
        "supervisor_on_start": "remove",
        "max_launches_under_way": 8,
        "max_launches_waiting": 1000,
        "max_running_jobs": None,
        "wait_seconds": 60,
        "max_pulls": 2,
        "pull_timeout_seconds": 600,
        "orphan_grace_seconds": 60,
        "orphan_dry_run": False,
        "retain_exited_count": 100,
        "retain_exited_hours": 24,
        "history_file": None,
        "history_most": 100_000,
        "history_days": 30,
        "log_level": "info",
        "log_format": None,
    } == settings().model_dump(), "the defaults in this file"


def test_every_setting_is_read_from_its_variable() -> None:
    assert {
        "grpc_server_port": 1,
        "grpc_callback_host": "backend",
        "grpc_callback_port": 65535,
        "report_crashes": True,
        "report_crashes_target": "backend:50050",
        "go_env": "production",
        "metrics_port": 2,
        "bind_address": ip_address("127.0.0.1"),
        "grpc_tls_cert_file": Path("grpc.crt"),
        "grpc_tls_key_file": Path("grpc.key"),
        "grpc_tls_client_ca_file": Path("clients.crt"),
        "metrics_tls_cert_file": Path("http.crt"),
        "metrics_tls_key_file": Path("http.key"),
        "console_port": 3,
        "console_open": True,
        "console_hosts": "jobs.example,jobs",
        "grafana_url": "https://grafana.example/d/x",
        "trace_url_template": "http://jaeger:16686/trace/{trace_id}",
        "access_file": Path("access.toml"),
        "metrics_access": "required",
        "job_catalog": Path("jobs.toml"),
        "job_network": "area_default",
        "allowed_host_paths": "/srv/data:/a b",
        "job_stop_grace_seconds": 0,
        "launch_timeout_seconds": 0.5,
        "supervisor_instance": "demo",
        "supervisor_engine": "swarm",
        "supervisor_on_start": "adopt",
        "max_launches_under_way": 4,
        "max_launches_waiting": 0,
        "max_running_jobs": 50,
        "wait_seconds": 2.5,
        "max_pulls": 3,
        "pull_timeout_seconds": 90.5,
        "orphan_grace_seconds": 1.5,
        "orphan_dry_run": True,
        "retain_exited_count": 0,
        "retain_exited_hours": 0.5,
        "history_file": Path("history.sqlite"),
        "history_most": 0,
        "history_days": 0.5,
        "log_level": "error",
        "log_format": "json",
    } == settings(
        GRPC_SERVER_PORT="1",
        GRPC_CALLBACK_HOST="backend",
        GRPC_CALLBACK_PORT="65535",
        REPORT_CRASHES="true",
        REPORT_CRASHES_TARGET="backend:50050",
        GO_ENV="production",
        METRICS_PORT="2",
        BIND_ADDRESS="127.0.0.1",
        GRPC_TLS_CERT_FILE="grpc.crt",
        GRPC_TLS_KEY_FILE="grpc.key",
        GRPC_TLS_CLIENT_CA_FILE="clients.crt",
        METRICS_TLS_CERT_FILE="http.crt",
        METRICS_TLS_KEY_FILE="http.key",
        CONSOLE_PORT="3",
        CONSOLE_OPEN="true",
        CONSOLE_HOSTS="jobs.example,jobs",
        GRAFANA_URL="https://grafana.example/d/x",
        TRACE_URL_TEMPLATE="http://jaeger:16686/trace/{trace_id}",
        ACCESS_FILE="access.toml",
        METRICS_ACCESS="required",
        JOB_CATALOG="jobs.toml",
        JOB_NETWORK="area_default",
        ALLOWED_HOST_PATHS="/srv/data:/a b",
        JOB_STOP_GRACE_SECONDS="0",
        LAUNCH_TIMEOUT_SECONDS="0.5",
        SUPERVISOR_INSTANCE="demo",
        SUPERVISOR_ENGINE="swarm",
        SUPERVISOR_ON_START="adopt",
        MAX_LAUNCHES_UNDER_WAY="4",
        MAX_LAUNCHES_WAITING="0",
        MAX_RUNNING_JOBS="50",
        WAIT_SECONDS="2.5",
        MAX_PULLS="3",
        PULL_TIMEOUT_SECONDS="90.5",
        ORPHAN_GRACE_SECONDS="1.5",
        ORPHAN_DRY_RUN="true",
        RETAIN_EXITED_COUNT="0",
        RETAIN_EXITED_HOURS="0.5",
        HISTORY_FILE="history.sqlite",
        HISTORY_MOST="0",
        HISTORY_DAYS="0.5",
        LOG_LEVEL="error",
        LOG_FORMAT="json",
    ).model_dump(), "a value of each setting in this file"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_as_good_as_none(name: str) -> None:
    assert Settings.model_fields[name].default == getattr(settings(**{name.upper(): ""}), name)


def test_every_setting_is_described_with_what_is_allowed() -> None:
    for field in Settings.model_fields.values():
        assert field.description
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["allowed"]


def test_every_setting_is_used() -> None:
    code = "".join(path.read_text() for path in Path(service.__file__).parent.rglob("*.py"))
    used = set(re.findall(r"(?=(?:settings|self)\.(\w+))", code))
    assert set() == set(Settings.model_fields) - used, "nothing in service/ uses it"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().metrics_port = 1


@pytest.mark.parametrize(("mode", "production"), [("production", True), ("development", False)])
def test_production_is_a_mode(mode: str, production: bool) -> None:
    assert production == settings(GO_ENV=mode).production


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("localhost", "localhost:50050"),
        ("backend.area_1", "backend.area_1:50050"),
        ("10.0.0.1", "10.0.0.1:50050"),
        ("::1", "[::1]:50050"),
        ("[::1]", "[::1]:50050"),
        ("2001:DB8:0::5", "[2001:db8::5]:50050"),
        ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:50050"),
        ("x" * 254, "x" * 254 + ":50050"),
        ("backend.example.", "backend.example.:50050"),
        ("localhost.", "localhost.:50050"),
    ],
)
def test_workers_get_the_callback_as_host_and_port(host: str, target: str) -> None:
    assert target == settings(GRPC_CALLBACK_HOST=host).callback


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "127.0.0.1", "::1"])
def test_an_address_can_be_bound(address: str) -> None:
    assert address == str(settings(BIND_ADDRESS=address).bind_address)


@pytest.mark.parametrize(
    ("variable", "given", "read"),
    [("LOG_LEVEL", "DEBUG", "debug"), ("LOG_FORMAT", "Json", "json")],
)
def test_case_does_not_matter_in_what_concerns_logs(variable: str, given: str, read: str) -> None:
    assert read == getattr(settings(**{variable: given}), variable.lower())


class Terminal:
    def __init__(self, is_one: bool) -> None:
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


@pytest.mark.parametrize(
    ("given", "terminal", "console"),
    [
        ("", True, True),
        ("", False, False),
        ("json", True, False),
        ("json", False, False),
        ("console", True, True),
        ("console", False, True),
    ],
)
def test_logs_are_for_a_person_on_a_terminal_unless_told(
    given: str, terminal: bool, console: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal(terminal))
    assert console == settings(LOG_FORMAT=given).console_logs


# Faults


WRONG = [
    ("SUPERVISOR_ENGINE", "podman", "docker or swarm"),
    *(
        (variable, value, A_PORT)
        for variable in ("GRPC_SERVER_PORT", "GRPC_CALLBACK_PORT", "METRICS_PORT", "CONSOLE_PORT")
        for value in (
            "0",
            "-1",
            "65536",
            "http",
            "1.5",
            " ",
            "5_0",
            "50051.0",
            "+5",
            " 5",
            "1e3",
            "\u0665",
        )
    ),
    *(
        ("GRPC_CALLBACK_HOST", value, "a host name or an IP address")
        for value in (
            "a b",
            "http://backend",
            "host:50050",
            "-x",
            "x-",
            "é",
            ".",
            "backend..example..",
            "1::2::3",
            "[]",
            "[::1",
            "::1]",
            "[host]",
        )
    ),
    ("GRPC_CALLBACK_HOST", "x" * 255, "a host name or an IP address"),
    ("REPORT_CRASHES", "sometimes", "true or false"),
    *(
        ("REPORT_CRASHES_TARGET", value, "HOST:PORT, an IPv6 address in brackets")
        for value in (
            "backend",
            "backend:",
            ":50050",
            "backend:0",
            "backend:65536",
            "backend:+1",
            "http://backend:50050",
            "dns:///backend:50050",
            "unix:///backend.sock",
            "a b:50050",
            "::1:50050",
            "[::1]",
            "[backend]:50050",
        )
    ),
    *(
        ("GO_ENV", value, "production or development")
        for value in ("prod", "Production", "test", "production ")
    ),
    *(
        ("BIND_ADDRESS", value, "an IP address")
        for value in ("localhost", "300.0.0.1", "[::1]", "0.0.0.0:80")
    ),
    *(
        (variable, value, A_NAME)
        for variable in ("JOB_NETWORK", "SUPERVISOR_INSTANCE")
        for value in ("-a", "a b", "é", "a/b", "x" * 64)
    ),
    *(
        ("ALLOWED_HOST_PATHS", value, FOLDERS)
        for value in ("srv", "/", "/srv/", "/a/../b", "//srv", "/srv:", ":/srv", "/srv:x", ".")
    ),
    *(
        ("JOB_STOP_GRACE_SECONDS", value, "a whole number from 0 to 3600")
        for value in ("-1", "3601", "2.5", "5s", "1_0")
    ),
    *(
        ("LAUNCH_TIMEOUT_SECONDS", value, "above 0, at most 3600")
        for value in ("0", "-1", "3600.1", "nan", "inf", "30s")
    ),
    ("LOG_LEVEL", "trace", "debug, info, warning or error"),
    ("LOG_LEVEL", "LOUD", "debug, info, warning or error"),
    ("CONSOLE_OPEN", "always", "true or false"),
    *(
        ("CONSOLE_HOSTS", value, "host names, separated by commas")
        for value in ("a b", "a,", "http://a", "a:80")
    ),
    *(
        ("GRAFANA_URL", value, "a URL that begins with http:// or https://")
        for value in ("grafana", "javascript:alert(1)", "http://a b", 'http://a"')
    ),
    *(
        (
            "TRACE_URL_TEMPLATE",
            value,
            "a URL that begins with http:// or https:// and has {trace_id} in it",
        )
        for value in ("http://jaeger", "{trace_id}", "ftp://x/{trace_id}")
    ),
    ("METRICS_ACCESS", "closed", "open, or required with `ACCESS_FILE`"),
    ("LOG_FORMAT", "xml", "json or console"),
    ("LOG_FORMAT", "Text", "json or console"),
    *(("SUPERVISOR_ON_START", value, "remove or adopt") for value in ("keep", "remove,adopt", "1")),
    *(
        ("MAX_LAUNCHES_UNDER_WAY", value, "a whole number from 1 to 64")
        for value in ("0", "65", "-1", "1.5", "many")
    ),
    *(
        ("MAX_LAUNCHES_WAITING", value, "a whole number from 0 to 100000")
        for value in ("-1", "100001", "1e3")
    ),
    *(("MAX_PULLS", value, "a whole number from 1 to 64") for value in ("0", "65", "1.5", "two")),
    *(
        ("PULL_TIMEOUT_SECONDS", value, "above 0, at most 86400")
        for value in ("0", "-1", "86401", "inf", "nan", "10m")
    ),
    *(("MAX_RUNNING_JOBS", value, "a whole number above 0") for value in ("0", "-1", "none")),
    *(
        ("WAIT_SECONDS", value, "above 0, at most 3600")
        for value in ("0", "-1", "3600.1", "nan", "inf", "1m")
    ),
    *(
        ("ORPHAN_GRACE_SECONDS", value, "from 0 to 86400")
        for value in ("-1", "86401", "nan", "inf", "1m")
    ),
    *(("ORPHAN_DRY_RUN", value, "true or false") for value in ("maybe", "2", " ")),
    *(
        ("RETAIN_EXITED_COUNT", value, "a whole number from 0 to 1000000")
        for value in ("-1", "1000001", "1.5", "all")
    ),
    *(
        ("RETAIN_EXITED_HOURS", value, "from 0 to 1000000")
        for value in ("-1", "1000001", "nan", "inf", "24h")
    ),
    *(
        ("HISTORY_MOST", value, "a whole number from 0 to 1000000")
        for value in ("-1", "1000001", "1.5", "all")
    ),
    *(
        ("HISTORY_DAYS", value, "above 0, at most 36500")
        for value in ("0", "-1", "36501", "nan", "inf", "30d")
    ),
]
# Any text may be the path of a file.
_ANY_TEXT = {
    "ACCESS_FILE",
    "HISTORY_FILE",
    "JOB_CATALOG",
    "GRPC_TLS_CERT_FILE",
    "GRPC_TLS_KEY_FILE",
    "GRPC_TLS_CLIENT_CA_FILE",
    "METRICS_TLS_CERT_FILE",
    "METRICS_TLS_KEY_FILE",
}


@pytest.mark.parametrize(("variable", "value", "allowed"), WRONG)
def test_a_wrong_setting_is_told_with_its_value_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    assert f"{variable}={value}: allowed is {allowed}" == fault(**{variable: value})


def test_the_history_is_in_no_file_of_another_setting() -> None:
    allowed = "a path, in a folder that is there; not the file of another setting"
    told = fault(JOB_CATALOG="jobs.toml", HISTORY_FILE="jobs.toml")
    assert f"HISTORY_FILE=jobs.toml: allowed is {allowed}" == told


def test_every_setting_refuses_something() -> None:
    refused = {variable for variable, _, _ in WRONG} | _ANY_TEXT
    assert {name.upper() for name in Settings.model_fields} == refused, "WRONG in this file"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JOB_NETWORK", "x" * 63),
        ("SUPERVISOR_INSTANCE", "x" * 63),
        ("JOB_STOP_GRACE_SECONDS", "3600"),
        ("LAUNCH_TIMEOUT_SECONDS", "3600"),
        ("METRICS_PORT", "65535"),
    ],
)
def test_the_last_that_is_allowed_is_allowed(variable: str, value: str) -> None:
    read = getattr(settings(**{variable: value}), variable.lower())
    assert type(read)(value) == read


def test_all_wrong_settings_are_told_at_once() -> None:
    assert (
        f"GRPC_SERVER_PORT=x: allowed is {A_PORT};"
        " GO_ENV=y: allowed is production or development;"
        f" JOB_NETWORK=-: allowed is {A_NAME}"
    ) == fault(JOB_NETWORK="-", GO_ENV="y", GRPC_SERVER_PORT="x")


def test_a_wrong_value_of_several_lines_is_told_in_one() -> None:
    assert r"GO_ENV='a\nb': allowed is production or development" == fault(GO_ENV="a\nb")


# What Kubernetes puts into the environment


@pytest.mark.parametrize("name", ["GRPC_SERVER_PORT", "GRPC_CALLBACK_PORT", "METRICS_PORT"])
@pytest.mark.parametrize("link", ["tcp://10.0.0.1:9464", "udp://[fd00::1]:53", "sctp://10.0.0.1:1"])
def test_the_address_of_a_service_of_the_same_name_counts_as_unset(name: str, link: str) -> None:
    os.environ[name] = link
    (told,) = drop_service_links()
    assert (name, link, "") == (told.variable, told.given, told.used)
    assert "enableServiceLinks" in told.reason
    assert Settings.model_fields[name.lower()].default == getattr(settings(), name.lower())


def test_a_port_of_ones_own_is_no_address_of_a_service() -> None:
    os.environ |= {"METRICS_PORT": "1234", "GRPC_SERVER_PORT": "http://10.0.0.1:1"}
    assert [] == drop_service_links()
    assert f"GRPC_SERVER_PORT=http://10.0.0.1:1: allowed is {A_PORT}" == fault()


# The file


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_the_file_sets_what_is_not_set(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production\n# a comment\nMETRICS_PORT=1234 # another\n")
    load_env_file(env_file)
    assert ("production", 1234) == (settings().go_env, settings().metrics_port)


def test_the_file_sets_what_others_read(env_file: Path) -> None:
    os.environ.pop("DOCKER_HOST", None)
    env_file.write_text('DOCKER_HOST="unix:///somewhere"')
    load_env_file(env_file)
    assert "unix:///somewhere" == os.environ["DOCKER_HOST"]


def test_the_environment_goes_before_the_file(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production")
    os.environ["GO_ENV"] = "development"
    load_env_file(env_file)
    assert "development" == settings().go_env


def test_settings_are_read_in_lower_case_as_well(env_file: Path) -> None:
    env_file.write_text("supervisor_on_start=adopt")
    load_env_file(env_file)
    read = settings(go_env="production")
    assert ("adopt", True) == (read.supervisor_on_start, read.production)


def test_the_environment_goes_before_the_file_in_whatever_case(env_file: Path) -> None:
    env_file.write_text("go_env=production\nMETRICS_PORT=1234")
    os.environ |= {"GO_ENV": "development", "metrics_port": "4321"}
    load_env_file(env_file)
    assert ("development", 4321) == (settings().go_env, settings().metrics_port)


def test_the_file_fills_what_is_empty(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production")
    os.environ["GO_ENV"] = ""
    load_env_file(env_file)
    assert "production" == settings().go_env


@pytest.mark.parametrize("line", ["GO_ENV=", "GO_ENV", "GO_ENV=''"])
def test_an_empty_line_of_the_file_sets_nothing(env_file: Path, line: str) -> None:
    env_file.write_text(line)
    load_env_file(env_file)
    assert "GO_ENV" not in os.environ


def test_a_wrong_setting_in_the_file_is_told_in_the_same_way(env_file: Path) -> None:
    env_file.write_text("GO_ENV=prod")
    load_env_file(env_file)
    assert "GO_ENV=prod: allowed is production or development" == fault()


def test_there_need_be_no_file(env_file: Path) -> None:
    before = dict(os.environ)
    load_env_file(env_file)
    assert before == dict(os.environ)


def test_the_file_is_that_of_the_working_directory(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("GO_ENV=production")
    monkeypatch.chdir(env_file.parent)
    load_env_file()
    assert settings().production


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_file_may_come_from_any_editor(env_file: Path, start: bytes, end: bytes) -> None:
    env_file.write_bytes(start + b"GO_ENV=production" + end + b'METRICS_PORT="1234"' + end)
    load_env_file(env_file)
    assert ("production", 1234) == (settings().go_env, settings().metrics_port)


def test_a_named_pipe_is_read(env_file: Path) -> None:
    os.mkfifo(env_file)
    writer = threading.Thread(target=env_file.write_text, args=("GO_ENV=production\n",))
    writer.start()
    load_env_file(env_file)
    writer.join()
    assert settings().production


def test_a_named_pipe_that_nobody_writes_into_is_told(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.support.text_file._PIPE_TIMEOUT", 0.05)
    os.mkfifo(env_file)
    with pytest.raises(
        StartError, match=r"\.env: cannot be read: no program has written into this"
    ):
        load_env_file(env_file)


def test_what_is_called_so_and_is_no_file_is_never_passed_over(env_file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(env_file))
        _assert_it_cannot_be_read(env_file)
    env_file.unlink()
    env_file.symlink_to("nowhere")
    _assert_it_cannot_be_read(env_file)
    env_file.unlink()
    env_file.mkdir()
    _assert_it_cannot_be_read(env_file)


def _assert_it_cannot_be_read(path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load_env_file(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")


def test_a_file_of_nothing_is_a_file(env_file: Path) -> None:
    before = dict(os.environ)
    env_file.symlink_to("/dev/null")
    load_env_file(env_file)
    assert before == dict(os.environ)


@pytest.mark.parametrize("content", [b"\xff\xfeG\0O\0", b"GO_ENV=a\0b\n", b"'a=b'=c\n"])
def test_a_file_that_cannot_be_read_is_told_with_its_name(env_file: Path, content: bytes) -> None:
    env_file.write_bytes(content)
    with pytest.raises(StartError) as caught:
        load_env_file(env_file)
    assert str(caught.value).startswith(f"{env_file}: cannot be read: ")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('METRICS_PORT=1\nGO_ENV="s3cret\nLOG_LEVEL=info\n', 2),
        ("GO_ENV='s3cret", 1),
        ('GO_ENV="s3cret" s3cret\n', 1),
        ("# a comment\n\n\nGO ENV=s3cret\n", 4),
        ("=s3cret\n", 1),
        ("GO_ENV: s3cret\n", 1),
    ],
)
def test_a_line_that_is_not_understood_is_told_by_its_number_and_not_shown(
    env_file: Path, content: str, line: int
) -> None:
    env_file.write_text(content)
    with pytest.raises(StartError) as caught:
        load_env_file(env_file)
    assert str(caught.value).startswith(f"{env_file}: line {line}: is not NAME=VALUE")
    assert "s3cret" not in str(caught.value)
    assert "METRICS_PORT" not in os.environ


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_value_may_take_several_lines_and_others_may_stand_in_it(
    env_file: Path, end: str
) -> None:
    text = 'GO_ENV=production\nexport X_Y="a\nb"\nX_Z=${GO_ENV}!\n'
    env_file.write_bytes(text.replace("\n", end).encode())
    load_env_file(env_file)
    assert ("a\nb", "production!") == (os.environ["X_Y"], os.environ["X_Z"])
