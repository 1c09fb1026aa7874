"""The page, and what works without JavaScript: the list of live jobs, and the form to log in."""

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

_STATIC = files("service.console") / "static"
_COLUMNS = ("name", "identifier", "state", "started")


def page(jobs: Iterable[Mapping[str, Any]], otherwise: str = "No job runs.") -> str:
    """The page, with the live jobs for browsers without JavaScript, or a text in their place."""
    rows = "\n".join(map(_row, jobs)) or f'<tr><td colspan="4">{escape(otherwise)}</td></tr>'
    return _template("page.html").substitute(rows=rows)


def login_page(text: str = "") -> str:
    """The form to log in, with what was wrong before."""
    wrong = f'<p class="wrong" role="alert">{escape(text)}</p>' if text else ""
    return _template("login.html").substitute(wrong=wrong)


@cache
def _template(name: str) -> Template:
    return Template((_STATIC / name).read_text(encoding="utf-8"))


def _row(job: Mapping[str, Any]) -> str:
    cells = (f"<td><bdi>{escape(str(job.get(key, '')))}</bdi></td>" for key in _COLUMNS)
    return f"<tr>{''.join(cells)}</tr>"
