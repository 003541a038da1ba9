"""What the detectors ask the database about references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from remora.tables import reference_columns, reference_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["active_references", "calibration_of", "columns_of", "replace_reference"]


def active_references(connection: sa.Connection, model: str) -> dict[str, str]:
    """The id of each version's active reference; version '' serves the others."""
    query = sa.select(reference_sets.c.version, reference_sets.c.id).where(
        reference_sets.c.model == model, reference_sets.c.active
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def calibration_of(connection: sa.Connection, reference_id: str) -> dict[str, Any]:
    """What all columns of a reference share."""
    query = sa.select(reference_sets.c.calibration).where(reference_sets.c.id == reference_id)
    return dict(connection.execute(query).scalar_one())


def columns_of(connection: sa.Connection, reference_id: str) -> list[Any]:
    """Rows of `reference_columns`."""
    return list(
        connection.execute(
            sa.select(reference_columns).where(reference_columns.c.reference_id == reference_id),
        ),
    )


def replace_reference(
    connection: sa.Connection, reference: dict[str, Any], columns: Sequence[dict[str, Any]]
) -> None:
    """Store a reference and make it the active one of its model and version."""
    same = (reference_sets.c.model == reference["model"]) & (reference_sets.c.version == reference["version"])
    connection.execute(sa.update(reference_sets).where(same).values(active=False))
    highest = sa.select(sa.func.coalesce(sa.func.max(reference_sets.c.number), 0))
    number = connection.execute(highest.where(same, reference_sets.c.name == reference["name"])).scalar_one()
    connection.execute(sa.insert(reference_sets), [{**reference, "number": number + 1}])
    connection.execute(sa.insert(reference_columns), list(columns))
