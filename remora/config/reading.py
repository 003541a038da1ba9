"""Read a YAML file into the models that know it: every mistake at once, with its line and what would be right."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from remora.config.crosscheck import dotted
from remora.config.lines import LineIndex, read_yaml
from remora.errors import ConfigError, Problem

__all__ = ["text_of", "validated"]

Kind = TypeVar("Kind", bound=BaseModel)


def text_of(path: Path) -> str:
    """What a file says. Raises `ConfigError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [Problem("", None, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), [Problem("", None, "is not UTF-8 text")]) from None


def validated(kind: type[Kind], text: str, source: str) -> tuple[Kind, LineIndex]:
    """The text of a file as `kind`, and the lines of everything in it; raises `ConfigError` with every mistake."""
    try:
        data, lines = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(source, [Problem("", line, f"not YAML: {error.problem}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(source, [Problem("", None, f"not YAML: {str(error).splitlines()[0]}")]) from None
    if not isinstance(data, dict):
        first = next(iter(kind.model_fields))
        raise ConfigError(source, [Problem("", 1, f"must be a mapping with keys such as `{first}:`")])
    try:
        return kind.model_validate(data), lines
    except ValidationError as error:
        raise ConfigError(source, [_problem(kind, item, lines) for item in error.errors()]) from None


def _problem(kind: type[BaseModel], error: Any, lines: LineIndex) -> Problem:
    path, known, kinds = _place(kind, tuple(part for part in error["loc"] if part != "[key]"))
    message = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(path[-1]), known, n=1)
            message = "unknown key" + (
                f", did you mean `{near[0]}`?" if near else f": one of {', '.join(known)}"
            )
        case "missing":
            message = "is missing"
        case "union_tag_not_found":
            message = f"`kind` is missing: one of {', '.join(kinds)}"
        case "union_tag_invalid":
            tag = str(error["ctx"]["tag"])
            near = difflib.get_close_matches(tag, kinds, n=1)
            path = (*path, "kind")
            message = f"there is no kind `{tag}`" + (
                f", did you mean `{near[0]}`?" if near else f": one of {', '.join(kinds)}"
            )
    return Problem(dotted(path), lines.of(path), message)


def _place(kind: type[BaseModel], location: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[str], list[str]]:
    """The path as it stands in the file, the keys that its section knows, and the kinds there are, out of the schema.

    Where a section is one of several kinds, pydantic puts the kind's name into the location.
    """
    schema: Any = kind.model_json_schema(by_alias=True)
    definitions, node, known = schema.get("$defs", {}), schema, sorted(schema["properties"])
    path: list[Any] = []
    for part in location:
        kinds = node.get("discriminator", {}).get("mapping", {})
        if part in kinds:
            node = definitions[kinds[part].rsplit("/", 1)[-1]]
            continue
        known = sorted(node.get("properties", {}))
        path.append(part)
        node = node.get("items", {}) if isinstance(part, int) else _child(node, str(part))
        node = _resolve(node, definitions)
    return tuple(path), known, list(node.get("discriminator", {}).get("mapping", {}))


def _child(node: Any, key: str) -> Any:
    properties = node.get("properties", {})
    if key in properties:
        return properties[key]
    return node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), {})


def _resolve(node: Any, definitions: Any) -> Any:
    if isinstance(node, bool):
        return {}
    if "anyOf" in node:
        node = next((option for option in node["anyOf"] if option.get("type") != "null"), {})
    if "$ref" in node:
        node = definitions[node["$ref"].rsplit("/", 1)[-1]]
    return node
