from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.guards import Evidence, PastAction, Refusal, Switches, explain, refuse
from remora.config.plans import Guard

NOW = datetime(2013, 3, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
GUARD = {"cooldown": "24h", "max_runs": 2, "per": "7d", "require_label_coverage": 0.5}


def ask(*past: tuple[int, str], jobs=("performance",), coverage=0.9, guard=None, **switches):
    return refuse(
        Guard.model_validate(GUARD | (guard or {})), Switches(**switches), "flights", Evidence(set(jobs), coverage),
        [PastAction(NOW - hours * HOUR, state) for hours, state in past], NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("past", "more", "expected"),
    [
        ([], {}, None),
        ([], {"enabled": False}, Refusal.SWITCHED_OFF),
        ([], {"paused": ["flights"]}, Refusal.MODEL_PAUSED),
        ([], {"paused": ["other"]}, None),
        ([], {"jobs": ["drift"]}, Refusal.DRIFT_ALONE),
        ([], {"jobs": []}, Refusal.DRIFT_ALONE),
        ([], {"jobs": ["drift"], "guard": {"drift_alone": True}}, None),
        ([], {"jobs": ["drift", "performance"]}, None),
        ([], {"jobs": ["drift"], "guard": {"approval": "manual"}}, None),
        ([(1, "rejected"), (2, "dry_run")], {}, None),
        ([(200, "waiting")], {}, Refusal.ALREADY_RUNNING),
        ([(200, "unknown")], {}, Refusal.ALREADY_RUNNING),
        ([(200, "running")], {"guard": {"concurrency": "allow"}}, None),
        ([], {"coverage": None}, Refusal.LABEL_COVERAGE_UNKNOWN),
        ([], {"coverage": 0.49}, Refusal.LABEL_COVERAGE),
        ([], {"coverage": None, "guard": {"require_label_coverage": 0}}, None),
        ([(200, "running")], {}, Refusal.ALREADY_RUNNING),
        ([(200, "requested")], {}, Refusal.ALREADY_RUNNING),
        ([(23, "failed")], {}, Refusal.COOLDOWN),
        ([(24, "succeeded")], {}, None),
        ([(24, "succeeded"), (30, "timed_out")], {}, Refusal.BUDGET),
        ([(24, "succeeded"), (168, "succeeded")], {}, None),
    ],
)
def test_what_forbids_an_action(past, more, expected):
    refusal = ask(*past, **more)
    assert refusal is expected
    assert expected is None or explain(expected).startswith(f"{expected}: ")
