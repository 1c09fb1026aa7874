import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc import Compression
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from observability.otel_env import correct_variables
from observability.tracing import configure_tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


@pytest.fixture(autouse=True)
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TracerProvider]]:
    """No variables of OpenTelemetry, and what would become the process's provider."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("OTEL_"):
            del os.environ[name]
    made: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", made.append)
    yield made
    for provider in made:
        provider.shutdown()
    os.environ.clear()
    os.environ.update(before)


def configured(**variables: str) -> TracerProvider:
    os.environ.update(variables)
    correct_variables()
    return configure_tracing("area-supervisor", "1.2.3", "demo")


def exporter_of(provider: TracerProvider) -> SpanExporter | None:
    """Where a provider sends its spans."""
    processors = provider._active_span_processor._span_processors
    return processors[0].span_exporter if processors else None  # type: ignore[attr-defined]


# What is on them


@pytest.mark.parametrize(
    ("variables", "length"),
    [
        ({}, 512),
        ({"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "600"}, 600),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "5"}, 5),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "-1"}, 512),
    ],
)
def test_a_text_on_a_span_has_512_characters_unless_told_otherwise(
    variables: dict[str, str], length: int
) -> None:
    span = configured(**variables).get_tracer("x").start_span("x", attributes={"a": "é" * 10_000})
    assert {"a": "é" * length} == span.attributes  # type: ignore[attr-defined]


# Where spans go


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_spans_go_nowhere_where_nobody_asks_for_them(variables: dict[str, str]) -> None:
    assert exporter_of(configured(**variables)) is None


@pytest.mark.parametrize(
    "variables",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "", "OTEL_SDK_DISABLED": "false"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://[::1]:4317/"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_TIMEOUT": ""},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_COMPRESSION": ""},
    ],
)
def test_spans_go_by_otlp_where_the_standard_variables_ask_for_it(
    variables: dict[str, str],
) -> None:
    assert isinstance(exporter_of(configured(**variables)), OTLPSpanExporter)


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
)
def test_spans_go_over_http_on_demand(variable: str) -> None:
    made = exporter_of(configured(**(ENDPOINT | {variable: "http/protobuf"})))
    assert "opentelemetry.exporter.otlp.proto.http.trace_exporter" == type(made).__module__


def test_spans_go_to_the_console_on_demand() -> None:
    provider = configured(OTEL_TRACES_EXPORTER="console")
    assert isinstance(exporter_of(provider), ConsoleSpanExporter)


def test_spans_may_go_to_more_than_one_place() -> None:
    provider = configured(**ENDPOINT, OTEL_TRACES_EXPORTER="console, OTLP,zipkin")
    processors = provider._active_span_processor._span_processors
    assert [ConsoleSpanExporter, OTLPSpanExporter] == [
        type(processor.span_exporter)  # type: ignore[attr-defined]
        for processor in processors
    ]


@pytest.mark.parametrize(
    "value",
    [
        "api-key=s3cret",
        "Authorization=Basic%20czNjcmV0==, x-y=",
        "authorization=Bearer s3cret",
        "a=%2C%3B%22%5C,",
    ],
)
def test_headers_are_taken_without_a_word(value: str, caplog: pytest.LogCaptureFixture) -> None:
    assert exporter_of(configured(**ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS=value))
    assert "" == caplog.text


def over_grpc(**variables: str) -> OTLPSpanExporter:
    exporter = exporter_of(configured(**variables))
    assert isinstance(exporter, OTLPSpanExporter)
    return exporter


@pytest.mark.parametrize(
    ("endpoint", "given", "insecure"),
    [
        ("http://127.0.0.1:4317", "false", True),
        ("https://127.0.0.1:4317", "true", False),
        ("127.0.0.1:4317", "true", True),
        ("127.0.0.1:4317", "false", False),
        ("127.0.0.1:4317", "", False),
        ("", "false", True),
    ],
)
def test_a_scheme_says_whether_it_is_encrypted_and_otherwise_the_variable(
    endpoint: str, given: str, insecure: bool
) -> None:
    exporter = over_grpc(
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_EXPORTER_OTLP_INSECURE=given,
    )
    assert insecure == exporter._insecure


@pytest.mark.parametrize(
    ("given", "for_traces", "compression"),
    [
        ("", "", Compression.NoCompression),
        ("none", "", Compression.NoCompression),
        ("gzip", "", Compression.Gzip),
        ("gzip", "none", Compression.NoCompression),
        ("deflate", "gzip", Compression.Gzip),
        ("deflate", "", Compression.NoCompression),
    ],
)
def test_spans_are_compressed_on_demand(
    given: str, for_traces: str, compression: Compression
) -> None:
    exporter = over_grpc(
        **ENDPOINT,
        OTEL_EXPORTER_OTLP_COMPRESSION=given,
        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=for_traces,
    )
    assert compression == exporter._compression


@pytest.mark.parametrize("variable", ["CERTIFICATE", "TRACES_CERTIFICATE", "CLIENT_KEY"])
def test_a_certificate_that_can_be_read_is_taken(variable: str, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    configured(**{f"OTEL_EXPORTER_OTLP_{variable}": str(tmp_path / "x.pem")})


def test_resource_attributes_are_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    attributes = configured(OTEL_RESOURCE_ATTRIBUTES="a=b=c, d.e = f%20g").resource.attributes
    assert ("b=c", "f g") == (attributes["a"], attributes["d.e"])
    assert "" == caplog.text


def test_a_collector_that_is_not_there_holds_up_the_end_for_3_s_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    provider = configured(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    provider.get_tracer("tests").start_span("lost").end()
    began = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - began < 8  # it would be ten


def test_the_time_for_an_export_can_be_set() -> None:
    exporter = exporter_of(configured(**ENDPOINT, OTEL_EXPORTER_OTLP_TIMEOUT="7"))
    assert isinstance(exporter, OTLPSpanExporter)
    assert 7 == exporter._timeout


# Who we are


def test_spans_say_who_we_are(providers: list[TracerProvider]) -> None:
    provider = configured()
    assert [provider] == providers
    attributes = provider.resource.attributes
    assert ("area-supervisor", "1.2.3", "demo") == (
        attributes["service.name"],
        attributes["service.version"],
        attributes["service.instance.id"],
    )


def test_the_standard_variables_say_who_we_are_else() -> None:
    attributes = configured(
        OTEL_SERVICE_NAME="area-1", OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test"
    ).resource.attributes
    assert ("area-1", "test") == (attributes["service.name"], attributes["deployment.environment"])


def test_the_service_name_may_come_as_a_resource_attribute() -> None:
    provider = configured(OTEL_RESOURCE_ATTRIBUTES="service.name=area-2")
    assert "area-2" == provider.resource.attributes["service.name"]
