"""Who gets in, in a real browser and without one."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from service.access.access import Access
from service.access.clients import Client, Clients, Credentials, JobScope
from service.access.roles import Role
from service.console.assets import PLACE
from tests.console.conftest import Served
from tests.console.stub import StubApi, job

Serve = Callable[..., Served]


def _log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def _ask(
    console: Served, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(console.url.removeprefix("http://"), timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, sent)
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_a_token_of_the_access_file_opens_the_page(page: Page, serve: Serve, known: Access) -> None:
    page.goto(serve(StubApi([job(1)]), known).url)
    _log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("not a client's")
    _log_in(page, "root-token")
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    expect(page.get_by_text("root · operator")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (True, "Strict") == (cookie.get("httpOnly"), cookie.get("sameSite"))
    assert "root-token" not in page.url
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert [] == page.context.cookies()


def test_an_observer_may_look_only(page: Page, serve: Serve, known: Access) -> None:
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "eye-token")
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    expect(page.get_by_role("button", name="Launch a job")).to_have_count(0)
    page.locator(".window").get_by_role("row", name="action-00001").click()
    expect(page.get_by_text("Logs are for operators.")).to_be_visible()
    expect(page.get_by_role("button", name="Kill")).to_have_count(0)
    refused = page.evaluate(
        "fetch('/api/kill', {method: 'POST', body: '{\"identifier\": \"x\"}'}).then(r => r.status)"
    )
    assert (403, []) == (refused, console.api.killed)


def test_who_is_removed_while_a_page_is_open_has_to_log_in_again(
    page: Page, serve: Serve, known: Access
) -> None:
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "root-token")
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    console.run(lambda: known.replace(Clients()))
    console.change(job(2))
    expect(page.get_by_label("Token")).to_be_visible()


def test_what_is_typed_stays_when_the_token_is_valid_no_more(
    page: Page, serve: Serve, known: Access
) -> None:
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "root-token")
    page.get_by_role("button", name="Launch a job").click()
    page.get_by_label("Job, as the catalogue").fill("timer")
    page.get_by_label("Identifier", exact=True).fill("typed")
    other = Credentials(Client("root", Role.OPERATOR), [sha256(b"new-token").digest()])
    console.run(lambda: known.replace(Clients([other])))
    page.get_by_role("button", name="Launch", exact=True).click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Log in in another tab").click()
    _log_in(opened.value, "new-token")
    expect(opened.value.get_by_role("row", name="action-00001")).to_be_visible()
    opened.value.close()
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert ["typed"] == console.api.launched
    expect(page.get_by_text("root · operator")).to_be_visible()


def test_who_closes_a_dialog_without_a_valid_token_has_to_log_in(
    page: Page, serve: Serve, known: Access
) -> None:
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "root-token")
    page.get_by_role("button", name="Launch a job").click()
    console.run(lambda: known.replace(Clients()))
    console.change(job(2))
    expect(page.get_by_role("alert")).to_contain_text("You are not logged in any more")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_who_logs_in_again_sees_what_was_seen_before(
    page: Page, serve: Serve, known: Access
) -> None:
    page.goto(f"{serve(StubApi([job(1)]), known).url}/#/job/l-1")
    _log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    _log_in(page, "root-token")
    expect(page.get_by_role("heading", name="job-1")).to_be_visible()


def test_a_link_of_another_site_asks_for_no_token_again(
    page: Page, serve: Serve, known: Access
) -> None:
    """Its request has no cookie, because the cookie is strict."""
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "root-token")
    expect(page.get_by_role("row", name="action-00001")).to_be_visible()
    page.goto(f"data:text/html,<a href='{console.url}/%23/job/l-1'>link</a>")
    page.get_by_role("link").click()
    expect(page.get_by_role("heading", name="job-1")).to_be_visible()


def test_other_rights_are_seen_once_the_page_is_back(
    page: Page, serve: Serve, known: Access
) -> None:
    console = serve(StubApi([job(1)]), known)
    page.goto(console.url)
    _log_in(page, "root-token")
    expect(page.get_by_role("button", name="Launch a job")).to_be_visible()
    _make_observer(console, known)
    console.change(job(1, state="paused"))
    expect(page.get_by_text("root · observer")).to_be_visible()
    expect(page.get_by_role("button", name="Launch a job")).to_have_count(0)


def test_rights_that_change_before_the_page_hears_of_changes_are_seen_too(
    page: Page, serve: Serve, known: Access
) -> None:
    console = serve(StubApi([job(1)]), known)

    def change_rights(route: Route) -> None:
        _make_observer(console, known)
        route.continue_()

    page.route("**/api/events?*", change_rights)
    page.goto(console.url)
    _log_in(page, "root-token")
    expect(page.get_by_text("root · observer")).to_be_visible()


def _make_observer(console: Served, known: Access) -> None:
    observer = Client("root", Role.OBSERVER, JobScope(["job-1"]))
    credentials = Credentials(observer, [sha256(b"root-token").digest()])
    console.run(lambda: known.replace(Clients([credentials])))


@pytest.mark.parametrize("path", ["/api/me", "/api/jobs", "/api/events", "/api/logs?launch_id=l-1"])
def test_without_a_token_nothing_is_told(serve: Serve, known: Access, path: str) -> None:
    status, _, body = _ask(serve(StubApi([job(1)]), known), "GET", path)
    assert (401, False) == (status, b"action" in body)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "", "a b"])
def test_a_foreign_host_is_refused(serve: Serve, host: str) -> None:
    status, _, body = _ask(serve(StubApi([job(1)])), "GET", "/api/jobs", Host=host)
    assert status in (400, 403)
    assert b"action" not in body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:9", "LOCALHOST:1"])
def test_own_hosts_are_allowed(serve: Serve, host: str) -> None:
    assert 200 == _ask(serve(StubApi()), "GET", "/api/jobs", Host=host)[0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1"},  # another port
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_foreign_origin_changes_nothing(serve: Serve, headers: dict[str, str]) -> None:
    console = serve(StubApi())
    status, _, _ = _ask(console, "POST", "/api/kill", '{"identifier": "x"}', **headers)
    assert (403, []) == (status, console.api.killed)


def test_each_answer_forbids_what_is_not_its_own(serve: Serve) -> None:
    for path in ("/", f"{PLACE}/main.js", "/api/me", "/nothing"):
        _, headers, _ = _ask(serve(StubApi()), "GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "nosniff" == headers["x-content-type-options"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/kill", "[]", "not a JSON object"),
        ("/api/kill", "{", "not a JSON object"),
        ("/api/kill", '{"identifer": "x"}', "identifer"),
        ("/api/launch", '{"name": 5}', "name: is not of the type that it has in the API"),
        ("/api/launch", "x" * (9 * 2**20), "too large"),
    ],
)
def test_bad_bodies_are_told(serve: Serve, path: str, body: str, told: str) -> None:
    console = serve(StubApi())
    status, _, answer = _ask(console, "POST", path, body, Origin=console.url)
    assert (400, True) == (status, told.encode() in answer)


@pytest.mark.parametrize("auth", ['"hush"', '["hush"]', "[" * 500 + '"hush"' + "]" * 500])
def test_credentials_are_in_no_answer(serve: Serve, auth: str) -> None:
    console = serve(StubApi())
    body = f'{{"name": "job", "identifier": "x", "auth": {auth}}}'
    status, _, answer = _ask(console, "POST", "/api/launch", body, Origin=console.url)
    assert (400, False) == (status, b"hush" in answer)


@pytest.mark.parametrize(
    ("path", "told"), [("events", b"event: refused"), ("logs?launch_id=l-1", b"the credential is")]
)
def test_an_open_stream_ends_when_its_client_is_removed(
    serve: Serve, known: Access, monkeypatch: pytest.MonkeyPatch, path: str, told: bytes
) -> None:
    monkeypatch.setattr("service.console.streams._CHECK", 0.01)
    console = serve(StubApi([job(1)]), known)
    console.api.log, console.api.log_ends = ["one"], False
    stream = _open(console, path, "root-token")
    assert stream.readline()
    console.run(lambda: known.replace(Clients()))
    assert told in stream.read()


@pytest.mark.parametrize("path", ["events", "logs?launch_id=l-1"])
def test_an_open_stream_ends_when_its_client_may_touch_other_jobs(
    serve: Serve, known: Access, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("service.console.streams._CHECK", 0.01)
    console = serve(StubApi([job(1)]), known)
    console.api.log, console.api.log_ends = ["one"], False
    stream = _open(console, path, "root-token")
    assert stream.readline()
    others = Client("root", Role.OPERATOR, JobScope(["other"]))
    credentials = Credentials(others, [sha256(b"root-token").digest()])
    console.run(lambda: known.replace(Clients([credentials])))
    assert b"refused" not in stream.read()


def _open(console: Served, path: str, token: str) -> HTTPResponse:
    """A stream, for a client that has logged in."""
    connection = HTTPConnection(console.url.removeprefix("http://"), timeout=10)
    cookie = f"area_supervisor={b64encode(token.encode()).decode()}"
    connection.request("GET", f"/api/{path}", headers={"Cookie": cookie})
    return connection.getresponse()


def test_without_scripts_the_jobs_are_there(browser: Any, serve: Serve) -> None:
    console = serve(StubApi([job(1, identifier="<b>x</b>\u202e" + "é" * 600)]))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(console.url)
    expect(page.get_by_role("row", name="<b>x</b>U+202Eééé")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.get_by_text("does not update itself")).to_be_visible()
    expect(page.get_by_text("More jobs run than")).to_have_count(0)
    console.api.more = True
    page.reload()
    expect(page.get_by_text("More jobs run than are shown here.")).to_be_visible()
    context.close()
