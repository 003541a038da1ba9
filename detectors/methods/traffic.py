"""How much was asked, how often it failed, how long it took.

The error rate has Wilson's 95 % interval. A latency quantile's interval is read off the sketch at the ranks that
the binomial distribution of order statistics gives (Conover 1999, normal approximation).
"""

from __future__ import annotations

import math

from detectors.base import NOT_ENOUGH_DATA, OK, Z95, Result, unknown, wilson
from remora.summaries import LatencySummary, TrafficSummary

__all__ = ["judge"]

_RANKS = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}
_NO_TRAFFIC = "nothing was asked of the model in this window: see whether its callers or the sidecar are down"


def judge(traffic: TrafficSummary | None, latency: LatencySummary | None) -> dict[str, Result]:
    """Every traffic metric; none has a threshold of its own, the rules have."""
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
