"""A rehearsal over what was judged raises the alerts that the server raised, at the same instants, and stores nothing."""

from __future__ import annotations

import json

import pytest

from alerts.backtest import backtest
from remora import tables as t
from remora.cli import main
from remora.config import parse
from tests.example_alerts import DAY, START, World, due

CONFIG = """
version: 1
groups:
- name: quality
  rules:
  - {alert: AccuracyLow, metric: accuracy, condition: "< 0.80", for: 1d, keep_firing_for: 1d}
  - {alert: FeatureDrift, metric: psi, by: [model, feature]}
  - {alert: Other, metric: error_rate, condition: "> 0.5", select: {model: other}}
models: {other: {}}
"""
ACCURACY = [0.9, 0.7, 0.7, 0.7, 0.9, 0.9, 0.9, None, 0.7, 0.7, 0.7]


@pytest.fixture
def world(database):
    """Eleven days, each judged and evaluated before the next begins."""
    world = World(database, CONFIG)
    for day, value in enumerate(ACCURACY):
        known = {} if value is not None else {"verdict": "labels_not_mature"}
        for feature, moved in (("age", day in {4, 5}), ("income", False)):
            world.found(
                day, "psi", 0.4 if moved else 0.1, feature=feature, verdict="alarm" if moved else "ok", done=False,
                details={"expected_false_alarms": 0.5},
            )  # fmt: skip
        world.done(day, "drift")
        world.found(day, "accuracy", value, **known)
        world.run(due(day))
    return world


def rehearsed(world, config=None, **more):
    with world.database.read() as connection:
        return backtest(
            connection, config or world.config, **{"model": None, "start": None, "end": None} | more
        )


def as_stored(world):
    return sorted(
        (row.labels["alertname"], row.labels.get("feature"), row.fired_at, row.resolved_at)
        for row in world.rows(t.alerts, "id")
        if row.fired_at
    )


def as_rehearsed(found):
    return sorted(
        (one.rule, one.labels.get("feature"), one.fired_at, one.resolved_at) for one in found.raised
    )


def test_what_was_raised_is_raised_again_at_the_same_instants(world):
    before = [world.rows(table) for table in (t.alerts, t.deliveries, t.incidents)]
    found = rehearsed(world)
    assert as_rehearsed(found) == as_stored(world)
    assert [one.rule for one in found.raised] == ["AccuracyLow", "FeatureDrift", "AccuracyLow"]
    assert found.raised[-1].resolved_at is None
    assert [world.rows(table) for table in (t.alerts, t.deliveries, t.incidents)] == before


def test_each_rule_is_counted_with_what_chance_alone_would_raise(world):
    quality, drift, other = rehearsed(world).tallies
    assert (quality.windows, quality.blind, len(quality.raised), quality.by_chance) == (11, 1, 2, None)
    assert (drift.windows, drift.blind, len(drift.raised)) == (11, 0, 1)
    assert drift.by_chance == pytest.approx(2 * 0.5 * 11 / 30)  # two features, half an alarm a month each
    assert (other.windows, len(other.raised)) == (0, 0)


def test_another_configuration_and_another_time_raise_other_alerts(world):
    strict = parse(CONFIG.replace("for: 1d, keep_firing_for: 1d", "for: 3d"))
    assert [one.rule for one in rehearsed(world, strict).raised] == ["FeatureDrift"]
    assert [one.rule for one in rehearsed(world, start=START + 6 * DAY).raised] == ["AccuracyLow"]
    assert rehearsed(world, end=START).windows == 0
    assert [tally.rule.alert for tally in rehearsed(world, model="flights").tallies] == [
        "AccuracyLow",
        "FeatureDrift",
    ]


def command(world, tmp_path, capsys, *arguments):
    file = tmp_path / "remora.yaml"
    file.write_text(CONFIG)
    url = world.database.engine.url.render_as_string(hide_password=False)
    with pytest.raises(SystemExit) as ended:
        main(["backtest", "--config", str(file), "--database", url, *arguments])
    return ended.value.code, *capsys.readouterr()


def test_the_command_prints_tables(world, tmp_path, capsys):
    code, out, err = command(world, tmp_path, capsys)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "2013-03-01 00:00 to 2013-03-12 00:00 UTC, 22 judged windows"
    assert lines[2].split("  ")[0] == "RULE"
    assert [line.split() for line in lines[3:6]] == [
        ["AccuracyLow", "11", "1", "2", "-", "4d"],
        ["FeatureDrift", "11", "0", "1", "0.37", "2d"],
        ["Other", "0", "0", "0", "-", "0m"],
    ]
    assert lines[9].split() == "2013-03-06 00:05 2d FeatureDrift 0.400 model=flights feature=age".split()  # noqa: SIM905
    assert "1d so far  AccuracyLow   70.0 %" in lines[-1]


def test_the_command_prints_json_and_one_line_for_a_mistake(world, tmp_path, capsys):
    code, out, _ = command(world, tmp_path, capsys, "--json")
    document = json.loads(out)
    assert code == 0
    assert [rule["alerts"] for rule in document["rules"]] == [2, 1, 0]
    assert [alert["labels"].get("feature") for alert in document["alerts"]] == [None, "age", None]
    for arguments, says in (
        (["--model", "nobody"], "no window of nobody was judged in that time"),
        (["--from", "2014-01-01", "--to", "2013-01-01"], "--to must lie after --from"),
        (["--from", "soon"], "--from 'soon' is no instant"),
    ):
        code, _, err = command(world, tmp_path, capsys, *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert says in err
