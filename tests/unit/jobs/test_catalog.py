import csv
import os
import threading
from pathlib import Path

import pytest

from observability.escaping import shown
from service.engine.workload_spec import (
    Confinement,
    ImageSource,
    Limits,
    PullPolicy,
    Tmpfs,
    Ulimit,
)
from service.errors import StartError
from service.jobs.catalog import Catalog, load_catalog
from service.jobs.catalog_keys import Entry, Policy
from service.jobs.model import Kind
from service.jobs.restart_policy import RestartPolicy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.toml"


def fault(path: Path, text: str) -> str:
    """What is wrong with a catalogue, after the file's name."""
    path.write_text(text)
    with pytest.raises(StartError) as caught:
        load_catalog(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def entry(path: Path, keys: str) -> Entry:
    path.write_text(f"[jobs]\nx = {{ {keys} }}")
    found = load_catalog(path).get("x")
    assert found is not None
    return found


# The packaged one


def expected_jobs() -> dict[str, tuple[str, str | None, str | None, bool]]:
    with (Path(__file__).parent / "area_jobs.csv").open(newline="") as table:
        return {
            row["name"]: (
                row["kind"],
                row["image"] or None,
                row["first_argument"] or None,
                row["ends"] == "true",
            )
            for row in csv.DictReader(table)
        }


def test_the_packaged_catalogue_has_the_68_jobs_of_area_and_no_other() -> None:
    catalog = load_catalog()
    actual = {}
    for name in catalog:
        job = catalog.get(name)
        assert job is not None
        actual[name] = (job.kind.value, job.image, job.first_argument, job.ends)
    assert 68 == len(actual) == len(catalog)
    assert expected_jobs() == actual


def test_the_packaged_catalogue_limits_nothing() -> None:
    catalog = load_catalog()
    assert {Limits()} == {job.limits for name in catalog if (job := catalog.get(name))}


def test_the_packaged_catalogue_says_nothing_else_of_a_job() -> None:
    for job in load_catalog().values():
        said = {key: getattr(job, key) for key in ("kind", "image", "first_argument", "ends")}
        assert Entry.model_validate(said | {"cap_drop": ["ALL"]}).model_dump() == job.model_dump()


def test_no_job_of_the_packaged_catalogue_has_a_capability() -> None:
    assert {Confinement(cap_drop=("ALL",))} == {job.confinement for job in load_catalog().values()}


def test_the_images_of_the_packaged_catalogue_are_those_of_the_workers() -> None:
    services = (
        "airtable discord github gitlab google linear linkedin microsoft miro riot"
        " seconds-interval slack todoist twitter"
    )
    assert {f"supervisor-{service}" for service in services.split()} == load_catalog().images


# A file of one's own


def test_a_job_may_have_every_key(path: Path) -> None:
    keys = (
        'kind = "action", image = "reg.example:5000/area/x:1.0", first_argument = "run",'
        ' ends = true, memory = "256m", cpus = 0.5, pids = 100, user = "1000:1000",'
        ' memory_reservation = "128m", shm_size = "1m", ulimits = { core = 0 },'
        " read_only = true,"
        ' cap_drop = ["ALL"], cap_add = ["NET_BIND_SERVICE"], tmpfs = ["/tmp", "/run:size=16m"],'
        ' no_new_privileges = false, max_running = 4, when_full = "wait", priority = -100'
    )
    job = entry(path, keys)
    assert (Kind.ACTION, "reg.example:5000/area/x:1.0", "run", True) == (
        job.kind,
        job.image,
        job.first_argument,
        job.ends,
    )
    assert job.limits == Limits(
        memory=256 * 2**20,
        memory_reservation=128 * 2**20,
        cpus=0.5,
        pids=100,
        shm_size=2**20,
        ulimits=(Ulimit("core", 0, 0),),
    )
    assert job.confinement == Confinement(
        user="1000:1000",
        read_only=True,
        cap_drop=("ALL",),
        cap_add=("NET_BIND_SERVICE",),
        tmpfs=(Tmpfs("/tmp"), Tmpfs("/run", size=16 * 2**20)),
        no_new_privileges=False,
    )
    assert (4, "wait", -100) == (job.max_running, job.when_full, job.priority)


def test_a_job_needs_a_kind_alone(path: Path) -> None:
    job = entry(path, 'kind = "reaction"')
    assert (None, None, False, Limits()) == (job.image, job.first_argument, job.ends, job.limits)
    assert Confinement() == job.confinement
    assert (None, "refuse", 0) == (job.max_running, job.when_full, job.priority)


@pytest.mark.parametrize(
    ("keys", "ends"),
    [
        ('kind = "action"', False),
        ('kind = "action", ends = true', True),
        ('kind = "action", ends = false', False),
        ('kind = "reaction"', True),
    ],
)
def test_reactions_and_some_actions_end_by_themselves(path: Path, keys: str, ends: bool) -> None:
    assert ends == entry(path, keys).ends_by_itself


@pytest.mark.parametrize(
    ("memory", "size"),
    [("6m", 6 * 2**20), ("6144k", 6 * 2**20), ("1g", 2**30), ("512m", 2**29)],
)
def test_memory_is_read(path: Path, memory: str, size: int) -> None:
    assert size == entry(path, f'kind = "action", memory = "{memory}"').limits.memory


@pytest.mark.parametrize(
    ("text", "ulimits"),
    [
        ("{}", ()),
        ("{ nofile = 4096, core = 0 }", (Ulimit("core", 0, 0), Ulimit("nofile", 4096, 4096))),
        ("{ nproc = { soft = 1, hard = 2 } }", (Ulimit("nproc", 1, 2),)),
        ("{ memlock = -1 }", (Ulimit("memlock", -1, -1),)),
        ("{ stack = { soft = 5, hard = -1 } }", (Ulimit("stack", 5, -1),)),
    ],
)
def test_limits_of_processes_are_read(path: Path, text: str, ulimits: tuple[Ulimit, ...]) -> None:
    assert ulimits == entry(path, f'kind = "action", ulimits = {text}').limits.ulimits


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{ files = 1 }", "'files' is not one of core, cpu, "),
        ("{ nofile = true }", "a limit of nofile is not a whole number"),
        ("{ nofile = '1' }", "a limit of nofile is not a whole number"),
        ("{ nofile = -2 }", "a limit of nofile is not a whole number"),
        ("{ nofile = { soft = 1 } }", "nofile has to have soft and hard"),
        ("{ nofile = { soft = 2, hard = 1 } }", "the soft limit of nofile is more than"),
        ("{ nofile = { soft = -1, hard = 1 } }", "the soft limit of nofile is more than"),
    ],
)
def test_a_wrong_limit_of_processes_is_told_with_its_name(path: Path, text: str, told: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", ulimits = {text} }}')
    assert message.startswith(f"jobs.x.ulimits: {told}")
    assert "allowed is a table of limits such as nofile" in message


def test_no_more_memory_is_reserved_than_may_be_used(path: Path) -> None:
    keys = 'kind = "action", memory = "6m", memory_reservation = "7m"'
    told = "jobs.x: `memory_reservation` is more than `memory`"
    assert told == fault(path, f"[jobs]\nx = {{ {keys} }}")
    path.write_text(
        '[defaults]\nmemory_reservation = "64m"\n[jobs]\nx = { kind = "action", memory = "6m" }'
    )
    limits = load_catalog(path)["x"].limits
    assert 6 * 2**20 == limits.memory == limits.memory_reservation


@pytest.mark.parametrize("cpus", ["1", "0.01", "1024", "2.5"])
def test_cpus_are_read(path: Path, cpus: str) -> None:
    assert float(cpus) == entry(path, f'kind = "action", cpus = {cpus}').limits.cpus


@pytest.mark.parametrize("user", ["", "worker", "_apt", "www-data:1000", "0", "1000:2147483647"])
def test_a_user_is_read_as_it_stands(path: Path, user: str) -> None:
    assert user == entry(path, f'kind = "action", user = "{user}"').confinement.user


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/tmp", Tmpfs("/tmp")),
        ("/run:size=16m", Tmpfs("/run", size=16 * 2**20)),
        ("/run:mode=1777,size=1k", Tmpfs("/run", size=1024, mode=0o1777)),
        ("/var/lib/a b:mode=700", Tmpfs("/var/lib/a b", mode=0o700)),
        ("/dev/shm", Tmpfs("/dev/shm")),
    ],
)
def test_a_folder_in_memory_is_read(path: Path, text: str, folder: Tmpfs) -> None:
    assert (folder,) == entry(path, f'kind = "action", tmpfs = ["{text}"]').confinement.tmpfs


@pytest.mark.parametrize(("asked", "meant"), [("true", True), ("false", False)])
def test_who_asks_for_no_new_privileges_is_told_apart(path: Path, asked: str, meant: bool) -> None:
    job = entry(path, f'kind = "action", no_new_privileges = {asked}')
    assert job.confinement.no_new_privileges is meant
    assert entry(path, 'kind = "action"').confinement.no_new_privileges is None


def test_how_a_job_ends_is_read(path: Path) -> None:
    job = entry(
        path,
        'kind = "action", time_limit = "1.5h", stop_grace = "30s", stop_signal = "SIGINT",'
        " init = false",
    )
    assert (5400, 30, "SIGINT", False) == (
        job.time_limit,
        job.stop_grace,
        job.stop_signal,
        job.init,
    )
    plain = entry(path, 'kind = "action"')
    assert (None, None, "SIGTERM", True) == (
        plain.time_limit,
        plain.stop_grace,
        plain.stop_signal,
        plain.init,
    )


@pytest.mark.parametrize(
    ("keys", "policy"),
    [
        ("", None),
        (", final_exit_codes = [2]", None),
        (", restart = {}", RestartPolicy("failure", 5, 600, 1, 300)),
        (
            ", restart = { unhealthy = true }",
            RestartPolicy("failure", 5, 600, 1, 300, unhealthy=True),
        ),
        (', restart = { on = "never", attempts = 2 }', None),
        (
            (
                ', restart = { on = "end", attempts = 9, window = "1h", back_off = "2s",'
                ' most = "1m" }, final_exit_codes = [2, 64]'
            ),
            RestartPolicy("end", 9, 3600, 2, 60, (2, 64)),
        ),
    ],
)
def test_a_restart_policy_is_read(path: Path, keys: str, policy: RestartPolicy | None) -> None:
    assert policy == entry(path, f'kind = "action"{keys}').restart_policy


@pytest.mark.parametrize("table", ["{}", "{ unhealthy = true }"])
def test_a_reaction_is_never_started_again(path: Path, table: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "reaction", restart = {table} }}')
    assert message.startswith("jobs.x: `restart` is for actions; a reaction that is started again")
    message = fault(path, '[jobs]\nx = { kind = "reaction", final_exit_codes = [2] }')
    assert message.startswith("jobs.x: `final_exit_codes` is for actions; a reaction that is start")
    path.write_text(
        '[defaults]\nrestart = { on = "end" }\n'
        '[jobs]\nx = { kind = "reaction" }\ny = { kind = "action" }\n'
        'z = { kind = "action", restart = { on = "never" } }'
    )
    policies = {name: job.restart_policy is not None for name, job in load_catalog(path).items()}
    assert {"x": False, "y": True, "z": False} == policies


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            "attempt = 1",
            "restart.attempt: is not a key of the catalogue; `restart` may have on",
        ),
        ('on = "always"', 'restart.on = \'always\': allowed is "failure", "end" or "never"'),
        ("attempts = 0", "restart.attempts = 0: allowed is a whole number from 1 to 1000000"),
        ("window = 600", "restart.window = 600: allowed is a number and ms, s, m or h"),
        ('back_off = "0s"', "restart.back_off = '0s': allowed is a number and ms, s, m or h"),
        ("unhealthy = 1", "restart.unhealthy = 1: allowed is true or false"),
        ('back_off = "6m"', "restart: `back_off` is longer than `most`, the longest wait"),
    ],
)
@pytest.mark.parametrize("place", ["jobs.x", "defaults"])
def test_a_wrong_restart_is_told_with_its_key(path: Path, place: str, keys: str, told: str) -> None:
    own = f", restart = {{ {keys} }}" if place == "jobs.x" else ""
    defaults = "" if own else f"[defaults]\nrestart = {{ {keys} }}\n"
    message = fault(path, f'{defaults}[jobs]\nx = {{ kind = "action"{own} }}')
    assert message.startswith(f"{place}.{told}")


def test_a_capability_is_dropped_unless_it_is_added(path: Path) -> None:
    path.write_text(
        '[defaults]\ncap_drop = ["NET_RAW", "CHOWN"]\n'
        '[jobs]\nping = { kind = "action", cap_add = ["NET_RAW"] }'
    )
    confinement = load_catalog(path)["ping"].confinement
    assert (("CHOWN",), ("NET_RAW",)) == (confinement.cap_drop, confinement.cap_add)


# Defaults


DEFAULTS = """
[defaults]
user = "1000"
cap_drop = ["ALL"]
memory = "64m"
no_new_privileges = true
"""


def test_a_job_inherits_what_it_leaves_out(path: Path) -> None:
    path.write_text(f'{DEFAULTS}[jobs]\nx = {{ kind = "action", memory = "6m" }}')
    job = load_catalog(path)["x"]
    assert Limits(memory=6 * 2**20) == job.limits
    assert job.confinement == Confinement(user="1000", cap_drop=("ALL",), no_new_privileges=True)


def test_a_job_may_take_back_what_the_defaults_say(path: Path) -> None:
    own = 'user = "", cap_drop = [], no_new_privileges = false'
    path.write_text(f'{DEFAULTS}[jobs]\nx = {{ kind = "action", {own} }}')
    assert Confinement(no_new_privileges=False) == load_catalog(path)["x"].confinement


def test_the_last_of_several_layers_counts() -> None:
    layers = Policy(user="1", pids=1, read_only=True), Policy(user="2", pids=2)
    entry = Entry(kind=Kind.ACTION, pids=3).inherit(*layers)
    assert ("2", 3, True) == (entry.user, entry.pids, entry.read_only)


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        ("defaults = 1", "defaults = 1: is not a table of defaults, [defaults]"),
        ("[defaults]\nuser = 5", "defaults.user = 5: allowed is a user or user:group"),
        ("[defaults]\nkind = 'action'", "defaults.kind: is not a key of the catalogue;"),
        (
            "[defaults]\nimage = 'x'",
            "defaults.image: is not a key of the catalogue; [defaults]",
        ),
        ("[defaults]\nprivileged = true", "defaults.privileged = True: is refused: a privileged"),
        ("[defaults]\nmax_running = 1", "defaults.max_running: is not a key of the catalogue;"),
        (
            "[defaults]\ncap_add = ['CHOWN']\ncap_drop = ['CHOWN']",
            "defaults: CHOWN is in `cap_add` and in `cap_drop`",
        ),
    ],
)
def test_wrong_defaults_are_told_with_their_key(path: Path, defaults: str, told: str) -> None:
    assert fault(path, f"{defaults}\n[jobs]").startswith(told)


# Images


LAYERS = """
[defaults]
memory = "64m"
pids = 10
cap_drop = ["ALL"]

[images."reg.example/map:1"]
memory = "128m"
pids = 20
first_argument = "run"
ends = true

[jobs]
own = { kind = "action", image = "reg.example/map:1", memory = "256m", first_argument = "x" }
map = { kind = "action", image = "reg.example/map:1", ends = false }
draw = { kind = "reaction", image = "reg.example/map:1" }
latest = { kind = "action", image = "reg.example/map" }
none = { kind = "action" }
"""


def test_a_job_inherits_from_its_image_before_the_defaults(path: Path) -> None:
    path.write_text(LAYERS)
    catalog = load_catalog(path)
    assert {
        "own": (256, 20, "x", True),
        "map": (128, 20, "run", False),
        "draw": (128, 20, "run", False),  # a reaction ends in any case
        "latest": (64, 10, None, False),  # another name is another image
        "none": (64, 10, None, False),
    } == {
        name: ((job.memory or 0) >> 20, job.pids, job.first_argument, job.ends)
        for name, job in catalog.items()
    }
    assert {("ALL",)} == {job.cap_drop for job in catalog.values()}
    assert catalog["draw"].ends_by_itself


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("images = 1", 'images = 1: is not a table of images, [images."NAME"]'),
        ("[images]\nx = 1", "images.x = 1: is not a table of keys, such as { memory"),
        ("[images.x]\nmemory = '1m'", "images.x.memory = '1m': allowed is a number and k, m or g"),
        (
            "[images.x]\nimage = 'y'",
            "images.x.image: is not a key of the catalogue; an image",
        ),
        ("[images.x]\nkind = 'action'", "images.x.kind: is not a key"),
        ("[images.x]\nprivileged = true", "images.x.privileged = True: is refused: a privileged"),
        ("[images.y]", "images: no job has the image 'y'; allowed is x, z"),
        (
            "[images.x]\ncap_add = ['CHOWN']\ncap_drop = ['CHOWN']",
            "images.x: CHOWN is in `cap_add` and in `cap_drop`",
        ),
    ],
)
def test_a_wrong_image_is_told_with_its_key(path: Path, text: str, told: str) -> None:
    jobs = '[jobs]\na = { kind = "action", image = "x" }\nb = { kind = "action", image = "z" }'
    assert fault(path, f"{text}\n{jobs}").startswith(told)


def test_a_table_of_an_image_without_any_job_of_an_image_is_told(path: Path) -> None:
    told = "images: no job has the image 'y'; allowed is none, as no job has an image"
    assert told == fault(path, '[images.y]\n[jobs]\na = { kind = "action" }')


# An image


@pytest.mark.parametrize(
    "image",
    [
        "supervisor-github",
        "supervisor-github:latest",
        "supervisor_github",
        "registry.example:5000/area/github:v1.2_3",
        "x@sha256:" + "0" * 64,
        "area/team/github_worker--1.x:A.b-C_9",
        "localhost/x",
        "Registry:5000/x",
        "registry.Example/x__y:1@sha256:" + "a" * 64,
        "x@sha512:" + "0" * 128,
        "x:1@sha384:" + "0" * 96,
        "[::1]:5000/x",
        "[2001:db8::1]/area/x:1",
        "sha256:" + "0" * 64,  # an image's id
        "registry.example:5000/" + "x" * 255 + ":" + "t" * 128 + "@sha512:" + "0" * 128,
    ],
)
def test_an_image_is_read_as_it_stands(path: Path, image: str) -> None:
    assert image == entry(path, f'kind = "action", image = "{image}"').image


@pytest.mark.parametrize("name", ["x", "9", "a.b-c_D", "x" * 128])
def test_a_job_name_is_allowed(path: Path, name: str) -> None:
    path.write_text(f'[jobs]\n"{name}" = {{ kind = "action" }}')
    assert [name] == list(load_catalog(path))


def test_a_catalogue_may_be_empty(path: Path) -> None:
    path.write_text("[jobs]")
    assert 0 == len(load_catalog(path))


def test_the_limit_of_an_image_is_none_of_its_jobs(path: Path) -> None:
    path.write_text(
        '[images]\nx = { max_running = 3, when_full = "wait", priority = 5 }\n'
        'y = { priority = 1 }\n[jobs]\na = { kind = "action", image = "x", max_running = 2 }\n'
        'b = { kind = "reaction", image = "x", priority = -1 }\n'
        'c = { kind = "action", image = "y" }'
    )
    catalog = load_catalog(path)
    assert {"x": 3} == catalog.image_limits
    assert {"a": (2, "wait", 5), "b": (None, "wait", -1), "c": (None, "refuse", 1)} == {
        name: (job.max_running, job.when_full, job.priority) for name, job in catalog.items()
    }
    newer = Catalog({})
    newer.replace(catalog)
    assert {"x": 3} == newer.image_limits


def test_images_are_told_once_and_without_the_jobs_that_have_none() -> None:
    catalog = Catalog(
        {
            "a": Entry(kind=Kind.ACTION, image="x"),
            "b": Entry(kind=Kind.REACTION, image="x"),
            "c": Entry(kind=Kind.ACTION),
        }
    )
    assert {"x"} == catalog.images
    assert catalog.get("d") is None


# Errors


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[jobs]\nx = {", "(at end of document)"),
        ("[jobs\n", "(at line 1, column 6)"),
        ("[jobs]\n\nx = { kind = action }", "(at line 3, column 14)"),
        (
            '[jobs]\nx = { kind = "action" }\nx = { kind = "action" }\n\n',
            "Cannot overwrite a value",
        ),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(path: Path, text: str, told: str) -> None:
    message = fault(path, text)
    assert message.startswith("is not TOML: ")
    assert told in message


@pytest.mark.parametrize(
    "text", [f"x = {'1' * 5000}", "x = " + "[" * 100_000, f"[jobs]\nx = {'{a=' * 100_000}"]
)
def test_what_python_cannot_read_is_told_like_any_other_fault(path: Path, text: str) -> None:
    assert fault(path, text).startswith("is not TOML: ")


@pytest.mark.parametrize("key", ["cpus", "pids", "image"])
def test_a_number_that_python_cannot_print_is_not_told(path: Path, key: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", {key} = 0x{"1" * 5000} }}')
    assert message.startswith(f"jobs.x.{key}: allowed is a")


def test_a_long_value_is_told_in_short(path: Path) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", memory = "{"9" * 5000}g" }}')
    assert message.startswith("jobs.x.memory = '9999")
    assert len(message) < 250


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "jobs: is missing"),
        ("jobs = 1", "jobs = 1: is not a table of jobs, [jobs]"),
        ("jobs = [1]", "jobs: is not a table of jobs, [jobs]"),
        ("version = 1\n[jobs]", "version: is not a key of the catalogue"),
        ("[jobs]\nx = 1", 'jobs.x = 1: is not a job, such as { kind = "action" }'),
        ("[jobs]\nx = {}", "jobs.x.kind: is missing"),
        ("[jobs]\nx = { kind = 1 }", 'jobs.x.kind = 1: allowed is "action" or "reaction"'),
        ('[jobs]\n"a\\nb" = { kind = 1 }', r"jobs.'a\nb'.kind = 1: "),
        ('[jobs]\nx = { kind = "Action" }', "jobs.x.kind = 'Action': "),
        (
            "[jobs]\nx = { kind = 'action', imgae = 1 }",
            "jobs.x.imgae: is not a key of the catalogue; a job may",
        ),
    ],
)
def test_a_wrong_structure_is_told_with_its_key(path: Path, text: str, told: str) -> None:
    assert fault(path, text).startswith(told)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("image", '""', "'': allowed is an image's name, such as "),
        ("image", '"UPPER"', "'UPPER': allowed is an image's name"),
        ("image", '"a b"', "'a b': allowed is an image's name"),
        ("image", '"-a"', "'-a': allowed is an image's name"),
        ("image", '"a\\n"', "'a\\n': allowed is an image's name"),
        ("image", "3", "3: "),
        *(
            ("image", f'"{name}"', f"'{name}': allowed is an image's name")
            for name in ("a/B", "A/b", "a//b", "a/", "/a", "a:", "a:b:c", "a..b", "a-", "a:5/b/C")
        ),
        ("image", '"' + "x" * 256 + '"', "'xxx"),
        ("image", '"x@sha256:' + "A" * 64 + '"', "'x@sha256:AA"),
        ("image", '"x@sha256:' + "a" * 63 + '"', "'x@sha256:aa"),
        ("image", '"x@sha512:' + "a" * 64 + '"', "'x@sha512:aa"),
        ("image", '"x@md5:' + "a" * 32 + '"', "'x@md5:aa"),
        *(
            ("image", f'"{name}"', f"'{name}': allowed is an image's name")
            for name in ("-a.b/x", "a.b-/x", "[::1/x", "::1/x", "[]/x", "x:" + "t" * 0, "a_b:5/x")
        ),
        ("image", '"x:' + "t" * 129 + '"', "'x:ttt"),
        ("first_argument", '""', "'': allowed is a text that is not empty and has no NUL in it"),
        ("first_argument", '"a\\u0000"', "'a\\x00': allowed is a text that is not empty"),
        ("first_argument", "1", "1: "),
        ("ends", "1", "1: allowed is true or false"),
        ("ends", '"true"', "'true': "),
        ("memory", '"256M"', "'256M': allowed is a number and k, m or g, from "),
        ("memory", '"256"', "'256': "),
        ("memory", '"٢٢m"', "'٢٢m': "),
        ("memory", '"0.5g"', "'0.5g': "),
        ("memory", '"-1g"', "'-1g': "),
        ("memory", "256", "256: "),
        ("memory", '"5m"', "'5m': "),
        ("memory", '"0g"', "'0g': "),
        ("memory_reservation", '"5m"', "'5m': allowed is a number and k, m or g"),
        ("shm_size", "64", "64: allowed is a number and k, m or g"),
        ("shm_size", '"0k"', "'0k': "),
        ("ulimits", "1", "1: allowed is a table of limits"),
        ("cpus", "0", "0: allowed is a number from 0.01, the kernel's least, to 1024"),
        ("cpus", "-0.5", "-0.5: "),
        ("cpus", "1025", "1025: "),
        ("cpus", "nan", "nan: "),
        ("cpus", "inf", "inf: "),
        ("cpus", '"many"', "'many': "),
        ("pids", "0", "0: allowed is a whole number from 1 to 4194304"),
        ("pids", "-1", "-1: "),
        ("pids", "1.5", "1.5: "),
        ("pids", "true", "True: "),
        *(
            ("user", f'"{user}"', f"'{user}': allowed is a user or user:group by name or number")
            for user in ("a b", ":1", "1:", "-a", "1:2:3", "2147483648", "é", "0:99999999999")
        ),
        ("read_only", '"yes"', "'yes': allowed is true or false"),
        ("no_new_privileges", "0", "0: allowed is true or false"),
        ("max_running", "0", "0: allowed is a whole number above 0"),
        ("max_running", "1.5", "1.5: allowed is a whole number above 0"),
        ("max_running", "true", "True: allowed is a whole number above 0"),
        ("when_full", '"drop"', '\'drop\': allowed is "refuse" or "wait"'),
        ("when_full", "true", 'True: allowed is "refuse" or "wait"'),
        ("priority", "-101", "-101: allowed is a whole number from -100 to 100"),
        ("priority", "101", "101: allowed is a whole number from -100 to 100"),
        ("priority", '"high"', "'high': allowed is a whole number from -100 to 100"),
        ("auth", '"stdin"', '\'stdin\': allowed is "argument", "file" or "environment"'),
        ("cap_drop", '"ALL"', "'ALL': allowed is a list of "),
        ("tmpfs", '"/tmp"', "'/tmp': allowed is a list of paths"),
        ("time_limit", '"999ms"', "'999ms': allowed is a number and ms, s, m or h, from \"1s\""),
        ("time_limit", "15", "15: allowed is a number and ms, s, m or h"),
        ("stop_grace", '"61m"', "'61m': allowed is a number and ms, s, m or h, from \"0s\""),
        ("stop_signal", '"TERM"', "'TERM': allowed is SIGTERM, SIGINT"),
        ("stop_signal", '"SIGSTOP"', "'SIGSTOP': allowed is SIGTERM, SIGINT"),
        ("init", '"no"', "'no': allowed is true or false"),
        ("restart", '"always"', "'always': allowed is a table, such as { on = "),
        ("restart", "true", "True: allowed is a table, such as { on = "),
        ("final_exit_codes", "2", "2: allowed is a list of whole numbers from 0 to 255"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(path: Path, key: str, value: str, told: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", {key} = {value} }}')
    assert message.startswith(f"jobs.x.{key} = {told}")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("cap_drop", ["CAP_CHOWN", "chown", "all", "NOSUCH", "", "NET_RAW', 'NET_RAW"]),
        ("final_exit_codes", ["2", "x"]),
        ("cap_add", ["ALL", "CAP_SYS_ADMIN", "SYS_ADMIN', 'SYS_ADMIN"]),
        (
            "tmpfs",
            ["/", "//tmp", "tmp", "/tmp/", "/a/../b", "/proc", "/proc/sys", "/sys/x", "/dev"]
            + [f"/tmp:{o}" for o in ("", "size=0m", "size=1", "mode=9", "exec", "size=1m,size=2m")]
            + ["/tmp:size=1m,", "/tmp:size=1m:mode=700", "/a,b", "/tmp:uid=1", "/a\\u0000"],
        ),
    ],
)
def test_a_wrong_element_of_a_list_is_refused_with_its_key(
    path: Path, key: str, values: list[str]
) -> None:
    for value in values:
        listed = f"['{value}']" if "\\" not in value else f'["{value}"]'
        message = fault(path, f'[jobs]\nx = {{ kind = "action", {key} = {listed} }}')
        assert message.startswith(f"jobs.x.{key}: allowed is a list of "), value


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            "privileged = true",
            "jobs.x.privileged = True: is refused: a privileged container is root",
        ),
        ("privileged = false", "jobs.x.privileged = False: is refused: a privileged container"),
        (
            'mounts = ["/run"]',
            "jobs.x.mounts: is refused: with it, a job could get any file of the",
        ),
        ('devices = ["/dev/sda"]', "jobs.x.devices: is refused: "),
    ],
)
def test_what_would_make_a_job_root_on_the_host_is_refused_by_name(
    path: Path, keys: str, told: str
) -> None:
    assert fault(path, f'[jobs]\nx = {{ kind = "action", {keys} }}').startswith(told)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            "cap_add = ['KILL'], cap_drop = ['KILL']",
            "KILL is in `cap_add` and in `cap_drop`",
        ),
        ("tmpfs = ['/tmp', '/tmp:size=1m']", "/tmp is twice in `tmpfs`"),
    ],
)
def test_keys_that_contradict_themselves_are_told(path: Path, keys: str, told: str) -> None:
    assert f"jobs.x: {told}" == fault(path, f"[jobs]\nx = {{ kind = 'action', {keys} }}")


@pytest.mark.parametrize("cpus", ["true", '"0.5"'])
def test_cpus_that_are_no_number_are_refused(path: Path, cpus: str) -> None:
    assert fault(path, f'[jobs]\nx = {{ kind = "action", cpus = {cpus} }}').startswith(
        "jobs.x.cpus"
    )


@pytest.mark.parametrize("cpus", ["0.009", "1e-10"])
def test_fewer_cpus_than_the_engine_can_give_are_refused(path: Path, cpus: str) -> None:
    # The kernel's least quota is 1 ms of each 100 ms; what rounds to none would be no limit.
    assert fault(path, f'[jobs]\nx = {{ kind = "action", cpus = {cpus} }}').startswith(
        "jobs.x.cpus"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[jobs.github.on-commit]\nkind = "action"', "github.on-commit"),
        ('[jobs]\nweather.fetch = { kind = "action" }', "weather.fetch"),
        ('[jobs]\nweather.fetch.kind = "action"', "weather.fetch"),
        ('[jobs]\na.b.c = { kind = "action" }', "a.b.c"),
        ('[jobs]\na = { kind = "action" }\nb.image = { kind = "action" }', "b.image"),
        ('[jobs.a]\nkind = "action"\n[jobs.a.b]\nkind = "action"', "a.b"),
    ],
)
def test_a_name_with_a_dot_that_is_not_quoted_is_told_to_be(
    path: Path, text: str, name: str
) -> None:
    assert f'jobs: a name with a dot in it needs quotes: "{name}"' == fault(path, text)


def test_a_table_within_a_job_is_not_taken_for_a_name_with_a_dot(path: Path) -> None:
    message = fault(path, '[jobs]\nx = { kind = "action", limits = { memory = "1g" } }')
    assert message.startswith("jobs.x.limits: is not a key of the catalogue")


def test_a_name_with_a_dot_that_is_quoted_is_one(path: Path) -> None:
    path.write_text('[jobs."github.on-commit"]\nkind = "action"')
    assert ["github.on-commit"] == list(load_catalog(path))


def test_only_an_action_can_be_said_to_end(path: Path) -> None:
    message = fault(path, '[jobs]\nx = { kind = "reaction", ends = true }')
    assert message.startswith("jobs.x: `ends` is for actions")


@pytest.mark.parametrize("name", ["", "-x", "a b", "é", "a/b", "x" * 129])
def test_what_is_no_job_name_is_refused(path: Path, name: str) -> None:
    message = fault(path, f'[jobs]\n"{name}" = {{ kind = "action" }}')
    assert message.startswith(f"jobs: {shown(name)} is not a job name")


def test_a_file_that_is_not_there_is_told_with_its_setting(path: Path) -> None:
    with pytest.raises(StartError, match="No such file") as caught:
        load_catalog(path)
    assert str(caught.value).startswith(f"JOB_CATALOG={path}: cannot be read: ")


def test_a_path_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    for path, content in ((tmp_path / "a\nb", None), (tmp_path / "c\nd", "x")):
        if content:
            path.write_text(content)
        with pytest.raises(StartError) as caught:
            load_catalog(path)
        assert repr(str(path)) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_is_no_catalogue(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StartError, match=r"cannot be read: .*directory"):
        load_catalog(path)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_catalogue_may_come_from_any_editor(path: Path, start: bytes) -> None:
    path.write_bytes(
        start + b'[jobs]\r\nx = { kind = "action", first_argument = "caf\xc3\xa9" }\r\n'
    )
    assert ["x"] == list(load_catalog(path))


def test_a_catalogue_in_utf_16_is_told_to_be_saved_anew(path: Path) -> None:
    path.write_text("[jobs]", encoding="utf-16")
    with pytest.raises(StartError, match="cannot be read: it is UTF-16; save it as UTF-8"):
        load_catalog(path)


def test_a_catalogue_may_come_through_a_named_pipe(path: Path) -> None:
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=('[jobs]\nx = { kind = "action" }',))
    writer.start()
    assert ["x"] == list(load_catalog(path))
    writer.join()


def test_a_file_that_is_not_utf_8_is_told(path: Path) -> None:
    path.write_bytes(b"[jobs] # caf\xe9")
    with pytest.raises(StartError, match=r"cannot be read: .*utf-8"):
        load_catalog(path)


def test_a_job_has_no_room_if_its_init_is_all_that_its_pids_allow(path: Path) -> None:
    pids = {"one": "pids = 1", "two": "pids = 2", "any": 'image = "x"'}
    jobs = [f'{name} = {{ kind = "action", {keys} }}' for name, keys in pids.items()]
    path.write_text("\n".join(["[jobs]", *jobs]))
    assert ["one"] == load_catalog(path).without_room


@pytest.mark.parametrize(
    "placement",
    ['"node.role==worker"', "[1]", '["tier==jobs"]', '["node.role=worker"]'],
)
def test_a_placement_that_no_node_could_fulfil_is_refused(path: Path, placement: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", placement = {placement} }}')
    assert message.startswith("jobs.x.placement")
    assert "allowed is a list of texts" in message


def test_a_placement_is_a_list_of_constraints(path: Path) -> None:
    found = entry(path, 'kind = "action", placement = ["node.labels.tier==jobs", "node.id != n1"]')
    assert ("node.labels.tier==jobs", "node.id != n1") == found.placement


def test_an_image_is_pulled_as_the_catalogue_says(path: Path) -> None:
    assert ImageSource() == entry(path, 'kind = "action"').source
    found = entry(path, 'kind = "action", pull = "missing", platform = "linux/arm64/v8"')
    assert ImageSource(PullPolicy.MISSING, "linux/arm64/v8") == found.source
    path.write_text(
        '[defaults]\npull = "always"\nplatform = "linux/arm64"\n'
        '[jobs]\na = { kind = "action" }\nb = { kind = "action", pull = "never", platform = "" }'
    )
    jobs = load_catalog(path)
    assert ImageSource(PullPolicy.ALWAYS, "linux/arm64") == jobs["a"].source
    assert ImageSource() == jobs["b"].source


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ('pull = "sometimes"', '"never", "missing"'),
        ("pull = true", '"never", "missing"'),
        ('pull = ""', '"never", "missing"'),
        ('platform = "arm64"', "OS/ARCHITECTURE"),
        ('platform = "linux/"', "OS/ARCHITECTURE"),
        ('platform = "Linux/arm64"', "OS/ARCHITECTURE"),
        ('platform = "linux/arm64/v8/x"', "OS/ARCHITECTURE"),
        ("platform = 7", "OS/ARCHITECTURE"),
    ],
)
def test_how_an_image_cannot_be_pulled_is_told(path: Path, value: str, allowed: str) -> None:
    key = value.partition(" ")[0]
    message = fault(path, f'[jobs]\nx = {{ kind = "action", {value} }}')
    assert message.startswith(f"jobs.x.{key}")
    assert f"allowed is {allowed}" in message


def test_images_that_move_are_those_with_latest_or_no_tag_that_each_launch_pulls(
    path: Path,
) -> None:
    digest = "0" * 64
    images = (
        "a",
        "b:latest",
        "c:1",
        f"d@sha256:{digest}",
        "localhost:5000/e",
        "localhost:5000/f:1",
    )
    jobs = [f'j{n} = {{ kind = "action", image = "{image}" }}' for n, image in enumerate(images)]
    still = 'still = { kind = "action", image = "g", pull = "missing" }'
    path.write_text("\n".join(['[defaults]\npull = "always"\n[jobs]', *jobs, still]))
    assert ["a", "b:latest", "localhost:5000/e"] == load_catalog(path).moving_images


def test_images_have_to_be_there_unless_each_of_their_jobs_has_them_pulled(path: Path) -> None:
    jobs = {"a": "x", "b": "y", "c": 'y", pull = "always', "d": 'z", pull = "missing'}
    lines = [f'{name} = {{ kind = "action", image = "{keys}" }}' for name, keys in jobs.items()]
    path.write_text("\n".join(["[jobs]", *lines]))
    assert {"x", "y"} == load_catalog(path).images_to_be_there


@pytest.mark.parametrize("value", ["'s3cret'", "['s3cret']", "{ A = ['s3cret'] }"])
def test_no_message_shows_the_value_of_a_variable(path: Path, value: str) -> None:
    message = fault(path, f"[jobs]\nx = {{ kind = 'action', environment = {value} }}")
    assert message.startswith("jobs.x.environment: ")
    assert "s3cret" not in message
