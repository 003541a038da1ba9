"""`remora gate` over a database: shadows, canaries and tags, and what it says to whoever waits in CI."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from scipy import stats

from detectors.gate import Contest, judge
from remora.cli import main
from remora.config.models import Model
from remora.errors import UserError
from remora.tables import labels, predictions, versions

SQLITE = pytest.mark.parametrize(
    "database", ["sqlite_database"], indirect=True
)  # arithmetic is the same over both
START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 800


def record(database, model, version, wrong, **given):
    """`wrong` says for each row whether it was; the rows of one place have the same truth."""
    made = dict(prefix="r", failed=(), latency=20.0, tagged=False, labelled=True, number=False) | given  # noqa: C408
    rng = random.Random(f"{model}{version}")
    rows, truths = [], []
    for place, misses in enumerate(wrong):
        truth = float(place % 50) if made["number"] else ("true" if place % 3 == 0 else "false")
        miss = truth + misses if made["number"] else ("false" if truth == "true" else "true")
        answer = miss if misses else truth
        identity, at = f"{made['prefix']}{place}", START + timedelta(seconds=place)
        rows.append({
            "id": identity, "model": model, "version": version, "timestamp": at, "features": {"x": 1.0}, "scores": None,
            "status": 500 if place in made["failed"] else 200, "prediction": answer, "batch_id": "b", "sample": 1.0,
            "latency_ms": made["latency"] and made["latency"] * rng.uniform(0.5, 1.5),
            "tags": {"request": str(place)} if made["tagged"] else {},
        })  # fmt: skip
        truths.append(
            {"id": identity, "model": model, "label": truth, "timestamp": at, "joined": True, "batch_id": "b"}
        )
    with database.write() as connection:
        connection.execute(predictions.insert(), rows)
        if made["labelled"]:
            connection.execute(labels.insert(), truths)
        connection.execute(versions.insert(), [{"model": model, "version": version, "first_seen": START, "last_seen": rows[-1]["timestamp"]}])  # fmt: skip


def misses(share, seed):
    rng = random.Random(seed)
    return [rng.random() < share for _ in range(ROWS)]


def check(outcome, name):
    return next(one for one in outcome.checks if one.name == name)


def test_a_shadow_is_paired_by_id_and_needs_no_labels_of_its_own(database):
    before, after = misses(0.10, 1), misses(0.10, 2)
    record(database, "fraud", "1", before)
    record(database, "fraud-shadow", "2", after, labelled=False)
    outcome = judge(
        database, Model(), Contest("fraud", "2", candidate_model="fraud-shadow", margin=0.05), None
    )
    found = check(outcome, "wrong")
    worse = sum(a and not b for a, b in zip(after, before, strict=True))
    differing = sum(a != b for a, b in zip(after, before, strict=True))
    assert (found.rows, found.verdict) == (ROWS, "good")
    assert (found.champion, found.candidate) == pytest.approx((sum(before) / ROWS, sum(after) / ROWS))
    assert found.p_value == pytest.approx(stats.binomtest(worse, differing).pvalue)


@SQLITE
def test_a_candidate_that_is_much_worse_is_refused_whichever_way_it_was_recorded(database):
    record(database, "fraud", "1", misses(0.05, 3), tagged=True)
    record(database, "fraud", "2", misses(0.30, 4), tagged=True, prefix="s", labelled=False)
    record(database, "fraud", "3", misses(0.30, 5), prefix="c")
    paired = judge(database, Model(), Contest("fraud", "2", "1", pair="request"), None)
    apart = judge(database, Model(), Contest("fraud", "3", "1"), None)
    assert [one.verdict for one in (paired, apart)] == ["worse", "worse"]
    assert check(paired, "wrong").method.startswith("paired")
    assert check(apart, "wrong").method.startswith("unpaired")


@SQLITE
def test_a_regression_is_judged_by_its_error_as_a_share_of_the_champions(database):
    record(database, "rent", "1", [4.0 + place % 3 for place in range(ROWS)], number=True)
    record(database, "rent-shadow", "2", [4.1 + (place + 1) % 3 for place in range(ROWS)], number=True)
    contest = Contest("rent", "2", candidate_model="rent-shadow", margin=0.05)
    found = check(judge(database, Model(kind="regression"), contest, None), "error")
    differences = [4.1 + (place + 1) % 3 - 4.0 - place % 3 for place in range(ROWS)]
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.90)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.margin == pytest.approx(0.05 * found.champion)


@SQLITE
def test_failures_and_slowness_are_looked_at_too(database):
    record(database, "fraud", "1", misses(0.1, 6))
    record(database, "fraud", "2", misses(0.1, 7), prefix="c", failed=range(80), latency=60.0)
    outcome = judge(database, Model(), Contest("fraud", "2", margin=0.1), None)
    assert {one.name: one.verdict for one in outcome.checks} == {
        "wrong": "good", "error rate": "worse", "latency p95": "worse",
    }  # fmt: skip


@SQLITE
def test_few_rows_are_not_enough_and_a_version_nobody_saw_is_a_mistake(database):
    record(database, "fraud", "1", misses(0.1, 8)[:60])
    record(database, "fraud", "2", misses(0.1, 9)[:60], prefix="c", latency=None)
    outcome = judge(database, Model(), Contest("fraud", "2"), None)
    assert outcome.verdict == "not_enough_evidence"
    assert check(outcome, "latency p95").verdict == "not_measured"
    with pytest.raises(UserError, match=r"version '7'; known are: '1', '2'"):
        judge(database, Model(), Contest("fraud", "7"), None)


@SQLITE
def test_the_command_prints_a_table_writes_json_and_exits_as_it_says(database, sqlite_url, tmp_path, capsys):
    record(database, "fraud", "1", misses(0.1, 1))
    record(database, "shadow", "2", misses(0.1, 2))
    record(database, "shadow", "3", misses(0.4, 3), prefix="z")

    def gate(*options):
        with pytest.raises(SystemExit) as ended:
            main(["gate", "--model", "fraud", "--database", sqlite_url, *options])
        return ended.value.code, *capsys.readouterr()

    file = tmp_path / "gate.json"
    code, table, mistakes = gate(
        "--candidate", "2", "--candidate-model", "shadow", "--margin", "0.05", "--out", str(file)
    )
    assert (code, mistakes) == (0, "")
    assert table.splitlines()[-1] == "verdict: good"
    written = json.loads(file.read_text())
    assert written["verdict"] == "good"
    assert [one["check"] for one in written["checks"]] == ["wrong", "error rate", "latency p95"]
    assert gate("--candidate", "3", "--candidate-model", "shadow", "--pair", "none")[0] == 2
    assert (
        gate("--candidate", "3", "--champion", "1", "--candidate-model", "shadow", "--min-rows", "801")[0]
        == 2
    )
    code, table, mistakes = gate("--candidate", "9")
    assert (code, table, len(mistakes.splitlines())) == (2, "", 1)
