"""A breaker per receiver: after five failures in a row it is left alone, then asked once in a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Breaker"]

FAILURES = 5
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=15)


@dataclass
class Breaker:
    """Closed, or open until `probe_at`; the attempt after that decides."""

    failures: int = 0
    pause: timedelta = FIRST_PAUSE
    probe_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.probe_at is not None

    def allows(self, wall: datetime) -> bool:
        """Whether an attempt may be made now."""
        return self.probe_at is None or wall >= self.probe_at

    def succeeded(self) -> None:
        self.failures, self.pause, self.probe_at = 0, FIRST_PAUSE, None

    def failed(self, wall: datetime) -> None:
        self.failures += 1
        if self.probe_at is not None:
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
        if self.failures >= FAILURES:
            self.probe_at = wall + self.pause
