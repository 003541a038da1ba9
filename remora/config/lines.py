"""YAML with the line of every key, so that a mistake can be shown where it stands. A repeated key is a mistake."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["LineIndex", "read_yaml"]

_MAX_DEPTH = 32


class LineIndex:
    """Lines (from 1) of the paths in a file; a path that is not there has the line of its parent."""

    def __init__(self, lines: dict[tuple[Any, ...], int]) -> None:
        self._lines = lines

    def of(self, path: tuple[Any, ...]) -> int | None:
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


def read_yaml(text: str) -> tuple[Any, LineIndex]:
    """The file's plain data and its lines; raises yaml.YAMLError. Aliases are refused: they can explode."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark: Any = event.start_mark
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {_MAX_DEPTH}", problem_mark=mark)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=mark)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    lines: dict[tuple[Any, ...], int] = {}
    if node is not None:
        _walk(node, (), lines)
    return yaml.safe_load(text), LineIndex(lines)


def _walk(node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key.start_mark)
            below = (*path, key.value)
            if below in lines:
                problem = f"`{key.value}` stands at line {lines[below]} already"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[below] = key.start_mark.line + 1
            _walk(value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines)
