"""Can a classifier tell the window's rows from the reference's? If so, something moved, in one feature or in several.

A ridge regression on the features, their squares and their products predicts where a row is from; its out-of-fold
AUC is .5 where nobody can tell. Squares see a changed spread, products a changed correlation, which no single feature
shows. Being linear, its out-of-fold predictions follow from one matrix for any labels (residuals over I - H of a fold,
Allen 1974), so each of the `PERMUTATIONS` of the labels is fitted and cross-validated afresh: the p-value is
that of an exact permutation test. It takes rows for exchangeable; those of one day, that share its weather, are not.

The features that give it away are those that pull the mean scores of the two sides apart; a product counts half for each.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from scipy.stats import rankdata

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Z95, Result, unknown
from detectors.methods.encoding import Encoded, Floats, standardised

__all__ = ["METRIC", "PERMUTATIONS", "judge"]

METRIC = "domain_auc"
PERMUTATIONS = 999
_LEVEL = 0.001  # of the permutation test: one false alarm in 1,000 windows
_FOLDS = 10
_PENALTY = 0.05  # of the rows: against as many columns as there are
_MOST_PRODUCTS = 30  # numbers whose products are looked at
_NAMED = 3


@dataclass(frozen=True)
class _Design:
    """Standardised columns of both sides' rows, and which features each is made of."""

    values: Floats
    made_of: tuple[tuple[str, ...], ...]


def judge(rows: Encoded, min_samples: int, minimum_effect: float) -> Result:
    """The out-of-fold AUC of reference against window; an alarm beyond chance and beyond a shift of `minimum_effect` spreads.

    A shift of d spreads of one normal feature has an AUC of Phi(d / sqrt 2).
    """
    there, here = len(rows.reference), len(rows.current)
    if min(there, here) < min_samples or not rows.features:
        return unknown(
            NOT_ENOUGH_DATA,
            f"No domain classifier: {here} rows of the window and {there} of the reference's sample are kept, {min_samples} are needed: keep more of them, or choose longer windows.",
            here,
            reference_size=there,
        )
    design = _design(rows)
    labels = np.concatenate([np.zeros(there), np.ones(here)])
    every = _with_permutations(labels)
    scores, weights = _out_of_fold(design.values, every)
    aucs = _aucs(scores, every)
    value, chance = float(aucs[0]), aucs[1:]
    p_value = (1 + int((chance >= value).sum())) / (1 + PERMUTATIONS)
    floor = NormalDist().cdf(minimum_effect / np.sqrt(2))
    threshold = max(floor, float(np.quantile(chance, 1 - _LEVEL)))
    half = Z95 * float(chance.std())
    shares = _shares(design, weights, labels)
    alarm = p_value <= _LEVEL and value > threshold
    return Result(
        value,
        ALARM if alarm else OK,
        _reason(value, threshold, p_value, list(shares), alarm=alarm),
        here,
        max(0.0, value - half),
        min(1.0, value + half),
        float(chance.mean()),
        threshold,
        there,
        details={"p_value": p_value, "features": [{"feature": name, "share": share} for name, share in shares.items()]},
    )  # fmt: skip


def _design(rows: Encoded) -> _Design:
    both = np.concatenate([rows.reference, rows.current])
    columns = [both]
    made_of: list[tuple[str, ...]] = [(name,) for name in rows.features]
    numbers = rows.numbers[:_MOST_PRODUCTS]
    columns.extend(np.square(both[:, [at]]) for at in numbers)
    made_of += [(rows.features[at],) for at in numbers]
    for one, other in combinations(numbers, 2):
        columns.append(both[:, [one]] * both[:, [other]])
        made_of.append((rows.features[one], rows.features[other]))
    return _Design(standardised(np.hstack(columns)), tuple(made_of))


def _with_permutations(labels: Floats) -> Floats:
    """The labels and then their permutations, shape (rows, 1 + PERMUTATIONS); always the same ones."""
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(np.tile(labels, (PERMUTATIONS, 1)), axis=1)
    return np.asarray(np.concatenate([labels[None], shuffled]).T)


def _out_of_fold(design: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Each row's score by a fit without its fold, and the weights of the fit to the true labels with all rows."""
    rows, width = design.shape
    centred = labels - labels.mean(axis=0)
    inverse = np.linalg.inv(design.T @ design + _PENALTY * rows * np.eye(width))
    projected = design @ inverse
    weights = inverse @ (design.T @ centred)
    residual = centred - design @ weights
    folds = np.random.default_rng(1).permutation(rows) % _FOLDS
    scores = np.empty_like(labels)
    for fold in range(_FOLDS):
        mine = np.flatnonzero(folds == fold)
        hat = projected[mine] @ design[mine].T
        scores[mine] = centred[mine] - np.linalg.solve(np.eye(len(mine)) - hat, residual[mine])
    return scores, weights[:, 0]


def _aucs(scores: Floats, labels: Floats) -> Floats:
    """Mann and Whitney's statistic of each column, ties counting half."""
    ranks = rankdata(scores, axis=0)
    ones = labels.sum(axis=0)
    won = (ranks * labels).sum(axis=0) - ones * (ones + 1) / 2
    return np.asarray(won / (ones * (len(labels) - ones)))


def _shares(design: _Design, weights: Floats, labels: Floats) -> dict[str, float]:
    """Each feature's share of what pulls the sides apart, the largest first; at most five."""
    apart = (design.values[labels == 1].mean(axis=0) - design.values[labels == 0].mean(axis=0)) * weights
    pulls: dict[str, float] = defaultdict(float)
    for pull, names in zip(apart.tolist(), design.made_of, strict=True):
        for name in names:
            pulls[name] += pull / len(names)
    total = sum(abs(pull) for pull in pulls.values()) or 1.0
    ordered = sorted(pulls.items(), key=lambda item: (-item[1], item[0]))[:5]
    return {name: round(pull / total, 4) for name, pull in ordered if pull > 0}


def _reason(value: float, threshold: float, p_value: float, features: list[str], *, alarm: bool) -> str:
    if alarm:
        named = ", ".join(features[:_NAMED])
        what = f"the window's rows can be told from the reference's, most by {named}: see what changed there, alone or together"
    else:
        what = "the window's rows cannot be told from the reference's"
    return f"Out-of-fold AUC {value:.3f} against {threshold:.3f}: {what}. Chance makes as much in {p_value:.1%} of cases.".replace(
        "%", " %"
    )
