"""What Grafana documents of provisioning, as far as it is used here; anything else is an error.

Sources: Grafana's documentation, "Provision Grafana", "Provision the data source" of Loki and of
Jaeger (with trace to logs), and "Introduction to exemplars".
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class _Exemplar(_Strict):
    name: str
    datasource_uid: str
    url_display_label: str = ""


class _PrometheusData(_Strict):
    time_interval: Annotated[str, Field(pattern=r"^\d+[sm]$")]
    exemplar_trace_id_destinations: list[_Exemplar]


class _TracesToLogs(_Strict):
    datasource_uid: str
    span_start_time_shift: Annotated[str, Field(pattern=r"^-?\d+[smh]$")]
    span_end_time_shift: Annotated[str, Field(pattern=r"^-?\d+[smh]$")]
    custom_query: Literal[True]
    query: str


class _JaegerData(_Strict):
    traces_to_logs_v2: _TracesToLogs


class _DerivedField(_Strict):
    name: str
    matcher_regex: str
    url: str
    datasource_uid: str
    url_display_label: str = ""


class _LokiData(_Strict):
    derived_fields: list[_DerivedField]


class _DataSource(_Strict):
    name: str
    uid: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,40}$")]
    access: Literal["proxy"]
    url: str
    is_default: bool = False


class PrometheusSource(_DataSource):
    """A data source of type prometheus."""

    type: Literal["prometheus"]
    json_data: _PrometheusData


class JaegerSource(_DataSource):
    """A data source of type jaeger."""

    type: Literal["jaeger"]
    json_data: _JaegerData


class LokiSource(_DataSource):
    """A data source of type loki."""

    type: Literal["loki"]
    json_data: _LokiData


class DataSources(_Strict):
    """A file below provisioning/datasources."""

    api_version: Literal[1]
    datasources: list[
        Annotated[PrometheusSource | JaegerSource | LokiSource, Field(discriminator="type")]
    ]


class _Options(_Strict):
    path: Path


class _Provider(_Strict):
    name: str
    folder: str
    type: Literal["file"]
    allow_ui_updates: bool
    update_interval_seconds: Annotated[int, Field(ge=1)]
    options: _Options


class Providers(_Strict):
    """A file below provisioning/dashboards."""

    api_version: Literal[1]
    providers: list[_Provider]
