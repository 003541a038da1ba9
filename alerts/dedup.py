"""Whether a group's news is worth a message, pure: the truth table of Alertmanager's `DedupStage.needsUpdate`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["ALL_RESOLVED", "FIRST", "NEW_ALERTS", "REPEAT", "SOME_RESOLVED", "Told", "needs_message"]

FIRST = "first notification"
NEW_ALERTS = "new alerts added"
ALL_RESOLVED = "all alerts resolved"
SOME_RESOLVED = "some alerts resolved"
REPEAT = "repeat interval elapsed"


@dataclass(frozen=True)
class Told:
    """The last thing that a receiver was told of a group: fingerprints, and when."""

    firing: frozenset[str]
    resolved: frozenset[str]
    sent_at: datetime


def needs_message(
    told: Told | None, firing: frozenset[str], resolved: frozenset[str], *,
    send_resolved: bool, repeat_interval: timedelta, now: datetime,
) -> str | None:  # fmt: skip
    """The reason to send, or None. An alert that fired and resolved before anybody was told stays untold."""
    if told is None:
        return FIRST if firing else None
    if not firing <= told.firing:
        return NEW_ALERTS if told.firing else FIRST
    if not firing:
        return ALL_RESOLVED if told.firing else None
    if send_resolved and not resolved <= told.resolved:
        return SOME_RESOLVED
    return REPEAT if now - told.sent_at >= repeat_interval else None
