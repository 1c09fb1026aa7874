import os
import re
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import ValidationError

import service
from service.app.environment import drop_service_links
from service.settings import Settings
from tests.unit.app.variables import fault, settings

pytestmark = pytest.mark.usefixtures("environment")

A_PORT = "a whole number from 1 to 65535"
A_NAME = "a letter or digit, then at most 62 letters, digits, _ . or -"
FOLDERS = "paths from /, separated by colons, without .. and without / at the end; not / itself"


# Values

# What deployments rely on.
DEFAULTS: dict[str, object] = {
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
}

# Another value of each setting: in the environment, and as it is read.
OTHERS: dict[str, tuple[str, object]] = {
    "grpc_server_port": ("1", 1),
    "grpc_callback_host": ("backend", "backend"),
    "grpc_callback_port": ("65535", 65535),
    "report_crashes": ("true", True),
    "report_crashes_target": ("backend:50050", "backend:50050"),
    "go_env": ("production", "production"),
    "metrics_port": ("2", 2),
    "bind_address": ("127.0.0.1", ip_address("127.0.0.1")),
    "grpc_tls_cert_file": ("grpc.crt", Path("grpc.crt")),
    "grpc_tls_key_file": ("grpc.key", Path("grpc.key")),
    "grpc_tls_client_ca_file": ("clients.crt", Path("clients.crt")),
    "metrics_tls_cert_file": ("http.crt", Path("http.crt")),
    "metrics_tls_key_file": ("http.key", Path("http.key")),
    "console_port": ("3", 3),
    "console_open": ("true", True),
    "console_hosts": ("jobs.example,jobs", "jobs.example,jobs"),
    "grafana_url": ("https://grafana.example/d/x", "https://grafana.example/d/x"),
    "trace_url_template": (
        "http://jaeger:16686/trace/{trace_id}",
        "http://jaeger:16686/trace/{trace_id}",
    ),
    "access_file": ("access.toml", Path("access.toml")),
    "metrics_access": ("required", "required"),
    "job_catalog": ("jobs.toml", Path("jobs.toml")),
    "job_network": ("area_default", "area_default"),
    "allowed_host_paths": ("/srv/data:/a b", "/srv/data:/a b"),
    "job_stop_grace_seconds": ("0", 0),
    "launch_timeout_seconds": ("0.5", 0.5),
    "supervisor_instance": ("demo", "demo"),
    "supervisor_engine": ("swarm", "swarm"),
    "supervisor_on_start": ("adopt", "adopt"),
    "max_launches_under_way": ("4", 4),
    "max_launches_waiting": ("0", 0),
    "max_running_jobs": ("50", 50),
    "wait_seconds": ("2.5", 2.5),
    "max_pulls": ("3", 3),
    "pull_timeout_seconds": ("90.5", 90.5),
    "orphan_grace_seconds": ("1.5", 1.5),
    "orphan_dry_run": ("true", True),
    "retain_exited_count": ("0", 0),
    "retain_exited_hours": ("0.5", 0.5),
    "history_file": ("history.sqlite", Path("history.sqlite")),
    "history_most": ("0", 0),
    "history_days": ("0.5", 0.5),
    "log_level": ("error", "error"),
    "log_format": ("json", "json"),
}


def test_the_defaults_are_those_that_deployments_know() -> None:
    assert DEFAULTS == settings().model_dump(), "DEFAULTS in this file"


def test_every_setting_is_read_from_its_variable() -> None:
    given = settings(**{name.upper(): text for name, (text, _) in OTHERS.items()})
    read = {name: value for name, (_, value) in OTHERS.items()}
    assert read == given.model_dump(), "OTHERS in this file"


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
