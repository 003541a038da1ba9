"""Do the features still hang together as they did? The error of reconstructing rows from the reference's components.

Principal components of one half of the reference's rows, as many as hold 65 % of the variance (as NannyML takes), and
the error of the other half as what is usual. A window whose rows have another error broke with how features go together,
be each one of them as ever; one that moved along the components has not. Errors are compared by their means (Welch 1947).
"""

from __future__ import annotations

import math

import numpy as np

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Result, unknown
from detectors.chance import Z_OF_CHANCE
from detectors.methods.encoding import Encoded, Floats

__all__ = ["HELD", "METRIC", "judge"]

METRIC = "reconstruction_error"
HELD = 0.65


def judge(rows: Encoded, min_samples: int, minimum_effect: float) -> Result:
    """The window's mean error over the reference's; `effect` is how far it moved, in spreads of a row's error."""
    there, here = len(rows.reference), len(rows.current)
    if min(there // 2, here) < min_samples:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No reconstruction error: {here} rows of the window and {there} of the reference's sample are kept, {min_samples} and twice as many are needed: keep more of them, or choose longer windows.",
            here,
            reference_size=there,
        )
    errors = _errors(rows)
    if errors is None:
        return unknown(
            NOT_ENOUGH_DATA,
            "No reconstruction error: fewer than two features vary, so none can go together with another.",
            here,
            reference_size=there,
        )
    usual, found = errors
    mean, spread = float(usual.mean()), float(usual.std(ddof=1))
    moved = float(found.mean()) - mean
    chance = math.sqrt(float(usual.var(ddof=1)) / len(usual) + float(found.var(ddof=1)) / here)
    needed = max(Z_OF_CHANCE * chance, minimum_effect * spread)
    alarm = abs(moved) > needed
    if alarm:
        what = "features do not go together as they did: see which of them was computed or joined otherwise"
    else:
        what = "features go together as they did"
    return Result(
        1 + moved / mean,
        ALARM if alarm else OK,
        f"The error of reconstruction is {1 + moved / mean:.2f} times the reference's, more than {needed / mean:.2f} off one would be an alarm: {what}.",
        here,
        max(0.0, 1 + (moved - 1.96 * chance) / mean),
        1 + (moved + 1.96 * chance) / mean,
        1.0,
        1 + needed / mean,
        len(usual),
        effect=moved / spread if spread > 0 else None,
    )


def _errors(rows: Encoded) -> tuple[Floats, Floats] | None:
    """Each row's error, of the reference's second half and of the window; None where nothing can be reconstructed."""
    learn, check = rows.reference[::2], rows.reference[1::2]
    center, spread = learn.mean(axis=0), learn.std(axis=0)
    varies = spread > 0
    if int(varies.sum()) < 2:
        return None

    def scaled(values: Floats) -> Floats:
        return np.asarray((values[:, varies] - center[varies]) / spread[varies])

    _, sizes, axes = np.linalg.svd(scaled(learn), full_matrices=False)
    held = np.cumsum(np.square(sizes)) / np.square(sizes).sum()
    kept = axes[: min(int(np.searchsorted(held, HELD)) + 1, len(axes) - 1)]

    def error(values: Floats) -> Floats:
        found = scaled(values)
        return np.asarray(np.linalg.norm(found - found @ kept.T @ kept, axis=1))

    usual, current = error(check), error(rows.current)
    return (usual, current) if usual.mean() > 0 else None
