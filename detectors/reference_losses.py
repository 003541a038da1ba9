"""What a regression's reference teaches of its errors: the bins of its labelled rows, and `detectors.methods.losses`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectors.binning import Bins
from detectors.methods.losses import Codes, fit_losses
from detectors.reference_codes import codes_of, numbers_of
from detectors.reference_file import Rows
from remora.summaries.profile import PREDICTION

__all__ = ["losses_of"]


def losses_of(rows: Rows, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The model of the losses as JSON, from the stored columns' bins; None where too few rows are labelled."""
    if rows.prediction is None or rows.label is None:
        return None
    errors = numbers_of(rows.prediction) - numbers_of(rows.label)
    codes: dict[str, Codes] = {}
    for column in columns:
        name = column["column_name"]
        values = rows.prediction if name == PREDICTION else rows.features.get(name)
        if values is not None:
            codes[name] = codes_of(values, column["kind"], Bins.from_json(column["bins"]))
    bins = {column["column_name"]: len(column["bins"]["counts"]) + 1 for column in columns}
    model = fit_losses(codes, bins, errors)
    return None if model is None else model.to_json()
