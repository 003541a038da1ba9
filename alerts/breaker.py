"""A breaker per receiver, pure: after five failures in a row it is left alone, then asked once in a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

__all__ = ["DEGRADED_AFTER", "FAILURES", "Breaker"]

FAILURES = 5
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=15)
DEGRADED_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class Breaker:
    """Closed, or open until `probe_at`; the attempt after that decides."""

    failures: int = 0
    pause: timedelta = FIRST_PAUSE
    probe_at: datetime | None = None
    open_since: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.probe_at is not None

    def allows(self, wall: datetime) -> bool:
        """Whether an attempt may be made now."""
        return self.probe_at is None or wall >= self.probe_at

    def degraded(self, wall: datetime) -> bool:
        """Open for so long that a person should look at the receiver itself."""
        return self.open_since is not None and wall - self.open_since >= DEGRADED_AFTER

    def probing(self, until: datetime) -> Breaker:
        """While one process asks, the others wait: as long as its lease."""
        return replace(self, probe_at=until)

    def failed(self, wall: datetime, *, gone: bool = False) -> Breaker:
        """After one more failure. `gone`: the receiver says that it is there no more, so nobody counts to five."""
        failures = max(self.failures + 1, FAILURES if gone else 0)
        if failures < FAILURES:
            return replace(self, failures=failures)
        pause = LONGEST_PAUSE if gone else min(self.pause * 2, LONGEST_PAUSE) if self.is_open else self.pause
        return Breaker(failures, pause, wall + pause, self.open_since or wall)
