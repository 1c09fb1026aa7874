import json
import shlex
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.redaction.redactor import REDACTED, Redactor

ODD = ["it's", 'x"y', "a\\b", "pä ß", "a b+c/d", "tab\tx", "em😀oji", "'\"\\", "100%&=?"]
PEM = "-----BEGIN KEY-----\nMIIEow'IBAAK\nCAQEA\"x\\y\n-----END KEY-----\n"


def redacted(text: str, secrets: object) -> str:
    return Redactor(secrets)(text)


@pytest.mark.parametrize("nothing", [None, {}, [], {"a": None, "b": 1}, "", {"a": "", "b": "  "}])
def test_where_there_is_no_secret_the_text_stays(nothing: object) -> None:
    assert "a token, 1 and nothing" == redacted("a token, 1 and nothing", nothing)


@pytest.mark.parametrize(
    "secrets",
    [
        "hunter2",
        {"token": "hunter2"},
        ["x", "hunter2"],
        {"a": {"b": [1, {"c": "hunter2"}]}},
        {"a": [["hunter2"]]},
    ],
)
def test_a_secret_is_found_however_deep_it_stands(secrets: object) -> None:
    assert f"token: {REDACTED}!" == redacted("token: hunter2!", secrets)


def test_every_occurrence_goes() -> None:
    assert f"{REDACTED} {REDACTED}\n{REDACTED}" == redacted("s3c s3c\ns3c", {"t": "s3c"})


def test_the_longest_secret_goes_first() -> None:
    secrets = {"a": "abc", "b": "abcdef"}
    assert f"{REDACTED} {REDACTED}" == redacted("abcdef abc", secrets)


def test_names_and_numbers_stay() -> None:
    assert "token: 42" == redacted("token: 42", {"token": 42})


def test_a_secret_is_no_pattern() -> None:
    assert f"axb {REDACTED}" == redacted("axb a.b", {"t": "a.b"})


@pytest.mark.parametrize("secret", ODD)
def test_a_secret_goes_in_every_spelling_of_one_program(secret: str) -> None:
    redact = Redactor({"token": secret})
    assert REDACTED == redact(secret)
    assert {"token": REDACTED} == json.loads(redact(json.dumps({"token": secret})))
    assert {"token": REDACTED} == json.loads(
        redact(json.dumps({"token": secret}, ensure_ascii=False))
    )
    assert f"'{REDACTED}'" == redact(repr(secret)).replace('"', "'")
    assert REDACTED == redact(quote(secret, safe=""))


@pytest.mark.parametrize("secret", ODD)
def test_a_worker_that_prints_its_arguments_gives_nothing_away(secret: str) -> None:
    argument = json.dumps({"token": secret}, ensure_ascii=False, separators=(",", ":"))
    printed = {
        "Python's print(sys.argv)": repr(["worker", "--auth", argument]),
        "a JSON logger": json.dumps({"argv": ["--auth", argument]}),
        "a JSON logger in Unicode": json.dumps({"argv": ["--auth", argument]}, ensure_ascii=False),
        "Python's dict": repr({"auth": json.loads(argument)}),
    }
    for name, text in printed.items():
        assert "[redacted]" in redacted(text, {"token": secret}), name


@pytest.mark.parametrize("secret", ODD)
def test_a_secret_goes_from_a_url(secret: str) -> None:
    for spelled in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        assert f"?t={REDACTED}" == redacted(f"?t={spelled}", {"t": secret}), spelled
    assert f"t={REDACTED}" == redacted(urlencode({"t": secret}), {"t": secret})


def test_a_secret_of_several_lines_goes_whole_and_line_by_line() -> None:
    redact = Redactor({"key": PEM})
    assert f"key: {REDACTED}\n." == redact(f"key: {PEM}.")
    for line in PEM.splitlines():
        assert f"12:00 {REDACTED}" == redact(f"12:00 {line}")


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_secret_of_several_lines_that_is_cut_at_its_head_goes(cut: int) -> None:
    lines = PEM.splitlines()[cut:]
    assert "\n".join([REDACTED] * len(lines)) == redacted("\n".join(lines), {"key": PEM})


def test_a_secret_with_blanks_around_it_goes_without_them() -> None:
    assert f"<{REDACTED}>" == redacted("<hunter2>", {"t": " hunter2\n"})


@pytest.mark.parametrize("secret", ["hunter2", "t0k3n-AbC/+=="])
def test_a_shell_that_traces_gives_nothing_away(secret: str) -> None:
    argument = json.dumps({"token": secret})
    assert secret not in redacted(f"+ worker --auth {shlex.quote(argument)}", {"t": secret})


# None of the letters of the mark itself, and none that a spelling of another would have.
SECRETS = st.text("GHJKLMNOPQ'\"\\ äß/+é%\n", min_size=3, max_size=12).filter(
    lambda secret: len(secret.strip()) > 2
)


@given(SECRETS, st.text("XYZ \n:", max_size=10), st.text("XYZ \n:", max_size=10))
@settings(max_examples=150)
def test_no_secret_survives_in_any_surroundings(secret: str, before: str, after: str) -> None:
    redact = Redactor({"deep": [{"token": secret}]})
    for spelled in (
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        repr(secret),
        quote(secret.strip(), safe=""),
    ):
        left = redact(before + spelled + after)
        assert not set("GHJKLMNOPQäßé") & set(left), left


@given(SECRETS)
@settings(max_examples=150)
def test_no_secret_survives_the_printing_of_all_arguments(secret: str) -> None:
    argument = json.dumps({"x": secret}, ensure_ascii=False, separators=(",", ":"))
    left = redacted(repr(["x", argument]), {"x": secret})
    assert not set("GHJKLMNOPQäßé") & set(left), left


@given(st.text("xyz '\"\\\n", max_size=30))
@settings(max_examples=50)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert text == redacted(text, {"token": "HUNTER2"})


def test_long_numbers_are_secrets_too() -> None:
    secrets = {"pin": 12345678901, "n": 42, "rate": 0.125, "yes": True}
    assert f"{REDACTED} 42 {REDACTED} True" == redacted("12345678901 42 0.125 True", secrets)


def test_nothing_is_shown_where_the_secrets_are_too_large_to_be_searched_for() -> None:
    assert REDACTED == redacted("one\ntwo", {"t": "ж" * 16_385})
    assert "one\ntwo" == redacted("one\ntwo", {"t": "ж" * 16_384})


def test_nothing_is_shown_of_a_text_that_is_too_long_to_be_searched() -> None:
    assert "x" * 65_536 == redacted("x" * 65_536, {"t": "s3c"})
    assert REDACTED == redacted("x" * 65_537, {"t": "s3c"})
    assert "x" * 65_537 == redacted("x" * 65_537, {})


def test_secrets_that_overlap_go_both() -> None:
    assert f"<{REDACTED}>" == redacted("<abcdefgh>", ["abcd", "cdefgh"])


def test_a_short_secret_leaves_the_line_ends() -> None:
    assert f"a\n\tb{REDACTED}" == redacted("a\n\tbn", ["n", "t"])


def test_a_line_that_is_like_any_other_is_no_secret_by_itself() -> None:
    secret = "{\n-----\nabc\nhunter2\n}"
    assert f"}} ----- abc {REDACTED}" == redacted("} ----- abc hunter2", secret)


def test_a_secret_whose_line_ends_are_escaped_goes_line_by_line() -> None:
    secret = r"-----BEGIN KEY-----\nMIIEowIBAAK\nCAQEAxy\n-----END KEY-----\n"
    for line in PEM.splitlines()[::3]:
        assert f"12:00 {REDACTED}" == redacted(f"12:00 {line}", {"key": secret})
    assert f"{REDACTED} {REDACTED}" == redacted("MIIEowIBAAK CAQEAxy", {"key": secret})


@pytest.mark.parametrize("account", [{"key": PEM, "n": 7}, [{"a": ["x", {"key": PEM}]}, 31337]])
def test_a_secret_that_is_json_goes_whole_and_value_by_value(account: object) -> None:
    once = Redactor({"account": json.dumps(account, indent=1)})
    twice = Redactor({"account": json.dumps({"inner": json.dumps(account)})})
    for redact in (once, twice):
        assert f"key: {REDACTED}\n." == redact(f"key: {PEM}.")
        assert f"12:00 {REDACTED}" == redact(f"12:00 {PEM.splitlines()[1]}")
    assert REDACTED == once(json.dumps(account, indent=1))


@pytest.mark.parametrize("secret", ["[not json but a secret", "{", "[" * 16_000, '{"a": 1e999999'])
def test_a_secret_that_only_begins_like_json_goes_whole(secret: str) -> None:
    assert f"<{REDACTED}>" == redacted(f"<{secret}>", {"t": secret})
