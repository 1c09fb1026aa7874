import pytest
from structlog.testing import capture_logs

from observability.callers import name_caller, note_caller
from service.app.metric_labels import new_metrics
from service.errors import Cordoned
from service.state.cordon import Cordon


@pytest.fixture
def cordon() -> Cordon:
    return Cordon(new_metrics([], version="test", engine="fake", mode="test"))


def _metric(cordon: Cordon) -> float | None:
    return cordon._metrics.registry.get_sample_value("supervisor_cordoned")


def _refusal(cordon: Cordon) -> str:
    with pytest.raises(Cordoned) as caught:
        cordon.check()
    return caught.value.message


def test_it_refuses_launches_with_its_reason_until_it_is_lifted(cordon: Cordon) -> None:
    cordon.check()
    assert (0, "") == (_metric(cordon), cordon.notice)
    cordon.set("the disk is changed")
    assert "the supervisor is cordoned: no new launches, the disk is changed" == _refusal(cordon)
    assert (1, "cordoned: no new launches, the disk is changed") == (
        _metric(cordon),
        cordon.notice,
    )
    assert cordon.lift()
    cordon.check()
    assert (0, "") == (_metric(cordon), cordon.notice)


def test_a_later_reason_replaces_the_one_before(cordon: Cordon) -> None:
    cordon.set("one")
    cordon.set("two")
    assert _refusal(cordon).endswith("no new launches, two")
    assert cordon.lift()
    cordon.check()


def test_it_needs_no_reason(cordon: Cordon) -> None:
    cordon.set("")
    assert "the supervisor is cordoned: no new launches" == _refusal(cordon)


def test_what_a_terminal_would_obey_is_escaped(cordon: Cordon) -> None:
    cordon.set("wait\n\x1b[2J")
    assert "the supervisor is cordoned: no new launches, 'wait\\n\\x1b[2J'" == _refusal(cordon)


def test_a_cordon_that_is_not_set_can_be_lifted(cordon: Cordon) -> None:
    with capture_logs() as logs:
        assert not cordon.lift()
    assert [] == logs


def test_the_log_says_who_it_was_and_how_long_it_took(cordon: Cordon) -> None:
    note_caller("10.0.0.1:5", "supervisor-cli/1")
    name_caller("alice")
    with capture_logs() as logs:
        cordon.set("disk\n")
        cordon.set("again")
        assert cordon.lift()
    by = {"peer": "10.0.0.1:5", "user_agent": "supervisor-cli/1", "client": "alice"}
    for entry in logs:
        del entry["logger_name"]
    assert logs[0] == {
        "event": "supervisor.cordoned", "log_level": "warning", "reason": r"'disk\n'", **by
    }  # fmt: skip
    assert logs[2].pop("seconds") >= 0
    assert logs[2] == {"event": "supervisor.uncordoned", "log_level": "warning", **by}
