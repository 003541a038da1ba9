"""Which values of a segment are watched apart: the first hundred that come; all later ones are `__other__`.

The table `segments` decides, so every collector of a database decides alike and a value stays where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from collector import metrics, queries
from remora.summaries.profile import CROSSING, others_of

__all__ = ["MOST_VALUES", "placing"]

MOST_VALUES: Final = 100  # of one tag or feature, or of one crossing of two

Place = Callable[[str, str], str]


def placing(connection: sa.Connection, found: Iterable[tuple[str, str]], now: datetime) -> Place:
    """Where a model's segment is counted, for all these (model, segment); the segments that are new get their places."""
    wanted = sorted({(model, segment) for model, segment in found if segment})
    if not wanted:
        return _as_it_is
    known = queries.segments_known(connection, {model for model, _ in wanted})
    taken = Counter((model, _of(segment)) for model, segments in known.items() for segment in segments)
    new, folded = [], {}
    for model, segment in wanted:
        if segment in known[model]:
            continue
        if taken[model, _of(segment)] < MOST_VALUES:
            taken[model, _of(segment)] += 1
            new.append({"model": model, "segment": segment, "first_seen": now})
        else:
            folded[model, segment] = others_of(segment)
    queries.insert_segments(connection, new)
    metrics.FOLDED.inc(len(folded))
    return lambda model, segment: folded.get((model, segment), segment)


def _as_it_is(_model: str, segment: str) -> str:
    return segment


def _of(segment: str) -> str:
    """The names that a segment is made of: `country*device`."""
    return CROSSING.join(part.split("=", 1)[0] for part in segment.split(CROSSING))
