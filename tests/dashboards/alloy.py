"""Reads as much of Alloy's syntax as dashboards/alloy/config.alloy uses: one attribute a line."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_OPEN = re.compile(r'([a-z_.]+)(?: "(\w+)")? \{')
_ATTRIBUTE = re.compile(r"(\w+) += (.+)")
_STRING = re.compile(r'"([^"]*)"')


@dataclass
class Block:
    """A component, or a block within one."""

    name: str
    label: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def block(self, name: str) -> "Block":
        """The one block of that name."""
        (found,) = (block for block in self.blocks if block.name == name)
        return found

    def strings(self, attribute: str) -> list[str]:
        """The strings in an attribute's value."""
        return _STRING.findall(self.attributes[attribute])

    def keys(self, attribute: str) -> set[str]:
        """The keys of an attribute's object."""
        return set(re.findall(r"(\w+) =", self.attributes[attribute]))


def read(path: Path) -> Block:
    """The file as a block of blocks. Raises ValueError for what it cannot read."""
    stack = [Block("file")]
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("//"):
            continue
        if line == "}" and len(stack) > 1:
            stack.pop()
        elif opened := _OPEN.fullmatch(line):
            stack[-1].blocks.append(Block(opened[1], opened[2] or ""))
            stack.append(stack[-1].blocks[-1])
        elif attribute := _ATTRIBUTE.fullmatch(line):
            stack[-1].attributes[attribute[1]] = attribute[2]
        else:
            raise ValueError(f"{path}:{number}: {line}")
    if len(stack) != 1:
        raise ValueError(f"{path}: {stack[-1].name} is not closed")
    return stack[0]
