"""docs/events.md says what is logged, and nothing else."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
_ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| ([a-z, ]+) \| [^|]+ \|([^|]*)\|$", re.MULTILINE)
_REMARK = re.compile(r"\([^)]*\)")
# What `log.exception` and `exc_info` add is the traceback.
_NO_FIELD = {"exc_info"}
_LEVELS = {"exception": {"error"}, "log_event": {"info", "warning"}}

Events = dict[str, tuple[set[str], set[str]]]


Functions = dict[str, ast.FunctionDef]


def _in_code() -> Events:
    levels: defaultdict[str, set[str]] = defaultdict(set)
    fields: defaultdict[str, set[str]] = defaultdict(set)
    paths = (*_ROOT.glob("service/**/*.py"), *_ROOT.glob("observability/**/*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    everywhere = _functions(*trees)
    for tree in trees:
        functions = everywhere | _functions(tree)
        for call, method in _logging_calls(tree):
            event = str(ast.literal_eval(call.args[0]))
            levels[event] |= _LEVELS.get(method, {method})
            fields[event] |= set(_fields(call, functions)) - _NO_FIELD
    return {event: (levels[event], fields[event]) for event in levels}


def _functions(*trees: ast.AST) -> Functions:
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def _logging_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=method)):
                yield node, method
            case ast.Call(func=ast.Name("log_event")):
                yield node, "log_event"


def _fields(call: ast.Call, functions: Functions) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg
        else:
            yield from _spread(keyword.value, functions)


def _spread(value: ast.expr, functions: Functions) -> Iterator[str]:
    """The keys of `**({"output": …} if output else {})`, or of the dict that a function makes."""
    made_by: ast.AST = value
    match value:
        case ast.Call(func=ast.Name(name)) | ast.Attribute(attr=name):
            made_by = functions[name]
    for node in ast.walk(made_by):
        if isinstance(node, ast.Dict):
            for key, inner in zip(node.keys, node.values, strict=True):
                yield from [ast.literal_eval(key)] if key else _spread(inner, functions)


def _on_the_page() -> Events:
    text = (_ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    return {
        event: (set(levels.split(", ")), set(re.findall(r"`([a-z_]+)`", _REMARK.sub("", fields))))
        for event, levels, fields in _ROW.findall(text)
    }


def test_the_page_has_every_event_with_its_levels_and_fields() -> None:
    code, page = _in_code(), _on_the_page()
    assert len(code) > 20
    differ = {event for event in code | page if code.get(event) != page.get(event)}
    expected = {event: code.get(event) for event in differ}
    assert expected == {event: page.get(event) for event in differ}, "docs/events.md"
