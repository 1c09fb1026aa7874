"""The words of Engines about registries, most of them as they were read from one."""

import pytest

from service.engine.docker.registry_errors import pull_error
from service.errors import (
    EngineError,
    EngineRefused,
    ImageMissing,
    RegistryAway,
    RegistryDenied,
    RegistryLimited,
)

IMAGE = "registry.example:5000/team/worker:1"
_URL = "https://registry.example:5000/v2/team/worker/manifests/1"
_PRIVATE = (
    "repository does not exist or may require 'docker login': denied: requested access to the"
    " resource is denied"
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"manifest for {IMAGE} not found: manifest unknown: manifest unknown", ImageMissing),
        ("no matching manifest for linux/s390x in the manifest list entries", ImageMissing),
        (f"Get {_URL}: no basic auth credentials", RegistryDenied),
        (f"Get {_URL}: unauthorized: authentication required", RegistryDenied),
        (f"pull access denied for team/worker, {_PRIVATE}", RegistryDenied),
        ("error parsing HTTP 403 response body: invalid character '<'", RegistryDenied),
        ("toomanyrequests: You have reached your pull rate limit.", RegistryLimited),
        ("error parsing HTTP 429 response body: unexpected end of JSON input", RegistryLimited),
        (f"Get {_URL}: dial tcp 10.0.0.1:5000: connect: connection refused", RegistryAway),
        (f"Get {_URL}: dial tcp: lookup registry.example: no such host", RegistryAway),
        ("received unexpected HTTP status: 500 Internal Server Error", RegistryAway),
        ("net/http: TLS handshake timeout", RegistryAway),
        ("unexpected EOF", RegistryAway),
        (f"Get {_URL}: x509: certificate signed by unknown authority", EngineRefused),
        ("failed to register layer: write /file: no space left on device", EngineRefused),
        # As others have reported them.
        ("dial tcp: lookup registry.example: Temporary failure in name resolution", RegistryAway),
        (f"Get {_URL}: dial tcp 10.0.0.1:5000: connection timed out", RegistryAway),
        ("failed to register layer: lchown /: permission denied", EngineRefused),
        ("failed to extract layer sha256:1: snapshot a: not found", EngineRefused),
        ('denied: Permission denied for "1" from request "/v2/team/worker"', RegistryDenied),
    ],
)
def test_the_kind_of_a_failure_follows_from_its_words(text: str, kind: type[EngineError]) -> None:
    error = pull_error(IMAGE, "", text)
    assert kind is type(error)
    assert f"image {IMAGE}: " in error.message


@pytest.mark.parametrize(
    "image",
    ["registry.example:5000/denied/eof:forbidden", "registry.example/unauthorized:1", "a/eof"],
)
def test_the_name_of_an_image_is_no_word_of_a_failure(image: str) -> None:
    url = f"https://registry.example:5000/v2/{image}"
    texts = (
        f"image {image} has a bad signature",
        f"Get {url}: x509: certificate signed by unknown authority",
        f"{image.partition('/')[2]}: bad",
    )
    assert {EngineRefused} == {type(pull_error(image, "", text)) for text in texts}


def test_the_registry_of_an_image_is_named() -> None:
    text = "pull access denied for worker"
    assert "the registry docker.io does not allow" in pull_error("worker", "", text).message
    assert "the registry registry.example:5000 does" in pull_error(IMAGE, "", text).message


def test_the_platform_is_named() -> None:
    error = pull_error(IMAGE, "linux/s390x", "no matching manifest for linux/s390x")
    assert f"image {IMAGE} for linux/s390x: " in error.message


def test_the_query_of_an_address_is_not_shown() -> None:
    text = 'Get "https://auth.example/token?account=me&service=x": unauthorized: no'
    message = pull_error(IMAGE, "", text).message
    assert "account" not in message
    assert 'https://auth.example/token": unauthorized: no' in message


def test_a_page_is_cut_and_is_one_line() -> None:
    message = pull_error(IMAGE, "", "denied: <html>\n\x1b[2J" + "x" * 10_000).message
    assert len(message) < 1000
    assert message.isprintable()
    assert message.endswith("…")


def test_a_full_disk_is_told_as_such() -> None:
    message = pull_error(IMAGE, "", "write /file: no space left on device").message
    assert "the disk of the Engine's host is full" in message
