"""The rooms of the service, drawn from the imports of its code: which room imports which."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grimp

_ROOT = Path(__file__).resolve().parents[1]
_TOP = "service"

# For each room, the rooms that it imports.
Arrows = Mapping[str, set[str]]


def section() -> str:
    """A drawing and a table, in Markdown."""
    graph = grimp.build_graph(_TOP, cache_dir=None)
    modules = _modules(graph)
    arrows = _arrows(graph, modules)
    order = sorted(arrows, key=lambda room: (-_height(room, arrows), room))
    count = sum(map(len, arrows.values()))
    told = f"{len(arrows)} rooms and {count} arrows between them, none of which leads back up."
    return "\n".join(
        [
            f"{told} The drawing leaves out each arrow that follows from others.",
            "",
            "```mermaid",
            "flowchart TD",
            *_drawing(order, arrows),
            "```",
            "",
            "| room | holds | modules | imports |",
            "| --- | --- | --- | --- |",
            *(_row(room, modules[room], arrows[room]) for room in order),
        ]
    )


def _modules(graph: grimp.ImportGraph) -> Mapping[str, Sequence[str]]:
    """The modules of each room: those of a package, or a module that is a room by itself."""
    rooms: defaultdict[str, list[str]] = defaultdict(list)
    for module in sorted(graph.modules - {_TOP, f"{_TOP}.__main__"}):
        is_package = bool(graph.find_children(module))
        room = module if is_package or module.count(".") == 1 else module.rpartition(".")[0]
        rooms[room.partition(".")[2].replace(".", "/")].append(module)
    return rooms


def _arrows(graph: grimp.ImportGraph, modules: Mapping[str, Sequence[str]]) -> Arrows:
    room_of = {module: room for room, inside in modules.items() for module in inside}
    return {
        room: {
            room_of[imported]
            for module in inside
            for imported in graph.find_modules_directly_imported_by(module)
            if room_of.get(imported, room) != room
        }
        for room, inside in modules.items()
    }


def _height(room: str, arrows: Arrows, above: Sequence[str] = ()) -> int:
    """The length of the longest way down. Raises ValueError if a way leads back up."""
    if room in above:
        raise ValueError(f"imports go round: {' -> '.join([*above, room])}")
    return max((1 + _height(each, arrows, [*above, room]) for each in arrows[room]), default=0)


def _drawing(order: Sequence[str], arrows: Arrows) -> Iterator[str]:
    for room in order:
        indirect = set().union(*(_below(each, arrows) for each in arrows[room]))
        for each in sorted(arrows[room] - indirect):
            yield f"    {_node(room)} --> {_node(each)}"


def _below(room: str, arrows: Arrows) -> set[str]:
    return arrows[room].union(*(_below(each, arrows) for each in arrows[room]))


def _node(room: str) -> str:
    return f'{room.replace("/", "_")}["{room}"]'


def _row(room: str, modules: Sequence[str], imports: set[str]) -> str:
    names = [module.rpartition(".")[2] for module in modules if not _is_room(module, room)]
    cells = [f"`{room}`", _docstring(room), ", ".join(names), ", ".join(sorted(imports))]
    return f"| {' | '.join(cells)} |"


def _is_room(module: str, room: str) -> bool:
    return module == f"{_TOP}.{room}".replace("/", ".")


def _docstring(room: str) -> str:
    """The first line of what a room says of itself."""
    path = _ROOT / _TOP / room
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".:,")
