"""How large errors are to be expected, feature by feature: an additive model of the loss over the reference's bins.

The loss of a row is the mean plus what each of its bins adds: ridge regression on indicator columns, one per bin and
one for "missing". Being additive it needs no rows to be applied: the mean loss of a window follows from the share of
its rows in each bin, which its summaries have. Two losses are learnt, the absolute and the squared error.

How well the model is known is said by `DRAWS` repetitions of the multiplier bootstrap (Mammen 1993), which lets the
spread of errors differ from row to row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "MIN_LABELLED", "LossModel", "fit_losses"]

DRAWS = 32
MIN_LABELLED = 200
_MOST_ROWS = 50_000
_MOST_BINS = 600
_PENALTY = 1.0  # as if one more row in each bin had the mean loss
_CHUNK = 4096

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class LossModel:
    """What each bin adds to the two mean losses.

    `mean` and `spread` (variance of a row around what is expected) have shape (2,), `explained` is the adjusted R² of
    the absolute error. By feature: `counts` the reference's rows per bin, shape (bins,), the last one of missing
    values, and `effects` of shape (1 + DRAWS, 2, bins): the estimate and then each repetition. `shifts` has shape
    (1 + DRAWS, 2): what each repetition makes of the mean.
    """

    rows: int
    mean: Floats
    spread: Floats
    explained: float
    shifts: Floats
    counts: Mapping[str, Floats]
    effects: Mapping[str, Floats]

    def expected(self, shares: Mapping[str, Floats]) -> Floats:
        """The mean losses of a window with these shares per bin, shape (1 + DRAWS, 2)."""
        found = self.mean + self.shifts
        for name, effects in self.effects.items():
            usual = self.counts[name] / self.counts[name].sum()
            found = found + effects @ (shares[name] - usual)
        return np.asarray(found)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; effects rounded to five digits."""
        return {
            "rows": self.rows, "mean": self.mean.tolist(), "spread": self.spread.tolist(), "explained": self.explained,
            "shifts": _short(self.shifts), "counts": {name: found.tolist() for name, found in self.counts.items()},
            "effects": {name: _short(found) for name, found in self.effects.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(
            data["rows"], np.array(data["mean"]), np.array(data["spread"]), data["explained"], np.array(data["shifts"]),
            {name: np.array(found) for name, found in data["counts"].items()},
            {name: np.array(found) for name, found in data["effects"].items()},
        )  # fmt: skip


def fit_losses(codes: Mapping[str, Codes], bins: Mapping[str, int], errors: Floats) -> LossModel | None:
    """Learn from labelled rows: the bin of each feature, shape (rows,), below `bins`, and predicted minus actual.

    None where fewer than `MIN_LABELLED` rows have an error.
    """
    there = np.flatnonzero(np.isfinite(errors))
    if len(there) < MIN_LABELLED:
        return None
    if len(there) > _MOST_ROWS:
        there = np.sort(np.random.default_rng(0).choice(there, _MOST_ROWS, replace=False))
    losses = np.stack([np.abs(errors[there]), np.square(errors[there])], axis=1)
    kept = {name: codes[name][there] for name in codes}
    return _fit({name: kept[name] for name in _telling(kept, bins, losses[:, 0])}, bins, losses)


def _telling(codes: Mapping[str, Codes], bins: Mapping[str, int], loss: Floats) -> list[str]:
    """The features between whose bins the loss differs most, as many as `_MOST_BINS` have room for."""

    def between(name: str) -> float:
        rows = np.bincount(codes[name], minlength=bins[name])
        sums = np.bincount(codes[name], weights=loss - loss.mean(), minlength=bins[name])
        return float((np.square(sums) / np.maximum(rows, 1)).sum()) / bins[name]

    taken, room = [], _MOST_BINS
    for name in sorted(codes, key=lambda name: (-between(name), name)):
        if bins[name] <= room:
            taken.append(name)
            room -= bins[name]
    return sorted(taken)


def _fit(codes: Mapping[str, Codes], bins: Mapping[str, int], losses: Floats) -> LossModel:
    rows, width = len(losses), sum(bins[name] for name in codes)
    starts = dict(zip(codes, np.cumsum([0, *(bins[name] for name in codes)]), strict=False))
    at = (
        np.stack([codes[name] + starts[name] for name in codes], axis=1)
        if codes
        else np.zeros((rows, 0), int)
    )
    counts = np.bincount(at.ravel(), minlength=width).astype(float)
    usual, mean = counts / rows, losses.mean(axis=0)
    gram, moment = np.zeros((width, width)), np.zeros((width, 2))
    for part in _chunks(rows):
        design = _design(at[part], usual)
        gram += design.T @ design
        moment += design.T @ (losses[part] - mean)
    inverse = np.linalg.inv(gram + _PENALTY * np.eye(width))
    effects = inverse @ moment
    rng, pulls, shifts = np.random.default_rng(0), np.zeros((DRAWS, 2, width)), np.zeros((DRAWS, 2))
    left = np.zeros(2)
    for part in _chunks(rows):
        design = _design(at[part], usual)
        residual = losses[part] - mean - design @ effects
        left += np.square(residual).sum(axis=0)
        weighted = rng.standard_normal((DRAWS, len(residual)))[:, None, :] * residual.T
        pulls += weighted @ design
        shifts += weighted.sum(axis=2) / rows
    drawn = effects.T + pulls @ inverse
    every = np.concatenate([effects.T[None], drawn])
    parts = {name: slice(starts[name], starts[name] + bins[name]) for name in codes}
    spread = left / rows
    return LossModel(
        rows, mean, spread, _adjusted(losses[:, 0], left[0], width - len(codes)), np.vstack([np.zeros((1, 2)), shifts]),
        {name: counts[part] for name, part in parts.items()}, {name: every[:, :, part] for name, part in parts.items()},
    )  # fmt: skip


def _chunks(rows: int) -> list[slice]:
    return [slice(first, first + _CHUNK) for first in range(0, rows, _CHUNK)]


def _design(at: Codes, usual: Floats) -> Floats:
    """Indicators without their mean, shape (rows, bins)."""
    made = np.zeros((len(at), len(usual)))
    np.put_along_axis(made, at, 1.0, axis=1)
    return made - usual


def _adjusted(loss: Floats, left: float, degrees: int) -> float:
    """R² without what as many columns explain by chance (Wherry 1931), at least 0."""
    around = float(np.square(loss - loss.mean()).sum())
    free = len(loss) - degrees - 1
    if around <= 0 or free <= 0:
        return 0.0
    return float(max(0.0, 1 - left / free / (around / (len(loss) - 1))))


def _short(values: Floats) -> Any:
    """As nested lists, five significant digits each."""
    found = np.asarray(values, dtype=float)
    return np.array([float(f"{value:.5g}") for value in found.ravel()]).reshape(found.shape).tolist()
