"""Lasting changes in a series, however small: sums that forget nothing until they are back at zero.

Each detector is a pure step: (what was kept, one standardised value) -> what is kept and whether it has come too high.
What is kept is plain JSON and lives in the finding of the window before, so any window can be judged again from it.

* `cusum` (Page 1954): the sum of what exceeds half a spread, never below zero. The change is dated at the last zero.
* `page_hinkley` (Hinkley 1971): how far the sum of the distances from the running mean lies above its lowest point.
* `e_process`: Shiryaev and Roberts's sum of likelihood ratios as an e-detector (Shin, Ramdas and Rinaldo 2024). With
  increments whose mean is at most 0 and whose tails are at most normal with variance 1, whatever they depend on, the
  time until it exceeds A is at least A windows on average: the average run length *is* the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

__all__ = ["CAP", "SLACK", "STEPS", "Watch", "cusum", "e_process", "page_hinkley"]

SLACK = 0.5  # spreads a window may lie above what is usual at no cost: best for a change of one spread
CAP = 3.0  # one window counts for so many at most: a lasting change needs more than one
_HIGHEST = 1e12
_WEIGHTS = (
    0.25,
    0.5,
    1.0,
    2.0,
)  # of the normal likelihood ratios that the e-process averages over: shifts in spreads


@dataclass(frozen=True)
class Watch:
    """What is kept from window to window. `since` is the first window of the present run, ISO; `windows` its length."""

    height: float = 0.0
    since: str = ""
    windows: int = 0
    effect: float = 0.0  # sum over the run, of what the caller counts
    memory: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for `details`."""
        return {
            "height": self.height, "since": self.since, "windows": self.windows, "effect": self.effect,
            "memory": list(self.memory),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """What `to_json` wrote; a new beginning where there is nothing."""
        if not data:
            return cls()
        return cls(data["height"], data["since"], data["windows"], data["effect"], tuple(data["memory"]))

    def run(self, height: float, start: str, effect: float, highest: float = _HIGHEST) -> Self:
        """One window later: a new run where the height is back at nothing."""
        if height <= 0:
            return replace(self, height=0.0, since="", windows=0, effect=0.0)
        return replace(
            self,
            height=min(height, highest),
            since=self.since or start,
            windows=self.windows + 1,
            effect=self.effect + effect,
        )


Step = Callable[[Watch, float, str, float, float], Watch]
"""(kept, standing, window's start, effect, limit) -> kept."""


def cusum(kept: Watch, standing: float, start: str, effect: float, limit: float) -> Watch:
    """Page's cumulative sum of standings above `SLACK`; it rises to twice the limit at most, so that it also ends."""
    return kept.run(kept.height + min(standing, CAP) - SLACK, start, effect, 2 * limit)


def page_hinkley(kept: Watch, standing: float, start: str, effect: float, limit: float) -> Watch:
    """The same against the running mean instead of what is usual: for a series whose usual value is not known."""
    count, mean = kept.memory or (0.0, 0.0)
    count += 1
    mean += (standing - mean) / count
    kept = replace(kept, memory=(count, mean))
    return kept.run(kept.height + min(standing - mean, CAP) - SLACK, start, effect, 2 * limit)


def e_process(kept: Watch, standing: float, start: str, effect: float, limit: float) -> Watch:
    """Shiryaev and Roberts's sum for each of several shifts; the height is their average.

    A sum of likelihood ratios has no zero that would date it: the run is that of Page's sum beside it.
    """
    *sums, beside = kept.memory or (0.0,) * (len(_WEIGHTS) + 1)
    grown = [
        min((one + 1) * math.exp(min(50.0, weight * standing - weight * weight / 2)), 100 * limit)
        for weight, one in zip(_WEIGHTS, sums, strict=True)
    ]
    beside = max(0.0, beside + min(standing, CAP) - SLACK)
    return replace(kept.run(beside, start, effect), height=sum(grown) / len(grown), memory=(*grown, beside))


STEPS: dict[str, Step] = {"cusum": cusum, "page_hinkley": page_hinkley, "e_process": e_process}
