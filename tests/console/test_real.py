"""The console of a real supervisor, on a real Engine, in a real browser."""

import signal
import socket
import time
from functools import partial
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Page, expect

from scripts.ports import free_port
from service._generated.area_types_pb2 import Response
from service.access.tokens import hash_line
from tests.conftest import Start
from tests.support import containers
from tests.support.supervised import Supervised, eventually

_TOKEN = "area-" + "x" * 43


def _access(client: str, token: str) -> str:
    return f'[clients.{client}]\nrole = "operator"\ntokens = ["{hash_line(token)}"]\n'


class Console:
    """A supervisor with a console."""

    def __init__(self, supervisor: Supervised, port: int) -> None:
        self.supervisor = supervisor
        self.url = f"http://127.0.0.1:{port}"


@pytest.fixture
def console(start: Start) -> Console:
    port = free_port()
    return Console(start(CONSOLE_PORT=str(port), SUPERVISOR_ON_START="adopt"), port)


def test_a_job_is_watched_from_its_launch_to_its_end(
    page: Page, console: Console, docker_client: docker.DockerClient
) -> None:
    page.goto(console.url)
    expect(page.get_by_text("No job runs.")).to_be_visible()
    assert Response() == console.supervisor.launch("timer", "t-1", {"say": "hello from the job"})
    row = page.get_by_role("row", name="t-1")
    expect(row).to_contain_text("running")
    row.click()
    expect(page.locator("pre.log")).to_contain_text("hello from the job")
    containers.one(docker_client, "t-1").kill()
    expect(page.locator("main .state").first).to_contain_text("error")
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row", name="t-1")).to_contain_text("error")


def test_it_launches_and_kills(page: Page, console: Console) -> None:
    page.goto(console.url)
    page.get_by_role("button", name="Launch a job").click()
    page.get_by_label("Job, as the catalogue").fill("timer")
    page.get_by_label("Identifier", exact=True).fill("by-hand")
    page.get_by_role("button", name="Launch", exact=True).click()
    row = page.get_by_role("row", name="by-hand")
    expect(row).to_contain_text("running")
    row.click()
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(page.locator("main .state").first).to_contain_text("killed")
    assert [] == console.supervisor.running()


def test_a_restart_of_the_supervisor_is_told_and_the_page_comes_back(
    page: Page, console: Console
) -> None:
    assert Response() == console.supervisor.launch("timer", "t-1")
    page.goto(console.url)
    expect(page.get_by_role("row", name="t-1")).to_contain_text("running")
    console.supervisor.stop(signal.SIGKILL)
    expect(page.locator("#connection")).to_contain_text("does not answer")
    console.supervisor.start()
    expect(page.locator("#connection")).to_be_empty(timeout=15_000)
    expect(page.get_by_role("row", name="t-1")).to_contain_text("running")


def test_with_an_access_file_it_asks_who_is_there(page: Page, start: Start, tmp_path: Path) -> None:
    access = tmp_path / "access.toml"
    access.write_text(_access("eva", _TOKEN))
    port = free_port()
    supervisor = start(ACCESS_FILE=str(access), CONSOLE_PORT=str(port))
    page.goto(f"http://127.0.0.1:{port}")
    page.get_by_label("Token").fill(_TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("eva · operator")).to_be_visible()
    access.write_text(_access("max", "another"))
    expect(page.get_by_label("Token")).to_be_visible(timeout=20_000)
    assert _TOKEN not in supervisor.log_file.read_text()


@pytest.mark.parametrize("after", [0, 0.1, 0.3])
def test_a_browser_that_goes_leaves_no_watch(console: Console, after: float) -> None:
    """Whatever its stream was doing: it may just have sent something, and pause."""
    opened = partial(console.supervisor.metric, "supervisor_watches_open")
    address = ("127.0.0.1", int(console.url.rpartition(":")[2]))
    with socket.create_connection(address) as line:
        line.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: opened() == 1)
        time.sleep(after)
    eventually(lambda: opened() == 0)
