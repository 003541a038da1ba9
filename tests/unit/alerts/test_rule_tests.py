"""`remora rules test`: the states that rules go through over given series, and every way a test can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.rule_tests import RuleTests, failures
from remora.cli import main
from remora.config import parse
from remora.config.reading import validated
from remora.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "examples/flights/rules_test.yaml"
CONFIG = """version: 1
models: {m: {windows: {size: 1h}}}
groups:
- name: g
  rules:
  - alert: Failing
    metric: error_rate
    condition: "> 0.05"
    for: FOR
    keep_firing_for: KEEP
    labels: {severity: page}
    annotations: {summary: "{{ labels.model }}: {{ value|pct }}"}
"""
TEST = """tests:
- name: t
  model: m
  series: [{metric: error_rate, values: VALUES}]
  expect: [EXPECT]
"""
# The table of the shared decisions, a port of Prometheus' AlertingRule.Eval: 1 is met, 0 is not, E could not be computed.
GOLDEN = [
    (2, 0, "0111110", "inactive pending pending firing firing firing resolved"),
    (2, 0, "0110111", "inactive pending pending inactive pending pending firing"),
    (0, 0, "1", "firing"),
    (1, 0, "11", "pending firing"),
    (2, 2, "1110100", "pending pending firing firing firing firing firing"),
    (2, 2, "111000011", "pending pending firing firing firing resolved inactive pending pending"),
    (2, 0, "111E0", "pending pending firing firing resolved"),
    (2, 3, "111001000", "pending pending firing firing firing firing firing firing firing"),
]  # fmt: skip


def config(hold=0, keep=0):
    return parse(CONFIG.replace("FOR", f"{hold}h").replace("KEEP", f"{keep}h"))


def run(values, expect, *, hold=0, keep=0):
    text = TEST.replace("VALUES", f'"{values}"').replace("EXPECT", expect)
    tests, _ = validated(RuleTests, text, "t.yaml")
    return [line for found in failures(config(hold, keep), tests.tests[0]) for line in found.lines]


@pytest.mark.parametrize(("hold", "keep", "course", "states"), GOLDEN)
def test_prometheus_golden_table(hold, keep, course, states):
    values = " ".join({"1": "0.2", "0": "0.01", "E": "error"}[one] for one in course)
    assert run(values, f"{{alert: Failing, states: {states}}}", hold=hold, keep=keep) == []


def test_what_differs_is_shown_from_the_first_window_on():
    assert run("0.01 0.2x2 0.01", "{alert: Failing, states: inactivex2 firing inactive}") == [
        "window 2: expected inactive, is firing",
        "expected  inactive inactive firing inactive",
        "is        inactive firing firing resolved",
    ]


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ("{alert: Faling, states: firing}", "there is no rule of this name: Failing"),
        ("{alert: Failing, states: firingx3}", "`states` has 3 states, the series have 1 windows"),
        ("{alert: Failing, at: 2, state: firing}", "there is no window 2: the series have 1"),
        ("{alert: Failing, at: 1, state: pending}", "window 1: expected pending, is firing"),
        (
            "{alert: Failing, at: 1, state: firing, labels: {severity: ticket}}",
            "window 1: expected firing, is inactive",
        ),
        ("{alert: Failing, at: 1, state: firing, annotations: {summary: x}}", "is        m: 20.0 %"),
    ],
)
def test_an_expectation_that_is_not_met_says_what_is(expect, says):
    assert says in run("0.2", expect)


def test_labels_and_texts_that_are_as_expected_pass():
    expect = "{alert: Failing, at: 1, state: firing, labels: {severity: page}, annotations: {summary: 'm: 20.0 %'}}"
    assert run("0.2", expect) == []


@pytest.mark.parametrize(
    ("values", "expect", "says"),
    [
        (
            "0.2 high",
            "{alert: Failing, states: firing}",
            "line 4: tests[0].series[0].values: 'high': write a number",
        ),
        ("0.2x99999", "{alert: Failing, states: firing}", "'0.2x99999': write a number"),
        (
            "0.2x9999 0.2x9999",
            "{alert: Failing, states: firing}",
            "between one and 10,000 windows, not 19,998",
        ),
        (
            "0.2",
            "{alert: Failing, states: lit}",
            "'lit' is no state: write inactive, pending, firing, resolved",
        ),
        ("0.2", "{alert: Failing}", "say either `states` for all windows, or `at` and `state` for one"),
        ("0.2", "{alert: Failing, at: 1}", "`state` at window 1 is one of inactive"),
        (
            "0.2",
            "{alert: Failing, states: firing, state: firing}",
            "`state` and `annotations` belong to `at`",
        ),
        ("0.2", "{alert: Failing, stats: firing}", "unknown key, did you mean `states`?"),
    ],
)
def test_a_test_that_cannot_be_read_says_where_and_why(values, expect, says):
    with pytest.raises(ConfigError) as caught:
        run(values, expect)
    assert says in str(caught.value)


def command(*arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["rules", "test", *map(str, arguments)])
    return ended.value.code, *capsys.readouterr()


def test_the_example_passes_on_the_command_line(capsys):
    code, out, err = command(EXAMPLE, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.count("ok   ") == len(out.splitlines()) == 5


def test_a_failure_is_exit_code_1_and_a_mistake_2(capsys, tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(TEST.replace("VALUES", "0.2").replace("EXPECT", "{alert: Failing, states: inactive}"))
    code, _, err = command(file, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'remora.yaml'}: 1 mistake: cannot be read" in err
    (tmp_path / "remora.yaml").write_text(CONFIG.replace("FOR", "0s").replace("KEEP", "0s"))
    code, out, _ = command(file, capsys=capsys)
    assert code == 1
    assert out == (
        f"FAIL {file}: t\n     Failing: window 1: expected inactive, is firing\n"
        "       expected  inactive\n       is        firing\n"
    )
    file.write_text("- 1")
    code, _, err = command(file, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "must be a mapping with keys such as `config:`" in err
