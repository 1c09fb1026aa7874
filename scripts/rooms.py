"""The rooms of the code and the modules in them, from its imports and docstrings: for docs/.

A room is a package, or a module directly below `service`. Its name leaves out `service`.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grimp

_ROOT = Path(__file__).resolve().parents[1]
_SERVICE, _OBSERVABILITY = "service", "observability"
_GENERATED = f"{_SERVICE}._generated"
_NO_ROOM = {_SERVICE, f"{_SERVICE}.__main__"}

# For each room, the rooms that it imports.
Arrows = Mapping[str, set[str]]


class _Rooms:
    """The rooms, each with its modules, and the imports between them."""

    def __init__(self) -> None:
        graph = grimp.build_graph(_SERVICE, _OBSERVABILITY, cache_dir=None)
        self.modules = _modules(graph)
        self.arrows = _arrows(graph, self.modules)
        # From the top to the bottom: a room is above all that it imports.
        self.order = sorted(self.arrows, key=lambda room: (-_height(room, self.arrows), room))


def drawing_and_table() -> str:
    """The drawing of the rooms, and a table of them, in Markdown."""
    found = _Rooms()
    return "\n".join(
        [
            _summary(found.arrows),
            "",
            "```mermaid",
            "flowchart TD",
            *_drawing(found.order, found.arrows),
            "```",
            "",
            f"| room | holds | imports, beside `{_OBSERVABILITY}` |",
            "| --- | --- | --- |",
            *(_row(room, found) for room in found.order),
        ]
    )


def module_tables() -> str:
    """The modules of each room with the first lines of their docstrings, in Markdown."""
    found = _Rooms()
    return "\n\n".join(_section(room, found) for room in found.order)


def _modules(graph: grimp.ImportGraph) -> Mapping[str, Sequence[str]]:
    """By room; the package itself, or the module that is a room by itself, is the first one."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module in sorted(graph.modules - _NO_ROOM):
        is_room = graph.find_children(module) or module.rpartition(".")[0] == _SERVICE
        room = module if is_room else module.rpartition(".")[0]
        if room.startswith(_GENERATED):  # whose packages are those of proto/
            room = _GENERATED
        found[room.removeprefix(f"{_SERVICE}.").replace(".", "/")].append(module)
    return found


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


def _summary(arrows: Arrows) -> str:
    observing = set(filter(_observes, arrows))
    inside = sum(len(arrows[room] - observing) for room in arrows)
    return (
        f"`{_SERVICE}/` has {len(arrows) - len(observing)} rooms with {inside} arrows between"
        f" them, `{_OBSERVABILITY}/` has {len(observing)}. No arrow leads back up. The drawing"
        " leaves out each arrow that follows from others."
    )


def _observes(room: str) -> bool:
    return room.partition("/")[0] == _OBSERVABILITY


def _drawing(order: Sequence[str], arrows: Arrows) -> Iterator[str]:
    for room in order:
        indirect = set().union(*(_below(each, arrows) for each in arrows[room]))
        for each in sorted(arrows[room] - indirect):
            yield f"    {_node(room)} --> {_node(each)}"


def _below(room: str, arrows: Arrows) -> set[str]:
    return arrows[room].union(*(_below(each, arrows) for each in arrows[room]))


def _node(room: str) -> str:
    return f'{room.replace("/", "_")}["{room}"]'


def _row(room: str, found: _Rooms) -> str:
    anchor = room.replace("/", "")
    imports = sorted(each for each in found.arrows[room] if not _observes(each))
    name = f"[`{room}`](modules.md#{anchor})"
    return f"| {name} | {_first_line(found.modules[room][0])} | {', '.join(imports)} |"


def _section(room: str, found: _Rooms) -> str:
    """A heading, what the room is for, and a table of its modules unless they are generated."""
    first, *others = found.modules[room]
    head = f"## `{room}`\n\n[`{_file(first)}`](../{_file(first)}): {_first_line(first)}."
    if not others or room.startswith("_"):
        return head
    rows = [f"| {_link(each)} | {_first_line(each)} |" for each in others]
    return "\n".join([head, "", "| module | what it is for |", "| --- | --- |", *rows])


def _link(module: str) -> str:
    return f"[`{module.rpartition('.')[2]}`](../{_file(module)})"


def _file(module: str) -> Path:
    """Relative to the root of the repository."""
    path = Path(*module.split("."))
    return path / "__init__.py" if (_ROOT / path).is_dir() else path.with_suffix(".py")


def _first_line(module: str) -> str:
    """The first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse((_ROOT / _file(module)).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")
