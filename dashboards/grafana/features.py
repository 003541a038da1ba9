"""One model's features: which moved, how far over their thresholds, since when."""

from __future__ import annotations

from dashboards.grafana.model import MARKS
from dashboards.grafana.panels import SPAN, Board, bars, heat, lines, listing
from dashboards.grafana.sources import FEATURE, MODEL, REMORA, choice, now, over_time, rows
from remora.catalogue import METRICS

__all__ = ["BOARD"]

_METRIC = choice(
    "metric",
    "Metric",
    [name for name, metric in METRICS.items() if metric.per_feature and metric.job == "drift"],
)
_MOST = 20
_ALL = (
    "model = ${model:sqlstring} AND version = '' AND segment = '' AND feature IN (${feature:sqlstring}) "
    "AND $__timeFilter(window_end)"
)
_HERE = f"/models/${{model:percentencode}}?{SPAN}"
_FEATURE = f"/models/${{model:percentencode}}/features/${{__data.fields.feature:percentencode}}?{SPAN}"


def _worst(metric: str) -> str:
    """The features that came highest above their own threshold; drawing all of a wide model helps nobody."""
    return f"""
        worst AS (
            SELECT feature FROM finding_history WHERE {_ALL} AND metric = '{metric}' AND value IS NOT NULL
            GROUP BY 1 ORDER BY max(value / coalesce(nullif(threshold, 0), 1)) DESC LIMIT {_MOST}
        )
    """


def _series(metric: str) -> str:
    return f"""
        WITH {_worst(metric)}
        SELECT window_end AS "time", feature AS metric, value FROM finding_history JOIN worst USING (feature)
        WHERE {_ALL} AND metric = '{metric}' AND value IS NOT NULL ORDER BY 1
    """


_DRIFT = (
    lines(
        "Drift", "none",
        "The chosen metric against the reference, window by window: the twenty features that came highest above their "
        "thresholds. One that jumped: look at its source, unit or encoding. One that creeps: the world changes, plan to retrain.",
        over_time(_series("$metric")), to=_HERE,
    ),
    lines(
        "Drift as a share of the threshold", "percentunit",
        "Each feature's value by its own threshold, so that features compare: at 100 % it is an alarm. Thresholds come from "
        "the reference's own windows and hold the number of false alarms that was asked for.",
        over_time(f"""
            WITH {_worst("$metric")}
            SELECT window_end AS "time", feature AS metric, value / threshold AS value
            FROM finding_history JOIN worst USING (feature)
            WHERE {_ALL} AND metric = '$metric' AND value IS NOT NULL AND threshold > 0 ORDER BY 1
        """), to=_HERE, limit=1,
    ),
    heat(
        "Features by windows", "percentunit",
        "The same by colour: red is over the threshold. A red row is one feature's trouble; a red column is one day on which "
        "everything moved, such as a broken feed.",
        over_time(f"""
            WITH {_worst("$metric")}
            SELECT window_end AS "time", feature AS metric, value / threshold AS value
            FROM finding_history JOIN worst USING (feature)
            WHERE {_ALL} AND metric = '$metric' AND value IS NOT NULL AND threshold > 0 ORDER BY 1
        """), to=_HERE, steps=(("green", None), ("yellow", 0.5), ("orange", 0.8), ("red", 1)),
    ),
)  # fmt: skip

_QUALITY = (
    lines(
        "Missing values", "percentunit",
        "Share of rows without a value. A step up is nearly always a source that stopped: ask who delivers the feature.",
        over_time(_series("missing_rate")), to=_HERE,
    ),
    lines(
        "Unseen categories", "percentunit",
        "Share of rows with a value that the reference never had. A new one may be real (a new product) or a renamed one: "
        "the feature's page shows which values.",
        over_time(_series("unseen_rate")), to=_HERE,
    ),
    bars(
        "Verdicts", "short",
        "Of the chosen features' findings, all metrics. What is neither ok nor alarm could not be judged.",
        over_time(f"""
            SELECT window_end AS "time", verdict AS metric, count(*)::double precision AS value FROM finding_history
            WHERE {_ALL} GROUP BY 1, 2 ORDER BY 1
        """), to=_HERE,
    ),
    lines(
        "Highest right now", "none",
        "The chosen metric in the newest judged window, ten highest, as Prometheus saw it: for the fifty features of a model "
        "that moved most. This is what Prometheus can alarm on.",
        now('topk(10, remora_feature_value{model="$model", metric="$metric"})', "{{feature}}"),
    ),
)  # fmt: skip

_TABLE = listing(
    "Newest window of each feature",
    "Furthest above its threshold first, with the reason in words. A click on a feature opens its distribution beside the "
    "reference's, which says what moved where.",
    rows(f"""
        SELECT feature, metric, value, threshold, reference_value AS reference, effect, size, verdict, reason, "window ends"
        FROM (
            SELECT DISTINCT ON (feature) feature, metric, value, threshold, reference_value, effect, size, verdict, reason,
                window_end AS "window ends"
            FROM finding_history WHERE {_ALL} AND metric = '$metric' ORDER BY feature, window_end DESC
        ) AS newest
        ORDER BY value / coalesce(nullif(threshold, 0), 1) DESC NULLS LAST LIMIT 200
    """),
    to=_HERE, links={"feature": _FEATURE},
)  # fmt: skip

BOARD = Board(
    "remora-features", "Remora: features", "Which features of a model moved away from the reference, how far and since when.",
    (MODEL, _METRIC, FEATURE, REMORA),
    (("Drift", _DRIFT), ("Now", (_TABLE,)), ("Data quality", _QUALITY)),
    marks=MARKS, recent="now-30d", pages=(("Remora: this model", _HERE),),
)  # fmt: skip
