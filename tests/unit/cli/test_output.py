import pytest

from service.cli.output import show


def test_a_table_shows_texts_as_they_are_and_obeys_none(capsys: pytest.CaptureFixture[str]) -> None:
    show(["container"], [["[bold]a[/bold]"], ["a\x1b[2J\u2028b"], ["é"]])
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert all(text in shown for text in ("[bold]a[/bold]", r"'a\x1b[2J\u2028b'", "é"))
