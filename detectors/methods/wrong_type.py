"""Share of the values that are of another type than the reference's: text where it has numbers, or numbers for names.

What is missing counts for neither. One such value in a hundred is an alarm: a number that is sent as text is not
rare by chance, somebody writes it so.
"""

from __future__ import annotations

from detectors.base import (
    ALARM,
    NOT_ENOUGH_DATA,
    OK,
    ColumnReference,
    ColumnWindow,
    Result,
    unknown,
    wilson,
)

__all__ = ["MINIMUM_EFFECT", "judge"]

MINIMUM_EFFECT = 0.01  # a share of the values
_CALLED = {"numeric": "numbers", "categorical": "categories"}


def judge(reference: ColumnReference, current: ColumnWindow, min_samples: int) -> Result:
    """The share of a window's values that are not of the reference's kind."""
    counts = {kind: summary.count if (summary := current.of_kind(kind)) else 0 for kind in _CALLED}
    size = sum(counts.values())
    if size < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No share of another type: {size} values, {min_samples} are needed: wait, or choose longer windows.",
            size,
            reference_size=reference.summary.count,
        )
    wrong = size - counts[reference.kind]
    value = wrong / size
    alarm = value > MINIMUM_EFFECT
    said = f"{value:.1%} of the values are not {_CALLED[reference.kind]}, as all are in the reference"
    if alarm:
        said += ": see who sends them, or state the feature's kind in remora.yaml"
    return Result(
        value,
        ALARM if alarm else OK,
        f"{said}. The threshold {MINIMUM_EFFECT:.1%} is the minimum effect.".replace("%", " %"),
        size,
        *wilson(wrong, size),
        0.0,
        MINIMUM_EFFECT,
        reference.summary.count,
    )
