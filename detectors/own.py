"""Detectors of your own: a function that an installed package registers by an entry point, asked for by `drift.own`.

    [project.entry-points."remora.detectors"]
    tail_share = "my_package.tails:tail_share"

It takes what a method of ours takes, `(reference: ColumnReference, current: ColumnWindow, parameters: Mapping)`, and
gives a `Result`; `parameters` are those of `drift.own.NAME`, with `min_samples` among them. An attribute `kinds` says of
which columns it can be asked: ("numeric",), ("categorical",) or, without it, both. `detectors.testing` tests it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from detectors.base import ColumnReference, ColumnWindow, FeatureMethod, Result
from remora.catalogue import OWN_DETECTORS
from remora.errors import UserError

__all__ = ["OwnDetector", "check_own", "kinds_of", "load_own", "method_of"]

OwnDetector = Callable[[ColumnReference, ColumnWindow, Mapping[str, Any]], Result]

_BOTH = ("numeric", "categorical")


@cache
def load_own(name: str) -> OwnDetector:
    """The function that is registered under this name. Raises UserError where there is none, or it cannot be loaded."""
    points = [point for point in entry_points(group=OWN_DETECTORS) if point.name == name]
    if not points:
        raise UserError(
            f"drift.own.{name}: no installed package registers it as an entry point of {OWN_DETECTORS}:"
            " install the package beside the server, or take the detector out of remora.yaml"
        )
    if len({point.value for point in points}) > 1:
        raise UserError(
            f"drift.own.{name}: two packages register it, {' and '.join(p.value for p in points)}"
        )
    try:
        found = points[0].load()
    except Exception as error:
        raise UserError(
            f"drift.own.{name}: {points[0].value} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise UserError(f"drift.own.{name}: {points[0].value} is no function")
    if unknown := set(kinds_of(found)) - set(_BOTH):
        raise UserError(
            f"drift.own.{name}: {points[0].value} has the kind {min(unknown)!r}: numeric or categorical"
        )
    return found  # type: ignore[no-any-return]  # what it gives is looked at when it gives it


def kinds_of(detector: Callable[..., Any]) -> tuple[str, ...]:
    """Of which kinds of column it can be asked."""
    return tuple(getattr(detector, "kinds", _BOTH))


def method_of(detector: OwnDetector, parameters: Mapping[str, Any]) -> FeatureMethod:
    """The detector as a method; what is no `Result` is a TypeError of its."""

    def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
        result = detector(reference, current, {"min_samples": min_samples, **parameters})
        if not isinstance(result, Result):
            raise TypeError(f"a detector gives a detectors.base.Result, not {type(result).__name__}")
        return result

    return judge


def check_own(names: Iterable[str]) -> None:
    """Raises UserError for the first that cannot be had: a server that starts has all of its detectors."""
    for name in names:
        load_own(name)
