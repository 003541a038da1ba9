"""How much was asked, how often it failed, how long it took.

The error rate has Wilson's 95 % interval. A latency quantile's interval is read off the sketch at the ranks that
the binomial distribution of order statistics gives (Conover 1999, normal approximation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, Z95, Result, unknown, wilson
from remora.summaries import LatencySummary, TrafficSummary

__all__ = ["judge", "judge_losses", "judge_personal"]

_RANKS = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}
_NO_TRAFFIC = "nothing was asked of the model in this window: see whether its callers or the sidecar are down"

_COVER = "Name it under privacy in remora.yaml, or leave it out of the request."


def judge_losses(traffic: TrafficSummary | None, lost: TrafficSummary | None) -> dict[str, Result]:
    """The share of requests that a collector saw and could not record; nobody knows their versions or segments."""
    missing = lost.count if lost is not None else 0
    seen = missing + (traffic.count if traffic is not None else 0)
    if not seen:
        return {"capture_lost": unknown(NOT_ENOUGH_DATA, f"No losses: {_NO_TRAFFIC}.")}
    low, high = wilson(missing, seen)
    reason = f"{missing} of {seen} requests could not be recorded."
    return {"capture_lost": Result(missing / seen, OK, reason, seen, low, high)}


def judge_personal(personal: Mapping[str, str]) -> dict[str, Result]:
    """One finding for each feature that was seen for the first time to look personal."""
    return {
        feature: Result(1.0, ALARM, f"Its values look like this: {looks_like}. {_COVER}", 1)
        for feature, looks_like in personal.items()
    }


def judge(traffic: TrafficSummary | None, latency: LatencySummary | None) -> dict[str, Result]:
    """Every metric of a version's or segment's traffic; none has a threshold of its own, the rules have."""
    count = traffic.count if traffic is not None else 0
    errors = traffic.errors if traffic is not None else 0
    said = f"{count} predictions" if count else _NO_TRAFFIC[0].upper() + _NO_TRAFFIC[1:]
    results = {"predictions": Result(float(count), OK, f"{said}.", count)}
    if count:
        low, high = wilson(errors, count)
        reason = f"{errors} of {count} predictions were answered with an error of the server (5xx)."
        results["error_rate"] = Result(errors / count, OK, reason, count, low, high)
    else:
        results["error_rate"] = unknown(NOT_ENOUGH_DATA, f"No error rate: {_NO_TRAFFIC}.")
    for metric, rank in _RANKS.items():
        results[metric] = _quantile(latency, rank, count)
    return results


def _quantile(latency: LatencySummary | None, rank: float, asked: int) -> Result:
    size = latency.count if latency is not None else 0
    if latency is None or size == 0:
        why = "no prediction carried its latency" if asked else _NO_TRAFFIC
        return unknown(NOT_ENOUGH_DATA, f"No latency: {why}.")
    half = Z95 * math.sqrt(rank * (1 - rank) / size)
    value = latency.quantile(rank)
    low, high = latency.quantile(max(0.0, rank - half)), latency.quantile(min(1.0, rank + half))
    return Result(value, OK, f"{rank:.0%} of {size} predictions took at most this long.".replace("%", " %"), size,
                  low, high)  # fmt: skip
