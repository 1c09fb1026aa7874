import os
from collections.abc import Iterator

import pytest

from observability.corrected_variables import Correction
from observability.otel_env import correct_variables

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """An environment without variables of OpenTelemetry; afterwards it is as it was."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("OTEL_"):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def settled(**variables: str) -> tuple[list[Correction], dict[str, str]]:
    """What is told of these variables, and what is left of them."""
    os.environ.update(variables)
    told = correct_variables()
    return told, {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


@pytest.mark.parametrize(
    ("variable", "value", "left"),
    [
        ("OTEL_TRACES_EXPORTER", "otlp", "otlp"),
        ("OTEL_TRACES_EXPORTER", " Console ,OTLP", "console,otlp"),
        (PROTOCOL, "HTTP/Protobuf", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5", "2.5"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP", "gzip"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "dns:///collector:4317", "dns:///collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///run/otel.sock", "unix:///run/otel.sock"),
        (ENDPOINT, "HTTPS://collector", "HTTPS://collector"),
        (ENDPOINT, "collector:4317", "collector:4317"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b, c=d,", "a=b,c=d"),
        ("OTEL_SDK_DISABLED", "False", "false"),
        ("OTEL_PROPAGATORS", "tracecontext,baggage,tracecontext", "tracecontext,baggage"),
        ("OTEL_PROPAGATORS", "None", "none"),
        ("OTEL_TRACES_SAMPLER", "Always_Off", "always_off"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1", "1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0", "0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0", "0"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,otel", "process,otel"),
        ("OTEL_PYTHON_CONTEXT", "contextvars_context", "contextvars_context"),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "unavailable", "unavailable"),
        ("OTEL_SERVICE_NAME", "café", "café"),
        ("OTEL_SOMETHING_OF_ANOTHER_LANGUAGE", "x y", "x y"),
    ],
)
def test_what_the_sdk_understands_is_left_without_a_word(
    variable: str, value: str, left: str
) -> None:
    assert ([], {variable: left}) == settled(**{variable: value})


@pytest.mark.parametrize("ratio", [".25", "1e-1", "0.5", "1", "0", " .5 "])
def test_a_ratio_may_be_written_like_any_number(ratio: str) -> None:
    told, left = settled(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio)
    assert [] == told
    assert ratio.strip() == left["OTEL_TRACES_SAMPLER_ARG"]


@pytest.mark.parametrize("ratio", ["1.1", "-0.1", "nan", "half", "inf"])
def test_a_ratio_that_is_none_is_as_good_as_no_ratio(ratio: str) -> None:
    (told,), left = settled(
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio
    )
    assert ("OTEL_TRACES_SAMPLER_ARG", ratio, "") == (told.variable, told.given, told.used)
    assert "OTEL_TRACES_SAMPLER_ARG" not in left


def test_the_argument_of_a_sampler_that_is_not_there_is_not_looked_at() -> None:
    argument = "endpoint=http://localhost:14250,pollingIntervalMs=5000,initialSamplingRate=0.25"
    (told,), _ = settled(OTEL_TRACES_SAMPLER="jaeger_remote", OTEL_TRACES_SAMPLER_ARG=argument)
    assert "OTEL_TRACES_SAMPLER" == told.variable


@pytest.mark.parametrize(
    ("variable", "value", "used"),
    [
        ("OTEL_PROPAGATORS", "tracecontext,baggage,b3", "tracecontext,baggage"),
        ("OTEL_PROPAGATORS", "b3multi,jaeger,xray,ottrace", ""),
        ("OTEL_TRACES_EXPORTER", "zipkin", ""),
        ("OTEL_TRACES_EXPORTER", "otlp,prometheus", "otlp"),
        (PROTOCOL, "http/json", "http/protobuf"),
        (PROTOCOL, "http", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "10"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500", "2.5"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", ""),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate", ""),
        (ENDPOINT, "http://[::1", ""),
        (ENDPOINT, "http://x:99999", ""),
        (ENDPOINT, "not a url at all", ""),
        (ENDPOINT, "ftp://collector", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x:0", ""),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nope", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/proc", ""),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/dev/null", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/nope", ""),
        ("OTEL_SDK_DISABLED", "1", ""),
        ("OTEL_SDK_DISABLED", "yes", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "foo", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,foo,=c", "a=b"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", ""),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", ""),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", ""),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048.0", ""),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2147483648", ""),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", ""),
        ("OTEL_TRACES_SAMPLER", "xray", ""),
        ("OTEL_TRACES_SAMPLER", "a\nb", ""),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,azure_vm", "process"),
        ("OTEL_PYTHON_CONTEXT", "gevent", ""),
        ("OTEL_PYTHON_TRACER_PROVIDER", "sdk_tracer_provider", ""),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "ABORTED,429", "aborted"),
        ("OTEL_SERVICE_NAME", "caf\udce9", ""),
    ],
)
def test_what_it_does_not_is_told_and_counts_as_unset(variable: str, value: str, used: str) -> None:
    (told,), left = settled(**{variable: value})
    given = value if value.isprintable() else repr(value)
    assert (variable, given, used) == (told.variable, told.given, told.used)
    assert "allowed" in told.reason
    assert ({variable: used} if used else {}) == left


@pytest.mark.parametrize("prefix", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"])
@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("api-key=s3cret", "api-key=s3cret"),
        ("Authorization=Basic%20czNjcmV0==, x-y=", "Authorization=Basic%20czNjcmV0==,x-y="),
        ("authorization=Bearer s3cret", "authorization=Bearer s3cret"),
        ("a=%2C%3B%22%5C,", "a=%2C%3B%22%5C"),
    ],
)
def test_headers_are_left_without_a_word(prefix: str, value: str, left: str) -> None:
    variable = f"{prefix}HEADERS"
    assert ([], {variable: left}) == settled(**{variable: value})


@pytest.mark.parametrize(
    "value",
    [
        "s3cret",
        "a=s3cret;b",
        'a="s3cret"',
        "a=s3cret\\",
        "a=s3crét",
        "a=s3cret%0A",
        "a b=s3cret",
        "=s3cret",
        "a-bin=s3cret",
        "a-BIN=s3cret",
    ],
)
def test_headers_that_cannot_be_sent_are_left_out_and_not_shown(value: str) -> None:
    (told,), left = settled(**{HEADERS: f"x=y, {value}"})
    assert {HEADERS: "x=y"} == left
    assert "s3cret" not in repr(told)
    assert "(not shown)" == told.given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "http://me:s3cret@collector:4317"),
        (ENDPOINT, "https://collector:99999/v1?token=s3cret"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "-----BEGIN PRIVATE KEY-----s3cret"),
    ],
)
def test_what_may_hold_a_secret_is_not_used_and_not_shown(name: str, value: str) -> None:
    (told,), left = settled(**{name: value})
    assert {} == left
    assert ("(not shown)", "") == (told.given, told.used)
    assert "s3cret" not in repr(told)


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_as_good_as_none(value: str) -> None:
    assert ([], {}) == settled(OTEL_EXPORTER_OTLP_TIMEOUT=value, OTEL_TRACES_SAMPLER=value)


# What hangs together


@pytest.mark.parametrize(
    ("queue", "batch", "used"), [("256", "", "256"), ("1", "2", "1"), ("", "9999", "2048")]
)
def test_a_batch_that_does_not_fit_into_the_queue_is_lowered(
    queue: str, batch: str, used: str
) -> None:
    (told,), left = settled(OTEL_BSP_MAX_QUEUE_SIZE=queue, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=batch)
    assert ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", used) == (told.variable, told.used)
    assert used == left["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]


@pytest.mark.parametrize("value", ["collector:4318", "collector", "[::1]:4318", "collector:1/v1/x"])
@pytest.mark.parametrize("name", [ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_over_http_an_address_without_a_scheme_gets_one(name: str, value: str) -> None:
    (told,), left = settled(**{PROTOCOL: "http/protobuf", name: value})
    assert (name, value, f"http://{value}") == (told.variable, told.given, told.used)
    assert f"http://{value}" == left[name]


def test_tokens_do_not_go_unencrypted_to_an_address_without_a_scheme() -> None:
    _, left = settled(**{PROTOCOL: "http/protobuf", ENDPOINT: "collector", HEADERS: "k=s3cret"})
    assert "https://collector" == left[ENDPOINT]


def test_over_http_an_address_that_only_grpc_knows_is_not_used() -> None:
    (told,), left = settled(**{PROTOCOL: "http/protobuf", ENDPOINT: "unix:///run/otel.sock"})
    assert (ENDPOINT, "") == (told.variable, told.used)
    assert ENDPOINT not in left


@pytest.mark.parametrize(("protocol", "used"), [("grpc", ""), ("http/protobuf", "deflate")])
def test_deflate_is_there_over_http_alone(protocol: str, used: str) -> None:
    told, left = settled(**{PROTOCOL: protocol, "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"})
    assert [""] * (not used) == [each.used for each in told]
    assert used == left.get("OTEL_EXPORTER_OTLP_COMPRESSION", "")


def test_what_is_no_boolean_is_false() -> None:
    (told,), left = settled(**{ENDPOINT: "collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": "yes"})
    assert ("OTEL_EXPORTER_OTLP_INSECURE", "yes", "") == (told.variable, told.given, told.used)
    assert {ENDPOINT: "collector:4317"} == left
