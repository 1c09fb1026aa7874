"""Pictures of the console for docs/, in a real browser."""

from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from scripts import browser

_SIZE = ViewportSize(width=1100, height=800)
_SMALL = ViewportSize(width=360, height=640)
# Pictures, the view that each of them shows, and what of it comes last.
_VIEWS: Mapping[str, tuple[str, str]] = {
    "console-live": ("#/", ".window .row"),
    "console-history": ("#/history", ".ended tbody tr"),
    "console-day": ("#/day", "figure"),
}


def take(url: str, folder: Path) -> list[Path]:
    """Look at a console, and return the pictures."""
    with browser.opened() as opened:
        page = opened.new_page(viewport=_SIZE)
        pictures = []
        for name, (view, last) in _VIEWS.items():
            page.goto(f"{url}/{view}")
            page.locator(last).first.wait_for()
            pictures.append(_shot(page, folder / f"{name}.png"))
            if len(pictures) == 1:
                page.get_by_text("Needs attention").click()  # folds it: one picture of it will do
        page.goto(f"{url}/#/")
        page.locator(".window .row").first.click()
        page.locator("pre.log > div").first.wait_for()
        pictures.append(_shot(page, folder / "console-job.png"))
        small = opened.new_page(viewport=_SMALL, color_scheme="dark")
        small.goto(url)
        small.locator(".window .row").first.wait_for()
        pictures.append(_shot(small, folder / "console-small.png"))
    return pictures


def _shot(page: Page, picture: Path) -> Path:
    page.locator("#attention li").first.wait_for(state="attached")  # an image is missing
    page.screenshot(path=picture)
    return picture
