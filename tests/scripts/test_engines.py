"""Other Engines than the machine's: in a root of another release, chosen by a variable."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from examples.images import busybox, debian_base
from scripts import debian_root, engine_outcomes, engines, leftovers, prepare, try_engines
from scripts.debian_root import Room
from scripts.engine_outcomes import Run, Tally
from scripts.marked import written
from scripts.private_engine import PrivateEngine
from scripts.private_podman import PrivatePodman
from scripts.progress import PrerequisiteError
from tests.support import exclusions
from tests.support.supervised import eventually

_ROOT = Path(__file__).parents[2]

# What a killed owner had: it says which process holds its room, and waits.
_OWNER = """
import sys
from pathlib import Path
from scripts.debian_root import Room
from scripts.engine_outcomes import Run, Tally
room = Room(Path(sys.argv[1]))
print(room._holder.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The smallest root that there is."""
    busybox.ensure()
    made = tmp_path / "root"
    for folder in ("bin", "mnt", "proc", "sys", "dev"):
        (made / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", made / "bin" / "busybox")
    for applet in ("sh", "cat", "touch", "umount"):
        (made / "bin" / applet).symlink_to("busybox")
    return made


def _inside(room: Room, *command: str) -> str:
    return subprocess.run(room.command(*command), capture_output=True, text=True, check=True).stdout


def test_a_room_shares_what_tests_and_engine_both_use_and_nothing_is_mounted_outside(
    root: Path, tmp_path: Path
) -> None:
    with closing(Room(root)) as room:
        _inside(room, "/bin/touch", str(tmp_path / "seen"))
        assert str(os.getpid()) in _inside(room, "/bin/busybox", "ls", "/proc").split()
        assert [] == leftovers.mounts_at(root)
    assert (tmp_path / "seen").exists()


def test_removing_a_root_removes_nothing_of_what_it_shares(root: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with closing(Room(root)):
        shutil.rmtree(root)
    assert (tmp_path / "kept").exists()
    assert Path("/dev/null").exists()


def test_a_room_ends_with_its_owner_however_that_ends(root: Path) -> None:
    command = [sys.executable, "-c", _OWNER, str(root)]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        holder = int(owner.stdout.readline())
        assert Path(f"/proc/{holder}").exists()
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{holder}").exists())


def test_a_folder_that_is_no_root_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PrerequisiteError, match="cannot be made the root"):
        Room(tmp_path / "empty")


def test_an_engine_that_nobody_knows_is_refused_with_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_ENGINE", "docker-19")
    with pytest.raises(PrerequisiteError, match="docker-19: allowed are machine, swarm, "):
        engines.chosen()


def test_only_an_engine_of_another_release_needs_a_root(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Path("/made")
    monkeypatch.setattr(debian_base, "own_release", lambda: "bookworm")
    monkeypatch.setattr(debian_root, "folder", lambda *_: made)
    roots: dict[str, Path | None] = {}
    for name in ("", *engines.RELEASES):
        monkeypatch.setenv("TEST_ENGINE", name)
        roots[name] = engines.root()
    assert {"": None, "docker-20.10": None, "docker-26.1": made, "podman-5.4": made} == roots


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    known = {engines.SWARM, *engines.RELEASES}
    assert exclusions.EXCLUDED.keys() <= known
    left_out = set[str]().union(*map(exclusions.reasons, known))
    files = sorted({test.partition("::")[0] for test in left_out})
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *files]
    told = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout
    ids = set(told.splitlines())
    every_case = {each.partition("[")[0] for each in ids}
    whole_files = {f"{each.partition('::')[0]}::{exclusions.ALL}" for each in ids}
    assert not left_out - ids - every_case - whole_files


def test_only_what_is_named_is_left_out() -> None:
    file = "tests/e2e/test_notice.py"
    one = "test_readiness_falls_within_five_seconds_however_the_engine_goes"
    assert exclusions.reason(f"{file}::{one}[freeze_containerd]", "podman-5.4")
    assert not exclusions.reason(f"{file}::{one}[freeze]", "podman-5.4")
    assert not exclusions.reason(f"{file}::{one}[freeze_containerd]", "docker-26.1")
    every = "tests/e2e/test_launch.py::test_a_job_without_limits_has_none"
    assert exclusions.reason(every, "podman-5.4") == exclusions.reason(f"{every}[x]", "podman-5.4")
    assert not exclusions.reason(f"{every}_at_all", "podman-5.4")
    assert exclusions.reason("tests/e2e/test_callback.py::test_any[x]", "swarm")
    assert not exclusions.reason("tests/e2e/test_callers.py::test_any[x]", "swarm")


def test_what_one_engine_does_counts_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, other in (("podman-5.4", PrivateEngine), ("docker-26.1", PrivatePodman)):
        monkeypatch.setenv("TEST_ENGINE", name)
        with pytest.raises(PrerequisiteError, match=f"TEST_ENGINE={name} is no {other.KIND}"):
            other()


_REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.e2e.test_kill" name="test_two" />
<testcase classname="tests.e2e.test_kill" name="test_three"><failure message="no" /></testcase>
<testcase classname="tests.e2e.test_kill" name="test_four"><error message="no" /></testcase>
<testcase classname="tests.e2e.test_x" name="test_five"><skipped message="it lacks it" /></testcase>
</testsuite></testsuites>
"""


_RUN = Run("Docker 1.2", "Compose 3", "2026-11-29", "0123456789")


def test_the_table_says_what_passes_what_fails_and_what_does_not_apply() -> None:
    tally = try_engines.counted(_RUN, ET.fromstring(_REPORT).iter("testcase"))
    outcomes = {"docker-1.2": {"launches": tally}, "podman-3.4": {}}
    text = engine_outcomes.table(outcomes)
    assert "| tests | Docker 1.2 | Podman 3.4 |" in text
    assert "| launches | 1 pass, **2 fail**, 1 left out | not run |" in text
    assert "| the contract of the adapter | not run | not run |" in text
    text = engine_outcomes.details(outcomes)
    assert "\n- Docker 1.2, Compose 3: 2026-11-29, commit 0123456789\n" in text
    assert "Fails on Docker 1.2: `test_three`." in text
    assert "- it lacks it: 1" in text


def test_the_table_says_which_parts_each_run_has_tried() -> None:
    later = replace(_RUN, engine="Docker 1.3", day="2026-11-30", commit="")
    launches, kills = Tally(_RUN, passed=1), Tally(later, passed=1)
    outcomes = {"docker-1": {"launches": launches, "ends and kills": kills}}
    assert "| tests | Docker 1.3 |" in engine_outcomes.table(outcomes)
    text = engine_outcomes.details(outcomes)
    assert "- Docker 1.2, Compose 3: 2026-11-29, commit 0123456789: launches\n" in text
    assert "- Docker 1.3, Compose 3: 2026-11-30, commit not recorded: ends and kills" in text


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of outcomes, with none in it."""
    folder = tmp_path / "outcomes"
    monkeypatch.setattr(engine_outcomes, "FOLDER", folder)
    return folder


@pytest.mark.usefixtures("outcomes")
def test_an_outcome_replaces_that_of_its_part_on_its_engine_and_no_other() -> None:
    tally, other = Tally(_RUN, passed=1), Tally(_RUN, passed=2)
    for name in ("docker-20.10", "podman-5.4"):
        engine_outcomes.record(name, "ends and kills", tally)
        engine_outcomes.record(name, "launches", tally)
    engine_outcomes.record("podman-5.4", "launches", other)
    engine_outcomes.record("podman-5.4", "starts and restarts", None)
    assert {"launches": tally, "ends and kills": tally} == engine_outcomes.load("docker-20.10")
    assert {"launches": other, "ends and kills": tally} == engine_outcomes.load("podman-5.4")
    assert {} == engine_outcomes.load("docker-26.1")


def test_outcomes_are_kept_in_the_order_of_the_parts_and_those_of_no_part_are_dropped(
    outcomes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("ends and kills", "launches", "starts and restarts"):
        engine_outcomes.record("docker-20.10", part, Tally(_RUN))
    monkeypatch.setattr(engine_outcomes, "parts", lambda: {"launches": [], "ends and kills": []})
    assert ["launches", "ends and kills"] == list(engine_outcomes.load("docker-20.10"))
    engine_outcomes.record("docker-20.10", "launches", Tally(_RUN))
    kept = json.loads((outcomes / "docker-20.10.json").read_text())
    assert ["launches", "ends and kills"] == list(kept)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcomes: Path) -> Path:
    """The tests of the only part there is, which has passed once."""
    file = tmp_path / "test_it.py"
    file.write_text("def test_it(): ...\n")
    monkeypatch.setenv("TEST_ENGINE", "docker-26.1")
    monkeypatch.setattr(prepare, "prepare", lambda: ("Docker 26.1.5", "Compose 2.26"))
    monkeypatch.setattr(try_engines, "_CACHE", tmp_path)
    monkeypatch.setattr(try_engines, "_OPTIONS", ())
    for module in (engine_outcomes, try_engines):
        monkeypatch.setattr(module, "parts", lambda: {"a part": [str(file)]})
    try_engines._run("docker-26.1", ["a part"])
    assert 1 == engine_outcomes.load("docker-26.1")["a part"].passed
    assert ["docker-26.1.json"] == [each.name for each in outcomes.iterdir()]
    return file


@pytest.mark.parametrize(
    "end",
    [
        "import os; os._exit(0)",
        "import pytest\ndef test_it(): ...\ndef test_an_end(): pytest.exit('enough', 2)",
        "def no_test_at_all(): ...",
    ],
    ids=["killed", "interrupted", "empty"],
)
def test_a_part_that_comes_to_no_end_has_shown_nothing_whatever_it_has_shown_earlier(
    tried: Path, end: str
) -> None:
    tried.write_text(end)
    with pytest.raises(PrerequisiteError, match=r"docker-26\.1 came to no end"):
        try_engines._run("docker-26.1", ["a part"])
    assert {} == engine_outcomes.load("docker-26.1")


@pytest.mark.parametrize(("test", "code"), [("assert 1", False), ("assert 0", True)])
def test_a_run_fails_by_its_own_outcomes_and_writes_the_table_of_all(
    tried: Path, monkeypatch: pytest.MonkeyPatch, test: str, code: bool
) -> None:
    engine_outcomes.record("podman-5.4", "a part", Tally(_RUN, failed=["test_theirs"]))
    page, readme = tried.parent / "engines.md", tried.parent / "README.md"
    for name, file in (("PAGE", page), ("README", readme)):
        file.write_text("<!-- engines -->\n<!-- end -->\n")
        monkeypatch.setattr(engine_outcomes, name, file)
    tried.write_text(f"def test_it(): {test}\n")
    with pytest.raises(SystemExit) as caught:
        try_engines.main(only=["docker-26.1"])
    assert code == caught.value.code
    assert "Fails on Docker 1.2: `test_theirs`." in page.read_text()
    assert code == ("Fails on Docker 26.1.5: `test_it`." in page.read_text())
    cell = "0 pass, **1 fail**" if code else "1 pass"
    assert f"| a part | not run | {cell} | 0 pass, **1 fail** |" in readme.read_text()
    assert "Fails on" not in readme.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    made = tmp_path / "checkout"
    (made / "docs" / "engines").mkdir(parents=True)
    for file in ("code.py", "README.md", "docs/engines.md", "docs/engines/docker-26.1.json"):
        (made / file).touch()
    _git(made, "init", "--quiet")
    _git(made, "add", ".")
    person = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
    _git(made, *person, "commit", "--quiet", "--message=x")
    return made


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_of_a_run_is_told_and_whether_the_code_differs_from_it(checkout: Path) -> None:
    commit = _git(checkout, "rev-parse", "--short=10", "HEAD")
    (checkout / "not-tracked").touch()
    for outcome in ("README.md", "docs/engines.md", "docs/engines/docker-26.1.json"):
        (checkout / outcome).write_text("of an earlier part")
    assert commit == try_engines.current_commit(checkout)
    (checkout / "code.py").write_text("changed")
    assert f"{commit} with changes" == try_engines.current_commit(checkout)


def test_a_folder_without_a_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "" == try_engines.current_commit(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert "" == try_engines.current_commit(_ROOT)


def test_a_docker_of_another_version_is_not_taken_for_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_ENGINE", "docker-20.10")
    engines.check_version("20.10.24")
    with pytest.raises(PrerequisiteError, match=r"docker-20\.10: .* is Docker 27\.1\.1"):
        engines.check_version("27.1.1")
    monkeypatch.setenv("TEST_ENGINE", "")
    engines.check_version("27.1.1")


def test_each_part_has_tests_and_each_end_to_end_test_has_its_part() -> None:
    files = [file for names in engine_outcomes.parts().values() for file in names]
    assert all((_ROOT / file).exists() for file in files)
    assert sorted(_ROOT.glob("tests/e2e/test_*.py")) == sorted(
        _ROOT / file for file in files if file.startswith("tests/e2e/")
    )


def test_the_table_is_written_between_its_marks() -> None:
    page = "a\n<!-- engines -->\nold\n<!-- end -->\nb\n"
    assert "a\n<!-- engines -->\n\nnew\n\n<!-- end -->\nb\n" == written(page, "engines", "new")
    with pytest.raises(ValueError, match="no block"):
        written("a page without", "engines", "new")


def test_the_documents_and_the_readme_have_the_table_of_all_engines_as_it_is_now() -> None:
    now = engine_outcomes.table({name: engine_outcomes.load(name) for name in engines.RELEASES})
    for page in (_ROOT / "docs" / "engines.md", _ROOT / "README.md"):
        block = page.read_text().partition("<!-- engines -->")[2].partition("<!-- end -->")[0]
        assert now in block
        for name in engines.RELEASES:
            kind, _, version = name.partition("-")
            assert f"{kind.capitalize()} {version}" in block


@pytest.mark.parametrize(
    "test",
    [
        "test_contract.py::test_remove_of_what_is_not_there_is_a_success[swarm]",
        "test_swarm.py::test_a_placement_is_heeded",
        "test_confinement.py::test_a_service_may_do_what_the_catalogue_says",
    ],
)
def test_podman_is_asked_for_no_swarm(tmp_path: Path, test: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", f"--basetemp={tmp_path / 'base'}"]
    done = subprocess.run(
        [*command, f"tests/engine/{test}"],
        cwd=_ROOT,
        env=os.environ | {"TEST_ENGINE": "podman-5.4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 skipped" in done.stdout, done.stdout
    assert "it has no Swarm" in done.stdout
