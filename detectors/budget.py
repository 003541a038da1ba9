"""How many false alarms a model may raise, and what that leaves for one look at one window.

A month has many windows, a window many features, a feature several metrics and segments. All of them share one
allowance. Half of it goes to single windows that lie far out and half to lasting changes; of the first half, one half
again is spent on the freak windows that the reference itself has (a blizzard), where it is long enough to have some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """`alarms` in every `period`, over everything that is watched of a model; `families` share it."""

    alarms: float
    period: timedelta
    families: int = 1

    def per_window(self, size: timedelta) -> float:
        """How probable an alarm of either kind may be in one quiet window, over all columns together."""
        return min(0.25, self.alarms * (size / self.period) / self.families / 2)

    def shared(self, families: int) -> Budget:
        """What each of so many families, such as segments, may spend of it."""
        return replace(self, families=self.families * families)

    def in_days(self, days: float) -> float:
        """False alarms that are allowed in so many days."""
        return self.alarms * days * timedelta(days=1) / self.period

    def __str__(self) -> str:
        what = "false alarm" if self.alarms == 1 else "false alarms"
        return f"{self.alarms:g} {what} in {self.period / timedelta(days=1):g} days"
