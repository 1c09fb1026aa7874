"""The page in a real browser, before an API in memory."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts import node
from service._generated.supervisor.v1 import observer_pb2 as api
from service.console.app import Links
from service.console.assets import FOLDER, PLACE
from service.console.pages import page as html_of
from tests.console.conftest import Served
from tests.console.measuring import measured
from tests.console.stub import StubApi, job

_STATES = ("starting", "running", "paused", "stopping", "backing_off", "exited")
Serve = Callable[..., Served]


def test_what_runs_is_shown_and_follows_each_change(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1), job(2, state="paused")]))
    page.goto(console.url)
    expect(page.get_by_role("row", name="action-00001")).to_contain_text("running")
    expect(page.get_by_role("row", name="action-00002")).to_contain_text("paused")
    console.change(job(1, state="stopping"), job(3, state="starting"))
    expect(page.get_by_role("row", name="action-00001")).to_contain_text("stopping")
    expect(page.get_by_role("row", name="action-00003")).to_contain_text("starting")
    console.change(job(3, state="starting", pulling=True))
    expect(page.get_by_role("row", name="action-00003")).to_contain_text("pulling")
    console.change(job(1, state="gone", outcome="killed"))
    expect(page.get_by_role("row", name="action-00001")).to_have_count(0)


def test_it_says_so_when_the_supervisor_is_away_and_comes_back_by_itself(
    page: Page, serve: Serve
) -> None:
    console = serve(StubApi([job(1)]))
    page.goto(console.url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    console.stop()
    expect(page.locator("#connection")).to_contain_text("does not answer")
    console.api.jobs = {"l-2": job(2)}
    console.start()
    expect(page.get_by_role("row", name="action-00002")).to_be_visible()
    expect(page.get_by_role("row", name="action-00001")).to_have_count(0)
    expect(page.locator("#connection")).to_be_empty()


def test_without_jobs_it_explains_itself(page: Page, serve: Serve) -> None:
    page.goto(serve(StubApi()).url)
    expect(page.get_by_text("No job runs. Jobs appear here")).to_be_visible()


def test_a_filter_shows_the_jobs_that_fit(page: Page, serve: Serve) -> None:
    page.goto(serve(StubApi([job(1), job(2), job(3, state="paused")])).url)
    page.get_by_label("Filter").fill("00002")
    expect(page.get_by_role("row", name="action-")).to_have_count(1)
    expect(page.get_by_text("1 of 3 jobs")).to_be_visible()
    page.get_by_label("Filter").fill("")
    page.get_by_label("State").select_option("paused")
    expect(page.get_by_role("row", name="action-00003")).to_be_visible()
    expect(page.get_by_role("row", name="action-")).to_have_count(1)


def test_identifiers_stay_text(page: Page, serve: Serve) -> None:
    hostile = "<img src=x onerror=alert(1)>\n\u202eevil\u200b" + "é" * 600
    page.goto(serve(StubApi([job(1, identifier=hostile)])).url)
    row = page.locator(".window").get_by_role("row", name="job-1")
    expect(row).to_contain_text("<img src=x onerror=alert(1)>U+000AU+202EevilU+200B")
    assert 0 == page.locator("main img").count()
    row.click()
    expect(page.get_by_role("heading", name="job-1")).to_contain_text("é" * 600)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_ten_thousand_jobs_do_not_stall_the_page(
    page: Page, browser: Browser, serve: Serve
) -> None:
    console = serve(StubApi([job(number) for number in range(10_000)]))
    with measured(browser, page) as work:
        page.goto(console.url)
        expect(page.get_by_text("10000 jobs", exact=True)).to_be_visible()
        assert page.locator(".window .row").count() < 100  # only what is seen is drawn
        for first in range(0, 1000, 50):
            console.change(*(job(each, state="paused") for each in range(first, first + 50)))
        page.get_by_label("State").select_option("paused")
        expect(page.get_by_text("1000 of 10000 jobs")).to_be_visible()
    assert 0 < work.longest < 100, f"{work.longest} ms"


def test_jobs_are_sorted_by_each_column(page: Page, serve: Serve) -> None:
    page.goto(serve(StubApi([job(3), job(1), job(2)])).url)
    rows = page.get_by_role("row", name="action-")
    expect(rows.first).to_contain_text("action-00003")  # the newest
    head = page.get_by_role("columnheader", name="Identifier")
    head.get_by_role("button").click()
    expect(rows.first).to_contain_text("action-00001")
    head.get_by_role("button").click()
    expect(rows.first).to_contain_text("action-00003")
    expect(head).to_have_attribute("aria-sort", "descending")


def test_errors_of_its_scripts_go_to_the_log_of_the_supervisor(
    browser: Browser, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    page = browser.new_page()
    hosts: list[str | None] = []
    page.on("request", lambda request: hosts.append(urlsplit(request.url).hostname))
    page.goto(serve(StubApi([job(1)])).url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    with page.expect_response("**/api/errors") as told:
        page.evaluate("setTimeout(() => { throw new Error('boom') })")
    assert 200 == told.value.status
    output = capsys.readouterr().out
    assert "console.script_failed" in output
    assert "boom" in output
    assert {"127.0.0.1"} == set(hosts)  # and nothing else leaves the page
    page.close()


def test_links_lead_where_the_settings_say_and_nowhere_without_them(
    page: Page, serve: Serve
) -> None:
    stub = StubApi([job(1, trace_id="ab" * 16)])
    linked = serve(stub, links=Links("http://grafana.test/d/x", "http://traces.test/{trace_id}"))
    page.goto(linked.url + "/#/job/l-1")
    link = page.get_by_role("link", name="ab" * 16)
    expect(link).to_have_attribute("href", "http://traces.test/" + "ab" * 16)
    page.goto(linked.url + "/#/day")
    grafana = page.get_by_role("link", name="More in Grafana")
    expect(grafana).to_have_attribute("href", "http://grafana.test/d/x")
    page.goto(serve(stub).url + "/#/job/l-1")
    expect(page.get_by_text("ab" * 16)).to_be_visible()
    hosts = page.evaluate("[...document.links].map(each => each.hostname)")
    assert {"127.0.0.1"} == set(hosts)


def test_on_a_slow_connection_it_is_there_in_seconds(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(number) for number in range(500)]))
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 5e4}
    line.send("Network.emulateNetworkConditions", slow)
    page.goto(console.url)
    expect(page.get_by_text("500 jobs")).to_be_visible()


def test_the_page_names_each_script_so_that_none_waits_for_another() -> None:
    """Others would be asked for once those that import them are there."""
    scripts = {each.name for each in FOLDER.iterdir() if each.name.endswith(".js")}
    named = set(re.findall(rf'modulepreload" href="{PLACE}/([^"]+)"', html_of(())))
    assert scripts - {"again.js", "login.js", "main.js"} == named


def test_a_job_is_killed_after_a_question(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1)]))
    page.goto(console.url + "/#/job/l-1")
    page.get_by_role("button", name="Kill").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert ["action-00001"] == console.api.killed


def test_a_second_tab_that_kills_what_the_first_one_shows(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1)]))
    second = page.context.new_page()
    for tab in (page, second):
        tab.bring_to_front()  # a browser may let a tab wait that nobody sees
        tab.goto(console.url + "/#/job/l-1")
        expect(tab.get_by_role("button", name="Kill")).to_be_visible()
    second.get_by_role("button", name="Kill").click()
    second.get_by_role("dialog").get_by_role("button", name="Kill").click()
    page.bring_to_front()
    expect(page.locator("main .state")).to_contain_text("killed")
    expect(page.get_by_role("button", name="Kill")).to_have_count(0)


def test_a_launch_that_is_refused_says_why(page: Page, serve: Serve) -> None:
    console = serve(StubApi())
    page.goto(console.url)
    page.get_by_role("button", name="Launch a job").click()
    page.get_by_label("Job, as the catalogue").fill("unknown")
    page.get_by_label("Identifier", exact=True).fill("x-1")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is not in the catalogue")
    page.get_by_label("Job, as the catalogue").fill("timer")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert ["x-1"] == console.api.launched


def test_the_history_has_failures_first_however_much_has_succeeded_since(
    page: Page, serve: Serve
) -> None:
    stub = StubApi()
    stub.ended = [job(number, state="gone", outcome="success") for number in range(250)]
    stub.ended.insert(100, job(500, state="gone", outcome="lost"))
    stub.ended.append(job(300, state="gone", outcome="oom"))
    stub.ended[100].ended.seconds, stub.ended[-1].ended.seconds = 1_790_000_100, 1_790_000_000
    page.goto(serve(stub).url + "/#/history")
    rows = page.get_by_role("row", name="action-")
    expect(rows).to_have_count(201)
    expect(rows.nth(0)).to_contain_text("lost")
    expect(rows.nth(1)).to_contain_text("oom")
    page.get_by_label("Outcome").select_option("oom")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("#/history.outcome=oom$"))


def test_what_needs_attention_is_told_with_what_to_do(page: Page, serve: Serve) -> None:
    stub = StubApi()
    finding = api.Finding(
        check="image_missing",
        status="error",
        subject="timer",
        message="No image.",
        help="Build it.",
    )
    stub.findings = [finding, api.Finding(check="engine", status="ok")]
    page.goto(serve(stub).url)
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention.get_by_role("listitem")).to_have_count(1)
    expect(attention).to_contain_text("Build it.")


def test_a_row_that_changes_under_the_pointer_can_be_clicked(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1), job(2)]))
    page.goto(console.url)
    row = page.locator(".window").get_by_role("row", name="action-00001")
    row.hover()
    page.mouse.down()
    console.change(job(1, state="paused"))
    expect(row).to_contain_text("paused")
    page.mouse.up()
    expect(page.get_by_role("heading", name="job-1")).to_be_visible()


def test_keys_alone_open_a_job(page: Page, serve: Serve) -> None:
    page.goto(serve(StubApi([job(1), job(2)])).url)
    page.locator(".window").get_by_role("row", name="action-00002").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="job-1")).to_be_visible()


@pytest.mark.parametrize("view", ["", "#/history", "#/day", "#/job/l-1"])
def test_it_fits_a_small_screen(page: Page, serve: Serve, view: str) -> None:
    stub = StubApi([job(1, identifier="x" * 600)])
    stub.ended = [job(2, state="gone", outcome="success", identifier="x" * 600)]
    stub.findings = [api.Finding(check="c", status="error", message="It is.", help="y" * 600)]
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(f"{serve(stub).url}/{view}")
    expect(page.get_by_text("1 error")).to_be_visible()
    expect(page.locator("main")).to_contain_text("x" * 50 if view != "#/day" else "Launches")
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    expect(page.get_by_text("It is.")).to_be_hidden()  # the jobs would be far below
    page.get_by_text("Needs attention").click()
    expect(page.get_by_text("It is.")).to_be_visible()
    assert page.evaluate(fits)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["", "#/history", "#/day", "#/job/l-1"])
def test_it_can_be_used_by_everybody(
    browser: Browser, serve: Serve, scheme: Any, view: str
) -> None:
    """By the rules of WCAG 2.2, as far as a program can check them; contrast among them."""
    stub = StubApi([job(number, state=state) for number, state in enumerate(_STATES)])
    stub.ended = [job(9, state="gone", outcome="error"), job(10, state="gone", outcome="success")]
    stub.log = ["a line"]
    stub.findings = [api.Finding(check="c", status="warning", message="It is.", help="Do it.")]
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(serve(stub).url + "/" + view)
    page.get_by_role("heading", level=2).last.wait_for()
    # Its script may not be loaded from elsewhere, or be written into the page: it is evaluated.
    page.evaluate((node.ensure_installed(node.CONSOLE) / "axe-core" / "axe.min.js").read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("tags => axe.run({runOnly: tags}).then(all => all.violations)", tags)
    faults = [(each["id"], [one["target"] for one in each["nodes"]]) for each in found]
    context.close()
    assert [] == faults
