"""How often somebody may ask: a bucket of tokens for each, filled at a steady rate (the token bucket of RFC 2697)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Rates"]

_MOST = 10_000  # callers that are remembered: the one that was silent longest is forgotten, and begins anew


@dataclass
class _Bucket:
    left: float
    at: float


class Rates:
    """`rate` requests a second for each key, and `burst` at once; a rate of 0 is no limit."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """0.0 where the request may pass, else the seconds until it may; `now` is in seconds of a steady clock."""
        if self.rate <= 0:
            return 0.0
        bucket = self._buckets.setdefault(key, _Bucket(self.burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        bucket.left = min(self.burst, bucket.left + max(0.0, now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.left < 1:
            return (1 - bucket.left) / self.rate
        bucket.left -= 1
        return 0.0
