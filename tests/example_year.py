"""Tables full of a plausible year, for tests of whatever reads them: 300 daily windows of a model that decays."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from remora import tables
from remora.database import Database
from remora.summaries import CategoricalSummary, NumericSummary, encode

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NUMERIC = {
    "distance": 1000.0,
    "sched_hour": 13.0,
    "temp": 60.0,
    "wind_speed": 10.0,
    "visib": 9.3,
    "pressure": 1017.0,
}
CATEGORICAL = {
    "carrier": ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E"],
    "origin": ["EWR", "JFK", "LGA"],
    "dest": ["ORD", "ATL", "LAX", "BOS", "MCO", "CLT", "SFO", "FLL", "MIA", "DCA"],
    "weekday": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
}
FEATURES = [*CATEGORICAL, *NUMERIC]
RETRAINED = 190


def fill(database: Database, *, days: int = 300, model: str = "flights", judged: bool = True) -> None:
    """One model with two versions, its findings, alerts, incidents, deliveries, reference and raw rows."""
    random = np.random.default_rng(7)
    last = START + days * DAY
    put(
        database,
        tables.models,
        [{"name": model, "first_seen": START, "last_seen": last - timedelta(minutes=7)}],
    )
    changed = START + RETRAINED * DAY
    spans = [("2013-02", START, min(changed, last)), ("2013-09", changed, last - timedelta(minutes=7))]
    put(database, tables.versions, [
        {"model": model, "version": version, "first_seen": first, "last_seen": seen}
        for version, first, seen in spans if first < seen
    ])  # fmt: skip
    if judged:
        put(database, tables.findings, findings_of(random, model, days))
        put(database, tables.job_runs, runs_of(model, days))
    put(database, tables.alerts, alerts_of(model))
    _incident(database, model)
    _deliveries(database)
    put(database, tables.collectors, collectors_of(model, last))
    _reference(database, random, model)
    _windows(database, random, model, days)


def put(database: Database, table, rows) -> None:
    with database.write() as connection:
        for start in range(0, len(rows), 500):
            connection.execute(table.insert(), rows[start : start + 500])


def finding(model, day, metric, value, **over):
    row = {
        "model": model, "version": "", "segment": "", "metric": metric, "feature": "",
        "window_start": START + day * DAY, "window_end": START + (day + 1) * DAY, "value": value, "low": None,
        "high": None, "reference_value": None, "threshold": None, "size": 900, "reference_size": 20000,
        "coverage": None, "verdict": "ok", "reason": "within the usual range", "revision": 1, "latest": True,
        "computed_at": START + (day + 1) * DAY + timedelta(minutes=5),
    }  # fmt: skip
    return row | over


def findings_of(random, model, days):
    rows = []
    for day in range(days):
        version = "2013-02" if day < RETRAINED else "2013-09"
        season = math.sin(day / 365 * 2 * math.pi)
        bad = day == 137
        traffic = max(20, 920 + 60 * math.sin(day / 7 * 2 * math.pi) + random.normal(0, 25))
        auc = 0.70 - 0.11 * min(1.0, day / 185) + random.normal(0, 0.012)
        if day >= RETRAINED:
            auc = 0.685 + random.normal(0, 0.012)
        waits = (9 + random.normal(0, 0.5)) * (9 if bad else 1)
        values = {
            "predictions": (traffic, {}),
            "error_rate": (0.21 if bad else max(0.0, random.normal(0.002, 0.001)), {"threshold": 0.02}),
            "latency_p50": (waits * 0.6, {}),
            "latency_p95": (waits * 2.1, {"threshold": 50.0, "reference_value": 18.5}),
            "latency_p99": (waits * 3.7, {}),
            "accuracy": (0.66 + auc * 0.2, {"reference_value": 0.81, "coverage": 0.96}),
            "auc": (auc, {"reference_value": 0.70, "threshold": 0.62, "coverage": 0.96,
                          "low": auc - 0.02, "high": auc + 0.02}),
            "log_loss": (0.9 - auc * 0.6, {"reference_value": 0.47, "coverage": 0.96}),
            "brier": (0.25 - auc * 0.12, {"reference_value": 0.16, "coverage": 0.96}),
            "base_rate": (0.22 + 0.07 * season, {"reference_value": 0.23, "coverage": 0.96}),
            "label_coverage": (0.96 + random.normal(0, 0.008), {}),
        }  # fmt: skip
        for metric, (number, extra) in values.items():
            value, over = number, dict(extra)
            limit = over.get("threshold")
            up = metric == "auc"
            alarm = limit is not None and (value < limit if up else value > limit)
            over |= {"size": int(traffic), "verdict": "alarm" if alarm else "ok"}
            if day > days - 3 and metric in {"accuracy", "auc", "log_loss", "brier", "base_rate"}:
                over |= {"verdict": "labels_not_mature", "coverage": 0.31,
                         "reason": "31 % of the rows have a label, 50 % are needed"}  # fmt: skip
                value = None
            rows.append(finding(model, day, metric, value, **over))
            rows.append(finding(model, day, metric, value, **dict(over, version=version)))
        rows += _drift(random, model, day, season)
    return rows


def _drift(random, model, day, season):
    rows = []
    for index, feature in enumerate([*FEATURES, "$score", "$prediction"]):
        psi = abs(random.normal(0.012, 0.006)) + 0.004 * index
        if feature == "temp":
            psi += 0.45 * max(0.0, season) ** 2
        if feature == "carrier" and 200 <= day < 230:
            psi += 0.16
        alarm = psi > 0.2
        reason = (
            f"PSI {psi:.3f} is over 0.200: mass moved between the bins" if alarm else "as in the reference"
        )
        rows.append(finding(model, day, "psi", psi, feature=feature, threshold=0.2, reference_value=0.02,
                            verdict="alarm" if alarm else "ok", reason=reason))  # fmt: skip
        if not feature.startswith("$"):
            missing = max(0.0, random.normal(0.01, 0.004)) + (
                0.3 if feature == "visib" and 60 <= day < 66 else 0
            )
            rows.append(finding(model, day, "missing_rate", missing, feature=feature, threshold=0.05,
                                reference_value=0.01, verdict="alarm" if missing > 0.05 else "ok"))  # fmt: skip
        if feature in CATEGORICAL:
            rows.append(finding(model, day, "unseen_rate", max(0.0, random.normal(0.001, 0.001)), feature=feature,
                                threshold=0.02))  # fmt: skip
    return rows


def runs_of(model, days):
    return [
        {"job": job, "model": model, "window_start": START + day * DAY, "window_end": START + (day + 1) * DAY,
         "state": "done", "owner": "test", "lease_until": START, "epoch": 1, "attempts": 1, "revision": 1,
         "watermark": day, "finished_at": START + (day + 1) * DAY, "error": None}
        for day in range(days) for job in ("traffic", "drift", "performance")
    ]  # fmt: skip


def alert(alert_id, rule, metric, state, fired, resolved, **over):
    labels = {"alertname": rule, "model": over.get("model", "flights"), "metric": metric,
              "severity": over.get("severity", "ticket"), **over.pop("labels", {})}  # fmt: skip
    row = {
        "id": alert_id, "rule": rule, "fingerprint": alert_id, "model": "flights", "state": state,
        "severity": labels["severity"], "labels": labels, "annotations": {"summary": f"{rule} on {labels['model']}"},
        "value": 0.5, "active_at": START + (fired - 2) * DAY, "fired_at": START + fired * DAY,
        "keep_firing_since": None, "resolved_at": None if resolved is None else START + resolved * DAY,
        "evaluated_at": START + (resolved or 300) * DAY, "window_start": START + (fired - 1) * DAY,
        "window_end": START + fired * DAY, "missing": 0,
    }  # fmt: skip
    return row | over


def alerts_of(model):
    return [
        alert("a1", "FeatureDrift", "psi", "resolved", 70, 140, value=0.44, model=model, labels={"feature": "temp"}),
        alert("a2", "SlowAnswers", "latency_p95", "resolved", 138, 140, value=171.0, model=model, severity="page"),
        alert("a3", "Errors", "error_rate", "resolved", 138, 140, value=0.21, model=model, severity="page"),
        alert("a4", "QualityFell", "auc", "resolved", 176, 196, value=0.603, model=model),
        alert("a5", "FeatureDrift", "psi", "firing", 205, None, value=0.21, model=model, labels={"feature": "carrier"}),
        alert("a6", "LabelsLate", "label_coverage", "pending", 299, None, value=0.31, fired_at=None, model=model),
    ]  # fmt: skip


def _incident(database, model):
    opened = START + 138 * DAY
    base = {"plan": "outage", "group_key": f"{model}/outage", "model": model, "severity": "page", "quiet_since": None,
            "acknowledged_at": None, "acknowledged_by": None}  # fmt: skip
    put(database, tables.incidents, [
        base | {"id": "i1", "title": f"{model} answers slowly and with errors", "state": "resolved",
                "alert_ids": ["a2", "a3"], "opened_at": opened, "acknowledged_at": opened + timedelta(minutes=22),
                "acknowledged_by": "ann", "resolved_at": opened + timedelta(days=2)},
        base | {"id": "i2", "plan": "drift", "group_key": f"{model}/drift", "title": f"{model}: carrier has moved",
                "state": "open", "severity": "ticket", "alert_ids": ["a5"], "opened_at": START + 205 * DAY,
                "resolved_at": None},
    ])  # fmt: skip
    event = lambda minute, actor, kind, text: {"incident_id": "i1", "at": opened + timedelta(minutes=minute),  # noqa: E731
                                               "actor": actor, "kind": kind, "text": text}  # fmt: skip
    put(database, tables.incident_events, [
        event(0, "remora", "opened", "SlowAnswers and Errors fire"),
        event(0, "remora", "step_started", "Tell the on-call channel"),
        event(1, "remora", "step_succeeded", "Delivered to slack-oncall"),
        event(15, "remora", "step_started", "Escalate: nobody acknowledged for 15 minutes"),
        event(22, "ann", "acknowledged", "Rolling the pod back"),
        event(2880, "remora", "resolved", "All alerts resolved for 30 minutes"),
    ])  # fmt: skip
    step = lambda number, kind, title, state, detail: {  # noqa: E731
        "incident_id": "i1", "step": number, "iteration": 0, "kind": kind, "title": title, "state": state,
        "detail": detail, "started_at": opened + timedelta(minutes=number), "finished_at": opened + timedelta(minutes=number + 1),
    }  # fmt: skip
    put(database, tables.plan_steps, [
        step(0, "notify", "Tell the on-call channel", "done", "delivered to slack-oncall"),
        step(1, "checklist", "Runbook: look at the pod, roll back", "done", "3 items"),
        step(2, "wait", "Wait 15 minutes for somebody", "done", ""),
        step(3, "notify", "Escalate to the team lead", "failed", "receiver answered 500 twice"),
        step(4, "action", "Restart the model", "skipped", "acknowledged"),
    ])  # fmt: skip
    put(database, tables.actions, [
        {"id": "act1", "name": "retrain", "model": model, "incident_id": "i1", "step": 4, "iteration": 0,
         "state": "succeeded", "reason": "AUC below 0.62 in 5 of 7 windows", "requested_at": START + 188 * DAY,
         "expires_at": START + 189 * DAY, "finished_at": START + 190 * DAY, "model_version": "2013-09",
         "url": "https://ci.example/run/12", "detail": "AUC 0.69 on the held-out week"},
    ])  # fmt: skip


def collectors_of(model, last):
    """Two sidecars, one of which is silent, and a server."""
    counters = {"running": 1, "records_per_second": 9.5, "lost": 0, "lag_seconds": 0.4, "bytes": 20_480,
                "limit_bytes": 1 << 30, "pending": 12, "set_aside": 0}  # fmt: skip
    base = {
        "host": "pod-1",
        "model": model,
        "version": "0.1.0",
        "started_at": START,
        "seen_at": last,
        "counters": counters,
    }
    return [
        base | {"id": f"{model}-one"},
        base | {"id": f"{model}-two", "host": "pod-2", "seen_at": last - timedelta(hours=1),
                "counters": counters | {"lost": 7, "dropped_full": 7, "records_per_second": 0.0}},
        base | {"id": f"{model}-server", "host": "remora", "model": ""},
    ]  # fmt: skip


def _deliveries(database):
    at = START + 138 * DAY
    base = {"order_key": "i1", "body": b"{}", "created_at": at, "next_attempt_at": at, "expires_at": at + DAY,
            "lease_owner": None, "lease_until": None, "delivered_at": None, "last_status": None, "last_error": None}  # fmt: skip
    put(database, tables.deliveries, [
        base | {"id": "d1", "event_id": "i1-opened", "receiver": "slack-oncall", "kind": "incident.opened",
                "state": "delivered", "attempts": 1, "delivered_at": at, "last_status": 200},
        base | {"id": "d2", "event_id": "i1-escalated", "receiver": "lead", "kind": "incident.escalated",
                "state": "dead", "attempts": 9, "last_status": 500, "last_error": "receiver answered 500"},
        base | {"id": "d3", "event_id": "a5-firing", "receiver": "ci", "kind": "alert.firing", "order_key": "a5",
                "state": "pending", "attempts": 2, "last_error": "connection refused"},
    ])  # fmt: skip


def draw(random, rows, *, shifted=False):
    """Raw rows of a day: features, score, prediction and label."""
    made = []
    for index in range(rows):
        features = {name: str(random.choice(values)) for name, values in CATEGORICAL.items()}
        if shifted and random.random() < 0.35:
            features["carrier"] = "WN"
        for name, mean in NUMERIC.items():
            features[name] = float(round(random.normal(mean, mean * 0.25), 2))
        features["temp"] += 22 if shifted else 0
        score = float(np.clip(random.beta(2, 6), 0.001, 0.999))
        label = bool(random.random() < score)
        made.append(
            {"index": index, "features": features, "score": score, "prediction": score > 0.4, "label": label}
        )
    return made


def _reference(database, random, model):
    rows = draw(random, 1500)
    lines = b"\n".join(
        msgspec.json.encode({**row["features"], "score": row["score"], "prediction": row["prediction"], "label": row["label"]})
        for row in rows
    )  # fmt: skip
    put(database, tables.reference_sets, [
        {"id": "ref1", "model": model, "version": "", "source": "january-february.csv", "rows": 50000,
         "built_at": START, "active": True, "sample": gzip.compress(lines)}])  # fmt: skip
    columns = []
    for name in FEATURES:
        summary = _summary(rows, name)
        bins = (
            list(CATEGORICAL[name])
            if name in CATEGORICAL
            else summary.quantiles([i / 10 for i in range(1, 10)])
        )
        columns.append({"reference_id": "ref1", "column_name": name, "kind": summary.kind, "data": encode(summary),
                        "bins": bins, "calibration": {}})  # fmt: skip
    put(database, tables.reference_columns, columns)


def _summary(rows, name):
    values = [row["features"][name] for row in rows]
    if name in CATEGORICAL:
        summary = CategoricalSummary()
        summary.update(values, 3)
    else:
        summary = NumericSummary()
        summary.update(np.array(values), 3)
    return summary


def _windows(database, random, model, days):
    for day, shifted in ((days - 1, True), (204, True), (10, False)):
        if day >= days:
            continue
        start = START + day * DAY
        rows = draw(random, 400, shifted=shifted)
        put(database, tables.summaries, [
            {"model": model, "version": "2013-09", "segment": "", "granularity": "minute",
             "start": start + timedelta(hours=hour), "column_name": name, "kind": summary.kind,
             "data": encode(summary), "batch_id": f"b{day}"}
            for hour in (3, 15) for name in FEATURES
            for summary in [_summary(rows[: 200] if hour == 3 else rows[200:], name)]
        ])  # fmt: skip
        put(database, tables.predictions, [
            {"id": f"{model}-{day}-{row['index']}", "model": model, "version": "2013-09",
             "timestamp": start + timedelta(minutes=3 * row["index"]), "latency_ms": 9.0, "status": 200,
             "features": row["features"], "prediction": row["prediction"], "scores": row["score"], "tags": {},
             "batch_id": f"b{day}"} for row in rows])  # fmt: skip
        put(database, tables.labels, [
            {"id": f"{model}-{day}-{row['index']}", "model": model, "label": row["label"],
             "timestamp": start + DAY, "joined": True, "batch_id": f"b{day}"} for row in rows[:300]])  # fmt: skip
