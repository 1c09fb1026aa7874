"""The log of a job in a real browser, before an API in memory."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import Served
from tests.console.measuring import kept, measured
from tests.console.stub import StubApi, job

Serve = Callable[..., Served]

_LINES = "pre.log > div"
_SCROLLS_NO_MORE = """() => {
    const [before, now] = [window.before, document.querySelector("pre.log").scrollTop];
    window.before = now;
    return before === now;
}"""


@pytest.mark.parametrize("lines", [30_000, 1_000_000])  # of 100 bytes
def test_a_log_that_gushes_neither_stalls_nor_fills_the_page(
    page: Page, browser: Browser, serve: Serve, lines: int
) -> None:
    stub = StubApi([job(1)])
    stub.gush, stub.log_ends = lines, False
    console = serve(stub)
    with measured(browser, page) as work:
        page.goto(f"{console.url}/#/job/l-1")
        last = page.locator(_LINES).last
        expect(last).to_contain_text(f"gush {lines - 1} ", timeout=lines / 8 + 20_000)
    expect(page.locator(_LINES)).to_have_count(5000)
    expect(page.get_by_text("Earlier lines are left out here")).to_be_visible()
    _expect_at_end(page)
    assert 0 < work.longest < 100, f"{work.longest} ms"
    assert kept(page) < 60


def test_lines_as_long_as_they_get_are_kept_up_to_a_size(page: Page, serve: Serve) -> None:
    stub = StubApi([job(1)])
    stub.log, stub.log_ends = [f"{number} " + "é" * 16_000 for number in range(900)], False
    page.goto(f"{serve(stub).url}/#/job/l-1")
    expect(page.locator(_LINES).last).to_contain_text("899 ")
    expect(page.locator(_LINES)).to_have_count(62)
    expect(page.get_by_text("Earlier lines are left out here")).to_be_visible()
    assert kept(page) < 60


def _expect_at_end(page: Page) -> None:
    """It follows."""
    page.locator("pre.log").scroll_into_view_if_needed()
    expect(page.locator(_LINES).last).to_be_in_viewport()


def _open(page: Page, serve: Serve, lines: int) -> Served:
    stub = StubApi([job(1)])
    stub.log, stub.log_ends = [f"line {number}" for number in range(lines)], False
    console = serve(stub)
    page.goto(f"{console.url}/#/job/l-1")
    expect(page.locator(_LINES)).to_have_count(lines)
    _expect_at_end(page)
    return console


def test_who_reads_further_up_is_not_disturbed(page: Page, serve: Serve) -> None:
    console = _open(page, serve, 900)
    page.locator("pre.log").hover()
    page.mouse.wheel(0, -3000)
    to_end = page.get_by_role("button", name="To the end")
    expect(to_end).to_be_visible()
    page.wait_for_function(_SCROLLS_NO_MORE, polling=200)
    before = page.evaluate("document.querySelector('pre.log').scrollTop")
    console.say("one", "two")
    console.change(job(1, state="paused"))  # the rest of the page is drawn anew
    expect(page.get_by_text("2 newer lines at the end")).to_be_visible()
    expect(page.get_by_text("paused").first).to_be_visible()
    assert before == page.evaluate("document.querySelector('pre.log').scrollTop")
    to_end.click()
    expect(page.get_by_text("two")).to_be_in_viewport()
    console.say("three")
    _expect_at_end(page)
    expect(page.locator(_LINES).last).to_have_text("three")


def test_a_log_goes_on_after_a_restart_with_each_line_once(page: Page, serve: Serve) -> None:
    console = _open(page, serve, 3)
    console.stop()
    expect(page.locator("#connection")).to_contain_text("does not answer")
    console.api.log.append("meanwhile")
    console.start()
    expect(page.locator(_LINES).last).to_have_text("meanwhile")
    console.say("later")
    expect(page.locator(_LINES).last).to_have_text("later")
    expect(page.locator(_LINES)).to_have_text(["line 0", "line 1", "line 2", "meanwhile", "later"])
    assert ["1000", "5000"] == [str(each.tail) for each in console.api.logs_read][:2]


def test_what_steers_a_terminal_is_left_out_of_a_log(page: Page, serve: Serve) -> None:
    console = _open(page, serve, 1)
    console.say("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\ttab", " 10%\r 99%\r")
    lines = page.locator(_LINES)
    expect(lines).to_have_count(3)
    assert "red link\ttab" == lines.nth(1).inner_text()
    assert " 10%\n 99%" == lines.nth(2).inner_text()
    console.say("\u202eevil\x00")
    expect(lines.last).to_have_text("U+202EevilU+0000")


def test_last_lines_are_lines(page: Page, serve: Serve) -> None:
    stub = StubApi()
    stub.ended = [job(1, state="gone", outcome="error", last_lines="one\n\ttwo\x1b[0m\n")]
    page.goto(f"{serve(stub).url}/#/job/l-1")
    last = page.locator("h3:text('Last lines') + pre")
    expect(last).to_contain_text("two")
    assert "one\n\ttwo" == last.inner_text().rstrip("\n")
