"""Why the score or the performance moved: features by drift times influence, segments by their part of the loss.

Pure. A feature whose mean moves by d of its standard deviations takes a score, of which it explains the share r² among
the reference's rows, about |r| · d of the score's along; features are ranked by that product, each as if it moved alone.
It is a signal of where to look first, not a proof: features that move together share one cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MOST", "Lost", "rank_features", "rank_segments"]

MOST = 5
_LEAST = 0.01  # a share below this is no lead
_ERRORS = 3.0  # standard errors by which a segment must lose more than the rest: they are many


@dataclass(frozen=True)
class Lost:
    """Labelled rows, the sum of their losses, and of the squares of those."""

    rows: float
    loss: float
    squares: float

    @property
    def mean(self) -> float:
        """The loss of a row."""
        return self.loss / self.rows if self.rows > 0 else 0.0

    @property
    def error(self) -> float:
        """The standard error of `mean`, rows being independent."""
        if self.rows <= 0:
            return 0.0
        return math.sqrt(max(0.0, self.squares / self.rows - self.mean**2) / self.rows)

    def without(self, other: Lost) -> Lost:
        """The other rows."""
        return Lost(self.rows - other.rows, self.loss - other.loss, self.squares - other.squares)


def rank_features(
    effects: Mapping[str, float], influence: Mapping[str, float], minimum_effect: float
) -> list[dict[str, Any]]:
    """At most `MOST` features as {feature, share, influence}, the largest share of the score's movement first.

    `effects` are in standard deviations, beyond chance; `influence` is the share of the score's variance that a feature
    explains in the reference. One that moved by less than `minimum_effect` takes part in the whole but is not named.
    """
    moved = {name: effects[name] * math.sqrt(influence[name]) for name in effects if influence.get(name)}
    whole = sum(moved.values())
    if whole <= 0:
        return []
    named = [
        {"feature": name, "share": round(part / whole, 3), "influence": round(influence[name], 4)}
        for name, part in sorted(moved.items(), key=lambda item: (-item[1], item[0]))
        if effects[name] >= minimum_effect and part / whole >= _LEAST
    ]
    return named[:MOST]


def rank_segments(whole: Lost, segments: Mapping[str, Lost], least_rows: int) -> list[dict[str, Any]]:
    """At most `MOST` segments as {segment, share, rows}: their shares of the loss and of the labelled rows.

    Only those that lose more per row than the rest by three standard errors, the largest excess first.
    """
    found = []
    for name, part in segments.items():
        rest = whole.without(part)
        if part.rows < least_rows or rest.rows < least_rows or whole.loss <= 0:
            continue
        if part.mean - rest.mean <= _ERRORS * math.hypot(part.error, rest.error):
            continue
        found.append((part.loss / whole.loss, part.rows / whole.rows, name))
    found.sort(key=lambda one: (one[1] - one[0], one[2]))
    return [
        {"segment": name, "share": round(share, 3), "rows": round(rows, 3)}
        for share, rows, name in found[:MOST]
    ]
