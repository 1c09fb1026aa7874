"""Which variables are taken for misspelt settings, and which are left in peace."""

import re
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk import environment_variables

from service.app.unknown_settings import misspelt
from service.settings import Settings

ROOT = Path(__file__).parents[3]

MISSPELT = {
    # A letter too many, too few, another, or two in the wrong order
    "SUPERVISOR_ON_STRAT": "SUPERVISOR_ON_START",
    "SUPERVISOR_ONSTART": "SUPERVISOR_ON_START",
    "SUPERVISER_ON_START": "SUPERVISOR_ON_START",
    "SUPERVISON_ON_START": "SUPERVISOR_ON_START",
    "SUPERVISORONSTART": "SUPERVISOR_ON_START",
    "SUPERVISOR-ON-START": "SUPERVISOR_ON_START",
    "SUPERVISOR_ON_START ": "SUPERVISOR_ON_START",
    "supervisor_on_strat": "SUPERVISOR_ON_START",
    "SUPERVISOR_INSTANCES": "SUPERVISOR_INSTANCE",
    "JOBCATALOG": "JOB_CATALOG",
    "JOBS_CATALOG": "JOB_CATALOG",
    "JOB_CATALOGUE": "JOB_CATALOG",
    "JOB_NETWROK": "JOB_NETWORK",
    "MAX_RUNING_JOBS": "MAX_RUNNING_JOBS",
    "METRIC_PORT": "METRICS_PORT",
    "LOGLEVEL": "LOG_LEVEL",
    "LOG_LVL": "LOG_LEVEL",
    "LOG_FMT": "LOG_FORMAT",
    "GO_EVN": "GO_ENV",
    "GRPC_SEVER_PORT": "GRPC_SERVER_PORT",
    "GRPC_CALLBACKHOST": "GRPC_CALLBACK_HOST",
    "DOCKER_HOTS": "DOCKER_HOST",
    "DOCKERHOST": "DOCKER_HOST",
    "DOCKER_TLS_VERFIY": "DOCKER_TLS_VERIFY",
    "OTEL_EXPORTER_OLTP_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICENAME": "OTEL_SERVICE_NAME",
    # Read in upper case alone, unlike the settings
    "docker_host": "DOCKER_HOST",
    # A word that is missing, or one too many
    "LAUNCH_TIMEOUT": "LAUNCH_TIMEOUT_SECONDS",
    "JOB_STOP_GRACE": "JOB_STOP_GRACE_SECONDS",
    "ORPHAN_GRACE": "ORPHAN_GRACE_SECONDS",
    "JOB_CATALOG_PATH": "JOB_CATALOG",
    "BIND_ADDR": "BIND_ADDRESS",
    "MAX_LAUNCHES": "MAX_LAUNCHES_WAITING",
    # What somebody may guess
    "MAX_JOBS": "MAX_RUNNING_JOBS",
    "MAX_WAITING": "MAX_LAUNCHES_WAITING",
    "WAIT_SECOND": "WAIT_SECONDS",
    "PULL_TIMEOUT": "PULL_TIMEOUT_SECONDS",
    "JOB_GRACE": "JOB_STOP_GRACE_SECONDS",
    "ORPHAN_RUN": "ORPHAN_DRY_RUN",
    "SUPERVISOR_MAX_JOBS": "MAX_RUNNING_JOBS",
    # The prefix, where there is none
    "SUPERVISOR_START": "SUPERVISOR_ON_START",
    "SUPERVISOR_METRICS_PORT": "METRICS_PORT",
    "SUPERVISOR_LOG_LEVEL": "LOG_LEVEL",
    "SUPERVISOR_CATALOG": "JOB_CATALOG",
    # The prefix, which is missing
    "ON_START": "SUPERVISOR_ON_START",
    "on_start": "SUPERVISOR_ON_START",
    "CALLBACK_HOST": "GRPC_CALLBACK_HOST",
    "CALLBACK_PORT": "GRPC_CALLBACK_PORT",
    "RUNNING_JOBS": "MAX_RUNNING_JOBS",
    "STOP_GRACE_SECONDS": "JOB_STOP_GRACE_SECONDS",
    # Like none of ours, but for its beginning
    "JOB_TIMEOUT": "JOB_NETWORK",
    "JOB_X": "JOB_NETWORK",
    "LAUNCH_LIMIT": "LAUNCH_TIMEOUT_SECONDS",
    "LAUNCH_FOO": "LAUNCH_TIMEOUT_SECONDS",
    "ORPHAN_TTL": "ORPHAN_DRY_RUN",
    "MAX_PARALLEL": "MAX_PULLS",
    "SUPERVISOR_MODE": "",
    "SUPERVISOR_PORT": "",
}

# The names that others have given, and that look a little like ours.
OF_OTHERS = re.findall(
    r"\w+",
    """
GRPC_VERBOSITY GRPC_TRACE GRPC_DNS_RESOLVER GRPC_POLL_STRATEGY GRPC_ABORT_ON_LEAKS
GRPC_SSL_CIPHER_SUITES GRPC_DEFAULT_SSL_ROOTS_FILE_PATH GRPC_NOT_USE_SYSTEM_SSL_ROOTS
GRPC_SYSTEM_SSL_ROOTS_DIR GRPC_ENABLE_FORK_SUPPORT GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS
GRPC_EXPERIMENTS GRPC_STACKTRACE_MINLOGLEVEL GRPC_XDS_BOOTSTRAP GRPC_XDS_BOOTSTRAP_CONFIG
GRPC_ADDRESS_HTTP_PROXY GRPC_ALTS_MAX_CONCURRENT_HANDSHAKES GRPC_CFSTREAM GRPC_NODE_TRACE
GRPC_NODE_VERBOSITY GRPC_GO_LOG_SEVERITY_LEVEL GRPC_GO_LOG_VERBOSITY_LEVEL GRPC_PROXY_EXP
GRPC_SINGLE_THREADED_UNARY_STREAM GRPC_PORT GRPC_HOST GRPC_SERVER GRPC_SERVER_ADDRESS grpc_proxy
no_grpc_proxy http_proxy no_proxy

DOCKER_API_VERSION DOCKER_BUILDKIT DOCKER_CLI_HINTS DOCKER_CONFIG DOCKER_CONTENT_TRUST
DOCKER_CONTENT_TRUST_SERVER DOCKER_CONTEXT DOCKER_CUSTOM_HEADERS DOCKER_DEFAULT_PLATFORM
DOCKER_DRIVER DOCKER_HIDE_LEGACY_COMMANDS DOCKER_HOST_IP DOCKER_MACHINE_NAME DOCKER_OPTS
DOCKER_RAMDISK DOCKER_REGISTRY DOCKER_SOCKET DOCKER_TLS DOCKER_TLS_CERTDIR DOCKER_TMPDIR
DOCKER_USERNAME DOCKER_VERSION DOCKERD_ROOTLESS_ROOTLESSKIT_NET

GOPATH GOROOT GOENV GOBIN GOCACHE GOPROXY GOVERSION GOLANG_VERSION GOTOOLCHAIN GO111MODULE
GOFLAGS GO_VERSION NODE_ENV RACK_ENV APP_ENV BASH_ENV

OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT OTEL_EXPORTER_OTLP_METRICS_PROTOCOL OTEL_JAVAAGENT_ENABLED
OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_PYTHON_DISABLED_INSTRUMENTATIONS OTEL_NODE_RESOURCE_DETECTORS
OTEL_SEMCONV_STABILITY_OPT_IN OTEL_GO_AUTO_TARGET_EXE OTEL_DOTNET_AUTO_HOME OTEL_METRICS_EXPORTER
OTEL_LOGS_EXPORTER OTEL_PYTHON_GRPC_EXCLUDED_SERVICES OTEL_METRIC_EXPORT_INTERVAL

JOB_ID JOB_NAME JOB_BASE_NAME JOB_URL JOB_DISPLAY_URL JOB_TYPE JOB_SPEC JOB_STATUS JOB_CONTEXT
JOB_COMPLETION_INDEX JOB_INDEX JOB_GLOBAL_INDEX JOB_TOKEN JOB_RUN_ID JOBS JOURNAL_STREAM JAVA_HOME
MAX_WORKERS MAX_WORKERS_PER_CORE MAX_REQUESTS MAX_REQUESTS_JITTER MAX_THREADS MAX_MEMORY
MAX_HEAP_SIZE MAX_CONCURRENCY MAXIMUM JOBSERVER INSTANCE NETWORK PORT HOST ENV LEVEL FORMAT CATALOG
DRY_RUN TIMEOUT_SECONDS
MAKEFLAGS MAKELEVEL MAIL MANPATH MEMORY_PRESSURE_WATCH LOGNAME LOG_DIR LOG_FILE LOG_PATH LOG_FOLDER
LANG LANGUAGE LC_ALL LD_LIBRARY_PATH LESS LINES LAUNCHD_SOCKET LAUNCH_EDITOR LAUNCHDARKLY_SDK_KEY
BUILD_ID BUILD_NUMBER BUILD_TAG BRANCH_NAME BIND_PORT BIND_DN BIND_PASSWORD
METRICS_ENABLED ORACLE_HOME OLDPWD OS OSTYPE SHELL SHLVL SSH_AUTH_SOCK SSH_CONNECTION SUDO_USER
SYSTEMD_EXEC_PID STARSHIP_SHELL SERVER_PORT SERVICE_NAME DISPLAY DBUS_SESSION_BUS_ADDRESS
DEBIAN_FRONTEND GITHUB_JOB GITHUB_RUN_ID GITLAB_CI GIT_BRANCH GPG_AGENT_INFO GF_SECURITY_ADMIN_USER
SUPERVISOR_ENABLED SUPERVISOR_PROCESS_NAME SUPERVISOR_GROUP_NAME SUPERVISOR_SERVER_URL
SUPERVISORD_CONFIG SUPERVISORD_OPTIONS SUPERVISOR_TOKEN HASSIO_TOKEN BALENA_SUPERVISOR_ADDRESS
COMPOSE_PROJECT_NAME COMPOSE_PROFILES NOMAD_JOB_NAME NOMAD_JOB_ID SLURM_JOB_ID PROMETHEUS_PORT
""",
)

# By Kubernetes for a Service, and by `docker run --link` for a container, of the name before it.
LINKS = {
    "{}_SERVICE_HOST": "10.0.0.1",
    "{}_SERVICE_PORT": "50051",
    "{}_SERVICE_PORT_GRPC": "50051",
    "{}_PORT": "tcp://10.0.0.1:50051",
    "{}_PORT_50051_TCP": "tcp://10.0.0.1:50051",
    "{}_PORT_50051_TCP_PROTO": "tcp",
    "{}_PORT_50051_TCP_PORT": "50051",
    "{}_PORT_50051_TCP_ADDR": "10.0.0.1",
    "{}_PORT_53_UDP_ADDR": "10.0.0.1",
    "{}_NAME": "/web/alias",
    "{}_ENV_GO_ENV": "production",
}
SERVICES = [
    *("SUPERVISOR", "SUPERVISOR_METRICS", "SUPERVISOR_ON_START", "AREA_SUPERVISOR"),
    *("JOB_CATALOG", "METRICS", "LOG_LEVEL", "GRPC", "ORPHAN", "DOCKER", "GO", "MAX_RUNNING"),
]


@pytest.mark.parametrize("variable", MISSPELT)
def test_what_is_nearly_a_setting_is_told_with_the_nearest(variable: str) -> None:
    assert {variable: MISSPELT[variable]} == misspelt({variable: "adopt", "PATH": "/bin"})


@pytest.mark.parametrize("variable", OF_OTHERS)
def test_what_others_have_named_is_left_in_peace(variable: str) -> None:
    assert {} == misspelt({variable: "x"})


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("form", LINKS)
def test_what_kubernetes_sets_for_a_service_is_left_in_peace(service: str, form: str) -> None:
    assert {} == misspelt({form.format(service): LINKS[form]})


def test_every_setting_is_known_in_upper_and_in_lower_case() -> None:
    names = [*Settings.model_fields, *map(str.upper, Settings.model_fields)]
    assert {} == misspelt(dict.fromkeys(names, "x"))


def test_every_variable_of_compose_and_of_the_example_is_known() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / ".env.example").read_text()
    named = {
        *re.findall(r"\$\{([A-Z_]+)", compose),
        *re.findall(r"^ +([A-Z_]+):", compose, re.MULTILINE),
        *re.findall(r"^#([A-Z_]+)=", example, re.MULTILINE),
    }
    assert len(named) > 40
    assert {} == misspelt(dict.fromkeys(named, "x"))


def test_every_variable_of_the_sdk_is_known() -> None:
    named = [value for name, value in vars(environment_variables).items() if "OTEL_" in name]
    assert len(named) > 50
    assert {} == misspelt(dict.fromkeys(named, "x"))


def _library() -> Path:
    (found,) = Path(grpc.__file__).parent.glob("_cython/cygrpc*.so")
    return found


def test_no_name_in_the_library_of_grpc_is_told() -> None:
    named = re.findall(rb"GRPC_[A-Z0-9_]+", _library().read_bytes())
    assert len(named) > 50
    assert {} == misspelt(dict.fromkeys((name.decode() for name in named), "x"))


def test_an_empty_variable_is_none() -> None:
    assert {} == misspelt({"SUPERVISOR_ON_STRAT": ""})


def test_all_are_told_in_the_order_of_their_names() -> None:
    told = misspelt({"SUPERVISOR_X": "1", "JOBCATALOG": "2", "GO_ENV": "production"})
    assert ["JOBCATALOG", "SUPERVISOR_X"] == list(told)
