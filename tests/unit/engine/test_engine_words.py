"""What only Docker says stands with Docker's adapter."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ADAPTERS = {ROOT / "service" / "engine" / name for name in ("docker", "swarm")}
_DOCKERS = ("Docker Engine", "docker.sock", "mountinfo", "containerd", "dockerd")


def _texts(module: Path) -> Iterator[str]:
    """The strings of a module, but for its docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if hasattr(node, "body")]
    docs = {id(node.body[0].value) for node in nodes if _begins_with_a_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def _begins_with_a_docstring(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    return isinstance(body, list) and bool(body) and isinstance(body[0], ast.Expr)


@pytest.mark.parametrize(
    "module",
    [p for p in sorted((ROOT / "service").rglob("*.py")) if ADAPTERS.isdisjoint(p.parents)],
    ids=lambda module: str(module.relative_to(ROOT)),
)
def test_nothing_but_the_adapter_says_what_only_docker_says(module: Path) -> None:
    said = [word for text in _texts(module) for word in _DOCKERS if word in text]
    assert [] == said, "its adapter is the place for it; messages take Engine.title"
