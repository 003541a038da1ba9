from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alerts.plans import Due, StepRow, next_due, told_receivers
from remora.config.plans import Plan

START = datetime(2013, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = Plan.model_validate({
    "name": "p", "steps": [{"notify": "chat"}, {"action": "job", "on_failure": "stop"}, {"wait": "1h"}, {"notify": "pager"}],
    "repeat": {"every": "4h", "times": 1},
})  # fmt: skip


def row(step: int, state: str = "done", at=START, iteration: int = 0) -> StepRow:
    kind = PLAN.steps[step].kind
    return StepRow(step, iteration, kind, "", state, "", at, None if state == "running" else at)


def due(*rows: StepRow, acknowledged: bool = False) -> Due | None:
    return next_due(PLAN, START, rows, acknowledged=acknowledged)


def test_steps_follow_one_another():
    assert due() == Due(START, 0, 0)
    assert due(row(0)) == Due(START, 1, 0)
    assert due(row(0), row(1, "running")) is None
    assert due(row(0), row(1, at=START + HOUR)) == Due(START + HOUR, 2, 0)
    assert due(row(0), row(1), row(2, "running", START + HOUR)) == Due(START + 2 * HOUR, 2, 0, ends=True)


def test_a_failure_may_stop_the_plan():
    assert due(row(0), row(1, "failed")) is None


def test_it_repeats_from_the_opening_while_nobody_acknowledged():
    through = [row(0), row(1), row(2, at=START + HOUR), row(3, at=START + HOUR)]
    assert due(*through) == Due(START + 4 * HOUR, 0, 1)
    assert due(*through, acknowledged=True) is None
    again = [row(step, at=START + 5 * HOUR, iteration=1) for step in range(4)]
    assert due(*through, *again) is None
    late = [row(0), row(1), row(2), row(3, at=START + 9 * HOUR)]
    assert due(*late) == Due(START + 9 * HOUR, 0, 1)


def test_who_was_told():
    assert told_receivers(PLAN, [row(0), row(1), row(3, "skipped")]) == ["chat"]
    assert told_receivers(PLAN, [row(3), row(0), row(3, iteration=1)]) == ["pager", "chat"]
