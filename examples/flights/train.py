"""Train the model "arrives more than 15 minutes late" on a range of days.

    python train.py --from 2013-01-01 --to 2013-02-28 --out model --version 2013-01..02

writes ``model.pkl``, ``reference.csv`` (the training rows with out-of-fold scores, so that the performance in it is
what the model promises and not what it remembers) and ``metadata.json`` to the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from data import CATEGORIES, FEATURES, NUMBERS, WEEKDAYS, DataError, feature_rows, flights
from features import encode
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold

__all__ = ["Training", "classifier", "codes", "labelled", "train"]

FOLDS = 5
MIN_ROWS = 1000


@dataclass(frozen=True)
class Training:
    """What was trained: days are UTC and inclusive, the performance is out-of-fold."""

    version: str
    first_day: str
    last_day: str
    rows: int
    late_share: float
    auc: float
    log_loss: float


def labelled(frame: pd.DataFrame, first: date, last: date, known_by: datetime | None = None) -> pd.DataFrame:
    """Flights of the UTC days ``first`` to ``last`` (inclusive) whose label had arrived by ``known_by`` (or ever)."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    keep = (frame["event_time"] >= start) & (frame["event_time"] < end) & frame["late"].notna()
    if known_by is not None:
        keep &= frame["known_time"] <= known_by
    return frame[keep].reset_index(drop=True)


def train(rows: pd.DataFrame, version: str, out: Path) -> Training:
    """Fit on labelled rows and write ``model.pkl`` (atomically, last), ``reference.csv`` and ``metadata.json``."""
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"{len(rows)} labelled flights are too few to train on, at least {MIN_ROWS} are needed"
        )
    out.mkdir(parents=True, exist_ok=True)
    categories = codes(rows)
    matrix = encode(feature_rows(rows), categories, NUMBERS)
    truth = rows["late"].astype(bool)
    scores = _out_of_fold(matrix, truth.to_numpy(), rows["event_time"].dt.strftime("%Y-%m-%d"))
    _reference(rows, scores).to_csv(out / "reference.csv", index=False)
    days = rows["event_time"].dt.date
    done = Training(
        version=version,
        first_day=str(days.min()),
        last_day=str(days.max()),
        rows=len(rows),
        late_share=round(float(truth.mean()), 4),
        auc=round(float(roc_auc_score(truth, scores)), 4),
        log_loss=round(float(log_loss(truth, scores)), 4),
    )
    (out / "metadata.json").write_text(json.dumps(asdict(done), indent=2) + "\n")
    # Plain values and one scikit-learn classifier: the server needs nothing of this file to read it.
    model = {
        "version": version,
        "categories": categories,
        "numbers": NUMBERS,
        "classifier": classifier().fit(matrix, truth),
    }
    fresh = out / "model.pkl.new"
    fresh.write_bytes(pickle.dumps(model))
    os.replace(fresh, out / "model.pkl")  # noqa: PTH105 - the word says that it is atomic
    return done


def codes(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """The number of each category in its column: weekdays in their order, everything else by the alphabet."""
    known = {name: sorted(rows[name].unique()) for name in CATEGORIES} | {"weekday": list(WEEKDAYS)}
    return {name: {value: i for i, value in enumerate(values)} for name, values in known.items()}


def classifier() -> HistGradientBoostingClassifier:
    """Small trees, no chance in it: the same days give the same model."""
    return HistGradientBoostingClassifier(
        max_iter=80,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )


def _out_of_fold(matrix: np.ndarray, truth: np.ndarray, days: pd.Series) -> np.ndarray:
    """Scores from models that did not see the row's day: flights of one day share its storms."""
    scores = np.empty(len(matrix))
    for seen, held in GroupKFold(FOLDS).split(matrix, truth, groups=days):
        scores[held] = classifier().fit(matrix[seen], truth[seen]).predict_proba(matrix[held])[:, 1]
    return scores


def _reference(rows: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    reference = rows[["id", *FEATURES]].copy()
    reference.insert(1, "timestamp", rows["event_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    reference["score"] = np.round(scores, 6)
    reference["prediction"] = np.where(scores >= 0.5, "true", "false")
    reference["label"] = np.where(rows["late"].astype(bool), "true", "false")
    return reference


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, help="first UTC day")
    parser.add_argument(
        "--to", dest="last", type=date.fromisoformat, required=True, help="last UTC day, inclusive"
    )
    parser.add_argument(
        "--known-by", type=datetime.fromisoformat, help="use only labels known at this instant"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its reference")
    parser.add_argument("--version", required=True, help="name of the new version, short and without spaces")
    return parser.parse_args()


def main() -> int:
    options = _arguments()
    if options.known_by is not None and options.known_by.tzinfo is None:
        options.known_by = options.known_by.replace(tzinfo=UTC)
    try:
        rows = labelled(flights(), options.first, options.last, options.known_by)
        done = train(rows, options.version, options.out)
    except DataError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(done)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
