"""Make captured values fit a record: nothing that a model answered is lost because one value is odd."""

from __future__ import annotations

import math
from typing import Any

from collector import metrics
from remora.records import MAX_FEATURES, MAX_INTEGER, MAX_NAME, MAX_NUMBER, MAX_STRING

__all__ = ["tidy_features", "tidy_prediction", "tidy_scores", "tidy_version"]

_LONGEST_LIST = 64
_DEEPEST = 4


def tidy_features(features: dict[str, Any]) -> dict[str, Any]:
    """Flat features: objects become dotted names, short lists numbered ones; what does not fit is left out, counted."""
    flat: dict[str, Any] = {}
    _flatten("", features, flat, 0)
    return flat


def _flatten(name: str, value: Any, flat: dict[str, Any], depth: int) -> None:
    if isinstance(value, dict | list):
        if depth > _DEEPEST or (isinstance(value, list) and len(value) > _LONGEST_LIST):
            metrics.CAPTURE_TRIMMED.inc()
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            _flatten(f"{name}.{key}" if name else str(key), inner, flat, depth + 1)
    elif len(flat) >= MAX_FEATURES or not _usable(name):
        metrics.CAPTURE_TRIMMED.inc()
    else:
        flat[name] = _scalar(value, MAX_STRING)


def _usable(name: str) -> bool:
    return bool(name) and len(name) <= MAX_NAME and not name.startswith("$") and name.isprintable()


def _scalar(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        clean = value.replace("\x00", "")[:longest].encode("utf-8", "replace").decode()
        if clean != value:
            metrics.CAPTURE_TRIMMED.inc()
        return clean
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        return float(value) if abs(value) < 10**300 else None
    return value


def tidy_prediction(value: Any) -> str | int | float | bool | None:
    """The predicted value where it is one; a structure is left out, counted."""
    if isinstance(value, dict | list):
        metrics.CAPTURE_TRIMMED.inc()
        return None
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        metrics.CAPTURE_TRIMMED.inc()
        return None
    return _scalar(value, MAX_STRING)  # type: ignore[no-any-return]


def tidy_scores(value: Any) -> float | dict[str, float] | None:
    """A number, or one per class; a list is numbered. Whatever else is left out, counted."""
    if value is None:
        return None
    if _is_score(value):
        return float(value)
    if isinstance(value, list):
        value = {str(index): score for index, score in enumerate(value)}
    if isinstance(value, dict) and len(value) <= MAX_FEATURES and all(map(_is_score, value.values())):
        return {str(name)[:MAX_NAME]: float(score) for name, score in value.items()}
    metrics.CAPTURE_TRIMMED.inc()
    return None


def _is_score(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_NUMBER


def tidy_version(value: Any, otherwise: str) -> str:
    """The version that an answer names, else the one that is configured."""
    if value is None or isinstance(value, dict | list | bool):
        return otherwise
    text = str(value)[:MAX_NAME]
    return text if text and text.isprintable() else otherwise
