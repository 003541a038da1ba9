"""Make captured values fit a record: nothing that a model answered is lost because one value is odd.

What comes out passes `remora.records.check_prediction`; whatever is left out or cut short is counted by reason.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from collector import metrics
from remora.records import MAX_FEATURES, MAX_INTEGER, MAX_NAME, MAX_NUMBER, MAX_RANKED, MAX_STRING, Item

__all__ = ["tidy_features", "tidy_prediction", "tidy_ranking", "tidy_scores", "tidy_version", "trimmed"]

_LONGEST_LIST = 64
_DEEPEST = 4
_SCALARS = {float, str, int, bool, type(None)}


def trimmed(reason: str) -> None:
    """Count what was left out or cut."""
    metrics.CAPTURE_TRIMMED.labels(reason).inc()


def tidy_features(features: dict[str, Any]) -> dict[str, Any]:
    """Flat features: objects become dotted names, short lists numbered ones; what does not fit is left out, counted."""
    if _fits(features):
        return features  # the usual row: flat, of numbers and short texts
    flat: dict[str, Any] = {}
    _flatten("", features, flat, 0)
    return flat


def _fits(features: dict[str, Any]) -> bool:
    """Whether nothing is to be done; a look at all values at once where their types allow it: this is done for every row."""
    if len(features) > MAX_FEATURES or not _all_usable(tuple(features)):
        return False
    values = features.values()
    kinds = set(map(type, values))
    if kinds == {float}:
        return math.isfinite(sum(values))  # one that is not finite makes the sum so, too
    return kinds <= _SCALARS and all(map(_plain, values))


def _plain(value: object) -> bool:
    kind = type(value)
    if kind is float:
        return -math.inf < value < math.inf  # type: ignore[operator]
    if kind is str:
        return len(value) <= MAX_STRING and value.isascii() and "\x00" not in value  # type: ignore[arg-type,attr-defined,operator]
    return kind is not int or -MAX_INTEGER <= value < MAX_INTEGER  # type: ignore[operator]


def _flatten(name: str, value: dict[str, Any], flat: dict[str, Any], depth: int) -> None:
    """An object's values under dotted names. One that is flat itself, the usual one, is taken as a whole."""
    if len(flat) + len(value) <= MAX_FEATURES and _fits(value):
        names = _under(name, tuple(value)) if name else value
        if names is not None:
            flat.update(zip(names, value.values(), strict=True))
            return
    for key, inner in value.items():
        _take(f"{name}.{key}" if name else str(key), inner, flat, depth + 1)


def _take(name: str, value: Any, flat: dict[str, Any], depth: int) -> None:
    """One value, whatever it is."""
    if isinstance(value, list):
        if depth > _DEEPEST or len(value) > _LONGEST_LIST:
            trimmed("depth" if depth > _DEEPEST else "list")
            return
        for index, inner in enumerate(value):
            _take(f"{name}.{index}", inner, flat, depth + 1)
    elif isinstance(value, dict):
        if depth > _DEEPEST:
            trimmed("depth")
            return
        _flatten(name, value, flat, depth)
    elif len(flat) >= MAX_FEATURES:
        trimmed("features")
    elif not _usable(name):
        trimmed("name")
    else:
        flat[name] = _scalar(value)


@lru_cache(maxsize=8192)
def _usable(name: str) -> bool:
    return bool(name) and len(name) <= MAX_NAME and not name.startswith("$") and name.isprintable()


@lru_cache(maxsize=256)
def _all_usable(names: tuple[str, ...]) -> bool:
    """Of a row's names together: the rows of a model have the same ones."""
    return all(map(_usable, names))


@lru_cache(maxsize=256)
def _under(name: str, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """The dotted names of an object's values; None where one of them cannot be used."""
    dotted = tuple(f"{name}.{key}" for key in names)
    return dotted if all(map(_usable, dotted)) else None


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        clean = value.replace("\x00", "")[:MAX_STRING].encode("utf-8", "replace").decode()
        if clean != value:
            trimmed("text")
        return clean
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        return float(value) if abs(value) < 10**300 else None
    return value


def tidy_prediction(value: Any) -> str | int | float | bool | None:
    """The predicted value where it is one; a structure is left out, counted."""
    if isinstance(value, dict | list):
        trimmed("prediction")
        return None
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        trimmed("prediction")
        return None
    return _scalar(value)  # type: ignore[no-any-return]


def tidy_ranking(value: Any) -> list[Item] | None:
    """The items of a ranked list, as many as are kept; one item is a list of one. Whatever else is left out, counted."""
    items = value if isinstance(value, list) else [value]
    kept = [item for item in items if _is_item(item)][:MAX_RANKED]
    if len(kept) != len(items):
        trimmed("prediction")
    return kept or None


def _is_item(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and len(value) <= MAX_NAME and value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool) and -MAX_INTEGER <= value < MAX_INTEGER


def tidy_scores(value: Any) -> float | dict[str, float] | None:
    """A number, or one per class; a list is numbered. Whatever else is left out, counted."""
    if value is None:
        return None
    if _is_score(value):
        return float(value)
    if isinstance(value, list):
        value = {str(index): score for index, score in enumerate(value)}
    if isinstance(value, dict) and len(value) <= MAX_FEATURES and all(map(_is_score, value.values())):
        scores = {str(name)[:MAX_NAME]: float(score) for name, score in value.items()}
        if all(name and name.isprintable() for name in scores):
            return scores
    trimmed("scores")
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
