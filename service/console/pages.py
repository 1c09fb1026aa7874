"""The page, and what works without JavaScript: the list of live jobs, and the form to log in."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from string import Template
from typing import Any

from service.console.assets import AGAIN, FOLDER, PLACE

_COLUMNS = ("name", "identifier", "state", "started")
# As in dom.js: what cannot be seen, or turns the direction of a text around.
_ODD = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_LONGEST = 120


def page(
    jobs: Iterable[Mapping[str, Any]], otherwise: str = "No job runs.", *, more: bool = False
) -> str:
    """The page, with the live jobs for browsers without JavaScript, or a text in their place."""
    rows = "\n".join(map(_row, jobs)) or f'<tr><td colspan="4">{escape(otherwise)}</td></tr>'
    left_out = "More jobs run than are shown here. " if more else ""
    return _template("page.html").substitute(rows=rows, more=left_out, again=AGAIN, place=PLACE)


def login_page(text: str = "") -> str:
    """The form to log in, with what was wrong before."""
    wrong = f'<p class="wrong" role="alert">{escape(text)}</p>' if text else ""
    return _template("login.html").substitute(wrong=wrong, place=PLACE)


@cache
def _template(name: str) -> Template:
    return Template((FOLDER / name).read_text(encoding="utf-8"))


def _row(job: Mapping[str, Any]) -> str:
    cells = (f"<td><bdi>{escape(_visible(str(job.get(key, ''))))}</bdi></td>" for key in _COLUMNS)
    return f"<tr>{''.join(cells)}</tr>"


def _visible(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return _ODD.sub(lambda odd: f"U+{ord(odd[0]):04X}", cut)
