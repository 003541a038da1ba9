"""Every model at a glance: what is wrong, with which of them."""

from __future__ import annotations

from dashboards.grafana.panels import Board, bars, lines, listing, number
from dashboards.grafana.sources import MODELS, REMORA, choice, now, rows

__all__ = ["BOARD", "QUALITY"]

# The number that says best how good a model is, by its kind; the first that most models have comes first.
QUALITY = choice("quality", "Quality", ("auc", "accuracy", "f1", "log_loss", "mae", "rmse", "ndcg"))

_OF = 'model=~"$model"'


def _value(metric: str) -> str:
    """A metric of the newest judged window, of the twenty models where it is highest."""
    return f'topk(20, remora_metric_value{{metric="{metric}", {_OF}}})'


_NOW = (
    number(
        "Alerts firing", "short",
        "Alerts that fire now, of every severity. When it is not 0: open the dashboard Alerts; those with severity page "
        "come first, silences and acknowledgements are made on Remora's page.",
        now(f'sum(remora_alerts{{state="firing", {_OF}}}) or vector(0)'),
        to="/alerts?state=firing", steps=(("green", None), ("orange", 1), ("red", 3)),
    ),
    number(
        "Error budget left", "percentunit",
        "Of the objective that has least left of its period's budget. Below 0 the objective is missed: stop risky "
        "changes, and look at Burn rate for what spends it. Empty where remora.yaml has no slos.",
        now(f"min(remora_slo_error_budget_remaining_ratio{{{_OF}}})"),
        to="/rules", steps=(("red", None), ("orange", 0), ("green", 0.25)),
    ),
    number(
        "Could not be judged", "short",
        "Findings of the newest windows that are neither well nor an alarm: too few rows, or labels not in yet. A few are "
        "usual for the newest window; many for long mean that nobody is watching. The reason stands on the model's page.",
        now(f'sum(remora_findings{{verdict!~"ok|alarm", {_OF}}}) or vector(0)'),
    ),
    number(
        "Behind", "s",
        "Age of the end of the newest window whose traffic was judged, of the model furthest behind. More than the "
        "window's size and its lateness: is anything being predicted, does the database answer, does the server's log complain?",
        now(f'max(time() - remora_window_judged_timestamp_seconds{{job="traffic", {_OF}}})'),
        steps=(("green", None), ("orange", 2 * 86400)),
    ),
    number(
        "Messages given up", "short",
        "Messages that no receiver took in time: somebody was not told. The page Deliveries says which and why; repair the "
        "receiver, then send them again with `remora delivery`.",
        now('remora_deliveries{state="dead"}'), to="/deliveries?state=dead", steps=(("green", None), ("red", 1)),
    ),
    number(
        "Database", "bool_yes_no",
        "Whether the database answered the newest scrape. While it does not, nothing is judged and nobody is told; "
        "collectors keep what arrives in their spools, so bring it back before those are full.",
        now("remora_database_up"), steps=(("red", None), ("green", 1)),
    ),
)  # fmt: skip

_MODELS = listing(
    "Models",
    "Each model's newest window, most alerts first; a click on a name opens its page. Realised performance is empty until "
    "labels are in: then look at what is estimated, and at the coverage.",
    rows("""
        WITH newest AS (
            SELECT DISTINCT ON (model, metric) model, metric, value, verdict, window_end FROM finding_history
            WHERE version = '' AND segment = '' AND feature = '' AND model IN (${model:sqlstring})
                AND metric IN ('predictions', 'latency_p95', 'error_rate', 'label_coverage', '$quality', 'estimated_$quality')
                AND $__timeFilter(window_end)
            ORDER BY model, metric, window_end DESC
        ), firing AS (
            SELECT model, count(*) AS alerts FROM alert_history WHERE state = 'firing' GROUP BY 1
        )
        SELECT model, coalesce(max(alerts), 0) AS firing, max(window_end) AS "window ends",
            max(value) FILTER (WHERE metric = 'predictions') AS predictions,
            max(value) FILTER (WHERE metric = 'error_rate') AS errors,
            max(value) FILTER (WHERE metric = 'latency_p95') AS "latency p95",
            max(value) FILTER (WHERE metric = '$quality') AS "$quality",
            max(value) FILTER (WHERE metric = 'estimated_$quality') AS estimated,
            max(value) FILTER (WHERE metric = 'label_coverage') AS "label coverage"
        FROM newest LEFT JOIN firing USING (model) GROUP BY model ORDER BY firing DESC, model LIMIT 200
    """),
    to="/",
    units={
        "errors": "percentunit",
        "latency p95": "ms",
        "label coverage": "percentunit",
        "predictions": "short",
    },
    links={"model": "/models/${__data.fields.model:percentencode}"},
)

_SERVICE = (
    lines(
        "Predictions", "short",
        "In the newest judged window. A fall to nothing with a healthy model server: callers, the sidecar or its spool.",
        now(_value("predictions"), "{{model}}"),
    ),
    lines(
        "Error rate", "percentunit",
        "Answers that were errors, of the newest judged window. Look at the model server's log and its last deployment; "
        "going back is faster than finding out.",
        now(_value("error_rate"), "{{model}}"),
    ),
    lines(
        "Latency p95", "ms",
        "One answer in twenty took longer, in the newest judged window. Compare with the traffic: more of it, or slower "
        "without more? By the minute it is in the dashboard Collectors.",
        now(_value("latency_p95"), "{{model}}"),
    ),
    lines(
        "Label coverage", "percentunit",
        "Share of the newest window's predictions whose label is known. Low is usual for a young window; where it stays low, "
        "the realised performance says little and the job that brings labels wants a look.",
        now(_value("label_coverage"), "{{model}}"),
    ),
)  # fmt: skip

_PERFORMANCE = (
    lines(
        "Realised performance", "none",
        "From labels, of the newest judged window; nothing while it has too few of them. When it falls: the model's page says since which "
        "version, in which segment and with which features.",
        now(f'topk(20, remora_metric_value{{metric="$quality", {_OF}}})', "{{model}}"),
    ),
    lines(
        "Estimated performance", "none",
        "From scores and inputs, before labels are in. When it falls while the realised one has not yet: an early warning. "
        "When the two part for long, the relation itself has changed: believe the labels.",
        now(f'topk(20, remora_metric_value{{metric="estimated_$quality", {_OF}}})', "{{model}}"),
    ),
    lines(
        "Burn rate", "none",
        "How many times as fast as allowed each error budget is being spent: at 1 it lasts exactly its period. A high rate "
        "over a short window wakes somebody, a low one over a long window is work for tomorrow.",
        now(f"topk(20, remora_slo_burn_rate{{{_OF}}})", "{{slo}} over {{window}}"), to="/rules", limit=1,
    ),
    lines(
        "Error budget left", "percentunit",
        "What is left of each objective's period; below 0 it is overspent, and then reliability goes before features.",
        now(f"topk(20, remora_slo_error_budget_remaining_ratio{{{_OF}}})", "{{slo}}"), to="/rules",
    ),
)  # fmt: skip

_DRIFT = (
    lines(
        "Features that moved most", "none",
        "Population stability index against the reference, newest window: the ten highest of all models. Whether a value is "
        "an alarm depends on the feature's own threshold, which the dashboard Features shows.",
        now(f'topk(10, remora_feature_value{{metric="psi", {_OF}}})', "{{model}} {{feature}}"),
    ),
    bars(
        "Findings that are alarms", "short",
        "Of the newest windows, by model and job. One feature is curious; many at once are usually a changed source or unit "
        "before the model, which retraining would only hide.",
        now(f'sum by (model, job) (remora_findings{{verdict="alarm", {_OF}}})', "{{model}} {{job}}"),
    ),
)  # fmt: skip

BOARD = Board(
    "remora-overview", "Remora: overview", "What is wrong, with which model. Start here.",
    (MODELS, QUALITY, REMORA),
    (("Now", _NOW), ("Models", (_MODELS,)), ("Traffic and answers", _SERVICE), ("Performance", _PERFORMANCE), ("Drift", _DRIFT)),
)  # fmt: skip
