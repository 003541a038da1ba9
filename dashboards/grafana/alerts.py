"""Alerts, incidents and the messages about them: what fires, who was told, what was done."""

from __future__ import annotations

from dashboards.grafana.panels import Board, bars, lines, listing, number
from dashboards.grafana.sources import MODELS, REMORA, now, over_time, rows

__all__ = ["BOARD"]

_OF = 'model=~"$model"'
_MODELS = "model IN (${model:sqlstring})"
_ALERT = "/alerts/${__data.fields.id:percentencode}"
_INCIDENT = "/incidents/${__data.fields.id:percentencode}"

_NOW = (
    number(
        "Pages firing", "short",
        "Alerts with the severity page that fire now. Not 0: somebody should be looking. Acknowledge the incident on Remora's "
        "page, so that it does not escalate.",
        now(f'sum(remora_alerts{{state="firing", severity="page", {_OF}}}) or vector(0)'),
        to="/alerts?state=firing", steps=(("green", None), ("red", 1)),
    ),
    number(
        "Other alerts firing", "short",
        "Tickets and whatever has no severity page: for the next working day.",
        now(f'sum(remora_alerts{{state="firing", severity!="page", {_OF}}}) or vector(0)'),
        to="/alerts?state=firing", steps=(("green", None), ("orange", 1)),
    ),
    number(
        "Pending", "short",
        "Conditions that hold, though not yet for as long as their rules ask (for) before anybody is told.",
        now(f'sum(remora_alerts{{state="pending", {_OF}}}) or vector(0)'), to="/alerts?state=pending",
    ),
    number(
        "Incidents open", "short",
        "Not resolved yet, acknowledged or not. Old ones that nobody works on: end them, or mend the plan that keeps them open.",
        rows(f"SELECT count(*) AS open FROM incident_history WHERE resolved_at IS NULL AND {_MODELS}"),
        to="/incidents", steps=(("green", None), ("orange", 1)),
    ),
    number(
        "Messages waiting", "short",
        "For their receivers, retries among them. More than a handful for minutes: a receiver is down; Answers of receivers says "
        "which one.",
        now('remora_deliveries{state="pending"}'), to="/deliveries?state=pending", steps=(("green", None), ("orange", 20)),
    ),
    number(
        "Messages given up", "short",
        "Somebody was not told. `remora delivery` sends one again when its receiver is repaired.",
        now('remora_deliveries{state="dead"}'), to="/deliveries?state=dead", steps=(("green", None), ("red", 1)),
    ),
)  # fmt: skip

_ALERTS = (
    lines(
        "Alerts by rule", "short",
        "Pending and firing, the twenty largest groups. One that comes and goes all day wants more windows or a "
        "resolve_threshold; `remora backtest` rehearses it.",
        now(f"topk(20, sum by (model, alertname, state) (remora_alerts{{{_OF}}}))", "{{model}} {{alertname}} {{state}}"),
    ),
    bars(
        "Alerts raised", "short",
        "By day and rule, in the time of the windows. A rule that raises more than anybody acts upon trains people to look away: "
        "the page Rules says how many it raises by chance.",
        over_time(f"""
            SELECT date_trunc('day', fired_at) AS "time", rule AS metric, count(*)::double precision AS value
            FROM alert_history WHERE {_MODELS} AND $__timeFilter(fired_at) GROUP BY 1, 2 ORDER BY 1
        """), to="/rules",
    ),
    listing(
        "Open alerts",
        "Whatever the chosen time. A click on an id opens the alert with its evidence; there it is acknowledged and silenced.",
        rows(f"""
            SELECT id, model, rule, severity, state, feature, segment, value, summary, active_at, fired_at
            FROM alert_history WHERE state IN ('pending', 'firing') AND {_MODELS}
            ORDER BY state, severity, fired_at DESC NULLS LAST LIMIT 200
        """),
        to="/alerts?state=firing", links={"id": _ALERT},
    ),
    listing(
        "Alerts of the chosen time",
        "Fired within it, newest first, resolved ones too. The same rule again and again: mend its cause, or the rule.",
        rows(f"""
            SELECT id, model, rule, severity, state, feature, segment, value, summary, fired_at, resolved_at
            FROM alert_history WHERE {_MODELS} AND $__timeFilter(fired_at) ORDER BY fired_at DESC LIMIT 200
        """),
        to="/alerts", links={"id": _ALERT},
    ),
)  # fmt: skip

_RESPONSE = (
    listing(
        "Incidents",
        "Opened within the chosen time, newest first, with the minutes until somebody took them. A click on an id opens cause, "
        "plan and timeline.",
        rows(f"""
            SELECT id, model, title, severity, state, opened_at, acknowledged_by,
                extract(epoch FROM acknowledged_at - opened_at)::double precision AS "until taken",
                extract(epoch FROM resolved_at - opened_at)::double precision AS "until over"
            FROM incident_history WHERE {_MODELS} AND $__timeFilter(opened_at) ORDER BY opened_at DESC LIMIT 200
        """),
        to="/incidents", units={"until taken": "s", "until over": "s"}, links={"id": _INCIDENT},
    ),
    listing(
        "Model updates asked for",
        "Retrains, rollbacks and the like, newest first. One that waits for approval is approved on its incident's page; one "
        "that failed says why.",
        rows(f"""
            SELECT id, name, model, state, reason, model_version, requested_at, finished_at FROM action_history
            WHERE {_MODELS} AND $__timeFilter(requested_at) ORDER BY requested_at DESC LIMIT 200
        """),
        to="/incidents",
    ),
)  # fmt: skip

_MESSAGES = (
    lines(
        "Answers of receivers", "ops",
        "Attempts to deliver, by receiver and outcome. Not delivered for minutes: its address, its token, or it is down.",
        now("sum by (receiver, outcome) (rate(remora_deliveries_total[$__rate_interval]))", "{{receiver}} {{outcome}}"),
    ),
    lines(
        "Time of receivers' answers, p95", "s",
        "Slow receivers hold back nobody else, but a page that takes a minute to arrive is a minute lost.",
        now(
            "histogram_quantile(0.95, sum by (le, receiver) (rate(remora_delivery_duration_seconds_bucket[$__rate_interval])))",
            "{{receiver}}",
        ),
    ),
    lines(
        "Receivers left alone", "bool_yes_no",
        "1 while a receiver gets nothing after many failures in a row; it is tried again by itself. Until then messages wait.",
        now("max by (receiver) (remora_receiver_breaker_open)", "{{receiver}}"),
    ),
    lines(
        "Rules at work", "ops",
        "Evaluations of rules by outcome. None at all while windows are judged: the server's jobs stand, see its log.",
        now("sum by (outcome) (rate(remora_rule_evaluations_total[$__rate_interval]))", "{{outcome}}"),
    ),
    listing(
        "Messages that did not arrive",
        "Waiting or given up, newest first, with what the receiver answered.",
        rows("""
            SELECT id, receiver, kind, state, attempts, created_at, last_status, last_error FROM delivery_history
            WHERE state <> 'delivered' ORDER BY created_at DESC LIMIT 200
        """),
        to="/deliveries?state=dead",
    ),
)  # fmt: skip

BOARD = Board(
    "remora-alerts", "Remora: alerts", "What fires, who was told, what was done about it.",
    (MODELS, REMORA),
    (("Now", _NOW), ("Alerts", _ALERTS), ("Response", _RESPONSE), ("Messages and rules", _MESSAGES)),
    recent="now-7d", pages=(("Remora: alerts", "/alerts"), ("Remora: incidents", "/incidents")),
)  # fmt: skip
