"""From a row, however it is written, to named features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.errors import UnreadableError

__all__ = ["columns_to_rows", "features_of", "same_length"]


def features_of(row: Any, columns: Sequence[str]) -> dict[str, Any]:
    """Named features of a row; the values of a list get the names of `columns`, or f0, f1, ..."""
    if isinstance(row, dict):
        return {name: _without_binary(value) for name, value in row.items()} if _binary_in(row) else row
    if isinstance(row, list):
        if len(row) == 1 and isinstance(row[0], list):  # a batch of one inside a batch
            return features_of(row[0], columns)
        names = columns if len(columns) == len(row) else [f"f{index}" for index in range(len(row))]
        return dict(zip(names, row, strict=True))
    if row is None:
        return {}
    return {columns[0] if len(columns) == 1 else "value": row}


def _binary_in(row: dict[str, Any]) -> bool:
    return any(isinstance(value, dict) and len(value) == 1 and "b64" in value for value in row.values())


def _without_binary(value: Any) -> Any:
    """Of an image or a serialised example `{"b64": ...}` its size in bytes is kept, not its content."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str):
        text = value["b64"]
        return {"bytes": len(text) * 3 // 4 - text[-2:].count("=")}
    return value


def columns_to_rows(columns: dict[str, Any], reason: str) -> list[dict[str, Any]]:
    """`{"a": [1, 2], "b": [3, 4]}` as rows; a column of one value holds for all. Raises UnreadableError."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
    count = same_length(lists.values(), reason)
    return [
        {name: values[index if len(values) > 1 else 0] for name, values in lists.items()}
        for index in range(count)
    ]


def same_length(values: Any, reason: str) -> int:
    """The one length of lists; those of length 1 fit any. Raises UnreadableError where they differ."""
    lengths = {len(value) for value in values}
    count = max(lengths, default=0)
    if not count or lengths - {1, count}:
        raise UnreadableError(reason)
    return count
