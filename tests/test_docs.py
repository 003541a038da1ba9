"""The documentation is true: what it names exists, and what exists is named."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
import tomllib
import typing
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families as read_metrics
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from starlette.routing import Match

import collector.metrics
from alerts.receivers import RECEIVERS
from alerts.templates import FILTERS
from collector.ring import COUNTERS
from dashboards.prometheus import exposition
from remora import cli
from remora.catalogue import METRICS
from remora.config import Config, parse
from remora.config.base import parse_duration
from remora.config.receivers import ReceiverBase, Webhook
from tests.documents import (
    ARCHITECTURE,
    CONFIGURATION,
    EVERY,
    OPERATIONS,
    README,
    ROOT,
    blocks,
    composed,
    described,
    plain,
    prose,
    section,
    table,
    text_of,
)  # fmt: skip

# --- remora.yaml -----------------------------------------------------------------------------------------------------


def sections(model=Config, path=""):
    """Every section of the file: its path as a heading has it, and its class. Kinds follow what they share."""
    if issubclass(model, ReceiverBase):
        yield path, ReceiverBase
        path += f" ({typing.get_args(model.model_fields['kind'].annotation)[0]})"
    yield path, model
    for name, field in model.model_fields.items():
        key = field.alias or name
        for inner, suffix in inner_sections(field.annotation):
            yield from sections(inner, f"{path}.{key}{suffix}".lstrip("."))


def inner_sections(annotation, suffix=""):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
    origin = typing.get_origin(annotation)
    below = suffix + {list: "[]", dict: ".NAME"}.get(origin, "") if origin else suffix
    for argument in typing.get_args(annotation):
        yield from inner_sections(argument, below)


SECTIONS = {f"`{path or 'remora.yaml'}`": model for path, model in sections()}


def default_of(field):
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, timedelta):
        return value
    if value is None:
        return "none"
    quoted = not isinstance(value, str) or value in {"", "true"}
    return f"`{json.dumps(value) if quoted else value}`"


def said_default(cell):
    """A duration may be written in several ways."""
    try:
        return parse_duration(re.fullmatch(r"`(\d.*[a-z])`", cell)[1])
    except (TypeError, ValueError):
        return cell


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_the_configuration_is_described_with_its_default(heading):
    found = {key: said_default(cells[1]) for key, cells in described(CONFIGURATION, heading).items()}
    fields = own_fields(SECTIONS[heading])
    assert found == {field.alias or name: default_of(field) for name, field in fields.items()}


def own_fields(model):
    """Without what the kinds of receivers share, which is described once."""
    if model is ReceiverBase:
        return {"kind": Webhook.model_fields["kind"], **model.model_fields}
    shared = {"kind", *ReceiverBase.model_fields} if issubclass(model, ReceiverBase) else ()
    return {name: field for name, field in model.model_fields.items() if name not in shared}


def test_no_section_is_described_that_does_not_exist():
    headings = re.findall(r"^#+ (`.+`)$", prose(CONFIGURATION), re.MULTILINE)
    assert sorted(headings) == sorted(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_word_that_a_key_allows_is_said(heading):
    rows = described(CONFIGURATION, heading)
    for name, field in own_fields(SECTIONS[heading]).items():
        for word in words_of(field.annotation):
            assert f"`{word}`" in rows[field.alias or name][0]


def test_every_kind_of_receiver_is_named():
    cell = described(CONFIGURATION, "`receivers.NAME`")["kind"][0]
    assert re.findall(r"`(\w+)`", cell) == list(RECEIVERS)


def words_of(annotation):
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return [word for inner in typing.get_args(annotation) for word in words_of(inner)]


def test_every_metric_is_described():
    found = {name: cells[:3] for name, cells in described(CONFIGURATION, "Metrics").items()}
    assert found == {metric.name: [metric.job, metric.unit, metric.better] for metric in METRICS.values()}
    for name, cells in described(CONFIGURATION, "Metrics").items():
        assert cells[3].startswith("per feature") == METRICS[name].per_feature


def test_every_filter_and_variable_of_templates_is_described():
    rows = described(CONFIGURATION, "Templates")
    source = ast.parse(text_of("alerts/transitions.py"))
    (given,) = [
        node.value for node in ast.walk(source)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "variables"
    ]  # fmt: skip
    assert set(rows) - {"filter"} == {key.value for key in given.keys} | set(FILTERS)


@pytest.mark.parametrize("name", EVERY)
def test_every_yaml_block_is_a_right_remora_yaml(name):
    """The rule: a block in YAML is a remora.yaml that stands alone; only `version` may be missing."""
    for block in blocks(name, "yaml"):
        assert parse(block).version == 1
    assert name not in {README, CONFIGURATION} or blocks(name, "yaml")


# --- the command line ------------------------------------------------------------------------------------------------

COMMAND = typer.main.get_command(cli.app)


def leaves(command=COMMAND, path=()):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))
    else:
        yield " ".join(path), command


def test_every_variable_is_described():
    known = {}
    for path, command in leaves():
        for option in command.params:
            if option.envvar:
                known.setdefault((option.envvar, option.opts[0]), set()).add(path)
    rows = table(section(CONFIGURATION, "Options and environment variables"))[1:]
    said = {(plain(row[0]), plain(row[1])): re.findall(r"`(.+?)`", row[2]) for row in rows}
    assert {key: {path for name in names for path in paths_of(name)} for key, names in said.items()} == known


def paths_of(name):
    """A group of commands stands for all that are in it."""
    return [path for path, _ in leaves() if path == name or path.startswith(f"{name} ")] or [name]


@pytest.mark.parametrize("name", EVERY)
def test_no_variable_is_named_that_does_not_exist(name):
    known = {option.envvar for _, command in leaves() for option in command.params}
    assert set(re.findall(r"REMORA_[A-Z_]+", text_of(name))) <= known


def command_lines(name):
    """Whole commands: lines of blocks without a language (`\\` continues them), and those in the text."""
    for block in blocks(name, ""):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("remora "):
                yield line
    yield from re.findall(r"`(remora [^`]+)`", prose(name).replace("\n", " "))


@pytest.mark.parametrize("name", EVERY)
def test_every_command_exists_with_its_options(name):
    for line in command_lines(name):
        command, words = COMMAND, shlex.split(line, comments=True)[1:]
        while words and hasattr(command, "commands") and not words[0].isupper():  # COMMAND stands for any
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, line
        if len(words) > 1:  # more than the command's name: it must be complete
            command.make_context(line, words)


# --- files, endpoints, imports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_file_that_is_named_exists(name):
    """Links, and `quoted` paths that begin with a folder of ours or are files at the root."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", prose(name))
    missing = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} | {
        "collector", "detectors", "alerts", "dashboards", "remora", "migrations", "examples", "deploy", "tests",
    }  # fmt: skip
    for word in re.findall(r"`([\w./-]+)`", prose(name)):
        ours = "/" in word and word.split("/")[0] in folders
        if (
            ours or word in {"Dockerfile", "Makefile", "pyproject.toml", "docker-compose.yml"}
        ) and "NNNN" not in word:
            missing += [] if (ROOT / word).exists() else [word]
    assert missing == []


@pytest.mark.parametrize("name", EVERY)
def test_every_link_within_the_documentation_leads_somewhere(name):
    for link, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", prose(name)):
        target = (Path(name).parent / link).as_posix() if link else name
        headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors


def test_the_table_of_imports_is_what_is_checked():
    rows = table(section(ARCHITECTURE, "What must never be imported"))[1:]
    names = [frozenset(re.findall(r"`(.+?)`", who)) for who, _ in rows]
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    kernel = {
        f"remora.{path.stem}" for path in (ROOT / "remora").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in {"__init__", "__main__", "cli"}
    }  # fmt: skip
    parts = {"collector", "detectors", "alerts", "dashboards"}
    meant = {frozenset({"remora", "remora.cli"}): kernel, frozenset(parts): parts}
    checked = [set(one.get("source_modules") or one["modules"]) - {"migrations"} for one in contracts]
    assert all(meant.get(who, set(who)) in checked for who in names)
    assert all(any(sources == meant.get(who, set(who)) for who in names) for sources in checked)


def test_the_client_imports_nothing_but_httpx_and_the_standard_library():
    trees = [ast.parse(path.read_text()) for path in (ROOT / "remora/client").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    strange = {name for name in found if name.split(".")[0] not in {"httpx"} | sys.stdlib_module_names}
    assert all(name.startswith("remora.client.") for name in strange)


@pytest.fixture
def application(sqlite_database, tmp_path):
    with composed(sqlite_database, tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", EVERY)
def test_every_endpoint_that_is_named_exists(name, application):
    known = {re.sub(r"\{\w+\}", "{}", path) for path in application.openapi()["paths"]}
    named = set(
        re.findall(
            r"(/(?:v1/[\w/{}-]+|healthz|readyz|metrics)\b)", re.sub(r"https?://\S+", "", text_of(name))
        )
    )
    named -= {"/v1/score"}  # the path of a model in an example
    assert {re.sub(r"\{\w+\}", "{}", path) for path in named} <= known


def test_every_metric_of_remora_itself_is_described(sqlite_database):
    shown = exposition(sqlite_database, Config()).decode()
    families = {f"{family.name}_total" if family.type == "counter" else family.name
                for family in read_metrics(shown) if not family.name.endswith("_created")}  # fmt: skip
    own = {getattr(collector.metrics, name)._name for name in collector.metrics.__all__}
    shared = {name for name in families if name.removesuffix("_total") in own}
    proxy = {f"remora_proxy_{name}_total" for name in (*COUNTERS, "resyncs")}
    assert set(described(OPERATIONS, "Sidecar and server")) == shared
    assert set(described(OPERATIONS, "Sidecar")) == proxy
    assert set(described(OPERATIONS, "Server")) == families - shared - proxy


def test_every_link_in_a_message_leads_to_a_page(application):
    texts = [text_of(path.relative_to(ROOT)) for path in sorted((ROOT / "alerts").glob("*.py"))]
    links = {link for text in texts for link in re.findall(r"external_url\}(/[^\"?#]+)", text)}
    assert {"/alerts/{row.id}", "/incidents/{incident.id}"} <= links
    for link in links:
        method = "POST" if link.endswith("/status") else "GET"
        scope = {"type": "http", "method": method, "path": re.sub(r"\{.+?\}", "x", link), "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in application.routes), link
