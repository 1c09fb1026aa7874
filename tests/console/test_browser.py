"""The browser of the tests."""

from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser


def _sockets_of(process: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    for link in Path(f"/proc/{process}/fd").glob("*"):
        with suppress(OSError):  # it has been closed
            found.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def test_it_hears_of_no_change_of_the_network(browser: Browser) -> None:
    """It would drop requests whenever a container of another test starts or ends."""
    asked = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    lines = Path("/proc/net/netlink").read_text().splitlines()[1:]
    listening = {line.split()[-1] for line in lines}
    processes = {each["id"] for each in asked["processInfo"]}
    assert processes
    assert not listening & set().union(*map(_sockets_of, processes))
