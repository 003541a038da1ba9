"""The shape of the code: who may import whom, how large anything may grow, and which words do not belong here."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("remora", "collector", "detectors", "alerts", "dashboards", "migrations")
MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 60
MOST_PARAMETERS = 6
MOST_FOLDERS_BELOW_A_PART = 2
VAGUE_NAMES = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "misc",
    "core",
    "services",
    "manager",
    "legacy",
}
SERVER_ONLY = {
    "apscheduler",
    "evidently",
    "jinja2",
    "pandas",
    "plotly",
    "pyarrow",
    "scipy",
    "sklearn",
    "statsmodels",
}
FORWARDER_GOES_WITHOUT = {*SERVER_ONLY, "sqlalchemy", "numpy", "pydantic", "fastapi", "datasketches"}

SOURCES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
WRITTEN = [path for path in SOURCES if path.parent.name != "versions"]  # Alembic writes the others
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
FUNCTIONS = [
    (path, node)
    for path in WRITTEN
    for node in ast.walk(TREES[path])
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def test_the_import_rules_of_pyproject_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_files_are_read_in_one_sitting():
    lines = {name_of(path): len(path.read_text().splitlines()) for path in WRITTEN}
    assert {name: count for name, count in lines.items() if count > MOST_LINES_IN_A_FILE} == {}


def test_functions_fit_on_a_screen():
    lengths = {f"{name_of(path)}:{node.name}": node.end_lineno - node.lineno + 1 for path, node in FUNCTIONS}
    long = {where: length for where, length in lengths.items() if length > MOST_LINES_IN_A_FUNCTION}
    # A command's options are its signature, and may be many.
    assert [where for where in long if not where.startswith("remora/cli/")] == []
    assert statistics.median(lengths.values()) <= 12


def test_parameters_can_be_remembered():
    """More only where the function's first line says why, to ruff and to the reader."""
    for path, node in FUNCTIONS:
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([argument for argument in named if argument.arg not in {"self", "cls"}])
        excused = "PLR0913" in path.read_text().splitlines()[node.lineno - 1]
        if not excused and not name_of(path).startswith("remora/cli/"):
            assert count <= MOST_PARAMETERS, f"{name_of(path)}:{node.lineno}"


def test_folders_are_not_deep_and_say_what_is_in_them():
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        assert len(parts) - 2 <= MOST_FOLDERS_BELOW_A_PART, name_of(path)
        assert not VAGUE_NAMES & set(parts), name_of(path)


def test_what_is_exported_exists_once():
    for path, tree in TREES.items():
        exported = next(
            (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and _assigns_all(n)),
            [],
        )
        assert len(exported) == len(set(exported)), name_of(path)
        missing = set(exported) - set(_bound(tree))
        assert missing == set(), name_of(path)


def _assigns_all(node):
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)


def _bound(tree):
    """Names at a module's top, also inside `if` and `try`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_broad_excepts_stand_only_where_the_failure_is_told():
    """At a loop's edge, where it is logged or counted, or where the line says who is told."""
    for path, tree in TREES.items():
        lines = path.read_text().splitlines()
        for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
            if handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}:
                told = re.search(r"log\.|\.inc\(|raise|count|drop", ast.unparse(handler))
                excused = re.search(r"BLE001\W+\w+", lines[handler.lineno - 1])
                assert told or excused, f"{name_of(path)}:{handler.lineno}"


@pytest.mark.parametrize(
    "module", ["collector.sidecar", "collector.forwarder", "collector.recorder", "remora.client"]
)
def test_the_sidecar_needs_nothing_of_the_servers_extras(module):
    assert _loaded_by(module) & SERVER_ONLY == set()


@pytest.mark.parametrize("module", ["collector.forwarder", "collector.proxy"])
def test_the_process_that_forwards_stays_light(module):
    assert _loaded_by(module) & FORWARDER_GOES_WITHOUT == set()


def _loaded_by(module):
    code = f"import {module}, sys; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def _tracked():
    """Files of the repository, as git knows them; all files where there is no git."""
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode == 0:
        return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = [ROOT / name for name in (*PARTS, "tests", "deploy", "examples", "docs", "benchmarks")]
    return [
        path for path in chain(ROOT.glob("*"), *(folder.rglob("*") for folder in folders)) if path.is_file()
    ]


# Written in halves, so that this file does not contain what it looks for.
MACHINE = [
    "/wo" + r"rk/(main|shared|notes|\.)", "/opt/" + "pypi", "/ho" + r"me/\w+/", "/ro" + "ot/",
    "artifact" + "ory", "co-author" + "ed-by", "clau" + "de", "anthro" + "pic", "chat" + "gpt", "copi" + "lot",
    r"files\.pythonhosted" + r"\.org", r"pypi" + r"\.org/simple", r"registry\.npmjs" + r"\.org", r"deb\.debian" + r"\.org",
]  # fmt: skip
FORBIDDEN = re.compile("|".join(MACHINE), re.IGNORECASE)


def test_nothing_speaks_of_the_machine_it_was_written_on():
    found = []
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {match[0]}" for match in FORBIDDEN.finditer(text)]
    assert found == []


def test_shown_things_carry_no_reminders_to_ourselves():
    reminders = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    found = [name_of(path) for path in SOURCES if reminders.search(path.read_text())]
    assert found == []
