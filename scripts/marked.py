"""Replaces generated parts of a page: from `<!-- NAME -->` to the next `<!-- end -->`."""

import re


def written(page: str, name: str, text: str) -> str:
    """The page with a new text between its marks. Raises ValueError if it has none."""
    block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not block.search(page):
        raise ValueError(f"the page has no block <!-- {name} -->")
    return block.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page, count=1)
