"""What is wrong with a catalogue is told with its place, what was given and what is allowed."""

import os
import threading
from pathlib import Path

import pytest

from observability.escaping import shown
from service.errors import StartError
from service.jobs.catalog_file import load_catalog
from tests.unit.jobs.catalogs import fault


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


@pytest.mark.parametrize(
    "placement",
    ['"node.role==worker"', "[1]", '["tier==jobs"]', '["node.role=worker"]'],
)
def test_a_placement_that_no_node_could_fulfil_is_refused(path: Path, placement: str) -> None:
    message = fault(path, f'[jobs]\nx = {{ kind = "action", placement = {placement} }}')
    assert message.startswith("jobs.x.placement")
    assert "allowed is a list of texts" in message


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


@pytest.mark.parametrize("value", ["'s3cret'", "['s3cret']", "{ A = ['s3cret'] }"])
def test_no_message_shows_the_value_of_a_variable(path: Path, value: str) -> None:
    message = fault(path, f"[jobs]\nx = {{ kind = 'action', environment = {value} }}")
    assert message.startswith("jobs.x.environment: ")
    assert "s3cret" not in message
