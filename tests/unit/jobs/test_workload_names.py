import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.docker.names import DOCKER_NAMES
from service.engine.name_grammar import NameGrammar
from service.jobs.model import Kind
from service.jobs.workload_names import base_name, highest_count, workload_name
from tests.support.samples import a_job

DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
# No dots, 63 characters with what a reaction adds, and the case of letters makes no difference.
TIGHT_NAMES = NameGrammar(
    usable=re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?"),
    longest=46,
    unclean=re.compile(r"[^a-zA-Z0-9_-]+"),
    longest_cleaned=33,
    mark="-",
)
TIGHT_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\Z")
IDENTIFIERS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
) | st.from_regex(r"[a-zA-Z0-9_./-]{1,12}(\.[0-9a-f]{12})?", fullmatch=True)
INSTANCES = st.sampled_from(["default", "demo", "a"])


@pytest.mark.parametrize(
    "identifier", ["weather-fetch-weather-Paris", "ab", "0_", "a.b", "x" * 512, "a." + "0" * 11]
)
def test_an_identifier_that_can_be_a_container_name_is_the_name(identifier: str) -> None:
    assert identifier == workload_name(a_job(identifier=identifier), "default", DOCKER_NAMES)


@pytest.mark.parametrize(
    ("identifier", "cleaned"),
    [
        ("a", "a"),
        ("a/b", "a-b"),
        ("/a", "a"),
        ("-a-", "a"),
        ("_a", "a"),
        ("é", "job"),
        ("...", "job"),
        ("Paris, été", "Paris-t"),
        ("a" * 300 + "/", "a" * 100),
        ("a" * 513, "a" * 100),
        ("a\n", "a"),
        ("\x1b[2J\u2028", "2J"),
        ("x.0123456789ab", "x.0123456789ab"),
    ],
)
def test_any_other_identifier_is_cleaned_and_hashed(identifier: str, cleaned: str) -> None:
    name = workload_name(a_job(identifier=identifier), "default", DOCKER_NAMES)
    assert re.fullmatch(re.escape(cleaned) + r"\.[0-9a-f]{12}", name)


@pytest.mark.parametrize(
    "alike",
    [
        ("a/b", "a-b", "a b", "a//b"),
        ("é", "è", "日", "job"),
        ("x" * 200 + "/1", "x" * 200 + "/2"),
        ("a", "-a", "a-"),
        ("A/", "a/"),
    ],
)
def test_identifiers_that_look_alike_once_cleaned_have_names_of_their_own(
    alike: tuple[str, ...],
) -> None:
    names = {base_name(identifier, "default", DOCKER_NAMES) for identifier in alike}
    assert len(alike) == len(names)


def test_an_identifier_that_is_the_name_of_another_gets_another() -> None:
    hashed = base_name("a/b", "default", DOCKER_NAMES)
    assert hashed != base_name(hashed, "default", DOCKER_NAMES)


def test_instances_have_names_of_their_own() -> None:
    instances = ("default", "demo", "demo2")
    names = {base_name("timer", instance, DOCKER_NAMES) for instance in instances}
    assert 3 == len(names)
    assert "timer" in names


@pytest.mark.parametrize("grammar", [DOCKER_NAMES, TIGHT_NAMES], ids=["Docker", "tight"])
@given(pairs=st.sets(st.tuples(INSTANCES, IDENTIFIERS), min_size=2, max_size=20))
@settings(max_examples=100)
def test_no_two_identifiers_share_a_name(grammar: NameGrammar, pairs: set[tuple[str, str]]) -> None:
    names = {base_name(identifier, instance, grammar) for instance, identifier in pairs}
    # and none looks like a name that was made of another
    again = {base_name(name, "default", grammar) for name in names}
    assert len(pairs) == len(names)
    assert len(names) == len(again)


@given(st.sets(IDENTIFIERS, min_size=2, max_size=20))
@settings(max_examples=100)
def test_where_case_makes_no_difference_names_differ_all_the_same(identifiers: set[str]) -> None:
    names = {base_name(identifier, "default", TIGHT_NAMES).lower() for identifier in identifiers}
    assert len(identifiers) == len(names)


@pytest.mark.parametrize(
    ("grammar", "allowed"), [(DOCKER_NAMES, DOCKER_NAME), (TIGHT_NAMES, TIGHT_NAME)]
)
@given(identifier=IDENTIFIERS, instance=INSTANCES, kind=st.sampled_from(Kind))
@settings(max_examples=200)
def test_a_name_is_always_one_that_the_engine_takes(
    grammar: NameGrammar, allowed: re.Pattern[str], identifier: str, instance: str, kind: Kind
) -> None:
    job = a_job(identifier=identifier, kind=kind)
    assert allowed.match(workload_name(job, instance, grammar))


def test_a_reaction_adds_its_launch_id() -> None:
    job = a_job("00ff00ff00ff00ff", identifier="mail", kind=Kind.REACTION)
    assert "mail-00ff00ff00ff00ff" == workload_name(job, "default", DOCKER_NAMES)


def test_a_name_is_the_same_each_time() -> None:
    assert "a-b.d39dc497677c" == base_name("a/b", "default", DOCKER_NAMES)


@pytest.mark.parametrize(
    ("names", "highest"),
    [
        ([], 0),
        (["job"], 0),
        (["job-1", "job-3", "job-2"], 3),
        (["job-09", "job-10"], 10),
        (["job-1-7", "xjob-8", "job-9x", "job-", "job--4", "jobs-5"], 0),
        (["job-99999999999999999999"], 0),
    ],
)
def test_a_count_goes_on_from_the_highest_there_is(names: list[str], highest: int) -> None:
    assert highest == highest_count(names, "job")


def test_a_name_with_dots_is_no_pattern() -> None:
    assert 0 == highest_count(["axb-4"], "a.b")
