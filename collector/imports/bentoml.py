"""BentoML's monitoring files: lines of data, and lines of schema that say which column is what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collector.imports.base import Context, Found, Place
from collector.imports.tables import TableRows, row_with
from remora.config.models import Table

__all__ = ["BentoMonitor"]

_ROLES = {"feature", "prediction", "target"}
_OWN = {"timestamp", "request_id", "trace_id"}


class BentoMonitor:
    """See `collector.imports.base.Source`. Schema files are read first, wherever they lie."""

    name = "bentoml"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows: TableRows | None = None

    def recognises(self, item: dict[str, Any]) -> bool:
        return ("meta_data" in item and "columns" in item) or {"request_id", "trace_id", "timestamp"} <= set(
            item
        )

    def records(self, item: dict[str, Any], place: Place) -> Found:
        if "meta_data" in item and isinstance(item.get("columns"), list):
            return self._learn(item["columns"], item["meta_data"])
        if self._rows is None:
            return "comes without a line of schema: import the schema's folder, too"
        return self._rows.records(item, place)

    def _learn(self, columns: list[Any], meta: Any) -> Found:
        roles: dict[str, list[str]] = {role: [] for role in _ROLES}
        for column in columns:
            if not isinstance(column, dict) or column.get("role") not in _ROLES:
                return "has a column without one of the roles feature, prediction and target"
            roles[column["role"]].append(str(column.get("name", "")))
        table = Table(
            id="request_id",
            timestamp="timestamp",
            features=roles["feature"],
            prediction=next(iter(roles["prediction"]), None),
            label=next(iter(roles["target"]), None),
        )
        version = str(meta.get("bento_version") or "") if isinstance(meta, dict) else ""
        self._rows = TableRows(row_with(self._context, table, version))
        return []

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()
