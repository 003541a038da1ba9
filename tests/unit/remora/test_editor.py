"""An editor that follows the schema accepts what Remora accepts, and underlines what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from remora.config import parse
from remora.config.base import parse_duration
from remora.config.editor import json_schema
from remora.errors import ConfigError
from tests.documents import CONFIGURATION, README, blocks

ROOT = Path(__file__).parents[3]
EDITOR = Draft202012Validator(json_schema())


def underlined(text: str) -> list[str]:
    as_editors_read_it = json.loads(json.dumps(yaml.safe_load(text), default=str))  # a time is text to them
    return [error.json_path for error in EDITOR.iter_errors(as_editors_read_it)]


def whole_files() -> list[str]:
    files = [ROOT / "examples/flights/remora.yaml", ROOT / "deploy/compose/remora.yaml"]
    snippets = [text for page in (README, CONFIGURATION) for text in blocks(page, "yaml")]
    return [file.read_text() for file in files] + [
        f"version: 1\n{text.replace('version: 1', '')}" for text in snippets
    ]


def test_what_ships_and_what_the_documentation_shows_is_not_underlined():
    texts = whole_files()
    assert len(texts) > 5
    assert [underlined(text) for text in texts] == [[]] * len(texts)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ("versoin: 1", "$"),
        ("version: 2", "$.version"),
        ("models: {fraud: {kind: binry}}", "$.models.fraud.kind"),
        ("models: {'a b': {}}", "$.models"),
        ("groups: [{name: g, rules: [{alert: A, metric: acuracy}]}]", "$.groups[0].rules[0].metric"),
        ("groups: [{name: g, rules: [{metric: auc}]}]", "$.groups[0].rules[0]"),
        ("groups: [{name: g, rules: [{alert: A, metric: auc, for: 2 days}]}]", "$.groups[0].rules[0].for"),
        ("slos: [{name: up, model: m, objective: 40}]", "$.slos[0].objective"),
        ("slos: [{name: up, model: m, objective: 100%}]", "$.slos[0].objective"),
        ("schedule: {tick: 5}", "$.schedule.tick"),
        ("receivers: {chat: {kind: slak, url: 'https://x'}}", "$.receivers.chat"),
    ],
)
def test_what_is_refused_is_underlined(wrong, where):
    with pytest.raises(ConfigError):
        parse(wrong)
    assert underlined(wrong) == [where]


@given(st.from_regex(r"\A[0-9wdhms ]{0,12}\Z") | st.just("0"))
def test_durations_are_underlined_where_they_are_refused(text):
    accepted = not list(EDITOR.iter_errors({"models": {"m": {"windows": {"backfill": text}}}}))
    said = refusal(text)
    if accepted:
        assert said is None or "longer than ten years" in said
    else:
        assert said is not None or text != text.strip()  # spaces around it are forgiven when the file is read


def refusal(text: str) -> str | None:
    try:
        parse_duration(text)
    except ValueError as error:
        return str(error)
    return None


def test_the_command_prints_it():
    done = subprocess.run(
        [sys.executable, "-m", "remora", "schema"], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == json_schema()
    Draft202012Validator.check_schema(json_schema())
