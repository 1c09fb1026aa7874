"""Pages that stay open: lost connections, several tabs, wrong clocks, ways back."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from service._generated.supervisor.v1 import observer_pb2 as api
from tests.console.conftest import Served
from tests.console.stub import StubApi, job

Serve = Callable[..., Served]

_LIST = [job(number) for number in range(200)]
_HIDDEN = "Object.defineProperty(document, 'hidden', {get: () => window.away ?? true})"
_TELL_PAUSES = """
    const wait = setTimeout;
    window.setTimeout = (act, pause) => { console.log(pause); return wait(act, pause); };
"""
_SHOW = "window.away = false; document.dispatchEvent(new Event('visibilitychange'))"


def test_what_changed_while_the_supervisor_was_away_is_read_anew(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1)]))
    page.goto(f"{console.url}/#/job/l-1")
    expect(page.get_by_role("button", name="Kill")).to_be_visible()
    console.stop()
    expect(page.locator("#connection")).to_contain_text("does not answer")
    console.api.jobs = {}
    console.api.ended = [job(1, state="gone", outcome="lost")]
    console.start()
    expect(page.locator("main .state")).to_contain_text("lost")
    expect(page.get_by_role("button", name="Kill")).to_have_count(0)


def test_a_line_that_is_dead_is_noticed(page: Page, serve: Serve) -> None:
    page.clock.install()
    page.goto(serve(StubApi([job(1)])).url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    page.route("**/api/me?", lambda route: route.abort())
    page.clock.fast_forward(45_000)
    expect(page.locator("#connection")).to_contain_text("does not answer")
    page.unroute_all()
    expect(page.locator("#connection")).to_be_empty()


def test_a_page_that_could_not_begin_tries_it_again(page: Page, serve: Serve) -> None:
    page.route("**/api/me?", lambda route: route.abort())
    page.goto(serve(StubApi([job(1)])).url)
    expect(page.locator("#connection")).to_contain_text("does not answer")
    page.unroute_all()
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    expect(page.locator("#connection")).to_be_empty()


@pytest.mark.parametrize("dropped", ["**/list.js", "**/style.css", "**/api/job?*"])
def test_what_a_change_of_the_network_drops_is_fetched_again(
    page: Page, serve: Serve, dropped: str
) -> None:
    """Chromium drops what waits for a connection whenever a container of its machine starts."""
    page.route(dropped, lambda route: route.abort(), times=1)
    with page.expect_event("requestfailed"):
        page.goto(f"{serve(StubApi([job(1)])).url}/#/job/l-1")
    expect(page.get_by_role("button", name="Kill")).to_be_visible()
    expect(page.locator(".skip")).to_have_css("position", "absolute")
    expect(page.get_by_role("alert")).to_be_empty()


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        ({"status": 502}, ["GET", "HEAD", "HEAD", "GET"]),
        (
            {"status": 302, "headers": {"Location": "https://login.invalid/"}},
            ["GET", "HEAD", "GET"],
        ),
    ],
    ids=["away", "login"],
)
def test_a_page_without_a_script_comes_back_behind_a_proxy(
    page: Page, serve: Serve, answer: dict[str, Any], asked: list[str]
) -> None:
    """An error page of the proxy would stay. Scripts cannot follow it to its own login."""
    methods: list[str] = []

    def proxy(route: Route) -> None:
        methods.append(route.request.method)
        if methods == ["GET", "HEAD"]:
            route.fulfill(**answer)
        else:
            route.continue_()

    url = serve(StubApi([job(1)])).url
    page.route(f"{url}/", proxy)
    page.route("**/list.js", lambda route: route.abort(), times=1)
    page.goto(url)
    expect(page.locator("nav")).to_be_visible()
    assert asked == methods


def test_a_page_whose_script_stays_missing_can_be_read_between_two_tries(
    page: Page, serve: Serve
) -> None:
    page.add_init_script(_TELL_PAUSES)
    page.route("**/list.js", lambda route: route.abort())
    with page.expect_console_message(lambda message: message.text == "5000"):
        page.goto(serve(StubApi([job(1)])).url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()


def test_scripts_are_fetched_once_for_all_visits(page: Page, serve: Serve) -> None:
    page.goto(serve(StubApi([job(1)])).url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    page.reload()
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    sizes = page.evaluate(
        "performance.getEntriesByType('resource')"
        ".filter(each => each.name.endsWith('.js')).map(each => each.transferSize)"
    )
    assert {0} == set(sizes)


def test_what_a_client_may_do_is_asked_until_it_is_answered(page: Page, serve: Serve) -> None:
    """The page asks again once its stream is open: the answer may have changed meanwhile."""
    first = iter([True])

    def answer_once(route: Route) -> None:
        if next(first, False):
            route.continue_()
        else:
            route.abort()

    page.route("**/api/me?", answer_once)
    page.goto(serve(StubApi([job(1)])).url)
    expect(page.locator("#connection")).to_contain_text("does not answer")
    page.unroute_all()
    expect(page.locator("#connection")).to_be_empty()
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()


def test_tabs_that_nobody_sees_hold_no_connection(page: Page, serve: Serve) -> None:
    """A browser has six for all tabs of a host."""
    console = serve(StubApi([job(1)]))
    page.context.add_init_script(_HIDDEN)
    tabs = [page.context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{console.url}/#/job/l-1")
        expect(tab.get_by_role("heading", name="job-1")).to_be_visible()
    assert 0 == len(console.api.watched)
    console.change(job(1, state="paused"))
    tabs[-1].evaluate(_SHOW)
    expect(tabs[-1].locator("main .state")).to_contain_text("paused")


def test_ages_are_right_although_the_clock_of_the_browser_is_wrong(
    page: Page, serve: Serve
) -> None:
    young = job(1)
    young.created.seconds = int(time.time()) - 7 * 60 - 30
    page.clock.install(time=time.time() - 5 * 3600)
    page.goto(serve(StubApi([young])).url)
    expect(page.get_by_role("row", name="action-00001")).to_contain_text("7 min")


def test_the_filter_is_in_the_address_and_the_list_is_left_as_it_was(
    page: Page, serve: Serve
) -> None:
    page.goto(serve(StubApi(_LIST)).url)
    page.get_by_label("Filter").fill("action-000")
    page.get_by_role("columnheader", name="Identifier").get_by_role("button").click()
    expect(page).to_have_url(re.compile("#/.filter=action-000&sort=identifier$"))
    page.locator(".window").get_by_role("row", name="action-00000").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("row", name="action-00099")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="action-00099")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("row", name="action-00099")).to_be_focused()
    expect(page.get_by_text("100 of 200 jobs")).to_be_visible()
    page.reload()
    expect(page.get_by_text("100 of 200 jobs")).to_be_visible()
    expect(page.get_by_label("Filter")).to_have_value("action-000")


def test_the_focus_stays_on_a_row_and_passes_to_its_neighbour_when_the_job_ends(
    page: Page, serve: Serve
) -> None:
    console = serve(StubApi(_LIST[:3]))
    page.goto(console.url)
    expect(page.locator(".window").get_by_role("row")).to_have_count(3)
    page.get_by_label("State").focus()
    for _ in range(7):  # the button, five columns, and one row
        page.keyboard.press("Tab")
    expect(page.get_by_role("row", name="action-00002")).to_be_focused()
    page.keyboard.press("ArrowDown")
    row = page.locator(".window").get_by_role("row", name="action-00001")
    expect(row).to_be_focused()
    page.get_by_role("columnheader", name="State").get_by_role("button").evaluate("e => e.click()")
    console.change(job(1, state="stopping"), job(0, state="exited"))
    expect(row).to_contain_text("stopping")
    expect(row).to_be_focused()
    console.change(job(1, state="gone", outcome="killed"))
    expect(page.get_by_role("row", name="action-00002")).to_be_focused()


def test_to_skip_to_the_jobs_leaves_the_view(page: Page, serve: Serve) -> None:
    page.goto(f"{serve(StubApi()).url}/#/history")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def test_an_address_that_is_none_says_so(page: Page, serve: Serve) -> None:
    page.goto(f"{serve(StubApi()).url}/#/job/%E0%A4%A")
    expect(page.get_by_role("alert")).to_contain_text("launch_id: is not known")


def test_a_job_that_fails_is_told_soon_and_leads_to_the_history(page: Page, serve: Serve) -> None:
    console = serve(StubApi([job(1)]))
    page.goto(console.url)
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    console.api.findings = [
        api.Finding(check="failing", status="warning", subject="job-1", message="Bad.", help="Do.")
    ]
    console.change(job(1, state="gone", outcome="error"), job(2))
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("Bad.", timeout=12_000)  # it asks each 15 s anyway
    attention.get_by_role("link", name="job-1").click()
    expect(page.get_by_label("Job", exact=True)).to_have_value("job-1")
    expect(page.get_by_role("row", name="action-00001")).to_contain_text("error")
