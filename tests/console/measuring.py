"""What a page takes: of its processor, and of memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page


@dataclass
class Work:
    """Of a page, in a block."""

    longest: float = 0.0
    """The processor time of its longest task (milliseconds).

    Not its whole time: on a busy machine the page waits for others.
    """


@contextmanager
def measured(browser: Browser, page: Page) -> Iterator[Work]:
    work = Work()
    categories = ["disabled-by-default-devtools.timeline", "toplevel"]
    browser.start_tracing(page=page, categories=categories)
    try:
        yield work
    finally:
        work.longest = _longest_task(browser.stop_tracing())


def _longest_task(trace: bytes) -> float:
    events = json.loads(trace)["traceEvents"]
    pages = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = (each for each in events if (each["pid"], each["tid"]) in pages)
    return float(max(each.get("tdur", 0) for each in tasks)) / 1000


def kept(page: Page) -> float:
    """What the scripts of a page keep (MiB)."""
    line = page.context.new_cdp_session(page)
    line.send("HeapProfiler.collectGarbage")
    used = line.send("Runtime.getHeapUsage")
    return float(used["usedSize"] + used.get("embedderHeapUsedSize", 0)) / 2**20
