"""What a score means: the share of the reference's labelled rows with that score for which it came true.

Three maps are tried, and the one with the lowest log loss on rows that it was not fitted on is taken:

* `as_given`: the score is the probability.
* `logistic`: a straight line on the log-odds (Platt 1999), drawn towards `as_given` by one pseudo-observation.
* `isotonic`: any map that does not fall (Zadrozny and Elkan 2002), each step smoothed by half a row of either outcome.

Everything is counted in the 1,024 bins of `remora.summaries.scores`, so fitting costs the same for any number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from remora.summaries.scores import MIDDLES, SCORE_BINS

__all__ = ["MIN_CLASS", "MIN_LABELLED", "Calibrated", "calibrated"]

MIN_LABELLED, MIN_CLASS = (
    200,
    10,
)  # labelled rows, and rows of either outcome, below which a map would be guesswork
_FOLDS = 5
_GROUPS = 32  # stretches of the scores in which the reference must have rows of its own
_KNOWN = 10  # rows of the reference in a stretch
_STEPS = 25

Floats = NDArray[np.float64]
_Draw = Callable[[int, np.random.Generator], Floats]
_Fit = Callable[[Floats, Floats], tuple[Floats, _Draw]]

_LOG_ODDS = logit(MIDDLES)
_DESIGN = np.stack([np.ones(SCORE_BINS), _LOG_ODDS], axis=1)


@dataclass(frozen=True)
class Calibrated:
    """A map from score to probability, and how well it is known.

    `draw(n, rng)` gives `n` maps that the same reference could have shown by chance, shape (n, 1024). `known` says of
    each bin whether the reference has rows about there.
    """

    method: str
    probability: Floats
    known: NDArray[np.bool_]
    draw: _Draw


def calibrated(positive: Floats, negative: Floats) -> Calibrated | None:
    """The map of a reference with so many rows per bin, shape (1024,) each; None where they are too few."""
    if positive.sum() + negative.sum() < MIN_LABELLED or min(positive.sum(), negative.sum()) < MIN_CLASS:
        return None
    losses = {name: _held_out_loss(fit, positive, negative) for name, fit in _FITS.items()}
    best = min(losses, key=lambda name: losses[name])
    probability, draw = _FITS[best](positive, negative)
    return Calibrated(best, probability, _known(positive + negative), draw)


def _known(rows: Floats) -> NDArray[np.bool_]:
    enough = rows.reshape(_GROUPS, -1).sum(axis=1) >= _KNOWN
    return np.repeat(enough, SCORE_BINS // _GROUPS)


def _held_out_loss(fit: _Fit, positive: Floats, negative: Floats) -> float:
    rng = np.random.default_rng(0)  # the same reference always gets the same map
    even = np.full(_FOLDS, 1 / _FOLDS)
    folds = [rng.multinomial(np.round(part).astype(np.int64), even).T for part in (positive, negative)]
    loss = 0.0
    for held_positive, held_negative in zip(*folds, strict=True):
        made, _ = fit(np.maximum(positive - held_positive, 0), np.maximum(negative - held_negative, 0))
        loss -= float(held_positive @ np.log(made) + held_negative @ np.log1p(-made))
    return loss


def _as_given(_positive: Floats, _negative: Floats) -> tuple[Floats, _Draw]:
    return MIDDLES, lambda n, _rng: np.broadcast_to(MIDDLES, (n, SCORE_BINS))


def _logistic(positive: Floats, negative: Floats) -> tuple[Floats, _Draw]:
    rows = positive + negative
    start = np.array([0.0, 1.0])
    line, covariance = start, np.eye(2)
    for _ in range(_STEPS):
        made = expit(_DESIGN @ line)
        curvature = (_DESIGN * (rows * made * (1 - made))[:, None]).T @ _DESIGN + np.eye(2)
        covariance = np.linalg.inv(curvature)
        step = covariance @ (_DESIGN.T @ (positive - rows * made) - (line - start))
        line = line + step
        if np.abs(step).max() < 1e-8:
            break

    def draw(n: int, rng: np.random.Generator) -> Floats:
        return _inside(expit(rng.multivariate_normal(line, covariance, n) @ _DESIGN.T))

    return _inside(expit(_DESIGN @ line)), draw


def _isotonic(positive: Floats, negative: Floats) -> tuple[Floats, _Draw]:
    rows = positive + negative
    seen = np.flatnonzero(rows)
    fitted = isotonic_regression(positive[seen] / rows[seen], weights=rows[seen])
    blocks = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    hits = np.bincount(blocks, weights=positive[seen]) + 0.5
    misses = np.bincount(blocks, weights=negative[seen]) + 0.5

    def spread(rates: Floats) -> Floats:
        """From blocks to all bins; between two blocks a straight line."""
        return np.interp(np.arange(SCORE_BINS), seen, rates[blocks])

    def draw(n: int, rng: np.random.Generator) -> Floats:
        return _inside(np.stack([spread(rates) for rates in rng.beta(hits, misses, (n, len(hits)))]))

    return _inside(spread(hits / (hits + misses))), draw


def _inside(made: Floats) -> Floats:
    return np.clip(made, 1e-9, 1 - 1e-9)


_FITS: dict[str, _Fit] = {"as_given": _as_given, "logistic": _logistic, "isotonic": _isotonic}
