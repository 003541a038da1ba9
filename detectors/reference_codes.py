"""Which bin of its column each of a reference's rows falls into."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors.binning import Bins
from remora.summaries.categorical import category_name

__all__ = ["codes_of", "numbers_of"]


def numbers_of(values: pd.Series) -> NDArray[np.float64]:
    """Shape (rows,); NaN where there is no number."""
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def codes_of(values: pd.Series, kind: str, bins: Bins) -> NDArray[np.int64]:
    """Each row's bin, shape (rows,); the one after the last is that of missing values."""
    missing = len(bins.counts)
    if kind == "numeric":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        found = np.searchsorted(np.array(bins.edges), numbers, side="left")
        return np.where(np.isfinite(numbers), found, missing).astype(np.int64)
    place = {name: number for number, name in enumerate(bins.categories)}
    factors, distinct = pd.factorize(values)
    known = [place.get(category_name(value), len(place)) for value in distinct.tolist()]
    return np.array([*known, missing], dtype=np.int64)[factors]  # -1, a missing value, takes the last
