"""The rows of a candidate and of the champion: which of them belong together, and how wrong each was."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from remora.archive import between
from remora.errors import UserError
from remora.summaries import PerformanceSummary
from remora.tables import versions

if TYPE_CHECKING:
    from pathlib import Path

    from remora.config.models import Model
    from remora.database import Database
    from remora.records import Label, Prediction

__all__ = ["Contest", "Entry", "Sides", "gather"]


@dataclass(frozen=True)
class Contest:
    """Who is compared on what, and what is allowed to the candidate.

    Rows belong together by the tag `pair`, or by their ids where the candidate is a model of its own, as a shadow or
    a backtest is. `margin` is a share of predictions, of a regression a share of the champion's error; the margin of
    the latency a share of the champion's p95.
    """

    model: str
    candidate: str
    champion: str | None = None
    candidate_model: str | None = None
    pair: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    margin: float = 0.01
    error_margin: float = 0.005
    latency_margin: float = 0.1
    confidence: float = 0.95
    min_rows: int = 100


@dataclass
class Entry:
    """What is kept in memory of one side."""

    failed: float = 0.0
    weights: list[float] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    losses: dict[str, tuple[float, float]] = field(default_factory=dict)  # key -> loss, weight
    waiting: dict[str, Prediction] = field(
        default_factory=dict
    )  # key -> answered, without a label of its own
    labels: dict[str, Label] = field(default_factory=dict)


@dataclass(frozen=True)
class Sides:
    """Both sides of a contest over one stretch of time; the names say model and version."""

    champion: str
    candidate: str
    start: datetime
    end: datetime
    before: Entry
    after: Entry


def gather(database: Database, settings: Model, contest: Contest, archive: Path | None) -> Sides:
    """Read both. Raises `UserError` where there is no such version, or none to compare it with."""
    rival = contest.candidate_model or contest.model
    with database.read() as connection:
        start, end = _stretch(connection, contest, rival)
        champion = contest.champion or _champion(connection, contest, rival, start, end)
        before, after = Entry(), Entry()
        for model in dict.fromkeys((contest.model, rival)):
            for row, label in between(connection, archive, model, start, end):
                if model == rival and row.version == contest.candidate:
                    _take(after, row, label, contest, settings)
                elif model == contest.model and row.version == champion:
                    _take(before, row, label, contest, settings)
    if not before.weights:
        raise UserError(
            f"no rows of {contest.model} {champion} are kept from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        )
    _share_labels(before, after, settings)
    return Sides(f"{contest.model} {champion}", f"{rival} {contest.candidate}", start, end, before, after)


def _stretch(connection: sa.Connection, contest: Contest, rival: str) -> tuple[datetime, datetime]:
    """Without times of its own a contest is over the candidate's whole life."""
    life = connection.execute(
        sa.select(versions.c.first_seen, versions.c.last_seen).where(
            versions.c.model == rival, versions.c.version == contest.candidate
        )
    ).one_or_none()
    if life is None:
        known = (
            sa.select(versions.c.version)
            .where(versions.c.model == rival)
            .order_by(versions.c.last_seen.desc())
        )
        found = (
            ", ".join(repr(name) for name in connection.execute(known.limit(10)).scalars()) or "none at all"
        )
        raise UserError(f"nothing was recorded of {rival} version {contest.candidate!r}; known are: {found}")
    start = contest.start or life.first_seen
    return start, contest.end or max(life.last_seen, start) + timedelta(microseconds=1)


def _champion(connection: sa.Connection, contest: Contest, rival: str, start: datetime, end: datetime) -> str:
    """The version that was seen last at that time, besides the candidate."""
    v = versions.c
    query = sa.select(v.version).where(v.model == contest.model, v.first_seen < end, v.last_seen >= start)
    if rival == contest.model:
        query = query.where(v.version != contest.candidate)
    found = connection.execute(query.order_by(v.last_seen.desc(), v.version).limit(1)).scalar_one_or_none()
    if found is None:
        raise UserError(
            f"no other version of {contest.model} answered while {contest.candidate!r} did: "
            "give --champion, and --from and --to for a time when it did"
        )
    return str(found)


def _take(side: Entry, row: Prediction, label: Label | None, contest: Contest, settings: Model) -> None:
    weight = 1 / row.sample
    side.weights.append(weight)
    if row.status >= 500:
        side.failed += weight
    elif row.latency_ms is not None:
        side.latencies.append((row.latency_ms, weight))
    key = row.tags.get(contest.pair) if contest.pair else row.id
    if row.status >= 400 or key is None:
        return
    if label is None:
        side.waiting[key] = row
    else:
        side.labels[key] = label
        _score(side, key, row, label.label, settings)


def _score(side: Entry, key: str, row: Prediction, label: Any, settings: Model) -> None:
    """1 for a wrong class, the distance of a number, 1 - NDCG of a ranking."""
    summary = PerformanceSummary()
    summary.add_row(label, row.prediction, row.scores, kind=settings.kind,
                    positive=settings.positive, top=settings.top)  # fmt: skip
    loss = (
        summary.errors[2]
        if summary.errors[0]
        else None
        if summary.accuracy is None
        else 1.0 - summary.accuracy
    )
    if summary.lists[0]:
        loss = 1.0 - summary.lists[1]
    if loss is not None:
        side.losses[key] = (loss, 1 / row.sample)


def _share_labels(mine: Entry, theirs: Entry, settings: Model) -> None:
    """What came true for one of a pair came true for the other."""
    for side, other in ((mine, theirs), (theirs, mine)):
        for key in side.waiting.keys() & other.labels.keys():
            _score(side, key, side.waiting[key], other.labels[key].label, settings)
