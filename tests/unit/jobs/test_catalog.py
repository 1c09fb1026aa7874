"""What a catalogue's file may say of jobs, and what its jobs inherit."""

from pathlib import Path

import pytest

from service.engine.workload_spec import (
    Confinement,
    ImageSource,
    Limits,
    PullPolicy,
    Tmpfs,
    Ulimit,
)
from service.jobs.catalog import Catalog
from service.jobs.catalog_file import load_catalog
from service.jobs.catalog_keys import Entry, Policy
from service.jobs.model import Kind
from service.jobs.restart_policy import RestartPolicy
from tests.unit.jobs.catalogs import entry, fault


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


def test_a_job_has_no_room_if_its_init_is_all_that_its_pids_allow(path: Path) -> None:
    pids = {"one": "pids = 1", "two": "pids = 2", "any": 'image = "x"'}
    jobs = [f'{name} = {{ kind = "action", {keys} }}' for name, keys in pids.items()]
    path.write_text("\n".join(["[jobs]", *jobs]))
    assert ["one"] == load_catalog(path).without_room


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
