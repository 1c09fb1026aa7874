"""What the program of a job finds around itself: variables, network, folders, where output goes."""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from service.engine.workload_spec import Gpus, Log, Surroundings, Volume
from service.jobs.keys.folders import read_folder, read_volume
from service.jobs.keys.table import Table, key
from service.jobs.keys.tables import (
    read_gpus,
    read_hosts,
    read_labels,
    read_log,
    read_passed_variable,
    read_variables,
)
from service.jobs.keys.values import list_of, read_address, read_runtime
from service.support.setting_values import Name


class SurroundingKeys(Table):
    """What the program of a container finds around itself."""

    working_dir: Annotated[str, AfterValidator(read_folder)] = key(
        "",
        "the folder that its program starts in, in place of the image's",
        allowed='a path from /, such as "/srv/app"; "" is the image\'s',
        example='"/srv/app"',
    )
    environment: Annotated[dict[str, str], BeforeValidator(read_variables), Field(repr=False)] = (
        key(
            {},
            "variables of its environment, in addition to the image's",
            allowed="a table of names and texts; not TRACEPARENT, TRACESTATE or AREA_AUTH,"
            " which the supervisor sets",
            example='{ LOG_LEVEL = "debug" }',
        )
    )
    pass_environment: Annotated[tuple[str, ...], list_of(read_passed_variable)] = key(
        (),
        "variables of the supervisor's own environment that it gets, too",
        allowed="a list of their names; not those of `environment`, nor OTEL_…, which are the"
        " supervisor's own",
        example='["WEATHER_API_KEY"]',
    )
    network: Name | None = key(
        None,
        "the network of the Engine that it is in, in place of `JOB_NETWORK`",
        allowed="a letter or digit, then at most 62 letters, digits, _ . or -",
        example='"weather"',
    )
    extra_hosts: Annotated[tuple[tuple[str, str], ...], BeforeValidator(read_hosts)] = key(
        (),
        "host names that it finds without asking a name server",
        allowed="a table of names, each with an IP address, or with host-gateway for the Engine's"
        " host",
        example='{ "db.internal" = "10.0.0.5" }',
    )
    dns: Annotated[tuple[str, ...], list_of(read_address)] = key(
        (),
        "the name servers that it asks, in place of the Engine's",
        allowed='a list of IP addresses, such as "10.0.0.2"',
        example='["10.0.0.2"]',
    )
    volumes: Annotated[tuple[Volume, ...], list_of(read_volume)] = key(
        (),
        "volumes of the Engine, by their names, and folders of its host, if `ALLOWED_HOST_PATHS`"
        " has them, each with its path in the container",
        allowed='a list of texts such as "cache:/var/cache", "/srv/data:/data" or "maps:/maps:ro",'
        " which is read-only",
        example='["cache:/var/cache", "maps:/maps:ro"]',
    )
    log: Annotated[Log, BeforeValidator(read_log)] | None = key(
        None,
        "where its output goes: the log driver of the Engine, and the driver's options. Without"
        " it, json-file keeps three files of 10 MB; another default of the Engine stays as it is",
        allowed="a table with `driver`, `options` (a table of texts), or both",
        example='{ driver = "json-file", options = { max-size = "50m" } }',
    )
    runtime: Annotated[str, AfterValidator(read_runtime)] = key(
        "",
        "the runtime of the Engine that runs it, such as runsc (gVisor) or kata",
        allowed='a name that `docker info` lists under Runtimes; "" is the Engine\'s default',
        example='"runsc"',
    )
    gpus: (
        Annotated[
            Gpus,
            BeforeValidator(read_gpus, json_schema_input_type=int | Literal["all"] | list[str]),
        ]
        | None
    ) = key(
        None,
        "the GPUs of the Engine's host that it gets",
        allowed='a whole number above 0, "all", or a list of their ids, such as ["GPU-3a1f"]',
        example="1",
    )
    labels: Annotated[dict[str, str], BeforeValidator(read_labels)] = key(
        {},
        "labels of its container, beside those of the supervisor",
        allowed="a table of names and texts; not area.supervisor.…, com.docker.…, io.docker.…,"
        " org.dockerproject.…, nor an attribute of the Engine's events such as exitCode",
        example='{ "org.example.team" = "weather" }',
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if both := sorted({*self.environment} & {*self.pass_environment}):
            raise ValueError(f"{both[0]} is in `environment` and in `pass_environment`")
        paths = [each.path for each in self.volumes]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise ValueError(f"{twice} is twice in `volumes`")
        return self

    @property
    def surroundings(self) -> Surroundings:
        """Its surroundings, for the engine."""
        return Surroundings(
            working_dir=self.working_dir,
            extra_hosts=self.extra_hosts,
            dns=self.dns,
            volumes=self.volumes,
            log=self.log,
            runtime=self.runtime,
            gpus=self.gpus,
        )

    @property
    def variable_names(self) -> Collection[str]:
        """The names of the variables that it may get."""
        return {*self.environment, *self.pass_environment}

    def variables(self, ours: Mapping[str, str]) -> Mapping[str, str]:
        """The variables that it gets, given those of the supervisor."""
        passed = {name: ours[name] for name in self.pass_environment if name in ours}
        return passed | self.environment
