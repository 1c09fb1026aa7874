"""The settings: their names, meanings, defaults and allowed values.

A setting is one field here. The parts of the service get the whole object, which
`service.app.environment` reads from the environment.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    ValidationInfo,
    field_validator,
)

from service.support.setting_values import (
    IN_ANY_CASE,
    Address,
    Folders,
    Host,
    HostNames,
    Name,
    Port,
    TraceUrl,
    Url,
    Whole,
)


def _setting(default: object, description: str, *, allowed: str, unset: str = "") -> Any:
    """A field, as docs/settings.md shows it. `unset` is the meaning of no value."""
    extra: dict[str, Any] = {"allowed": allowed, "unset": unset}
    return Field(default, description=description, json_schema_extra=extra)


_A_PORT = "a whole number from 1 to 65535"
_A_NAME = "a letter or digit, then at most 62 letters, digits, _ . or -"


class Settings(BaseModel):
    """Every setting, under the name of its environment variable in lower case. Times are seconds.

    The Engine's own (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`) are read by its
    adapter, the standard `OTEL_*` by OpenTelemetry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    grpc_server_port: Port = _setting(50051, "the port that the backend calls", allowed=_A_PORT)
    grpc_callback_host: Host = _setting(
        "localhost",
        "the host where workers find the backend, which they get in `--target`",
        allowed="a host name or an IP address",
    )
    grpc_callback_port: Port = _setting(50050, "the backend's port for workers", allowed=_A_PORT)
    report_crashes: bool = _setting(
        default=False,
        description="whether jobs that have failed are [reported to the backend]"
        "(backends.md#reports-of-crashes)",
        allowed="true or false",
    )
    report_crashes_target: Address | None = _setting(
        None,
        "where the supervisor finds the backend's port for workers, to report to it",
        allowed="HOST:PORT, an IPv6 address in brackets",
        unset="`GRPC_CALLBACK_HOST` and `GRPC_CALLBACK_PORT`",
    )
    go_env: Literal["production", "development"] = _setting(
        "development",
        "whether a container is removed when it exits (`production`) or kept (`development`)",
        allowed="production or development",
    )
    metrics_port: Port = _setting(
        9464, "the port of `/metrics`, `/livez` and `/readyz`", allowed=_A_PORT
    )
    bind_address: IPvAnyAddress | None = _setting(
        None,
        "the address that both ports listen on",
        allowed="an IP address",
        unset="all interfaces",
    )
    grpc_tls_cert_file: Path | None = _setting(
        None,
        "the file with the certificate of the gRPC port, which then speaks [TLS](tls.md)",
        allowed="a PEM file's path, together with `GRPC_TLS_KEY_FILE`",
        unset="no TLS",
    )
    grpc_tls_key_file: Path | None = _setting(
        None,
        "the file with the private key of that certificate",
        allowed="a PEM file's path, together with `GRPC_TLS_CERT_FILE`",
        unset="no TLS",
    )
    grpc_tls_client_ca_file: Path | None = _setting(
        None,
        "the file with authorities: each client of the gRPC port has to show a certificate of one",
        allowed="a PEM file's path, together with the two above",
        unset="clients need no certificate",
    )
    metrics_tls_cert_file: Path | None = _setting(
        None,
        "the file with the certificate of the port of metrics and probes, which then speaks TLS",
        allowed="a PEM file's path, together with `METRICS_TLS_KEY_FILE`",
        unset="no TLS",
    )
    metrics_tls_key_file: Path | None = _setting(
        None,
        "the file with the private key of that certificate",
        allowed="a PEM file's path, together with `METRICS_TLS_CERT_FILE`",
        unset="no TLS",
    )
    console_port: Port | None = _setting(
        None,
        "the port of the [console](console.md), a page for people",
        allowed=_A_PORT,
        unset="no console",
    )
    console_open: bool = _setting(
        default=False,
        description="whether the console listens beyond loopback without TLS: in a container whose"
        " port is published on the host's loopback alone",
        allowed="true or false",
    )
    console_hosts: HostNames = _setting(
        "",
        "the names by which browsers reach the console, beside addresses, `localhost` and the"
        " name of the host",
        allowed="host names, separated by commas",
        unset="none",
    )
    grafana_url: Url = _setting(
        "",
        "where Grafana is, for a link of the console",
        allowed="a URL that begins with http:// or https://",
        unset="no link",
    )
    trace_url_template: TraceUrl = _setting(
        "",
        "where a trace can be seen, for links of the console",
        allowed="a URL that begins with http:// or https:// and has {trace_id} in it",
        unset="no links",
    )
    access_file: Path | None = _setting(
        None,
        "the file that says [who may do what](access.md)",
        allowed="a TOML file's path",
        unset="everybody may do everything",
    )
    metrics_access: Annotated[Literal["open", "required"], IN_ANY_CASE] = _setting(
        "open",
        "whether `/metrics` follows the access file (`required`)",
        allowed="open, or required with `ACCESS_FILE`",
    )
    job_catalog: Path | None = _setting(
        None,
        "the file with the [catalogue](catalogue.md) of jobs",
        allowed="a TOML file's path",
        unset="the packaged catalogue of Area",
    )
    job_network: Name = _setting(
        "host",
        "the Engine's network for jobs; with `host`, `localhost` in a job is the Engine's host",
        allowed=_A_NAME,
    )
    allowed_host_paths: Folders = _setting(
        "",
        "the folders of the Engine's host that jobs may have in `volumes`, with all in them",
        allowed="paths from /, separated by colons, without .. and without / at the end;"
        " not / itself",
        unset="none",
    )
    job_stop_grace_seconds: Annotated[Whole, Field(ge=0, le=3600)] = _setting(
        5,
        "how long a job has to stop, from SIGTERM to SIGKILL",
        allowed="a whole number from 0 to 3600",
    )
    launch_timeout_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = _setting(
        30,
        "how long a launch may take, from its first call to the Engine",
        allowed="above 0, at most 3600",
    )
    supervisor_instance: Name = _setting(
        "default",
        "the name of this supervisor; supervisors that share an Engine need different names",
        allowed=_A_NAME,
    )
    supervisor_engine: Annotated[Literal["docker", "swarm"], IN_ANY_CASE] = _setting(
        "docker",
        "what runs the jobs: `docker`, or the Swarm whose manager `DOCKER_HOST` names",
        allowed="docker or swarm",
    )
    supervisor_on_start: Annotated[Literal["remove", "adopt"], IN_ANY_CASE] = _setting(
        "remove",
        "what a start does with the containers of an earlier run:"
        " `remove` all of them, or `adopt` those that run",
        allowed="remove or adopt",
    )
    max_launches_under_way: Annotated[Whole, Field(ge=1, le=64)] = _setting(
        8, "how many launches the Engine works on at once", allowed="a whole number from 1 to 64"
    )
    max_launches_waiting: Annotated[Whole, Field(ge=0, le=100_000)] = _setting(
        1000,
        "how many launches may wait for their turn; further ones get the error 429",
        allowed="a whole number from 0 to 100000",
    )
    max_running_jobs: Annotated[Whole, Field(ge=1)] | None = _setting(
        None,
        "how many jobs may run at once; further launches get the error 429, or wait: see"
        " [`when_full`](catalogue.md#keys-of-a-job)",
        allowed="a whole number above 0",
        unset="no limit",
    )
    wait_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = _setting(
        60,
        'how long a launch of a job with `when_full = "wait"` may wait for the end of other jobs;'
        " then it gets the error 429",
        allowed="above 0, at most 3600",
    )
    max_pulls: Annotated[Whole, Field(ge=1, le=64)] = _setting(
        2, "how many images are pulled at once", allowed="a whole number from 1 to 64"
    )
    pull_timeout_seconds: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = _setting(
        600,
        "how long the pull of an image may take; the limit of the launch does not count meanwhile",
        allowed="above 0, at most 86400",
    )
    orphan_grace_seconds: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = _setting(
        60,
        "how long a container of this instance that belongs to no job is kept",
        allowed="from 0 to 86400",
    )
    orphan_dry_run: bool = _setting(
        default=False,
        description="whether to log such containers only, and remove none",
        allowed="true or false",
    )
    retain_exited_count: Annotated[Whole, Field(ge=0, le=1_000_000)] = _setting(
        100,
        "how many containers that have exited are kept in development; the oldest are removed",
        allowed="a whole number from 0 to 1000000",
    )
    retain_exited_hours: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = (
        _setting(
            24,
            "how long each of them is kept, from its exit",
            allowed="from 0 to 1000000",
        )
    )
    history_file: Path | None = _setting(
        None,
        "the file with the [history](history.md) of jobs that have ended",
        allowed="a path, in a folder that is there; not the file of another setting",
        unset="in memory: the newest 10000 at most, until this process ends",
    )
    history_most: Annotated[Whole, Field(ge=0, le=1_000_000)] = _setting(
        100_000,
        "how many jobs that have ended are kept; the oldest go first",
        allowed="a whole number from 0 to 1000000",
    )
    history_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = _setting(
        30, "how long each of them is kept (days)", allowed="above 0, at most 36500"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], IN_ANY_CASE] = _setting(
        "info", "the lowest level that is logged", allowed="debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "console"] | None, IN_ANY_CASE] = _setting(
        None,
        "the format of the log",
        allowed="json or console",
        unset="console on a terminal, else json",
    )

    @field_validator("history_file")
    @classmethod
    def _is_no_other_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """A file that is none of SQLite's would be moved away, as a broken one."""
        if value is not None and value in info.data.values():
            raise ValueError
        return value

    @property
    def allowed_folders(self) -> Sequence[str]:
        """`ALLOWED_HOST_PATHS`, one by one."""
        return self.allowed_host_paths.split(":") if self.allowed_host_paths else ()

    @property
    def console_names(self) -> Sequence[str]:
        """`CONSOLE_HOSTS`, one by one."""
        return self.console_hosts.split(",") if self.console_hosts else ()

    @property
    def production(self) -> bool:
        """Whether containers are removed when they exit."""
        return self.go_env == "production"

    @property
    def callback(self) -> str:
        """What workers get as `--target`: HOST:PORT."""
        return f"{self.grpc_callback_host}:{self.grpc_callback_port}"

    @property
    def crash_target(self) -> str:
        """Where reports of crashes go: HOST:PORT."""
        return self.report_crashes_target or self.callback

    @property
    def max_launches(self) -> int:
        """The limit of launches at a time: with the Engine, or waiting for it."""
        return self.max_launches_under_way + self.max_launches_waiting

    @property
    def grpc_tls(self) -> bool:
        """Whether the gRPC port speaks TLS."""
        return self.grpc_tls_cert_file is not None

    @property
    def open_to_all(self) -> bool:
        """Whether a client of the gRPC port may do everything without showing who it is."""
        return self.access_file is None and self.grpc_tls_client_ca_file is None

    @property
    def console_logs(self) -> bool:
        """Whether logs are for a person at a terminal."""
        return sys.stdout.isatty() if self.log_format is None else self.log_format == "console"
