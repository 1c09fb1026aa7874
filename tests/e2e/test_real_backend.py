"""What the Area backend does with the supervisor, with the stock Node client: an error is fatal.

Its identifiers are made of what its users have typed, odd as it may be.
"""

import json
from typing import Any

import docker
import pytest

from tests.support import containers, node
from tests.support.supervised import Supervised, eventually

# Dozens of containers, on a machine that may do other things too.
pytestmark = pytest.mark.timeout(300)

_ODD = [
    "octo/hello",
    "a pasted line\n",
    "two\nlines",
    "\tindented\t",
    "carriage\r\nreturn",
    "../../etc/passwd",
    'it\'s "quoted" `here` $(there) ${FOO}',
    "🎉 party 👩‍👩‍👧‍👦",
    "next\u0085line",
    "line\u2028separator\u2029",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "back\x08space \x7f delete \x01",
    "ünïcödé ŽLUŤOUČKÝ 漢字 عربى",
    "right\u202eto left \ufeff\u200b",
    "--auth",
    "-",
    "%s %n {} {0} \\n \\x00",
    "<script>alert(1)</script>",
    '{"json": [1]}',
    "key=value,other",
    " blank around ",
    "x" * 10_000,
    "é\n" * 5_000,
]
_JOBS = ["timer", "weather", "webhook"]
_MANY = len(_JOBS) * len(_ODD)  # each job with each of the texts: 3 and 23 have no factor in common
_NEVER = ["a\n", "\t", "\u0085", "x" * 600, "area-on-action-never", "\x1b[2J", "🎉", "../x", ""]
_SECRET = "hunter2-of-the-backend"


def _workflow(number: int) -> dict[str, Any]:
    name = _JOBS[number % len(_JOBS)]
    return {
        "name": name,
        "identifier": f"{name}-{_ODD[number % len(_ODD)]}-{number}",
        "params": {"workflowStepId": f"step-{number}", "repo": _ODD[number % len(_ODD)]},
        "auth": {"access_token": _SECRET},
    }


def test_the_flow_of_the_real_backend_meets_no_error_whatever_its_users_have_typed(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    workflows = [_workflow(number) for number in range(_MANY)]
    wanted = {
        "address": f"127.0.0.1:{shared.port}",
        "workflows": workflows,
        "toggled": list(range(len(_ODD))),
        "never": _NEVER,
    }
    code, said, complained = node.run("backend.js", wanted, within=60)
    assert (0, "") == (code, complained)
    identifiers = sorted(workflow["identifier"] for workflow in workflows)
    assert identifiers == sorted(job["identifier"] for job in json.loads(said))
    assert identifiers == shared.running() == containers.live(docker_client)
    for number in range(len(_ODD)):
        container = containers.one(docker_client, workflows[number]["identifier"])
        assert workflows[number]["identifier"] in containers.arguments(container)
    for line in shared.lines():  # one fact, one line
        assert "event" in json.loads(line)
    assert _SECRET not in shared.log()
    assert 0 == shared.metric("supervisor_failures_total")
    # Begun anew, as a backend that has crashed does: everything is killed and launched again.
    before = {str(container.id) for container in containers.of_ours(docker_client)}
    few = {**wanted, "workflows": workflows[:5], "toggled": [0]}
    assert (0, "") == node.run("backend.js", few, within=60)[::2]
    eventually(lambda: 5 == len(containers.everything(docker_client)), within=60)
    assert before.isdisjoint(str(each.id) for each in containers.of_ours(docker_client))


def test_an_error_in_an_answer_ends_the_backend(shared: Supervised) -> None:
    """So that the test above would notice one."""
    wanted = {
        "address": f"127.0.0.1:{shared.port}",
        "workflows": [{**_workflow(0), "name": "unheard-of"}],
        "toggled": [],
        "never": [],
    }
    code, _, complained = node.run("backend.js", wanted, within=60)
    assert 1 == code
    assert complained.startswith("404 name: 'unheard-of'")
