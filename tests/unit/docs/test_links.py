"""Every link between documents leads to a file that exists, and to a heading in it."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "dashboards/*.md", "examples/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    if "node_modules" not in page.parts
]
_BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_EXTERNAL = re.compile(r"[a-z]+:")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(page: Path) -> None:
    assert [] == _broken(page)


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `heading`, twice\n\n# A heading, twice\n")
    links = ["there.md", "there.md#a-heading-twice-1", "there.md#b", "gone.md", "#b", "https://x"]
    page = tmp_path / "page.md"
    page.write_text("\n".join(f"[`x`]({link})" for link in links) + "\n```\n[x](code)\n```\n")
    assert ["there.md#b", "gone.md", "#b"] == _broken(page)


def _broken(page: Path) -> list[str]:
    text = _CODE.sub("", _BLOCK.sub("", page.read_text(encoding="utf-8")))
    links = [link for link in _LINK.findall(text) if not _EXTERNAL.match(link)]
    return [link for link in links if not _leads_somewhere(page, link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in _HEADING.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(anchors)
