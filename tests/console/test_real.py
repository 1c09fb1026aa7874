"""The console of a real supervisor, on a real Engine, in a real browser."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.ports import free_port
from service._generated.area_types_pb2 import Response
from service.access.tokens import hash_line
from tests.conftest import Start
from tests.console.measuring import kept, measured
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually

_TOKEN = "area-" + "x" * 43
_GUSHES = """
line=$(/bin/busybox printf '%090d' 0)
/bin/busybox yes $line | /bin/busybox head -n LINES; echo 'the end'
while :; do /bin/busybox sleep 1; done
"""


def _access(client: str, token: str) -> str:
    return f'[clients.{client}]\nrole = "operator"\ntokens = ["{hash_line(token)}"]\n'


# Lines that Docker has at least, of the 30 MB that it keeps.
_KEPT = 100_000


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
    row = page.locator(".window").get_by_role("row", name="t-1")
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
    row = page.locator(".window").get_by_role("row", name="by-hand")
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
    expect(page.locator("#connection")).to_be_empty()
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
    expect(page.get_by_label("Token")).to_be_visible()
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


@pytest.fixture
def gushing(start: Start, catalog: Path, docker_client: docker.DockerClient, lines: int) -> Console:
    """With a job `gushes`, which prints so many lines, and `the end`."""
    script = _GUSHES.replace("LINES", str(lines)).strip().replace("\n", "; ")
    entrypoint = f"ENTRYPOINT {json.dumps(['/bin/busybox', 'sh', '-c', script])}"
    image = worker.variant(docker_client, "supervisor-test-gushes", entrypoint)
    with catalog.open("a") as file:
        file.write(f'gushes = {{ kind = "action", image = "{image}" }}\n')
    port = free_port()
    return Console(start(CONSOLE_PORT=str(port)), port)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("lines", [30_000, 1_000_000])  # of 100 bytes
def test_a_log_of_a_hundred_megabytes_is_kept_by_nobody(
    page: Page, browser: Browser, gushing: Console, lines: int
) -> None:
    """Neither by the page nor, if its browser is slow, by the supervisor.

    Docker replaces its files meanwhile, and then may keep the end to itself.
    """
    before = _memory(gushing.supervisor)
    assert Response() == gushing.supervisor.launch("gushes", "g-1")
    with measured(browser, page) as work:
        page.goto(gushing.url)
        page.locator(".window").get_by_role("row", name="g-1").click()
        last = page.locator("pre.log > div").last
        expect(last).to_have_text("the end", timeout=400_000)
    page.locator("pre.log").scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    assert 0 < work.longest < 100, f"{work.longest} ms"
    assert kept(page) < 60
    read, most = 0, before
    for part in _read_slowly(gushing, page.url.rpartition("/")[2]):
        read += part.count(b"\n")
        most = max(most, _memory(gushing.supervisor))
    assert read >= min(lines, _KEPT)
    assert most - before < 60, f"{most - before} MiB"


def _read_slowly(console: Console, launch_id: str) -> Iterator[bytes]:
    """A whole log, up to its end: first nothing of it, then a bit at a time."""
    with closing(HTTPConnection(console.url.removeprefix("http://"), timeout=60)) as connection:
        connection.request("GET", f"/api/logs?launch_id={launch_id}&follow=true")
        answer = connection.getresponse()
        time.sleep(2)
        last = b""
        while b"the end" not in last:
            last = last[-10:] + answer.read1(2**20)
            yield last[10:]


def _memory(supervisor: Supervised) -> float:
    """What a supervisor has in memory (MiB)."""
    status = Path(f"/proc/{supervisor.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
