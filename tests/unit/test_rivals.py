import re
import secrets
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import StartError
from service.rivals import hold_instance

ENGINE = f"tcp://127.0.0.1:{secrets.randbelow(65535)}"


def test_an_instance_is_held_once() -> None:
    with (
        closing(hold_instance("one", ENGINE)),
        pytest.raises(StartError, match=re.escape("SUPERVISOR_INSTANCE=one: another supervisor")),
    ):
        hold_instance("one", ENGINE)


def test_what_its_holder_lets_go_of_is_free() -> None:
    hold_instance("one", ENGINE).close()
    hold_instance("one", ENGINE).close()


def test_other_instances_and_other_engines_are_others() -> None:
    with closing(hold_instance("one", ENGINE)):
        hold_instance("two", ENGINE).close()
        hold_instance("one", ENGINE + "1").close()


def test_a_socket_is_the_same_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    with (
        closing(hold_instance("x" * 63, f"unix://{tmp_path}/run/docker.sock")),
        pytest.raises(StartError),
    ):
        hold_instance("x" * 63, f"unix://{tmp_path}/link/docker.sock")
