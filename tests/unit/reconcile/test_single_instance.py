import secrets
from contextlib import closing

import pytest

from service.errors import StartError
from service.reconcile.single_instance import hold_instance

ENGINE = f"tcp://127.0.0.1:{secrets.randbelow(65535)}"


def test_an_instance_is_held_once() -> None:
    with (
        closing(hold_instance("one", ENGINE, "test engine")),
        pytest.raises(StartError, match=r"=one: another .* same test engine"),
    ):
        hold_instance("one", ENGINE, "test engine")


def test_what_its_holder_lets_go_of_is_free() -> None:
    hold_instance("one", ENGINE, "test engine").close()
    hold_instance("one", ENGINE, "test engine").close()


def test_other_instances_and_other_engines_are_others() -> None:
    with closing(hold_instance("one", ENGINE, "test engine")):
        hold_instance("two", ENGINE, "test engine").close()
        hold_instance("one", ENGINE + "1", "test engine").close()
