"""The references that are stored: which there are, where they come from, and which one is active."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from detectors.errors import ReferenceFileError
from remora.tables import reference_columns, reference_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.database import Database

__all__ = ["activate", "columns_shown", "find", "listed"]

_SHOWN = [column for column in reference_sets.c if column.name != "sample"]


def listed(database: Database, model: str | None = None) -> Sequence[Any]:
    """Every reference without its sample, of one model or of all, the newest last."""
    query = sa.select(*_SHOWN).order_by(
        reference_sets.c.model, reference_sets.c.version, reference_sets.c.built_at, reference_sets.c.id
    )
    if model is not None:
        query = query.where(reference_sets.c.model == model)
    with database.read() as connection:
        return connection.execute(query).all()


def find(database: Database, wanted: str, model: str | None = None) -> Any:
    """The reference of an id or its beginning, or of a name, `training` or `training@3`; the newest of several.

    Raises `ReferenceFileError`.
    """
    known = listed(database, model)
    name, _, number = wanted.partition("@")
    found = [row for row in known if row.id == wanted]
    if not found and re.fullmatch(r"[0-9a-f]{6,}", wanted):
        found = [row for row in known if row.id.startswith(wanted)]
        if len(found) > 1:
            raise ReferenceFileError(f"several references begin with {wanted}: give more of the id")
    if not found:
        found = [row for row in known if row.name == name and number in {"", str(row.number)}]
        if len({(row.model, row.version) for row in found}) > 1:
            raise ReferenceFileError(f"several models or versions have a reference {wanted}: give its id")
    if not found:
        raise ReferenceFileError(f"there is no reference {wanted}: `remora reference list` shows them")
    return found[-1]


def activate(database: Database, reference: Any) -> None:
    """Compare with this one from now on, instead of the one that is active of its model and version."""
    same = (reference_sets.c.model == reference.model) & (reference_sets.c.version == reference.version)
    with database.write() as connection:
        connection.execute(
            sa.update(reference_sets).where(same).values(active=reference_sets.c.id == reference.id)
        )


def columns_shown(database: Database, reference_id: str) -> Sequence[Any]:
    """Name, kind, summary of a reference's columns, and what was learnt of each."""
    shown = ("column_name", "kind", "data", "calibration")
    query = sa.select(*(reference_columns.c[name] for name in shown))
    with database.read() as connection:
        return connection.execute(
            query.where(reference_columns.c.reference_id == reference_id).order_by(
                reference_columns.c.column_name
            )
        ).all()
