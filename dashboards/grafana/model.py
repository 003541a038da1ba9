"""One model over the time of its windows: traffic, performance, versions, segments, verdicts."""

from __future__ import annotations

from dashboards.grafana.overview import QUALITY
from dashboards.grafana.panels import SPAN, Board, bars, lines, listing
from dashboards.grafana.sources import MODEL, REMORA, VERSION, mark, now, over_time, rows

__all__ = ["BOARD", "MARKS"]

_MODEL = "model = ${model:sqlstring} AND $__timeFilter(window_end)"
_WHOLE = f"{_MODEL} AND version = '' AND segment = '' AND feature = ''"
_HERE = f"/models/${{model:percentencode}}?{SPAN}"


def _series(*metrics: str) -> str:
    """The metrics' values, window by window; a metric's name is its line's."""
    names = ", ".join(f"'{name}'" for name in metrics)
    return f"""
        SELECT window_end AS "time", metric, value FROM finding_history
        WHERE {_WHOLE} AND metric IN ({names}) AND value IS NOT NULL ORDER BY 1
    """


def _with_limits(metric: str) -> str:
    """A metric with its interval, the reference's value and the threshold: a line for each that there is."""
    return f"""
        SELECT window_end AS "time", line.name AS metric, line.value FROM finding_history
        CROSS JOIN LATERAL (VALUES ('{metric}', value), ('low', low), ('high', high),
            ('reference', reference_value), ('threshold', threshold)) AS line (name, value)
        WHERE {_WHOLE} AND metric = '{metric}' AND line.value IS NOT NULL ORDER BY 1
    """


MARKS = (
    mark("Alerts", "red", """
        SELECT fired_at AS "time", coalesce(resolved_at, now()) AS timeend, rule || ': ' || coalesce(summary, '') AS text
        FROM alert_history WHERE model = ${model:sqlstring} AND $__timeFilter(fired_at) ORDER BY 1 LIMIT 200
    """),
    mark("Versions", "blue", """
        SELECT first_seen AS "time", 'version ' || version AS text FROM version_history
        WHERE model = ${model:sqlstring} AND version <> '' AND $__timeFilter(first_seen) ORDER BY 1 LIMIT 200
    """),
    mark("Model updates", "purple", """
        SELECT requested_at AS "time", name || ': ' || state AS text FROM action_history
        WHERE model = ${model:sqlstring} AND $__timeFilter(requested_at) ORDER BY 1 LIMIT 200
    """),
)  # fmt: skip

_SERVICE = (
    lines(
        "Predictions", "short",
        "Per window, all versions together. A fall points at callers or at the collector; the dashboard Collectors says "
        "whether anything was lost on the way.",
        over_time(_series("predictions")), to=_HERE,
    ),
    lines(
        "Error rate", "percentunit",
        "Share of answers that were errors. Go back to the version before when it rose with a new one (blue marks), else look "
        "at the model server.",
        over_time(_series("error_rate")), to=_HERE,
    ),
    lines(
        "Latency", "ms",
        "Half, 95 % and 99 % of the answers were faster. All three up: load or a slower machine. The highest alone: few "
        "slow requests, such as large ones.",
        over_time(_series("latency_p50", "latency_p95", "latency_p99")), to=_HERE,
    ),
    lines(
        "Lost by the collector", "percentunit",
        "Share of the window's predictions that passed the model and were not recorded. Above 0, all other numbers here are of "
        "what is left: give the collector room, see the dashboard Collectors.",
        over_time(_series("capture_lost")), to="/collectors",
    ),
)  # fmt: skip

_PERFORMANCE = (
    lines(
        "Realised and estimated", "none",
        "Realised from labels, estimated from scores and inputs before they come. Both fall: act. Only the estimate falls: "
        "inputs moved, wait for labels or ask for some. Only the realised one falls: the relation changed, retrain.",
        over_time(_series("$quality", "estimated_$quality")), to=_HERE,
    ),
    lines(
        "Realised, with its interval", "none",
        "With the 95 % interval, the reference's value and the threshold where one is set. A value whose interval still holds "
        "the reference may be chance.",
        over_time(_with_limits("$quality")), to=_HERE,
    ),
    lines(
        "Labels", "percentunit",
        "Share of predictions with a label, and share of labels that are positive. Coverage that stays low: look at the job "
        "that brings labels. A base rate that moves changes precision even of an unchanged model.",
        over_time(_series("label_coverage", "base_rate")), to=_HERE,
    ),
    bars(
        "Verdicts", "short",
        "Of each window's findings. ok and alarm are judgements; the others say that one could not look, and why stands in "
        "the table below. A window without any bar was not judged at all.",
        over_time(f"""
            SELECT window_end AS "time", verdict AS metric, count(*)::double precision AS value FROM finding_history
            WHERE {_MODEL} AND version = '' AND segment = '' GROUP BY 1, 2 ORDER BY 1
        """), to=_HERE,
    ),
    listing(
        "Newest value of every metric",
        "With what it is compared with and the reason in words. Start with the verdicts that are alarm.",
        rows(f"""
            SELECT DISTINCT ON (metric) metric, value, low, high, reference_value AS reference, threshold, effect, size,
                coverage, verdict, reason, window_end AS "window ends"
            FROM finding_history WHERE {_WHOLE} ORDER BY metric, window_end DESC LIMIT 100
        """),
        to=_HERE, units={"coverage": "percentunit"},
    ),
)  # fmt: skip

_VERSIONS = (
    lines(
        "Quality by version", "none",
        "Versions side by side. A new one that is worse from its first window on was not good enough to be put in service; "
        "one that decays wants retraining.",
        over_time(f"""
            SELECT window_end AS "time", version AS metric, value FROM finding_history
            WHERE {_MODEL} AND version IN (${{version:sqlstring}}) AND segment = '' AND feature = ''
                AND metric = '$quality' AND value IS NOT NULL ORDER BY 1
        """), to=_HERE,
    ),
    bars(
        "Predictions by version", "short",
        "Who answered. Two versions for longer than a rollout takes: a pod that kept the old one.",
        over_time(f"""
            SELECT window_end AS "time", version AS metric, value FROM finding_history
            WHERE {_MODEL} AND version IN (${{version:sqlstring}}) AND segment = '' AND feature = ''
                AND metric = 'predictions' AND value IS NOT NULL ORDER BY 1
        """), to=_HERE,
    ),
    listing(
        "Segments, worst first",
        "Newest window of each segment: where the whole model looks well and a part of its users is not. The fifty with the "
        "highest error rate.",
        rows(f"""
            WITH newest AS (
                SELECT DISTINCT ON (segment, metric) segment, metric, value, window_end FROM finding_history
                WHERE {_MODEL} AND version = '' AND segment <> '' AND feature = ''
                    AND metric IN ('predictions', 'error_rate', 'latency_p95', '$quality')
                ORDER BY segment, metric, window_end DESC
            )
            SELECT segment, max(value) FILTER (WHERE metric = 'predictions') AS predictions,
                max(value) FILTER (WHERE metric = 'error_rate') AS errors,
                max(value) FILTER (WHERE metric = 'latency_p95') AS "latency p95",
                max(value) FILTER (WHERE metric = '$quality') AS "$quality", max(window_end) AS "window ends"
            FROM newest GROUP BY 1 ORDER BY errors DESC NULLS LAST, segment LIMIT 50
        """),
        to=_HERE, units={"errors": "percentunit", "latency p95": "ms"},
        links={"segment": "/models/${model:percentencode}?segment=${__data.fields.segment:percentencode}"},
    ),
)  # fmt: skip

_BUDGETS = (
    lines(
        "Burn rate", "none",
        "How many times as fast as allowed the model's error budgets are being spent. At 1 a budget lasts exactly its period.",
        now('remora_slo_burn_rate{model="$model"}', "{{slo}} over {{window}}"), to="/rules", limit=1,
    ),
    lines(
        "Error budget left", "percentunit",
        "Of each objective's period; below 0 it is overspent: stop changes that are not repairs.",
        now('remora_slo_error_budget_remaining_ratio{model="$model"}', "{{slo}}"), to="/rules",
    ),
)  # fmt: skip

BOARD = Board(
    "remora-model", "Remora: model", "One model over the time of its windows, also years back and after late labels.",
    (MODEL, VERSION, QUALITY, REMORA),
    (("Service", _SERVICE), ("Performance", _PERFORMANCE), ("Versions and segments", _VERSIONS), ("Objectives", _BUDGETS)),
    marks=MARKS, recent="now-30d", pages=(("Remora: this model", _HERE),),
)  # fmt: skip
