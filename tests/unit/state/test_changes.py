from service.state.changes import BEGINNING, Journal
from tests.support.samples import a_job


def recorded(changes: int, *, kept: int) -> Journal:
    """Change N is of the job N."""
    journal = Journal(kept)
    for number in range(BEGINNING + 1, BEGINNING + 1 + changes):
        journal.record(a_job(str(number)))
    return journal


def after(journal: Journal, place: int) -> list[int]:
    return [int(job.launch_id) for job in journal.after(place)]


def test_changes_come_in_their_order_from_any_place() -> None:
    journal = recorded(3, kept=10)
    assert [2, 3, 4] == after(journal, BEGINNING)
    assert [4] == after(journal, 3)
    assert [] == after(journal, 4)


def test_it_keeps_the_last_ones() -> None:
    for changes in range(12):
        journal = recorded(changes, kept=4)
        reached = [place for place in range(-1, 16) if journal.reaches_back_to(place)]
        assert list(range(journal.last - min(4, changes), journal.last + 1)) == reached
        for place in reached:
            assert list(range(place + 1, journal.last + 1)) == after(journal, place)


def test_nothing_reaches_back_to_before_the_beginning_or_into_the_future() -> None:
    journal = Journal()
    assert not journal.reaches_back_to(BEGINNING - 1)
    assert journal.reaches_back_to(BEGINNING)
    assert not journal.reaches_back_to(BEGINNING + 1)


def test_a_process_does_not_take_the_places_of_another_for_its_own() -> None:
    assert Journal().epoch != Journal().epoch


def test_listeners_are_told_after_each_change() -> None:
    journal = Journal()
    told: list[int] = []
    journal.subscribe(lambda: told.append(journal.last))
    journal.record(a_job())
    journal.record(a_job())
    assert [BEGINNING + 1, BEGINNING + 2] == told
