"""Every metric there is: which job finds it, what it is of, how a person reads it. One list."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

__all__ = ["JOBS", "METRICS", "OWN_DETECTORS", "Metric", "is_own_name", "show"]

OWN_DETECTORS = "remora.detectors"
"""The group of entry points in which packages register detectors of their own, by the name of their metric."""

_OWN_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

JOBS = ("traffic", "drift", "performance")


@dataclass(frozen=True)
class Metric:
    """`unit` is count, ratio, ms or number; `better` is the good direction: up, down or none.

    One of a `shape` says that values are distributed otherwise: that may be the world, and harmless.
    """

    name: str
    job: str
    title: str
    unit: str
    better: str
    per_feature: bool = False
    shape: bool = False

    @property
    def judged(self) -> bool:
        """Whether its findings have a verdict `alarm` of their own, so that a rule needs no condition."""
        return self.job == "drift" or self.name in {"personal_data", "volume_change", "staleness"}

    @property
    def severity(self) -> str:
        """Of an alert whose rule states none: broken data and lost performance are work for somebody, a shape informs."""
        return "info" if self.shape else "ticket"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("predictions", "traffic", "Predictions", "count", "none"),
        Metric("volume_change", "traffic", "Volume against the weeks before", "number", "none"),
        Metric("staleness", "traffic", "Hours since the last prediction", "number", "down"),
        Metric("error_rate", "traffic", "Error rate", "ratio", "down"),
        Metric("latency_p50", "traffic", "Latency p50", "ms", "down"),
        Metric("latency_p95", "traffic", "Latency p95", "ms", "down"),
        Metric("latency_p99", "traffic", "Latency p99", "ms", "down"),
        Metric("capture_lost", "traffic", "Lost by the collector", "ratio", "down"),
        Metric("personal_data", "traffic", "Looks personal", "count", "down", per_feature=True),
        Metric("schema_changes", "drift", "Changes of the schema", "count", "down"),
        Metric("domain_auc", "drift", "Domain classifier's AUC", "number", "down", shape=True),
        Metric("reconstruction_error", "drift", "Reconstruction error", "number", "none", shape=True),
        Metric("duplicate_rate", "drift", "Repeated rows", "ratio", "down"),
        Metric("psi", "drift", "Population stability index", "number", "down", per_feature=True, shape=True),
        Metric("ks", "drift", "Kolmogorov-Smirnov distance", "number", "down", per_feature=True, shape=True),
        Metric(
            "wasserstein", "drift", "Wasserstein distance", "number", "down", per_feature=True, shape=True
        ),
        Metric(
            "jensen_shannon",
            "drift",
            "Jensen-Shannon distance",
            "number",
            "down",
            per_feature=True,
            shape=True,
        ),
        Metric("hellinger", "drift", "Hellinger distance", "number", "down", per_feature=True, shape=True),
        Metric("total_variation", "drift", "Total variation", "ratio", "down", per_feature=True, shape=True),
        Metric(
            "chi_square", "drift", "Chi-square's effect w", "number", "down", per_feature=True, shape=True
        ),
        Metric("missing_rate", "drift", "Missing values", "ratio", "down", per_feature=True),
        Metric("unseen_rate", "drift", "Unseen categories", "ratio", "down", per_feature=True),
        Metric(
            "vanished_rate", "drift", "Vanished categories", "ratio", "down", per_feature=True, shape=True
        ),
        Metric("out_of_range_rate", "drift", "Out of range", "ratio", "down", per_feature=True),
        Metric("wrong_type_rate", "drift", "Of another type", "ratio", "down", per_feature=True),
        Metric("stuck_rate", "drift", "One and the same value", "ratio", "down", per_feature=True),
        Metric("accuracy", "performance", "Accuracy", "ratio", "up"),
        Metric("precision", "performance", "Precision", "ratio", "up"),
        Metric("recall", "performance", "Recall", "ratio", "up"),
        Metric("f1", "performance", "F1", "number", "up"),
        Metric("f1_macro", "performance", "Macro F1", "number", "up"),
        Metric("auc", "performance", "ROC AUC", "number", "up"),
        Metric("auc_macro", "performance", "Macro ROC AUC", "number", "up"),
        Metric("log_loss", "performance", "Log loss", "number", "down"),
        Metric("brier", "performance", "Brier score", "number", "down"),
        Metric("calibration_error", "performance", "Calibration error", "number", "down"),
        Metric("base_rate", "performance", "Base rate", "ratio", "none"),
        Metric("label_coverage", "performance", "Label coverage", "ratio", "up"),
        Metric("mae", "performance", "Mean absolute error", "number", "down"),
        Metric("rmse", "performance", "Root mean squared error", "number", "down"),
        Metric("bias", "performance", "Mean error", "number", "none"),
        Metric("mape", "performance", "Mean relative error", "ratio", "down"),
        Metric("r2", "performance", "R²", "number", "up"),
        Metric("ndcg", "performance", "NDCG", "number", "up"),
        Metric("map", "performance", "Mean average precision", "number", "up"),
        Metric("mrr", "performance", "Mean reciprocal rank", "number", "up"),
        Metric("hit_rate", "performance", "Hit rate", "ratio", "up"),
    )
}

# What the scores, or a regression's features, say of these before the labels come.
_ESTIMATED = (
    "accuracy", "precision", "recall", "f1", "f1_macro", "auc", "auc_macro", "log_loss", "brier", "base_rate",
    "mae", "rmse",
)  # fmt: skip

METRICS |= {
    f"estimated_{name}": replace(
        METRICS[name], name=f"estimated_{name}", job="drift", title=f"{METRICS[name].title}, estimated"
    )
    for name in _ESTIMATED
}


def is_own_name(name: str) -> bool:
    """Whether a detector of somebody's own may have this name: `tail_share`, and none of ours."""
    return _OWN_NAME.fullmatch(name) is not None and (name not in METRICS or name in _OWN)


# A detector that is installed beside Remora is a metric like any other; its code is loaded where it is asked for.
_OWN = {point.name for point in entry_points(group=OWN_DETECTORS)} - set(METRICS)
METRICS |= {
    name: Metric(
        name, "drift", name.replace("_", " ").capitalize(), "number", "none", per_feature=True, shape=True
    )
    for name in sorted(_OWN)
    if _OWN_NAME.fullmatch(name)
}


def show(metric: str, value: float | None) -> str:
    """A metric's value as a person reads it: `12.3 %`, `45 ms`, `1,204`, `0.612`; `-` where there is none."""
    if value is None:
        return "-"
    unit = METRICS[metric].unit if metric in METRICS else "number"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "ratio":
        return f"{value:.1%}".replace("%", " %")
    if unit == "ms":
        return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
