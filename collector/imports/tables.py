"""Rows of CSV, Parquet and JSON lines of one's own: `models.NAME.table` says which column is what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from collector.formats.documents import cell
from collector.imports.base import Context, Found, Place, instant, number
from collector.tidy import tidy_features, tidy_prediction, tidy_scores, tidy_version
from remora.config.models import Table
from remora.records import MAX_NAME, Label, Prediction, check_label, check_prediction

__all__ = ["USUAL", "TableRows", "row_with"]

# What columns are called when nobody says: the first that is there.
USUAL: dict[str, tuple[str, ...]] = {
    "id": ("id", "prediction_id", "request_id", "inference_id"),
    "timestamp": ("timestamp", "time", "event_time", "datetime"),
    "prediction": ("prediction", "predicted", "y_pred"),
    "scores": ("probability", "scores", "score", "y_score", "y_pred_proba"),
    "latency_ms": ("latency_ms",),
    "status": ("status", "status_code"),
    "version": ("version", "model_version"),
    "label": ("label", "target", "truth", "y_true"),
}

_INDEX = {"", "__index_level_0__"}  # what pandas calls an index without a name


def row_with(context: Context, table: Table, version: str) -> Context:
    """The same run with another table and version."""
    return replace(
        context, table=table, capture=replace(context.capture, version=version or context.capture.version)
    )


class TableRows:
    """See `collector.imports.base.Source`."""

    name = "table"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._columns: dict[str, str] = {}
        self._seen: frozenset[str] = frozenset()

    def recognises(self, item: dict[str, Any]) -> bool:  # noqa: ARG002
        """Any row: asked last."""
        return True

    def missing(self, names: Iterable[str]) -> str | None:
        """What the configuration names and no row has, or None."""
        known = set(names)
        table = self._context.table
        wanted = [*(getattr(table, key) for key in USUAL), *(table.features or []), *table.tags]
        strange = next((name for name in wanted if name and name not in known), None)
        if strange is None:
            return None
        return f"there is no column {strange!r}; there are: {', '.join(sorted(known)[:20])}"

    def records(self, item: dict[str, Any], place: Place) -> Found:
        if frozenset(item) != self._seen:
            self._learn(item)
        when = self._when(item)
        if isinstance(when, str):
            return when
        label = self._label(item, place, when)
        if isinstance(label, str):
            return label
        if self._context.labels_only:
            return [label] if label else "has no label"
        row = self._prediction(item, place, when)
        if isinstance(row, str):
            return row
        return [row, label] if label else [row]

    def _learn(self, item: Mapping[str, Any]) -> None:
        self._seen = frozenset(item)
        table = self._context.table
        found = {
            key: getattr(table, key) or next((name for name in names if name in item), "")
            for key, names in USUAL.items()
        }
        self._columns = {key: name for key, name in found.items() if name}

    def _value(self, item: Mapping[str, Any], key: str) -> Any:
        """As it is written; None where it is not there, also in CSV."""
        value = item.get(self._columns[key]) if key in self._columns else None
        return None if isinstance(value, str) and not value.strip() else value

    def _key(self, item: Mapping[str, Any], place: Place) -> str:
        value = self._value(item, "id")
        return place.id if value is None else str(value).strip()

    def _when(self, item: Mapping[str, Any]) -> datetime | str:
        told = self._value(item, "timestamp")
        if told is None:
            missing = (
                "has no time: name its column under table.timestamp, or give --timestamp now or an instant"
            )
            return self._context.when or missing
        column = self._columns["timestamp"]
        wrong = f"has a time in `{column}` that is neither RFC 3339 nor a number since 1970"
        return instant(told, self._context.zone) or wrong

    def _prediction(self, item: Mapping[str, Any], place: Place, when: datetime) -> Prediction | str:
        capture = self._context.capture
        latency, status = number(self._value(item, "latency_ms")), number(self._value(item, "status"))
        row = Prediction(
            model=capture.model,
            id=self._key(item, place),
            timestamp=when,
            version=tidy_version(self._value(item, "version"), capture.version),
            features=tidy_features(self._features(item, place)),
            prediction=tidy_prediction(_read(self._value(item, "prediction"), place)),
            scores=tidy_scores(_read(self._value(item, "scores"), place)),
            latency_ms=latency,
            status=200 if status is None else int(status),
            tags={
                name: str(item[name])[:MAX_NAME]
                for name in self._context.table.tags
                if item.get(name) not in {None, ""}
            },
        )
        return check_prediction(row) or row

    def _features(self, item: Mapping[str, Any], place: Place) -> dict[str, Any]:
        table = self._context.table
        if table.features is not None:
            return {name: _read(item.get(name), place) for name in table.features}
        taken = {*self._columns.values(), *table.tags, *_INDEX}
        return {name: _read(value, place) for name, value in item.items() if name not in taken}

    def _label(self, item: Mapping[str, Any], place: Place, when: datetime) -> Label | str | None:
        value = _read(self._value(item, "label"), place)
        if value is None:
            return None
        if not isinstance(value, str | int | float):
            return "has a label that is neither text, number nor true or false"
        model = self._context.capture.model
        label = Label(model=model, id=self._key(item, place), label=value, timestamp=when)
        return check_label(label) or label

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()


def _read(value: Any, place: Place) -> Any:
    """A value as JSON knows it: the cells of CSV, and the types that Parquet has beyond JSON's."""
    if isinstance(value, str):
        return cell(value) if place.as_text else value
    if isinstance(value, dict):
        return {str(name): _read(inner, place) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_read(inner, place) for inner in value]
    return next((turn(value) for kind, turn in _TURNED if isinstance(value, kind)), value)


_TURNED: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Decimal, float),
    (date, lambda value: value.isoformat()),  # a datetime is one, and writes itself
    (time, time.isoformat),
    (timedelta, timedelta.total_seconds),
    (bytes, lambda value: {"bytes": len(value)}),  # as of any binary value its size is kept
)
