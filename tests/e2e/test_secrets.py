"""No value of `auth` leaves the container: not by a log, a metric, a span, a label or an error."""

import html
import json
import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_plus

import docker

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.collector import Collector
from tests.support.supervised import Supervised, eventually

_PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCBKc\n-----END KEY-----\n"
_ACCOUNT = {"type": "service", "private_key": "account-key-271828"}
_AUTH: Mapping[str, object] = {
    "token": "plain-token-31337",
    "quotes": "single'quote-and\"double-quote",
    "lines": _PEM,
    "unicode": "clé-secrète-世界-🚀",
    "url": "p@ss/word?a=b&c d+e%20#x",
    "backslash": "domain\\user\\nsecret",
    "account": json.dumps(_ACCOUNT),
    "nested": {"deep": ["nested-token-1", {"deeper": "nested-token-2"}]},
}
# Each piece is enough to know that a secret has got out.
_PIECES = (
    "plain-token-31337",
    "single'quote",
    "double-quote",
    "MIIEvQIBADANBgkqh",
    "kiG9w0BAQEFAASCBKc",
    "secrète",
    "secr\\u00e8te",
    "secr%C3%A8te",
    "secr\\303\\250te",
    "世界",
    "p@ss",
    "p%40ss",
    "c d+e",
    "c+d%2Be",
    "domain\\",
    "user\\",
    "account-key-271828",
    "nested-token-1",
    "nested-token-2",
)


def _leaks(text: str) -> list[str]:
    return [piece for piece in _PIECES if piece in text or json.dumps(piece)[1:-1] in text]


def _assert_nothing_got_out(supervised: Supervised, answers: Sequence[Response]) -> None:
    assert [] == _leaks(supervised.log())
    assert [] == _leaks(supervised.http("/metrics")[1])
    assert [] == [leak for answer in answers for leak in _leaks(answer.error.message)]
    assert [] == _leaks(supervised.http("/readyz")[1])


def test_a_worker_that_prints_its_arguments_and_fails_gives_no_secret_away(
    start: Start, collector: Collector, docker_client: docker.DockerClient
) -> None:
    supervised = start(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, LOG_LEVEL="debug", GO_ENV="development"
    )
    answers = [
        supervised.launch("timer", "fails", {"exit": 3}, _AUTH),
        supervised.launch("weather", "first-argument", {"exit": 3}, _AUTH),
        supervised.launch("webhook", "ends", {"exit": 0}, _AUTH),
        supervised.launch("mail", "reaction", {"exit": 1}, _AUTH),
        supervised.launch("timer", "lives", {}, _AUTH),
        supervised.launch("timer", "lives", {"other": 1}, {"token": "nested-token-1"}),
        supervised.launch("missing", "no-image", {}, _AUTH),
        supervised.launch("unknown", "no-name", {}, _AUTH),
        supervised.launch("timer", "", {}, _AUTH),
        supervised.launch("timer", "bad-key", {"not a name": 1}, _AUTH),
        supervised.launch("timer", "nul", {}, {**_AUTH, "nul": "plain-token-31337\0"}),
        supervised.launch("timer", "nan", {}, {**_AUTH, "nan": float("nan")}),
        supervised.launch("timer", "big", {}, {**_AUTH, "big": "plain-token-31337" * 10_000}),
        supervised.kill("lives"),
    ]
    eventually(supervised.is_idle)
    exited = {event["identifier"]: event for event in supervised.events("job.exited")}
    assert any("argument: --auth" in line for line in exited["fails"]["output"])
    assert any("[redacted]" in line for line in exited["fails"]["output"])
    assert any("[redacted]" in line for line in exited["first-argument"]["output"])
    for container in containers.everything(docker_client):
        assert [] == _leaks(str(container.labels))
        assert [] == _leaks(str(container.name))
        environment = containers.environment(container)
        assert [] == _leaks(str(environment))
    _assert_nothing_got_out(supervised, answers)
    assert 0 == supervised.stop()
    assert 14 <= len(collector.spans())
    assert [] == [leak for span in collector.spans() for leak in _leaks(span.raw)]
    assert [] == _leaks(supervised.log())


def _spellings() -> dict[str, str]:
    """What workers in many languages print of their arguments or of a value in them."""
    compact = json.dumps(_AUTH, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    url = str(_AUTH["url"])
    return {
        "the argument itself": compact,
        "json with spaces": json.dumps(_AUTH, indent=1),
        "json in ascii": json.dumps(_AUTH, ensure_ascii=True),
        "json within json": json.dumps({"arguments": ["--auth", compact]}, ensure_ascii=False),
        "json within json in ascii": json.dumps({"arguments": ["--auth", json.dumps(_AUTH)]}),
        "python's sys.argv": repr(["worker", "--auth", compact]),
        "python's dict": repr(_AUTH),
        "python's ascii": ascii(_AUTH),
        "python's ascii of the argument": ascii(["--auth", compact]),
        "a url": f"https://x.example/?a={quote(url, safe='')}",
        "a url with slashes": f"https://x.example/?a={quote(url)}",
        "a form": f"a={quote_plus(url)}",
        "each value": "\n".join(str(value) for value in _AUTH.values()),
        "bytes": str(compact.encode()),
        "a shell that traces": f"+ worker --auth {shlex.quote(compact)}",
        "a shell in the C locale": str(compact.encode()).replace("\\xc3\\xa8", "\\303\\250"),
        "html": html.escape(compact),
        "each value of the account": "\n".join(_ACCOUNT.values()),
        "json with escaped slashes": compact.replace("/", "\\/"),
    }


def test_no_spelling_of_a_secret_gets_into_the_log(start: Start) -> None:
    supervised = start()
    spellings = _spellings()
    for spelling, printed in spellings.items():
        params = {"say": printed, "exit": 3}
        assert Response() == supervised.launch("timer", spelling, params, _AUTH)
    eventually(lambda: len(spellings) == len(list(supervised.events("job.exited"))))
    told = {each["identifier"]: str(each["output"]) for each in supervised.events("job.exited")}
    assert spellings.keys() == {name for name, output in told.items() if "[redacted]" in output}
    assert {} == {name: leaks for name, output in told.items() if (leaks := _leaks(output))}
    assert [] == _leaks(supervised.log())


def test_an_engine_that_quotes_a_secret_gives_none_away(start: Start) -> None:
    # The Engine says which network it does not find: here it has the name of a secret.
    supervised = start(JOB_NETWORK="t0p-s3cret-net")
    answer = supervised.launch("timer", "t-1", {}, {"token": "t0p-s3cret-net"})
    assert 502 == answer.error.code
    assert "[redacted]" in answer.error.message
    assert "t0p-s3cret-net" not in answer.error.message
    (failed,) = supervised.events("request.failed")
    assert answer.error.message == failed["error"]


def test_what_is_not_secret_stays_in_the_log(start: Start) -> None:
    supervised = start()
    said = {"say": "the disk is full", "exit": 3}
    assert Response() == supervised.launch("timer", "fails", said, {"token": "t0p-s3cret", "n": ""})
    (event,) = eventually(lambda: list(supervised.events("job.exited")))
    assert "the disk is full" in event["output"]
    assert (3, "error", "fails") == (event["exit_code"], event["outcome"], event["identifier"])
