"""How checks are made: nothing that goes wrong in one of them hides the others."""

import threading
from collections.abc import Iterator

from service.diagnosis.checks import Check, Finding, Skip, Status, make, make_within, ok, warning
from service.errors import EngineUnavailable, StartError


def _check(look: object, **more: object) -> Check[None]:
    return Check("one", "the thing", look, "do this", **more)  # type: ignore[arg-type]


def test_what_is_found_has_the_name_of_its_check() -> None:
    def look(_: None) -> Iterator[Finding]:
        yield ok("fine")
        yield warning("odd", "look at it", "part")

    assert [
        Finding(Status.OK, "fine", check="one"),
        Finding(Status.WARNING, "odd", "look at it", "part", "one"),
    ] == make(_check(look), None)


def test_errors_are_findings_with_what_to_do() -> None:
    for error in (StartError("X=1: is wrong"), EngineUnavailable("X=1: is wrong")):

        def look(_: None, error: Exception = error) -> Iterator[Finding]:
            yield ok("so far")
            raise error

        first, second = make(_check(look), None)
        assert Status.OK is first.status
        assert Finding(Status.ERROR, "X=1: is wrong", "do this", check="one") == second


def test_a_defect_is_told_without_its_text() -> None:
    def look(_: None) -> Iterator[Finding]:
        yield from ()
        raise KeyError("s3cret")

    (found,) = make(_check(look), None)
    assert Status.ERROR is found.status
    assert "the thing: cannot be checked (KeyError)" == found.message


def test_what_cannot_be_looked_at_is_skipped() -> None:
    def look(_: None) -> Iterator[Finding]:
        yield from ()
        raise Skip("no Engine")

    assert [Finding(Status.SKIPPED, "no Engine", check="one")] == make(_check(look), None)


def test_texts_are_one_line_and_short() -> None:
    def look(_: None) -> Iterator[Finding]:
        yield warning("a\n\x1b[2J" + "x" * 10_000, "h\n", "s\n")

    (found,) = make(_check(look), None)
    texts = (found.message, found.help, found.subject)
    assert all(text.isprintable() and len(text) < 1000 for text in texts)


def test_a_check_that_hangs_is_given_up() -> None:
    hanging = threading.Event()

    def look(_: None) -> Iterator[Finding]:
        hanging.wait(30)
        yield ok("late")

    (found,) = make_within(_check(look, within=0.05), None)
    hanging.set()
    assert (Status.ERROR, "do this", "one") == (found.status, found.help, found.check)
    assert "the thing: there was no answer within 0.05 s" == found.message


def test_a_check_in_time_is_whole() -> None:
    (found,) = make_within(_check(lambda _: [ok("fine")]), None)
    assert "fine" == found.message
