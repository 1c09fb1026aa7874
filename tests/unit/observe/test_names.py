from service.access.clients import JobScope
from service.observe.names import JobNames

_CATALOG = {"timer": 1, "weather": 2, "webhook": 3}


def test_names_begin_as_they_are_wanted() -> None:
    assert ["timer", "weather", "webhook"] == JobNames(_CATALOG).that_begin("")
    assert ["weather", "webhook"] == JobNames(_CATALOG).that_begin("we")
    assert [] == JobNames(_CATALOG).that_begin("We")


def test_a_client_gets_the_names_that_it_may_touch() -> None:
    scope = JobScope(["t*", "webh*"])
    assert ["timer", "webhook"] == JobNames(_CATALOG).that_begin("", scope=scope)
