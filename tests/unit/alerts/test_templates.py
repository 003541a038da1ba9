from __future__ import annotations

import pytest

from alerts.templates import mistakes, render
from remora.config import parse
from remora.errors import ConfigError

VARIABLES = {
    "labels": {"model": "flights"},
    "value": 0.7123,
    "rule": "AccuracyLow",
    "runbook_url": "",
    "annotations": {},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{ labels.model }} is {{ value|pct }}", "flights is 71.2 %"),
        ("{{ value|pct(0) }} {{ value|number }} {{ 45.2|ms }} {{ 1234|count }}", "71 % 0.712 45 ms 1,234"),
        ("{{ 5400|duration }} {{ value|metric('accuracy') }} {{ none|pct }}", "1h30m 71.2 % -"),
        ("{{ rule|upper }} <b>", "ACCURACYLOW <b>"),
    ],
)
def test_what_templates_can_do(text, expected):
    assert render(text, VARIABLES) == expected


@pytest.mark.parametrize(
    "text",
    ["{{ labels.team }}", "{{ nothing }}", "{{ value|nofilter }}", "{{ value", "{{ labels|pct }}", "{{ 1 / 0 }}",
     "{{ labels.__class__.__mro__ }}", "{{ range(9) }}", "{% include 'x' %}", "{{ labels.update({}) }}"],
)  # fmt: skip
def test_a_mistake_shows_in_the_text_and_nowhere_else(text):
    assert render(text, VARIABLES).startswith("<error expanding template: ")


def test_a_text_has_an_end():
    assert len(render("{{ 'x' * 100000 }}", VARIABLES)) == 4000


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        ("{{ value|nmber }}", "No filter named 'nmber'"),
        ("{{ value", "not a template"),
        ("{{ lables.model }}", "there is no variable `lables`: known are annotations, labels, rule"),
    ],
)
def test_a_wrong_template_is_a_mistake_of_the_file(summary, says):
    text = (
        "version: 1\ngroups:\n- name: g\n  rules:\n"
        "  - alert: A\n    metric: auc\n    condition: '< 1'\n"
        f"    annotations:\n      summary: '{summary}'\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse(text, also=mistakes)
    (problem,) = caught.value.problems
    assert problem.line == 9
    assert says in problem.what
    assert parse(text.replace(summary, "{{ labels.model }} {{ value|number }}"), also=mistakes).groups


def test_a_wrong_template_of_an_objective_is_a_mistake_of_the_file():
    text = "version: 1\nmodels: {m: {}}\nslos:\n- {name: up, model: m, objective: 95%, annotations: {summary: '{{ x }}'}}\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, also=mistakes)
    (problem,) = caught.value.problems
    assert (problem.line, problem.where) == (4, "slos[0].annotations.summary")
    assert "there is no variable `x`" in problem.what
