"""Read remora.yaml, and report every mistake in it at once, with its line and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from remora.config.alerting import Group, Route, Rule
from remora.config.base import Interval, Name, Section
from remora.config.crosscheck import cross_check, dotted
from remora.config.lines import LineIndex, read_yaml
from remora.config.maintenance import Maintenance
from remora.config.models import Model
from remora.config.plans import Actions, Incidents, Plan
from remora.config.receivers import Receiver
from remora.config.retention import Retention
from remora.config.slo import Slo
from remora.errors import ConfigError, Problem

Check = Callable[["Config"], Iterable[tuple[tuple[Any, ...], str]]]

__all__ = ["Check", "Config", "Schedule", "load", "parse"]


class Schedule(Section):
    """How often the server looks whether something is due."""

    tick: Interval = timedelta(seconds=1)
    clock: Literal["system", "replay"] = Field(
        default="system", description="replay: the clock stands where PUT /v1/clock sets it"
    )


class Delivery(Section):
    """How the collector writes to the database."""

    batch_rows: int = Field(default=5000, ge=1, le=100_000)
    interval: Interval = timedelta(seconds=1)
    pair_within: Interval = Field(
        default=timedelta(minutes=5),
        description="how long one side of a CloudEvents pair waits for the other",
    )
    max_age: Interval = Field(
        default=timedelta(days=7), description="what waited longer in the spool is dropped and counted"
    )


class Config(Section):
    """The whole file."""

    version: Literal[1] = 1
    models: dict[Name, Model] = {}
    schedule: Schedule = Schedule()
    delivery: Delivery = Delivery()
    retention: Retention = Retention()
    groups: list[Group] = []
    slos: list[Slo] = []
    receivers: dict[Name, Receiver] = {}
    routes: list[Route] = []
    maintenance: list[Maintenance] = []
    plans: list[Plan] = []
    actions: Actions = Actions()
    incidents: Incidents = Incidents()
    external_url: str = Field(
        default="http://127.0.0.1:8080", description="where people reach the pages; used in links"
    )

    @cached_property
    def rules(self) -> list[tuple[Group, Rule]]:
        """Every rule with its group: those of the file, and those that watch its objectives."""
        written = [(group, rule) for group in self.groups for rule in group.rules]
        for slo in self.slos:
            group = Group(name=f"slo {slo.name}", rules=[])
            written += [(group, rule) for rule in slo.rules(self.model(slo.model).windows.size)]
        return written

    def model(self, name: str) -> Model:
        """The settings of a model; one that the file does not name has the defaults."""
        found = self.models.get(name)
        return Model() if found is None else found  # making one costs more than everything else here


def load(path: Path | None, also: Check | None = None) -> Config:
    """Read a file; no file means every default. Raises `ConfigError` with every mistake.

    `also` looks at what the kernel cannot judge, such as templates: it gives paths and what is wrong there.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), [Problem("", None, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), [Problem("", None, "is not UTF-8 text")]) from None
    return parse(text, str(path), also)


def parse(text: str, source: str = "remora.yaml", also: Check | None = None) -> Config:
    """Validate the text of a file; raises `ConfigError` with every mistake."""
    try:
        data, lines = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(source, [Problem("", line, f"not YAML: {error.problem}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(source, [Problem("", None, f"not YAML: {str(error).splitlines()[0]}")]) from None
    if not isinstance(data, dict):
        raise ConfigError(source, [Problem("", 1, "must be a mapping that begins with `version: 1`")])
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(source, [_problem(item, lines) for item in error.errors()]) from None
    problems = cross_check(config, lines, also(config) if also else ())
    if problems:
        raise ConfigError(source, problems)
    return config


def _problem(error: Any, lines: LineIndex) -> Problem:
    path, known, kinds = _place(tuple(part for part in error["loc"] if part != "[key]"))
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


def _place(location: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[str], list[str]]:
    """The path as it stands in the file, the keys that its section knows, and the kinds there are, out of the schema.

    Where a section is one of several kinds, pydantic puts the kind's name into the location.
    """
    schema: Any = Config.model_json_schema(by_alias=True)
    definitions, node, known = schema["$defs"], schema, sorted(schema["properties"])
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
