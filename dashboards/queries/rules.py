"""What is known of the rules: their alerts, the silences over them, how many false alarms their findings expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from remora.tables import alerts, silences

__all__ = ["by_rule", "newest_silences"]

Rows = Sequence[Any]


def by_rule(connection: sa.Connection) -> Rows:
    """(rule, state, number, fired_at): how many alerts of each rule are in each state, and when the last one fired."""
    query = sa.select(
        alerts.c.rule,
        alerts.c.state,
        sa.func.count().label("number"),
        sa.func.max(alerts.c.fired_at).label("fired_at"),
    ).group_by(alerts.c.rule, alerts.c.state)
    return connection.execute(query.limit(5000)).all()


def newest_silences(connection: sa.Connection) -> Rows:
    """Silences, those that end last first."""
    return connection.execute(
        sa.select(silences).order_by(silences.c.ends_at.desc(), silences.c.id).limit(300)
    ).all()
