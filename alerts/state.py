"""The alert state machine of Prometheus, pure: what one evaluation does to one alert.

Source: `AlertingRule.Eval` in prometheus/rules/alerting.go. An evaluation that could not be made, or that was told to
keep the last state, changes nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["Phase", "Signal", "State", "step"]


class Signal(StrEnum):
    """What an evaluation says of one alert."""

    ACTIVE = "active"  # the condition holds
    INACTIVE = "inactive"  # it does not
    KEEP = "keep"  # nothing can be said: the state stays as it is


class Phase(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class State:
    """One alert from its first pending evaluation to its end. No state at all is `inactive`."""

    phase: Phase
    active_at: datetime
    fired_at: datetime | None = None
    keep_firing_since: datetime | None = None
    resolved_at: datetime | None = None


def step(
    state: State | None, signal: Signal, ts: datetime, *, for_: timedelta, keep_firing_for: timedelta,
) -> State | None:  # fmt: skip
    """The state after the evaluation at `ts`; None is inactive.

    A resolved state is returned once, by the evaluation that resolved it; what follows it begins anew.
    """
    if signal is Signal.KEEP:
        return state
    alive = state if state and state.phase is not Phase.RESOLVED else None
    if signal is Signal.ACTIVE:
        return _active(alive, ts, for_)
    return _inactive(alive, ts, keep_firing_for)


def _active(state: State | None, ts: datetime, for_: timedelta) -> State:
    state = replace(state or State(Phase.PENDING, active_at=ts), keep_firing_since=None)
    if ts - state.active_at < for_:  # also when a longer `for` was configured while it was firing
        return replace(state, phase=Phase.PENDING, fired_at=None)
    if state.phase is Phase.FIRING:
        return state
    return replace(state, phase=Phase.FIRING, fired_at=ts)


def _inactive(state: State | None, ts: datetime, keep_firing_for: timedelta) -> State | None:
    if state is None or state.phase is Phase.PENDING:
        return None
    since = state.keep_firing_since or ts
    if ts - since < keep_firing_for:
        return replace(state, keep_firing_since=since)
    return replace(state, phase=Phase.RESOLVED, resolved_at=ts, keep_firing_since=None)
