"""The last lines of a job whose credentials are in a file, as far as anybody knows them."""

import pytest

from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities
from service.engine.workload_spec import AUTH_FILE, SecretFile, WorkloadSpec
from service.engine.workloads import Probe
from service.errors import EngineTimeout
from service.lifecycle.last_lines import last_lines, probe_lines
from tests.fake_engine.engine import FakeEngine
from tests.support.samples import a_job

_AUTH = '{"token":"t0p-s3cret"}'
_ARGUMENTS = ("--target", "h:1", "--identifier", "t-1", "--auth-file", AUTH_FILE)


class _Failed:
    """A job of an earlier run that has said its token and has failed."""

    def __init__(self, content: str = _AUTH) -> None:
        self.engine = FakeEngine({}, images=["x"])
        says = ("--say", "it is t0p-s3cret", "--exit", "3")
        secret = SecretFile("name", content)
        spec = WorkloadSpec(name="t-1", image="x", arguments=_ARGUMENTS + says, secret=secret)
        self.container = self.engine.host.create(spec)
        self.engine.host.start(self.container.id)

    async def last_lines(self, redact: Redactor | None = None) -> str:
        job = a_job(redact=redact)
        return await last_lines(self.engine, job, await self.engine.inspect(self.container.id))


async def test_the_engine_is_asked_for_the_credentials_of_an_earlier_run() -> None:
    shown = await _Failed().last_lines()
    assert "it is [redacted]" in shown
    assert "s3cret" not in shown


async def test_the_engine_is_not_asked_for_credentials_that_are_known() -> None:
    failed = _Failed('{"token":"changed by the worker"}')
    assert "s3cret" not in await failed.last_lines(Redactor({"token": "t0p-s3cret"}))
    assert 0 == failed.engine.calls["download"]


@pytest.mark.parametrize("content", ["", "no JSON", '{"token":', "null"])
async def test_lines_are_left_out_if_the_file_is_not_what_it_was(content: str) -> None:
    shown = await _Failed(content).last_lines()
    assert shown.startswith("(the output is left out: ")
    assert "s3cret" not in shown


async def test_lines_are_left_out_if_the_file_is_gone() -> None:
    failed = _Failed()
    failed.container.spec = WorkloadSpec(name="t-1", image="x", arguments=_ARGUMENTS)
    assert (await failed.last_lines()).startswith("(the output is left out: ")


async def test_lines_are_left_out_if_the_engine_reads_no_files() -> None:
    failed = _Failed()
    failed.engine.capabilities = Capabilities()
    assert (await failed.last_lines()).startswith("(the output is left out: ")
    assert 0 == failed.engine.calls["tail"]


async def test_the_variables_of_the_catalogue_are_taken_out_and_those_of_the_image_are_not() -> (
    None
):
    engine = FakeEngine({}, images=["x"])
    says = ("--say", "with hunter2-hunter2 in /usr/local/bin", "--exit", "3")
    spec = WorkloadSpec(
        name="t-1",
        image="x",
        arguments=says,
        environment={"API_KEY": "hunter2-hunter2", "PATH": "/usr/local/bin"},
        labels={"area.supervisor.variables": "API_KEY OTHER"},
    )
    container = engine.host.create(spec)
    engine.host.start(container.id)
    shown = await last_lines(engine, a_job(), await engine.inspect(container.id))
    assert "with [redacted] in /usr/local/bin" in shown


async def test_an_engine_that_does_not_answer_is_told() -> None:
    failed = _Failed()
    failed.engine.faults.fail("download", EngineTimeout("took too long"))
    assert "(the output cannot be read: took too long)" == await failed.last_lines()


@pytest.mark.parametrize(
    ("redact", "shown"),
    [
        (None, "(the output is left out: "),
        (Redactor({"token": "t0p-s3cret"}), "it is [redacted]"),
    ],
)
async def test_what_a_probe_says_is_shown_only_without_the_credentials(
    redact: Redactor | None, shown: str
) -> None:
    failed = _Failed()
    failed.container.probe = Probe(1, "it is t0p-s3cret")
    seen = await failed.engine.inspect(failed.container.id)
    assert probe_lines(a_job(redact=redact), seen).startswith(shown)
