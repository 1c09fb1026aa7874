"""LaunchJob: what the container gets, who is grouped with whom, and what may come in between."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import docker
import grpc
import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from tests.support import containers, swarm
from tests.support.supervised import Supervised, eventually, struct

# "within 2 s", tested generously.
_OBSERVED_SECONDS = 10.0


def test_a_worker_gets_its_arguments_in_the_promised_order(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    params = {
        "zone": "Europe/Paris",
        "city": "Paris",
        "seconds": 1000000,
        "A.upper": "A comes before a",
        "ratio": 0.1,
        "on": True,
        "off": False,
        "left_out": None,
        "nothing": "",
        "list": [1, 2.5, None, "é", True, [], {"b": 1, "a": 2}],
        "object": {"b": {"deep": [1e6]}, "a": None},
    }
    assert Response() == shared.launch("weather", "w-1", params, {"token": "t", "expires": 3599})
    container = containers.one(docker_client, "w-1")
    expected = [
        "fetch-weather",
        *("--target", swarm.callback()),
        *("--identifier", "w-1"),
        *("--auth", '{"expires":3599,"token":"t"}'),
        *("--A.upper", "A comes before a"),
        *("--city", "Paris"),
        *("--list", '[1,2.5,null,"é",true,[],{"a":2,"b":1}]'),
        *("--nothing", ""),
        *("--object", '{"a":null,"b":{"deep":[1000000]}}'),
        *("--off", "false"),
        *("--on", "true"),
        *("--ratio", "0.1"),
        *("--seconds", "1000000"),
        *("--zone", "Europe/Paris"),
    ]
    assert expected == containers.arguments(container)
    assert expected == eventually(lambda: _printed(container.logs().decode(), len(expected)))


def test_a_job_without_a_first_argument_and_auth(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    expected = ["--target", swarm.callback(), "--identifier", "t-1", "--auth", "{}"]
    assert expected == containers.arguments(containers.one(docker_client, "t-1"))


@pytest.mark.parametrize(
    "text",
    [
        "--target",
        "two\nlines",
        "  spaces  ",
        "é世界🚀\u2028",
        "'single' \"double\" `back` $HOME \\n %s",
        "1000000.0",
        "null",
        '{"is":  "json"}',
    ],
)
def test_strings_arrive_as_they_are(
    shared: Supervised, docker_client: docker.DockerClient, text: str
) -> None:
    assert Response() == shared.launch("timer", "text", {"text": text}, {"text": text})
    arguments = containers.arguments(containers.one(docker_client, "text"))
    assert ["--text", text] == arguments[-2:]
    assert {"text": text} == json.loads(arguments[-3])


def test_numbers_are_whole_without_point_or_in_their_shortest_form(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    numbers = {
        "a": (1e6, "1000000"),
        "b": (3599.0, "3599"),
        "c": (-1.0, "-1"),
        "d": (1e21, "1000000000000000000000"),
        "e": (9007199254740993.0, "9007199254740992"),
        "f": (1.5, "1.5"),
        "g": (0.30000000000000004, "0.30000000000000004"),
        "h": (-0.25, "-0.25"),
        "i": (0.0, "0"),
        "j": (-0.0, "0"),
        "k": (1e300, str(int(1e300))),
    }
    values = {key: value for key, (value, _) in numbers.items()}
    params = {**values, "list": list(values.values()), "tiny": 5e-324}
    assert Response() == shared.launch("timer", "numbers", params, {"numbers": values})
    arguments = containers.arguments(containers.one(docker_client, "numbers"))
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert {key: text for key, (_, text) in numbers.items()} == {
        key: options[f"--{key}"] for key in numbers
    }
    texts = [text for _, text in numbers.values()]
    assert f"[{','.join(texts)}]" == options["--list"]
    assert "{" + ",".join(
        f'"{key}":{text}' for key, (_, text) in numbers.items()
    ) + "}" == json.dumps(json.loads(options["--auth"])["numbers"], separators=(",", ":"))
    assert 5e-324 == float(options["--tiny"])


def test_what_is_null_or_not_set_is_left_out_but_stays_inside_json(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    unset = Value()
    params = struct({"null": None, "kept": 1})
    params.fields["unset"].CopyFrom(unset)
    params.fields["list"].list_value.CopyFrom(ListValue(values=[unset, Value(null_value=0)]))  # type: ignore[arg-type]
    auth = struct({"null": None})
    auth.fields["unset"].CopyFrom(unset)
    request = AuthenticatedJobData(name="timer", identifier="null", params=params, auth=auth)
    assert Response() == shared.stub.LaunchJob(request, timeout=30)
    arguments = containers.arguments(containers.one(docker_client, "null"))
    assert [
        *("--auth", '{"null":null,"unset":null}'),
        *("--kept", "1"),
        *("--list", "[null,null]"),
    ] == arguments[4:]


def test_the_container_is_made_as_promised(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("small", "s-1")
    container = containers.one(docker_client, "s-1")
    wanted = {
        "NetworkMode": "host",
        "Init": True,
        "AutoRemove": False,
        "Memory": 16 * 2**20,
        "NanoCpus": 500_000_000,
        "PidsLimit": 20,
        "Privileged": False,
    }
    actual = containers.host_config(container)
    assert wanted == {key: actual[key] for key in wanted}
    assert not actual["Binds"]
    assert actual["RestartPolicy"]["Name"] in ("", "no")
    assert "running" == container.status
    labels = container.labels
    assert "s-1" == labels["area.supervisor.identifier"]
    assert "small" == labels["area.supervisor.job"]
    assert "default" == labels["area.supervisor.instance"]


def test_a_job_without_limits_has_none(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    config = containers.host_config(containers.one(docker_client, "t-1"))
    assert (0, 0, None) == (config["Memory"], config["NanoCpus"], config["PidsLimit"])


def test_the_answer_comes_when_the_container_runs(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for number in range(5):
        assert Response() == shared.launch("timer", f"t-{number}")
        assert "running" == containers.one(docker_client, f"t-{number}").status


def test_an_action_that_runs_is_not_launched_again(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    before = shared.metric("supervisor_dedups_total", job_name="timer")
    assert Response() == shared.launch("timer", "t-1", {"seconds": 1})
    container = containers.one(docker_client, "t-1")
    assert Response() == shared.launch("timer", "t-1", {"seconds": 1})
    assert Response() == shared.launch("timer", "t-1", {"seconds": 2}, {"token": "other"})
    assert Response() == shared.launch("weather", "t-1")
    assert container.id == containers.one(docker_client, "t-1").id
    assert [("timer", "t-1")] == [(job.name, job.identifier) for job in shared.jobs()]
    assert 3 == shared.metric("supervisor_dedups_total", job_name="timer") - before


def test_fifty_simultaneous_launches_are_one_container_and_fifty_successes(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    together = threading.Barrier(50)

    def launch(number: int) -> Response:
        together.wait(30)
        return shared.launch("timer", "once", {"number": number})

    with ThreadPoolExecutor(50) as pool:
        assert [Response()] * 50 == list(pool.map(launch, range(50)))
    assert 1 == len(containers.of(docker_client, "once"))
    assert ["once"] == shared.running()


def test_thirty_two_jobs_sixteen_at_a_time_all_run(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    identifiers = sorted(f"many-{number}" for number in range(32))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda identifier: shared.launch("timer", identifier), identifiers))
    assert [Response()] * 32 == answers
    assert identifiers == shared.running()
    assert identifiers == containers.live(docker_client)


def test_a_reaction_runs_each_time(shared: Supervised, docker_client: docker.DockerClient) -> None:
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: shared.launch("mail", "m-1"), range(5)))
    assert [Response()] * 5 == answers
    assert 5 == len(containers.of(docker_client, "m-1"))
    assert [("mail", "m-1", "running")] * 5 == [
        (job.name, job.identifier, job.status) for job in shared.jobs()
    ]
    assert ["send", "--target"] == containers.arguments(containers.of(docker_client, "m-1")[0])[:2]


def test_a_reaction_and_an_action_may_share_an_identifier(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for name in ("mail", "timer", "mail", "timer"):
        assert Response() == shared.launch(name, "both")
    assert Counter({"mail": 2, "timer": 1}) == Counter(job.name for job in shared.jobs())
    assert 3 == len(containers.of(docker_client, "both"))


def test_a_job_without_an_image_succeeds_and_launches_nothing(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("nothing", "n-1", {"key": "value"})
    assert [] == shared.jobs()
    assert [] == containers.everything(docker_client)


def test_a_job_that_has_exited_can_be_launched_again(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("webhook", "hook")
    first = containers.one(docker_client, "hook")
    first.kill("TERM")
    eventually(lambda: not containers.runs(first))
    eventually(shared.is_idle, within=_OBSERVED_SECONDS)
    assert Response() == shared.launch("webhook", "hook")
    assert first.id != containers.one(docker_client, "hook").id


@pytest.mark.parametrize("name", ["timer", "webhook", "mail"])
def test_a_job_that_exits_at_once_can_be_launched_again_and_again(
    shared: Supervised, docker_client: docker.DockerClient, name: str
) -> None:
    before = shared.metric("supervisor_launches_total", job_name=name)
    for round_ in range(1, 6):
        assert Response() == shared.launch(name, "short", {"exit": 0})
        eventually(shared.is_idle, within=_OBSERVED_SECONDS)
        assert round_ == shared.metric("supervisor_launches_total", job_name=name) - before
    assert [] == containers.everything(docker_client)


def test_a_container_that_a_third_party_removes_can_be_launched_again(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    first = containers.one(docker_client, "t-1")
    first.remove(force=True)
    eventually(shared.is_idle, within=_OBSERVED_SECONDS)
    assert Response() == shared.launch("timer", "t-1")
    assert first.id != containers.one(docker_client, "t-1").id


def test_a_container_that_a_third_party_pauses_still_runs(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    container.pause()
    assert Response() == shared.launch("timer", "t-1")
    assert container.id == containers.one(docker_client, "t-1").id
    assert ["t-1"] == shared.running()
    assert Response() == shared.kill("t-1")
    assert [] == containers.everything(docker_client)


def test_a_container_that_a_third_party_renames_is_still_the_job(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    container.rename("quite-another-name")
    assert Response() == shared.launch("timer", "t-1")
    assert container.id == containers.one(docker_client, "t-1").id
    assert Response() == shared.kill("t-1")
    assert [] == containers.everything(docker_client)


def test_a_name_that_another_job_has_been_given_is_an_error_and_no_dedup(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    containers.one(docker_client, "t-1").rename("t-2")
    answer = shared.launch("timer", "t-2")
    assert 409 == answer.error.code
    assert "t-2" in answer.error.message
    assert ["t-1"] == shared.running() == containers.live(docker_client)
    assert Response() == shared.kill("t-1")
    assert Response() == shared.launch("timer", "t-2")
    assert ["t-2"] == shared.running() == containers.live(docker_client)


def test_a_container_that_a_third_party_restarts_leaves_one_job_at_most(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for _ in range(5):
        assert Response() == shared.launch("timer", "t-1")
        container = containers.one(docker_client, "t-1")
        with ThreadPoolExecutor(1) as pool:
            restart = pool.submit(docker_client.api.restart, str(container.id), 5)
            restart.exception(30)  # it fails where the supervisor has removed the container
        eventually(lambda: shared.running() == containers.live(docker_client))
        assert Response() == shared.launch("timer", "t-1")
        assert ["t-1"] == shared.running()
        assert ["t-1"] == containers.live(docker_client)


def test_an_image_that_is_not_there_is_an_error_that_names_it(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    answer = shared.launch("missing", "m-1")
    assert 422 == answer.error.code
    assert "supervisor-test-no-such-image" in answer.error.message
    assert [] == shared.jobs()
    assert [] == containers.everything(docker_client)


def test_simultaneous_launches_share_a_failure(shared: Supervised) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: shared.launch("missing", "m-1"), range(10)))
    assert [422] * 10 == [answer.error.code for answer in answers]
    assert [] == shared.jobs()


@pytest.mark.parametrize("labels", [{}, containers.labels_of_another("other", "taken")])
def test_a_name_that_a_stranger_holds_is_an_error_and_the_stranger_is_left_alone(
    shared: Supervised, docker_client: docker.DockerClient, labels: dict[str, str]
) -> None:
    stranger = containers.stranger(docker_client, "taken", labels)
    stranger.reload()
    before = stranger.attrs
    answer = shared.launch("timer", "taken")
    assert 409 == answer.error.code
    assert "taken" in answer.error.message
    stranger.reload()
    assert before == stranger.attrs
    assert [] == shared.jobs()
    assert [stranger] == containers.everything(docker_client)
    stranger.remove(force=True)
    assert Response() == shared.launch("timer", "taken")


def test_a_stranger_that_has_exited_holds_its_name_all_the_same(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    stranger = docker_client.containers.create("supervisor-test-worker", name="taken")
    assert 409 == shared.launch("timer", "taken").error.code
    assert [stranger] == containers.everything(docker_client)


def test_a_launch_whose_client_hangs_up_neither_orphans_nor_blocks(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    identifiers = sorted(f"gone-{number}" for number in range(20))
    for number, identifier in enumerate(identifiers):
        request = AuthenticatedJobData(name="timer", identifier=identifier, params=Struct())
        call = shared.stub.LaunchJob.future(request, timeout=30)
        threading.Event().wait(number * 0.005)  # each hangs up at another moment of its launch
        call.cancel()

    def settled() -> bool:
        jobs = shared.jobs()
        return (
            {"running"} >= {job.status for job in jobs}
            and shared.running() == containers.live(docker_client)
            and len(jobs) == len(containers.everything(docker_client))
        )

    eventually(settled)
    for identifier in identifiers:
        assert Response() == shared.launch("timer", identifier)
    assert identifiers == shared.running()
    assert identifiers == containers.live(docker_client)
    assert 20 == len(containers.everything(docker_client))


def test_a_deadline_that_passes_neither_orphans_nor_blocks(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        shared.launch("timer", "late", timeout=0.02)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == raised.value.code()
    assert Response() == shared.launch("timer", "late")
    assert ["late"] == shared.running()
    assert 1 == len(containers.everything(docker_client))


def _printed(output: str, count: int) -> list[str]:
    """The arguments as the worker has printed them, once they are all there."""
    lines = [
        line.removeprefix("argument: ")
        for line in output.splitlines()
        if line.startswith("argument: ")
    ]
    return lines if len(lines) == count else []
