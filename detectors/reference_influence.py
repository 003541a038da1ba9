"""What a reference's rows teach of each column's influence on what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.binning import Bins
from detectors.methods.influence import correlation_ratio
from detectors.reference_codes import codes_of, numbers_of
from detectors.reference_file import Rows
from remora.summaries.profile import PREDICTION

__all__ = ["influence_of"]

_MOST_ROWS = 50_000


def influence_of(rows: Rows, columns: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By feature, the share of the score's variance that its bins explain; empty where rows have no score or prediction.

    `columns` are those that are stored, with their bins. Without a score, what a regression predicts takes its place, or
    the predicted class.
    """
    said = _said(rows, columns)
    if said is None:
        return {}
    there = np.flatnonzero(np.isfinite(said).all(axis=1))
    if len(there) > _MOST_ROWS:
        there = np.sort(np.random.default_rng(0).choice(there, _MOST_ROWS, replace=False))
    found = {}
    for column in columns:
        name = column["column_name"]
        if name in rows.features:
            values = rows.features[name].iloc[there]
            codes = codes_of(values, column["kind"], Bins.from_json(column["bins"]))
            found[name] = round(correlation_ratio(codes, said[there]), 6)
    return found


def _said(rows: Rows, columns: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """What the model said, shape (rows, parts); NaN where it said nothing."""
    if rows.score is not None and rows.score.notna().any():
        return numbers_of(rows.score)[:, None]
    stored = next((column for column in columns if column["column_name"] == PREDICTION), None)
    if rows.prediction is None or stored is None:
        return None
    if stored["kind"] == "numeric":
        return numbers_of(rows.prediction)[:, None]
    bins = Bins.from_json(stored["bins"])
    codes = codes_of(rows.prediction, stored["kind"], bins)
    indicators: NDArray[np.float64] = (codes[:, None] == np.arange(len(bins.counts))).astype(float)
    indicators[codes == len(bins.counts)] = np.nan
    return indicators
