"""Azure Machine Learning's Model Data Collector: CloudEvents, a JSON line each; inputs and outputs in separate files.

Requests that come almost at once share one event and one correlation id, so ids of one's own stand in a column of the
data: `table.id` names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from collector.identity import usable
from collector.imports.base import Context, Found, Place, instant
from collector.imports.pairs import Pairs
from collector.imports.payloads import as_message, records_of
from remora.records import Label, Prediction

__all__ = ["AzureCollector"]

_REQUESTS = {"request", "inputs", "model_inputs"}
_ANSWERS = {"response", "outputs", "model_outputs"}
_PREFIX = "azureml.inference."


@dataclass(frozen=True)
class _Half:
    time: datetime
    data: Any
    version: str


class AzureCollector:
    """See `collector.imports.base.Source`."""

    name = "azure"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pairs: Pairs[_Half] = Pairs()

    def recognises(self, item: dict[str, Any]) -> bool:
        return str(item.get("type", "")).startswith(_PREFIX)

    def records(self, item: dict[str, Any], place: Place) -> Found:
        side = str(item.get("type", "")).removeprefix(_PREFIX)
        if side not in _REQUESTS | _ANSWERS:
            return f"is of a type other than {_PREFIX}{{request,response,inputs,model_inputs,model_outputs}}"
        if str(item.get("datainblob", "")).lower() == "true":
            return "has its data in a blob: download it and put it in its place"
        key = str(item.get("correlationid") or item.get("xrequestid") or item.get("id") or place.id)
        time = instant(item.get("time"), self._context.zone)
        if time is None:
            return "has no time, or one that is not RFC 3339"
        half = _Half(time, item.get("data"), str(item.get("modelversion") or ""))
        met = self._pairs.meet(key, place, half, is_request=side in _REQUESTS)
        if met is None:
            return []
        return met if isinstance(met, str) else self._joined(key, *met)

    def _joined(self, key: str, asked: _Half, answered: _Half | None) -> Found:
        request = as_message(asked.data)
        answer = as_message(answered.data) if answered else None
        wait = max(0.0, (answered.time - asked.time).total_seconds() * 1000) if answered else None
        found = records_of(self._context.capture, key, asked.time, request, answer, latency_ms=wait or None)
        column = self._context.table.id
        return found if isinstance(found, str) or column is None else _named(found, column)

    def rest(self) -> Iterable[tuple[Place, Found]]:
        for key, place, is_request, half in self._pairs.rest():
            yield (
                place,
                self._joined(key, half, None) if is_request else "is an answer whose request is not there",
            )


def _named(records: list[Prediction | Label], column: str) -> list[Prediction | Label]:
    """Rows with the ids that a column of theirs holds; the column is no feature then."""
    return [_with_id(one, column) if isinstance(one, Prediction) else one for one in records]


def _with_id(row: Prediction, column: str) -> Prediction:
    key = usable(row.features.get(column))
    features = {name: value for name, value in row.features.items() if name != column}
    return msgspec.structs.replace(row, id=key or row.id, features=features)
