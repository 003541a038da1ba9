"""Is a candidate as good as the champion? Its rows beside the champion's: quality, error rate, latency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detectors import noninferiority as ni
from detectors.contest import Contest, Entry, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.config.models import Model
    from remora.database import Database

__all__ = ["NOT_MEASURED", "Check", "Contest", "Outcome", "judge"]

NOT_MEASURED = "not_measured"


@dataclass(frozen=True)
class Check:
    """One comparison; `margin` is in the units of the values, `p_value` that of there being no difference at all."""

    name: str
    unit: str
    rows: int  # pairs, or the fewer rows of the two
    method: str
    verdict: str
    reason: str
    champion: float | None = None
    candidate: float | None = None
    difference: ni.Estimate | None = None
    margin: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was compared, and what each comparison says."""

    candidate: str
    champion: str
    start: datetime
    end: datetime
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """The worst of the checks; quality must be known, what was never measured does not count."""
        said = {check.verdict for check in self.checks}
        return next((one for one in (ni.WORSE, ni.UNKNOWN) if one in said), ni.GOOD)


def judge(database: Database, settings: Model, contest: Contest, archive: Path | None) -> Outcome:
    """Compare. Raises `UserError` where there is no such version, or none to compare it with."""
    sides = gather(database, settings, contest, archive)
    before, after = sides.before, sides.after
    checks = (
        _quality(before, after, contest, settings),
        _errors(before, after, contest),
        _latency(before, after, contest),
    )
    return Outcome(sides.candidate, sides.champion, sides.start, sides.end, checks)


def _quality(mine: Entry, theirs: Entry, contest: Contest, settings: Model) -> Check:
    keys = sorted(mine.losses.keys() & theirs.losses.keys())
    paired = bool(keys) or contest.pair is not None or contest.candidate_model is not None
    champion, candidate = (
        np.array([side.losses[key] for key in (keys if paired else sorted(side.losses))]).reshape(-1, 2)
        for side in (mine, theirs)
    )
    counted = settings.kind in {"binary", "multiclass"}
    name, unit = (
        ("wrong", "ratio")
        if counted
        else ("1 - ndcg", "number")
        if settings.kind == "ranking"
        else ("error", "number")
    )
    rows = min(len(champion), len(candidate))
    if rows < max(2, contest.min_rows):
        what = "pairs with a label" if paired else "labelled rows of one of them"
        return Check(name, unit, rows, "none", ni.UNKNOWN, f"{rows} {what}, {contest.min_rows} are needed")
    before, after = (float(np.average(side[:, 0], weights=side[:, 1])) for side in (champion, candidate))
    difference, p_value, method = (_of_pairs if paired else _of_strangers)(
        champion, candidate, contest.confidence, counted=counted
    )
    margin = contest.margin * (before if unit == "number" and settings.kind != "ranking" else 1.0)
    return _check(name, unit, rows, method, (before, after), difference, margin, p_value)


def _of_pairs(
    champion: np.ndarray,
    candidate: np.ndarray,
    confidence: float,
    *,
    counted: bool,
) -> tuple[ni.Estimate, float | None, str]:
    weights, differences = np.maximum(champion[:, 1], candidate[:, 1]), candidate[:, 0] - champion[:, 0]
    if not counted:
        estimate, p_value = ni.paired_means(differences, weights, confidence)
        return estimate, p_value, "paired t-test"
    rows = ni.effective(weights)
    worse, better = (float(weights[differences == sign].sum() / weights.sum() * rows) for sign in (1, -1))
    estimate, p_value = ni.paired_proportions(worse, better, rows, confidence)
    return estimate, p_value, "paired: Tango, McNemar"


def _of_strangers(
    champion: np.ndarray,
    candidate: np.ndarray,
    confidence: float,
    *,
    counted: bool,
) -> tuple[ni.Estimate, float | None, str]:
    def one(side: np.ndarray) -> ni.Estimate:
        if not counted:
            return ni.mean(side[:, 0], side[:, 1], confidence)
        rows = ni.effective(side[:, 1])
        return ni.proportion(float(np.average(side[:, 0], weights=side[:, 1])) * rows, rows, confidence)

    return (
        ni.apart(one(candidate), one(champion)),
        None,
        "unpaired: Newcombe" if counted else "unpaired: means",
    )


def _errors(mine: Entry, theirs: Entry, contest: Contest) -> Check:
    rows = min(len(mine.weights), len(theirs.weights))
    if rows < contest.min_rows:
        return Check("error rate", "ratio", rows, "none", ni.UNKNOWN, f"{rows} rows of one of them, {contest.min_rows} are needed")  # fmt: skip

    def one(side: Entry) -> ni.Estimate:
        weights = np.array(side.weights)
        many = ni.effective(weights)
        return ni.proportion(min(many, side.failed / float(weights.sum()) * many), many, contest.confidence)

    before, after = one(mine), one(theirs)
    return _check("error rate", "ratio", rows, "unpaired: Newcombe", (before.value, after.value),
                  ni.apart(after, before), contest.error_margin)  # fmt: skip


def _latency(mine: Entry, theirs: Entry, contest: Contest) -> Check:
    rows = min(len(mine.latencies), len(theirs.latencies))
    if rows == 0:
        return Check("latency p95", "ms", 0, "none", NOT_MEASURED, "one of them has no latencies")
    if rows < contest.min_rows:
        return Check("latency p95", "ms", rows, "none", ni.UNKNOWN, f"{rows} rows with a latency, {contest.min_rows} are needed")  # fmt: skip
    before, after = (_p95(side.latencies, contest.confidence) for side in (mine, theirs))
    return _check("latency p95", "ms", rows, "order statistics", (before.value, after.value),
                  ni.apart(after, before), contest.latency_margin * before.value)  # fmt: skip


def _p95(latencies: list[tuple[float, float]], confidence: float) -> ni.Estimate:
    values = np.array(latencies)
    return ni.quantile(values[:, 0], values[:, 1], 0.95, confidence)


def _check(  # noqa: PLR0913, PLR0917  (the columns of a row)
    name: str, unit: str, rows: int, method: str, values: Sequence[float], difference: ni.Estimate,
    margin: float, p_value: float | None = None,
) -> Check:  # fmt: skip
    said = ni.verdict(difference, margin)
    reason = {
        ni.GOOD: "at most the margin worse",
        ni.WORSE: "worse by more than the margin",
        ni.UNKNOWN: "more rows would tell: the margin lies between the bounds",
    }[said]
    return Check(name, unit, rows, method, said, reason, values[0], values[1], difference, margin, p_value)
