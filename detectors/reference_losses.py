"""What a regression's reference teaches of its errors: the bins of its labelled rows, and `detectors.methods.losses`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from detectors.binning import Bins
from detectors.methods.losses import Codes, fit_losses
from detectors.reference_file import Rows
from remora.summaries.categorical import category_name
from remora.summaries.profile import PREDICTION

__all__ = ["losses_of"]


def losses_of(rows: Rows, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The model of the losses as JSON, from the stored columns' bins; None where too few rows are labelled."""
    if rows.prediction is None or rows.label is None:
        return None
    errors = _number(rows.prediction) - _number(rows.label)
    codes: dict[str, Codes] = {}
    for column in columns:
        name = column["column_name"]
        values = rows.prediction if name == PREDICTION else rows.features.get(name)
        if values is not None:
            codes[name] = _codes(values, column["kind"], Bins.from_json(column["bins"]))
    bins = {column["column_name"]: len(column["bins"]["counts"]) + 1 for column in columns}
    model = fit_losses(codes, bins, errors)
    return None if model is None else model.to_json()


def _number(values: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _codes(values: pd.Series, kind: str, bins: Bins) -> Codes:
    """Each row's bin; the one after the last is that of missing values."""
    missing = len(bins.counts)
    if kind == "numeric":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        found = np.searchsorted(np.array(bins.edges), numbers, side="left")
        return np.where(np.isfinite(numbers), found, missing).astype(np.int64)
    place = {name: number for number, name in enumerate(bins.categories)}
    factors, distinct = pd.factorize(values)
    known = [place.get(category_name(value), len(place)) for value in distinct.tolist()]
    return np.array([*known, missing], dtype=np.int64)[factors]  # -1, a missing value, takes the last
