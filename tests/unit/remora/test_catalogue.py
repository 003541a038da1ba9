"""How metrics are read by people."""

from __future__ import annotations

import pytest

from remora.catalogue import JOBS, METRICS, show


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("predictions", 12345.0, "12,345"),
        ("error_rate", 0.1234, "12.3 %"),
        ("latency_p99", 1234.4, "1,234 ms"),
        ("latency_p50", 1.26, "1.3 ms"),
        ("auc", 0.61234, "0.612"),
        ("mae", 1234.5, "1,234.5"),
        ("auc", None, "-"),
        ("somebody's own", 0.5, "0.500"),
    ],
)
def test_show(metric, value, text):
    assert show(metric, value) == text


def test_every_metric_belongs_to_a_job_and_says_which_way_is_good():
    assert {metric.job for metric in METRICS.values()} == set(JOBS)
    assert all(metric.better in {"up", "down", "none"} for metric in METRICS.values())
    assert all(name == metric.name for name, metric in METRICS.items())


def test_only_a_distributions_shape_merely_informs():
    informs = {name for name, metric in METRICS.items() if metric.severity == "info"}
    assert informs == {
        "psi", "ks", "wasserstein", "jensen_shannon", "hellinger", "total_variation", "chi_square", "vanished_rate",
        "domain_auc", "reconstruction_error",
    }  # fmt: skip
    for metric in ("missing_rate", "schema_changes", "auc", "estimated_auc", "capture_lost"):
        assert METRICS[metric].severity == "ticket"
