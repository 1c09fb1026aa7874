"""The keys of what a job finds around itself, and the workload that they make."""

from pathlib import Path
from typing import Any

import pytest

from service.engine.docker.names import DOCKER_NAMES
from service.engine.workload_spec import Gpus, Log, Surroundings, Volume, WorkloadSpec
from service.errors import StartError, TooLarge
from service.jobs.arguments import arguments_of, check_size
from service.jobs.catalog_file import load_catalog
from service.jobs.catalog_keys import Entry
from service.jobs.catalog_secrets import secrets_of
from service.jobs.model import JobSpec, JsonValue
from service.jobs.workload import job_of, workload_of
from service.settings import Settings

_SECRET = "hunter2-hunter2"


def entry(path: Path, keys: str, defaults: str = "") -> Entry:
    path.write_text(
        f'{defaults}\n[jobs]\nx = {{ kind = "action", image = "x"{keys and ", "}{keys} }}'
    )
    return load_catalog(path)["x"]


def fault(path: Path, keys: str) -> str:
    with pytest.raises(StartError) as caught:
        entry(path, keys)
    return str(caught.value).removeprefix(f"{path}: ")


def workload(found: Entry, auth: dict[str, JsonValue] | None = None) -> WorkloadSpec:
    spec = JobSpec("x", "x-1", {}, auth or {})
    return workload_of(
        job_of(spec, found, None),
        spec,
        found,
        Settings(job_network="area"),
        arguments=arguments_of(spec, found, "localhost:50050"),
        environment=found.variables({"OURS": _SECRET}),
        names=DOCKER_NAMES,
    )


def test_a_job_without_these_keys_has_the_defaults_of_its_engine_and_image(path: Path) -> None:
    found = entry(path, "")
    assert Surroundings() == found.surroundings
    assert ({}, {}, None) == (found.variables({"X": "1"}), found.labels, found.network)
    made = workload(found)
    assert ("area", Surroundings(), {}) == (made.network, made.surroundings, made.environment)


def test_every_key_becomes_a_part_of_the_workload(path: Path) -> None:
    keys = (
        'working_dir = "/srv/app", environment = { LOG_LEVEL = "debug" },'
        ' pass_environment = ["OURS"], network = "weather",'
        ' extra_hosts = { "db.internal" = "10.0.0.5", gateway = "host-gateway" },'
        ' dns = ["10.0.0.2", "fd00::2"],'
        ' volumes = ["cache:/var/cache", "/srv/data:/data:ro"],'
        ' log = { driver = "local", options = { max-size = "1m" } },'
        ' runtime = "runsc", gpus = 2,'
        ' labels = { "org.example.team" = "weather", team = "w", "k8s.io/app" = "" }'
    )
    made = workload(entry(path, keys))
    assert made.surroundings == Surroundings(
        working_dir="/srv/app",
        extra_hosts=(("db.internal", "10.0.0.5"), ("gateway", "host-gateway")),
        dns=("10.0.0.2", "fd00::2"),
        volumes=(Volume("cache", "/var/cache"), Volume("/srv/data", "/data", read_only=True)),
        log=Log("local", (("max-size", "1m"),)),
        runtime="runsc",
        gpus=Gpus(count=2),
    )
    assert {"LOG_LEVEL": "debug", "OURS": _SECRET} == made.environment
    assert "weather" == made.network
    assert "weather" == made.labels["org.example.team"]
    assert "x-1" == made.labels["area.supervisor.identifier"]


def test_a_table_of_a_job_counts_in_place_of_that_of_the_defaults(path: Path) -> None:
    defaults = (
        '[defaults]\nenvironment = { A = "1", B = "2" }\nlabels = { "a.b" = "1" }\ndns = ["::1"]\n'
        'pass_environment = ["C"]\nworking_dir = "/srv"\nruntime = "runsc"'
    )
    own = 'environment = { C = "3" }, labels = {}, working_dir = "", runtime = ""'
    found = entry(path, own, defaults)
    assert {"C": "3"} == found.variables({"C": "ours"})
    assert {} == found.labels
    assert Surroundings(dns=("::1",)) == found.surroundings


def test_variables_that_the_supervisor_does_not_have_are_not_passed_on(path: Path) -> None:
    found = entry(path, 'pass_environment = ["A", "B"]')
    assert {"A": ""} == found.variables({"A": "", "C": "x"})


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ('"all"', Gpus(count=-1)),
        ("1", Gpus(count=1)),
        ('["0", "GPU-3a1f"]', Gpus(ids=("0", "GPU-3a1f"))),
    ],
)
def test_gpus_are_read(path: Path, text: str, gpus: Gpus) -> None:
    assert gpus == entry(path, f"gpus = {text}").surroundings.gpus


@pytest.mark.parametrize(
    ("text", "log"),
    [
        ('{ driver = "none" }', Log("none")),
        ('{ options = { a = "b" } }', Log("", (("a", "b"),))),
        ('{ driver = "grafana/loki:2.9" }', Log("grafana/loki:2.9")),
    ],
)
def test_a_log_is_read(path: Path, text: str, log: Log) -> None:
    assert log == entry(path, f"log = {text}").surroundings.log


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('working_dir = "app"', "working_dir = 'app': allowed is a path from /"),
        ('working_dir = "/a/../b"', "working_dir = '/a/../b': allowed is a path from /"),
        ('environment = ["A=1"]', "environment: allowed is a table of names and texts"),
        ("environment = { A = 1 }", "environment: 'A' is not a text without NUL; allowed is"),
        ('environment = { "A=B" = "1" }', "environment: 'A=…' is not the name of a variable"),
        ('environment = { TRACEPARENT = "1" }', "environment: TRACEPARENT is set by the superv"),
        ('environment = { AREA_AUTH = "1" }', "environment: AREA_AUTH is set by the supervisor"),
        (f'environment = {{ A = "{"x" * 131_070}" }}', "environment: A is more than 131071 bytes"),
        ('pass_environment = ["OTEL_X"]', "pass_environment: OTEL_X is about the supervisor"),
        ('pass_environment = ["TRACESTATE"]', "pass_environment: TRACESTATE is set by the superv"),
        ('pass_environment = ["A", "A"]', "pass_environment: allowed is a list of their names"),
        ('network = "a b"', "network = 'a b': allowed is a letter or digit"),
        ('network = "container:x"', "network = 'container:x': allowed is a letter or digit"),
        ('extra_hosts = { "a b" = "::1" }', "extra_hosts: 'a b' is not a host name; allowed is"),
        ('extra_hosts = { a = "b" }', "extra_hosts: 'a' has neither an IP address nor host-gat"),
        ('dns = ["dns.example"]', "dns: allowed is a list of IP addresses"),
        ('dns = ["fe80::1%eth0"]', "dns: allowed is a list of IP addresses"),
        ('volumes = ["a:/x"]', "volumes: 'a' is not the name of a volume, nor a path without"),
        ('volumes = ["/a/../b:/x"]', "volumes: '/a/../b' is not the name of a volume, nor a pat"),
        ('volumes = ["//run:/x"]', "volumes: '//run' is not the name of a volume, nor a path"),
        (f'volumes = ["/{"a" * 5000}/../b:/x"]', f"volumes: '/{'a' * 198}…; allowed is a list"),
        (f"{'k' * 5000} = 1", f"{'k' * 128}…: is not a key of the catalogue"),
        ('volumes = ["cache"]', "volumes: '' is not a path for a volume"),
        ('volumes = ["cache:x"]', "volumes: 'x' is not a path for a volume"),
        ('volumes = ["cache:/"]', "volumes: '/' is not a path for a volume; not /, /dev, /proc"),
        ('volumes = ["cache:/proc/x"]', "volumes: '/proc/x' is not a path for a volume"),
        ('volumes = ["cache:/run/area-auth"]', "volumes: '/run/area-auth' is not a path for a v"),
        ('tmpfs = ["/run/area-auth/x"]', "tmpfs: allowed is a list of paths"),
        ('volumes = ["cache:/x:rw"]', "volumes: 'cache:/x:rw' may only have ro after its path"),
        ('volumes = ["cache:/x:ro,z"]', "volumes: 'cache:/x:ro,z' may only have ro after its pa"),
        ("log = {}", "log: allowed is a table with `driver`, `options`"),
        ('log = "none"', "log = 'none': allowed is a table with `driver`, `options`"),
        ('log = { driver = "-x" }', "log: `driver` is not the name of a log driver; allowed is"),
        ("log = { options = { a = 1 } }", "log: 'a' is not a text without NUL; allowed is"),
        ('log = { driver = "x", level = "y" }', "log: allowed is a table with `driver`"),
        ('runtime = "/bin/x"', "runtime = '/bin/x': allowed is a name that `docker info` lists"),
        ("gpus = 0", "gpus = 0: allowed is a whole number above 0"),
        ('gpus = "some"', "gpus = 'some': allowed is a whole number above 0"),
        ("gpus = []", "gpus: allowed is a whole number above 0"),
        ('labels = { "a b" = "x" }', "labels: 'a b' is not letters and digits, with . - _ or /"),
        ('labels = { exitCode = "0" }', "labels: 'exitCode' is reserved"),
        ('labels = { image = "x" }', "labels: 'image' is reserved"),
        ('labels = { "area.supervisor.x" = "" }', "labels: 'area.supervisor.x' is reserved"),
        ('labels = { "com.docker.swarm.x" = "" }', "labels: 'com.docker.swarm.x' is reserved"),
    ],
)
def test_what_is_not_allowed_is_told_with_its_key(path: Path, keys: str, told: str) -> None:
    assert fault(path, keys).startswith(f"jobs.x.{told}")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            'environment = { A = "1" }, pass_environment = ["A"]',
            "A is in `environment` and in `pass_environment`",
        ),
        ('volumes = ["ab:/x", "cd:/x"]', "/x is twice in `volumes`"),
    ],
)
def test_keys_that_contradict_each_other_are_told(path: Path, keys: str, told: str) -> None:
    assert f"jobs.x: {told}" == fault(path, keys)


@pytest.mark.parametrize(
    ("keys", "defaults"),
    [
        ('volumes = ["ab:/x"], tmpfs = ["/x:size=1m"]', ""),
        ('volumes = ["ab:/x"]', 'tmpfs = ["/y", "/x"]'),
        ('tmpfs = ["/x"]', 'volumes = ["cd:/y", "ab:/x"]'),
    ],
)
def test_a_volume_that_a_folder_in_memory_would_hide_is_told(
    path: Path, keys: str, defaults: str
) -> None:
    with pytest.raises(StartError, match="jobs: x has /x in `volumes` and in `tmpfs`, its own or"):
        entry(path, keys, f"[defaults]\n{defaults}")
    assert entry(path, f"{keys}, tmpfs = []" if "tmpfs" not in keys else 'volumes = ["ab:/y"]')


def test_a_variable_may_be_called_like_a_key_of_a_job(path: Path) -> None:
    assert {"kind": "x"} == entry(path, 'environment = { kind = "x" }').environment


# Secrets


@pytest.mark.parametrize(
    "keys",
    [
        f'environment = {{ A = "{_SECRET}\\u0000" }}',
        f'environment = {{ A = "{_SECRET}", B = 1 }}',
        f'environment = {{ A = "{_SECRET}", TRACEPARENT = "{_SECRET}" }}',
        f'environment = ["{_SECRET}"]',
        f'log = {{ options = {{ token = "{_SECRET}", other = 1 }} }}',
        f'environment = {{ A = "{_SECRET}" }}, pass_environment = ["A"]',
        f'environment = {{ "A={_SECRET}" = "" }}',
        f'pass_environment = ["A={_SECRET}"]',
        f'pass_environment = "A={_SECRET}"',
        f'env = "A={_SECRET}"',
        f'API_KEY = "{_SECRET}"',
        f'log = {{ driver = "splunk", splunk-token = "{_SECRET}" }}',
    ],
)
def test_a_fault_shows_no_value_of_a_variable(path: Path, keys: str) -> None:
    assert _SECRET not in fault(path, keys)


def test_nothing_that_is_printed_shows_a_variable_or_an_option_of_the_log(path: Path) -> None:
    keys = (
        f'environment = {{ A = "{_SECRET}" }}, pass_environment = ["OURS"],'
        f' log = {{ driver = "splunk", options = {{ splunk-token = "{_SECRET}" }} }}'
    )
    found = entry(path, keys)
    made = workload(found)
    assert _SECRET == made.environment["A"] == made.environment["OURS"]
    assert _SECRET not in f"{found!r} {found} {made!r} {made.surroundings!r} {made.labels}"


@pytest.mark.parametrize(
    ("keys", "text", "shown"),
    [
        (f'environment = {{ A = "{_SECRET}" }}', f"A={_SECRET}", "A=[redacted]"),
        ('pass_environment = ["OURS"]', f"no such {_SECRET}!", "no such [redacted]!"),
        (f'log = {{ options = {{ a = "{_SECRET}" }} }}', _SECRET, "[redacted]"),
        ('environment = { LEVEL = "debug" }', "debug", "debug"),
        ("", "token-31337", "[redacted]"),
    ],
)
def test_what_the_engine_quotes_of_it_is_redacted(
    path: Path, keys: str, text: str, shown: str
) -> None:
    assert shown == workload(entry(path, keys), {"t": "token-31337"}).redact(text)


def test_a_workload_says_which_of_its_variables_may_be_secret(path: Path) -> None:
    made = workload(entry(path, 'environment = { A = "long-enough" }, pass_environment = ["OURS"]'))
    environment = [f"{name}={value}" for name, value in made.environment.items()]
    others = ["PATH=/usr/local/bin", "A=long-enough=", "OURS=short"]
    assert {"long-enough", _SECRET} == {*secrets_of(made.labels, environment)}
    assert ["long-enough="] == secrets_of(made.labels, others)
    assert [] == secrets_of(workload(entry(path, "")).labels, environment)
    assert "area.supervisor.variables" not in workload(entry(path, "")).labels


def test_a_launch_counts_the_variables_of_the_catalogue() -> None:
    more: dict[str, Any] = {f"V{n}": "x" * 100_000 for n in range(11)}
    found = Entry.model_validate({"kind": "action", "environment": more})
    with pytest.raises(TooLarge):
        check_size([], found.variables({}))
