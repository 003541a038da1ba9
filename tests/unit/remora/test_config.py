"""Every kind of mistake in remora.yaml is shown with its line and what would be right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remora.config import Config, load, parse
from remora.config.base import format_duration, parse_duration
from remora.errors import ConfigError

GOOD = """version: 1
models:
  flights: {}
groups:
- name: quality
  rules:
  - alert: AccuracyLow
    metric: accuracy
    condition: "< 0.8"
    plan: retrain
receivers:
  chat: {kind: slack, url_env: SLACK_URL}
  job: {kind: webhook, url: "http://127.0.0.1:1/x"}
routes:
- receivers: [chat]
plans:
- name: retrain
  steps:
  - notify: chat
  - action: job
"""

MISTAKES = [
    ("metric: accuracy", "metric: acuracy", 8, "there is no metric `acuracy`, did you mean `accuracy`?"),
    ("metric: accuracy", "metric: zzz", 8, "there is no metric `zzz`: known are accuracy, auc, "),
    ("metric: accuracy", "metrik: accuracy", 8, "unknown key, did you mean `metric`?"),
    ("    metric: accuracy\n", "", 7, "is missing"),
    ('"< 0.8"', '"under 0.8"', 9, 'write an operator and a number, such as "< 0.92"'),
    ('"< 0.8"', '"< 0.8"\n    for: 2 days', 10, "'2 days' is not a duration: write 30s, 5m, 1h30m or 7d"),
    ('"< 0.8"', '"< 0.8"\n    windows: 5 in 7', 10, 'write "5 of 7"'),
    ('"< 0.8"', '"< 0.8"\n    windows: 7 of 5', 10, 'write "5 of 7"'),
    ('"< 0.8"', '"< 0.8"\n    resolve_threshold: 0.7', 7, "lies on the alarm's side of < 0.8"),
    ('condition: "< 0.8"', "resolve_threshold: 0.7", 7, "resolve_threshold needs a condition"),
    ('"< 0.8"', '"< 0.8"\n    label_coverage: 1.5', 10, "less than or equal to 1"),
    ('"< 0.8"', '"< 0.8"\n    no_data: maybe', 10, "'ok', 'alerting', 'no_data' or 'keep_last'"),
    ('"< 0.8"', '"< 0.8"\n    labels: {model: x}', 10, "the label `model` is set by Remora: choose another name"),
    ('"< 0.8"', '"< 0.8"\n    labels: {team: "{{ x }}"}', 10, "templates belong in annotations"),
    ('"< 0.8"', '"< 0.8"\n    labels: {"a-b": x}', 10, "is not a label's name"),
    ('"< 0.8"', '"< 0.8"\n    select: {model: flight}', 10, "there is no model `flight`, did you mean `flights`?"),
    ('"< 0.8"', '"< 0.8"\n    select: {feature: age}', 10, "accuracy is not found per feature; these are: "),
    ('"< 0.8"', '"< 0.8"\n    by: [model, feature]', 10, "accuracy is not found per feature"),
    ('accuracy\n    condition: "< 0.8"', "error_rate\n    label_coverage: 0.5", 9, "error_rate needs no labels"),
    ('    condition: "< 0.8"\n', "", 7, "accuracy has no verdict of its own: say when"),
    ("flights: {}", "flights: {windows: {backfill: 200000w}}", 3, "is longer than ten years"),
    ("flights: {}", "flights: {ranges: {age: [9, 1]}}", 3, "age: write the lowest and the highest value"),
    ("flights: {}", "flights: {ranges: {age: [null, null]}}", 3, "age: write the lowest and the highest value"),
    ("routes:", "delivery: {interval: 0s}\nroutes:", 14, "is too short: at least 10ms"),
    ("routes:", "? [a, b]\n: 1\nroutes:", 14, "a key must be plain text"),
    ("routes:", f"schedule: {'[' * 50}{']' * 50}\nroutes:", 14, "nested deeper than 32"),
    ("routes:", "slos: [{name: up, model: flights, objective: 40}]\nroutes:", 14, "40 is no objective: a share between 0 and 1"),
    ("routes:", "slos: [{name: up, model: flight, objective: 99.9%}]\nroutes:", 14, "there is no model `flight`"),
    ("routes:", "slos: [{name: up, model: flights, objective: 99.9%, plan: x}]\nroutes:", 14, "there is no plan `x`"),
    ("routes:", "slos: [{name: up, model: flights, objective: 99.9%, period: 9d}]\nroutes:", 14, "choose 7d, 28d or 30d"),
    ("routes:", "slos: [{name: up, model: flights, metric: auc, objective: 99.9%}]\nroutes:", 14, "'error_rate', 'accuracy'"),
    ("routes:", "slos: [{name: up, model: flights, metric: unseen_rate, objective: 99.9%}]\nroutes:", 14, "say which feature"),
    ("routes:", "slos: [{name: up, model: flights, objective: 99.9%, feature: age}]\nroutes:", 14, "error_rate is not found per feature"),
    ("routes:", "slos: [{name: up, model: flights, objective: 99.9%, label_coverage: 0.5}]\nroutes:", 14, "needs no labels"),
    ("routes:", "slos: [{name: up, model: flights, objective: 40%}]\nroutes:", 14, "3 x 0.6 = 1.8 bad events are more than max_threshold 0.5"),
    ("plan: retrain", "plan: retrian", 10, "there is no plan `retrian`, did you mean `retrain`?"),
    ("kind: slack", "kind: slak", 12, "receivers.chat.kind: there is no kind `slak`, did you mean `slack`?"),
    ("url_env: SLACK_URL", "url_env: A, url_file: b", 12, "give one of url, url_file and url_env"),
    ("{kind: slack, url_env: SLACK_URL}", "{kind: slack}", 12, "found none"),
    ("url_env: SLACK_URL", "url_env: A, secret_env: B", 12, "receivers.chat.secret_env: unknown key: one of ca_file"),
    ("url_env: SLACK_URL", "url_env: A, chanel: B", 12, "receivers.chat.chanel: unknown key, did you mean `channel`?"),
    ("url_env: SLACK_URL", "url_env: A, token_env: B", 12, "give either a url (incoming webhook) or a token"),
    ("url_env: SLACK_URL", "token_env: B", 12, "a token needs the channel to speak in"),
    ("kind: slack, ", "", 12, "`kind` is missing: one of alertmanager, apprise"),
    ('url: "http', 'secret_env: A, secret_file: b, url: "http', 13, "give one of secret, secret_file and secret_env"),
    ('url: "http', 'timeout: 5m, url: "http', 13, "less than or equal to"),
    ("[chat]", "[chatt]", 15, "there is no receiver `chatt`, did you mean `chat`?"),
    ("notify: chat", "notify: pager", 19, "there is no receiver `pager`: known are chat, job"),
    ("notify: chat", "notify: chat\n    wait: 5m", 19, "exactly one of notify, action, wait and checklist"),
    ("action: job", "action: chat", 20, "`chat` cannot start anything: name one of actions.targets, or a webhook with body remora.v1"),
    ("action: job", "action: job\n    guard: {cooldwn: 1h}", 21, "unknown key, did you mean `cooldown`?"),
    ("plans:\n", "plans:\n- {name: retrain, steps: [{wait: 1m}]}\n", 18, "the name `retrain` stands at line 17 already"),
    ("routes:", "actions: {paused_models: [flight]}\nroutes:", 14, "there is no model `flight`"),
    ("version: 1", "version: 2", 1, "1"),
    ("models:", "models: &x", None, None),
    ("routes:\n", "groups: []\nroutes:\n", 14, "not YAML: `groups` stands at line 4 already"),
    ("routes:\n", "routes: [\n", 15, "not YAML"),
    ("- name: quality", "- name: quality\n  rules: []\n- name: quality", 7, "another group is called `quality` already"),
]  # fmt: skip


def test_the_good_file_is_good(tmp_path):
    path = tmp_path / "remora.yaml"
    path.write_text(GOOD)
    assert load(path).groups[0].rules[0].limit == ("<", 0.8)
    assert load(None) == Config()


@pytest.mark.parametrize(("right", "wrong", "line", "what"), [case for case in MISTAKES if case[2]])
def test_a_mistake_is_shown_with_its_line(right, wrong, line, what):
    assert right in GOOD
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(right, wrong, 1))
    shown = [str(problem) for problem in caught.value.problems]
    assert any(what in one and one.startswith(f"line {line}: ") for one in shown), shown


def test_every_mistake_is_shown_at_once_in_the_order_of_the_file():
    text = (
        GOOD.replace("accuracy", "acuracy")
        .replace("[chat]", "[chatt]")
        .replace("notify: chat", "notify: chap")
    )
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert [problem.line for problem in caught.value.problems] == [8, 15, 19]


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"\xff\xfe", "is not UTF-8 text"), (b"- 1", "must be a mapping"), (b"a: *b", "aliases"), (b"", "must be a mapping")],
)  # fmt: skip
def test_files_that_are_no_configuration(tmp_path, content, what):
    path = tmp_path / "remora.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="1 mistake") as caught:
        load(path)
    assert what in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_secrets_do_not_print():
    config = parse(
        GOOD.replace('url: "http://127.0.0.1:1/x"', 'url: "http://127.0.0.1:1/hidden", secret: whsec_hidden')
    )
    assert "hidden" not in repr(config)
    assert "hidden" not in config.model_dump_json()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("7d", 604800),
        ("1w2d", 777600),
        ("500ms", 0.5),
        (0, 0),
    ],
)
def test_durations_are_prometheus(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5m3h", "1.5h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("segment", ["a*", "*", "a*a", "a*b*c", ""])
def test_a_segment_is_a_name_or_two(segment):
    with pytest.raises(ConfigError, match="neither a tag or feature nor two of them"):
        parse(f"version: 1\nmodels: {{m: {{segments: [a, a*b, '{segment}']}}}}")


@pytest.mark.parametrize("metric", ["psi", "schema_changes", "volume_change", "staleness", "personal_data"])
def test_a_rule_needs_no_condition_where_the_metric_has_a_verdict_of_its_own(metric):
    parsed = parse(GOOD.replace('metric: accuracy\n    condition: "< 0.8"', f"metric: {metric}"))
    (rule,) = parsed.groups[0].rules
    assert (rule.metric, rule.condition) == (metric, None)


def test_a_severity_that_is_not_said_follows_the_metric():
    def severity(metric, labels=""):
        rule = f"{{alert: A, metric: {metric}, condition: '> 1', {labels}}}"
        return parse(f"version: 1\ngroups: [{{name: g, rules: [{rule}]}}]").groups[0].rules[0].severity

    assert [severity(metric) for metric in ("psi", "missing_rate", "mae")] == ["info", "ticket", "ticket"]
    assert severity("psi", "labels: {severity: page}") == "page"
