"""The rows that a report compares: a sample of a window's, and the reference's, flat."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dashboards.errors import ReportError
from dashboards.queries import wanted
from remora.config import Config

__all__ = ["job_of", "sample_of"]


def job_of(
    connection: sa.Connection, config: Config, claimed: Any, folder: Path, archive: Path | None
) -> dict[str, Any]:
    """What the process beside needs for a report: both sides' rows, flat. Raises ReportError where one side has none."""
    window = (claimed.window_start, claimed.window_end)
    packed = wanted.reference_sample(connection, claimed.model)
    if packed is None:
        msg = f"{claimed.model} has no reference to compare with"
        raise ReportError(msg)
    chosen = sample_of(wanted.window_ids(connection, claimed.model, window))
    rows = wanted.window_rows(connection, claimed.model, chosen)
    if not rows and archive is not None:
        rows = wanted.archived_rows(connection, archive, claimed.model, window)
    if not rows:
        msg = "no raw rows of this window are kept"
        raise ReportError(msg)
    model = config.model(claimed.model)
    return {
        "reference": _lines(packed), "current": [_flat(row, model.positive, ranked=model.kind == "ranking") for row in rows],
        "kind": model.kind, "positive": model.positive, "path": str(folder / f"{claimed.id}.html"),
    }  # fmt: skip


def sample_of(ids: list[str], most: int = wanted.MAX_ROWS) -> list[str]:
    """At most so many ids, those with the lowest hashes: the same rows each time, whatever their order."""
    if len(ids) <= most:
        return sorted(ids)
    return sorted(ids, key=wanted.drawn)[:most]


def _lines(packed: bytes) -> list[dict[str, Any]]:
    with gzip.open(io.BytesIO(packed)) as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    return [_spread(row) for row in rows[: wanted.MAX_ROWS]]


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose features stand in an object of their own, flat."""
    inner = row.get("features")
    if not isinstance(inner, dict):
        return row
    return inner | {name: value for name, value in row.items() if name != "features"}


def _flat(row: Any, positive: str, *, ranked: bool) -> dict[str, Any]:
    score = row.scores
    if isinstance(score, dict):
        score = score.get(positive)
    prediction, label = row.prediction, row.label
    if isinstance(prediction, list) and not ranked:  # its best item speaks for it, and no class for its label
        prediction, label = (prediction[0] if prediction else None), None
    return row.features | {"prediction": prediction, "score": score, "label": label}  # type: ignore[no-any-return]
