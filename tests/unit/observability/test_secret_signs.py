import pytest

from observability.secret_signs import shown_setting, unless_secret
from tests.support.misplaced_secrets import MISPLACED


@pytest.mark.parametrize("text", [*MISPLACED, "hunter2@host", "hunter2?"])
def test_what_may_be_a_secret_is_not_shown(text: str) -> None:
    assert "(not shown)" == unless_secret(text) == shown_setting(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prod",
        "50051 # the port",
        "backend:5005O",
        "http://backend:50050",
        "ftp://grafana.example/d/x",
        "unix:///var/run/docker.sock",
        "/etc/area/jobs.toml",
        "/run/secrets/supervisor_token",
        "/srv/area@prod/jobs.toml",
        "/srv/what?/jobs.toml",
        "OTEL_SERVICE_NAME_OF_MINE=x",
        "certs/Prod2/eu1/Backend/ca1/Key",
        "/srv/a1/b2/c3/d4/e5/f6/jobs.toml",
        "http://grafana.example/d/cebk3x9p2mps0a/supervisor",
        "/srv/area-supervisor-2026-11-30T17-22-42Z/access-file.toml",
        "/srv/MyVeryLongCamelCaseFolderName2/ACCESS_FILE_OF_PRODUCTION_3",
        "/tmp/area-supervisor-0x3k9q2a/jobs.toml",
        "a-very-long-name-of-a-host.eu-central-1.compute.internal",
        "worker1-worker2-worker3",
        "2001:db8:0:0:1:0:0:1",
        "x" * 255,
        "9" * 255,
    ],
)
def test_what_people_write_by_mistake_is_shown(text: str) -> None:
    assert text == unless_secret(text) == shown_setting(text)


def test_a_value_of_several_lines_is_shown_in_one() -> None:
    assert ("a\nb", r"'a\nb'") == (unless_secret("a\nb"), shown_setting("a\nb"))
