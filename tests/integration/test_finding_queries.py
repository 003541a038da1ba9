"""What pages ask of the findings is answered out of the indexes that were made for it, not by reading all of history."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from dashboards.periods import Period, Sample
from dashboards.queries import findings, models
from tests.example_year import DAY, START, fill

YEAR = Period(START, START + 300 * DAY, "custom")


@pytest.fixture
def plans(sqlite_database):
    """Runs a question and gives SQLite's plan of each statement in it."""
    fill(sqlite_database, days=20)

    def explained(ask):
        statements = []
        listening = lambda *arguments: statements.append(arguments[2:4])  # noqa: E731
        with sqlite_database.read() as connection:
            sa.event.listen(sqlite_database.engine, "before_cursor_execute", listening)
            ask(connection)
            sa.event.remove(sqlite_database.engine, "before_cursor_execute", listening)
            return [
                " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values))
                for text, values in statements
            ]

    return explained


def test_alarms_of_a_year_come_out_of_the_index_of_alarms(plans):
    (plan,) = plans(lambda connection: findings.alarming_features(connection, ("psi", "ks"), YEAR))
    assert "COVERING INDEX ix_findings_alarms (model=? AND metric=? AND window_end>?" in plan


def test_alarms_between_the_windows_of_a_sample_do_so_too(plans):
    sample = Sample(YEAR, tuple(START + day * DAY for day in range(1, 20, 3)), 3)
    alarms, at_ends = plans(
        lambda connection: findings.series(connection, ("auc",), sample, findings.Slice("flights"))
    )
    assert "ix_findings_alarms (model=? AND metric=? AND window_end>?" in alarms
    assert (
        "ix_findings_series (model=? AND metric=? AND window_end=? AND feature=? AND version=? AND segment=?)"
        in at_ends
    )


def test_expected_false_alarms_are_asked_for_together(plans):
    assert (
        len(
            plans(
                lambda connection: findings.expected_false_alarms(connection, ("psi", "missing_rate", "auc"))
            )
        )
        == 2
    )


def test_how_far_each_job_is_costs_a_look_per_model_and_job(plans):
    (plan,) = plans(models.judged_until)
    assert plan.count("CORRELATED SCALAR SUBQUERY") == 3
    assert plan.count("SEARCH job_runs") == 3
    assert "(job=?)" not in plan
