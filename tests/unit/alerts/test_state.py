from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.state import Phase, Signal, State, step

START = datetime(2013, 3, 1, tzinfo=UTC)
SIGNALS = {"0": Signal.INACTIVE, "1": Signal.ACTIVE, "E": Signal.KEEP}


def run(script: str, for_: int, keep: int) -> list[State | None]:
    state, states = None, []
    for tick, letter in enumerate(script):
        state = step(
            state, SIGNALS[letter], START + timedelta(hours=tick),
            for_=timedelta(hours=for_), keep_firing_for=timedelta(hours=keep),
        )  # fmt: skip
        states.append(state)
        if state is not None and state.phase is Phase.RESOLVED:
            state = None
    return states


def shown(state: State | None) -> str:
    if state is None:
        return "inactive"
    if state.phase is Phase.FIRING and state.keep_firing_since is not None:
        return "kept"
    return str(state.phase)


@pytest.mark.parametrize(
    ("for_", "keep", "script", "expected"),
    [
        (2, 0, "0111110", "inactive pending pending firing firing firing resolved"),
        (2, 0, "0110111", "inactive pending pending inactive pending pending firing"),
        (0, 0, "1", "firing"),
        (1, 0, "11", "pending firing"),
        (2, 2, "1110100", "pending pending firing kept firing kept kept"),
        (2, 2, "111000011", "pending pending firing kept kept resolved inactive pending pending"),
        (2, 0, "111E0", "pending pending firing firing resolved"),
        (2, 3, "111001000", "pending pending firing kept kept firing kept kept kept"),
    ],
)
def test_prometheus_golden_table(for_, keep, script, expected):
    assert [shown(state) for state in run(script, for_, keep)] == expected.split()


def test_a_longer_for_sends_a_firing_alert_back_to_pending():
    firing = run("111", 2, 0)[-1]
    back = step(firing, Signal.ACTIVE, START + timedelta(hours=3), for_=timedelta(hours=9),
                keep_firing_for=timedelta(0))  # fmt: skip
    assert back == State(Phase.PENDING, active_at=START)


def test_times_are_those_of_the_evaluations():
    states = run("0110E1110", 2, 0)
    assert states[-2] == State(
        Phase.FIRING, active_at=START + timedelta(hours=5), fired_at=START + timedelta(hours=7)
    )
    assert states[-1].resolved_at == START + timedelta(hours=8)


scripts = st.text(alphabet="01E", max_size=40)
hours = st.integers(0, 5)


@given(scripts, hours, hours)
def test_nothing_fires_before_it_was_active_for_long_enough(script, for_, keep):
    for tick, state in enumerate(run(script, for_, keep)):
        if state is not None and state.fired_at is not None:
            assert state.fired_at - state.active_at >= timedelta(hours=for_)
            assert state.fired_at <= START + timedelta(hours=tick)


@given(scripts, hours, hours)
def test_only_a_firing_alert_resolves(script, for_, keep):
    states = run(script, for_, keep)
    for before, after in zip([None, *states], states, strict=False):
        if after is not None and after.phase is Phase.RESOLVED:
            assert before is not None
            assert before.phase is Phase.FIRING


@given(scripts, hours, hours)
def test_an_error_changes_nothing(script, for_, keep):
    states = run(script, for_, keep)
    for tick, letter in enumerate(script):
        if letter == "E" and tick:
            before = states[tick - 1]
            resolved = before is not None and before.phase is Phase.RESOLVED
            assert states[tick] == (None if resolved else before)


@given(scripts)
def test_errors_between_can_be_left_out_when_nothing_waits(script):
    """With `for: 0` and no keeping, the last real answer decides alone."""
    last = script.replace("E", "")[-1:]
    states = run(script, 0, 0)
    if script and not script.endswith("E"):
        assert (shown(states[-1]) == "firing") == (last == "1")


@given(scripts, hours, st.integers(0, 4), st.integers(1, 4))
def test_keeping_longer_never_ends_an_alert_earlier(script, for_, keep, more):
    def ended(amount: int) -> int:
        phases = [shown(state) for state in run(script, for_, amount)]
        return phases.index("resolved") if "resolved" in phases else len(phases)

    assert ended(keep) <= ended(keep + more)
