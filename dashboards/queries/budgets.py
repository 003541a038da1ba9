"""What was spent of an objective's error budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from remora.config.slo import Slo, bad_share
from remora.tables import findings

__all__ = ["Spent", "spent"]

_UNKNOWN = ("could_not_compute", "labels_not_mature")


@dataclass(frozen=True)
class Spent:
    """Bad events among all of them; `bad` is a sum of shares, so it need not be whole."""

    bad: float
    events: int


def spent(connection: sa.Connection, slo: Slo, lengths: Sequence[timedelta]) -> dict[timedelta, Spent]:
    """Bad and all events in the last stretch of each length, up to the newest judged window; empty before the first."""
    whose = (
        findings.c.model == slo.model, findings.c.metric == slo.metric, findings.c.feature == (slo.feature or ""),
        findings.c.version == slo.version, findings.c.segment == slo.segment, findings.c.latest,
    )  # fmt: skip
    newest = connection.execute(
        sa.select(findings.c.window_end).where(*whose).order_by(findings.c.window_end.desc()).limit(1)
    ).scalar()
    if newest is None:
        return {}
    known = [*whose, findings.c.value.is_not(None), findings.c.verdict.not_in(_UNKNOWN)]
    if slo.label_coverage:
        known.append(findings.c.coverage >= slo.label_coverage)
    at_worst, at_best = (
        bad_share(slo.metric, 0.0),
        bad_share(slo.metric, 1.0),
    )  # a line through both is the share
    bad = findings.c.size * (at_worst + (at_best - at_worst) * findings.c.value)
    sums: list[sa.ColumnElement[Any]] = []
    for length in lengths:
        within = findings.c.window_end > newest - length
        sums += [sa.func.sum(sa.case((within, bad))), sa.func.sum(sa.case((within, findings.c.size)))]
    span = (findings.c.window_end > newest - max(lengths), findings.c.window_end <= newest)
    row = connection.execute(sa.select(*sums).where(*known, *span)).one()
    return {
        length: Spent(float(row[2 * at] or 0.0), int(row[2 * at + 1] or 0))
        for at, length in enumerate(lengths)
    }
