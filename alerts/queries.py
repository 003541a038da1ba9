"""SQL for rules and notifications: findings in, alert states and what was told out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from alerts.dedup import Told
from alerts.finding import Finding
from remora.bulk import delete_keys, insert_rows, select_keys
from remora.config import Config
from remora.config.alerting import Rule
from remora.database import insert_new, serialize, upsert
from remora.runs import GIVEN_UP_AFTER
from remora.tables import alerts, archives, clock, findings, job_runs, models, notifications, silences

__all__ = [
    "MOST_WINDOWS", "AlertRow", "Silence", "Window", "alerts_by_id", "archived", "begin_run", "business_time", "coverage",
    "delete_alerts", "drifting", "due_windows", "fail_run", "finding_of", "findings_for", "findings_of", "live_silences", "lock_alerts", "newest_value",
    "notifiable", "put_alerts", "remember", "told", "unresolved_alerts",
]  # fmt: skip

_ATTEMPTS = 3
MOST_WINDOWS = 1000
_MOST_FOLDERS = 100  # what starts a pipeline has little room for names
_LOCK = 0x52454D4F  # any number, the same in every process
_SUSPECT = 0.6  # of its threshold: below that a feature is as usual
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_FINDING = [findings.c[name] for name in Finding.__dataclass_fields__]


@dataclass(frozen=True)
class Window:
    """A finished window of a job; `ts` is when it was due, the instant at which its rules are evaluated."""

    job: str
    model: str
    start: datetime
    end: datetime
    ts: datetime


@dataclass(frozen=True)
class AlertRow:
    """A row of `alerts`."""

    id: str
    rule: str
    fingerprint: str
    model: str
    state: str
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | None
    active_at: datetime
    fired_at: datetime | None
    keep_firing_since: datetime | None
    resolved_at: datetime | None
    evaluated_at: datetime
    window_start: datetime
    window_end: datetime
    missing: int


@dataclass(frozen=True)
class Silence:
    id: str
    matchers: list[dict[str, Any]]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


_ALERT = [alerts.c[name] for name in AlertRow.__dataclass_fields__]


def lock_alerts(connection: sa.Connection) -> None:
    """Let one transaction at a time decide about alerts, in all processes, until it ends."""
    serialize(connection, _LOCK)


def business_time(connection: sa.Connection, config: Config, wall: datetime) -> datetime:
    """The instant that rules and plans live by: the replayed clock where there is one."""
    if config.schedule.clock == "system":
        return wall
    return connection.execute(sa.select(clock.c.now).where(clock.c.name == "replay")).scalar() or wall


# --- windows ---------------------------------------------------------------------------------------------------------


def due_windows(connection: sa.Connection, config: Config, job: str, now: datetime) -> list[Window]:
    """Windows that the detectors are done with and the rules are not, of every model, oldest first.

    One waits while an earlier one of its job and model is still being judged, or is to be tried again.
    At most `MOST_WINDOWS` of them are read; fewer are given only where there are no more.
    """
    mine, theirs = job_runs.alias("mine"), job_runs.alias("theirs")
    last = (
        sa.select(sa.func.max(mine.c.window_start))
        .where(mine.c.job == f"rules.{job}", mine.c.model == models.c.name)
        .where(sa.or_(mine.c.state == "done", mine.c.attempts >= _ATTEMPTS))
        .correlate(models)
        .scalar_subquery()
    )
    statement = (
        sa.select(theirs.c.model, theirs.c.window_start, theirs.c.window_end)
        .select_from(models.join(theirs, theirs.c.model == models.c.name))
        .where(theirs.c.job == job, theirs.c.state == "done")
        .where(
            theirs.c.window_start
            > sa.func.coalesce(last, sa.literal(_BEGINNING, job_runs.c.window_start.type))
        )
        .order_by(theirs.c.window_start)
        .limit(MOST_WINDOWS)
    )
    waiting = _unfinished(connection, config, job, now)
    rows = list(connection.execute(statement.where(models.c.name.not_in(waiting))))
    for model, first in waiting.items():
        rows += connection.execute(statement.where(models.c.name == model, theirs.c.window_start < first))
    found = []
    for model, start, end in sorted(rows, key=lambda row: row[1])[:MOST_WINDOWS]:
        lateness = config.model(model).windows.lateness_of(job)
        if end + lateness <= now:
            found.append(Window(job, model, start, end, end + lateness))
    return found


def _unfinished(connection: sa.Connection, config: Config, job: str, now: datetime) -> dict[str, datetime]:
    """Each model's earliest window that the detectors have begun and neither finished nor given up.

    What is older than `backfill` is not tried again, so nothing waits for it either.
    """
    statement = (
        sa.select(job_runs.c.model, job_runs.c.window_start)
        .where(job_runs.c.job == job, job_runs.c.state.in_(("running", "failed")))
        .where(job_runs.c.attempts < GIVEN_UP_AFTER)
        .order_by(job_runs.c.window_start.desc())
    )
    return {
        model: start
        for model, start in connection.execute(statement)
        if start >= now - config.model(model).windows.backfill
    }


def begin_run(connection: sa.Connection, window: Window, owner: str, wall: datetime) -> bool:
    """Mark the window as evaluated, in the transaction that does it; False when it is already.

    No lease is needed: what is decided commits together with this row or not at all.
    """
    row = _run(window, owner, wall) | {"state": "done", "attempts": 1, "finished_at": wall}
    if insert_new(connection, job_runs, [row], ["job", "model", "window_start"]):
        return True
    changed = connection.execute(
        sa.update(job_runs)
        .where(_is_run(window), job_runs.c.state == "failed", job_runs.c.attempts < _ATTEMPTS)
        .values(state="done", owner=owner, epoch=job_runs.c.epoch + 1, finished_at=wall, error=None)
    )
    return changed.rowcount == 1


def fail_run(connection: sa.Connection, window: Window, owner: str, wall: datetime, error: str) -> None:
    """Count a failed evaluation; after three the window is left behind, with its error in the row."""
    row = _run(window, owner, wall) | {"state": "failed", "attempts": 0, "finished_at": None}
    insert_new(connection, job_runs, [row], ["job", "model", "window_start"])
    connection.execute(
        sa.update(job_runs)
        .where(_is_run(window), job_runs.c.state == "failed")
        .values(attempts=job_runs.c.attempts + 1, error=error[:500])
    )


def _run(window: Window, owner: str, wall: datetime) -> dict[str, Any]:
    return {
        "job": f"rules.{window.job}", "model": window.model, "window_start": window.start, "window_end": window.end,
        "owner": owner, "lease_until": wall, "epoch": 1, "revision": 0, "watermark": 0, "error": None,
    }  # fmt: skip


def _is_run(window: Window) -> sa.ColumnElement[bool]:
    return sa.and_(
        job_runs.c.job == f"rules.{window.job}",
        job_runs.c.model == window.model,
        job_runs.c.window_start == window.start,
    )


# --- findings --------------------------------------------------------------------------------------------------------


def findings_of(
    connection: sa.Connection, window: Window, metrics: Collection[str], count: int
) -> list[Finding]:
    """The newest revisions of the window's findings, and of the `count - 1` windows before it."""
    oldest = window.start - (count - 1) * (window.end - window.start)
    statement = sa.select(*_FINDING).where(
        findings.c.model == window.model,
        findings.c.metric.in_(metrics),
        findings.c.window_end <= window.end,
        findings.c.window_end > oldest,
        findings.c.window_start >= oldest,
        findings.c.latest,
    )
    return [Finding(*row) for row in connection.execute(statement)]


def findings_for(
    connection: sa.Connection, window: Window, rules: Sequence[Rule]
) -> dict[str, list[Finding]]:
    """Of each metric that a rule asks for, the findings as far back as its rules look."""
    size, back = window.end - window.start, dict[str, int]()
    for rule in rules:
        back[rule.metric] = max(back.get(rule.metric, 1), rule.looks_back(size))
    found: dict[str, list[Finding]] = {metric: [] for metric in back}
    for count in set(back.values()):  # few: what looks back for days must not read every feature's days
        metrics = [metric for metric, wanted in back.items() if wanted == count]
        for finding in findings_of(connection, window, metrics, count):
            found[finding.metric].append(finding)
    return found


def finding_of(connection: sa.Connection, row: AlertRow) -> Finding | None:
    """The finding that speaks for an alert: of its window, with its value."""
    labels = row.labels
    conditions = [
        findings.c[name] == labels[name] for name in ("version", "segment", "feature") if name in labels
    ]
    statement = sa.select(*_FINDING).where(
        findings.c.model == row.model,
        findings.c.metric == labels.get("metric", ""),
        findings.c.window_end == row.window_end,
        findings.c.window_start == row.window_start,
        findings.c.value == row.value,
        findings.c.latest,
        *conditions,
    )
    first = connection.execute(statement.order_by(findings.c.version, findings.c.segment).limit(1)).first()
    return Finding(*first) if first else None


def drifting(connection: sa.Connection, model: str, start: datetime, end: datetime) -> list[Finding]:
    """The features that moved most in a window, each measured by its own threshold: the first suspects."""
    share = findings.c.value / sa.func.nullif(findings.c.threshold, 0)
    statement = (
        sa.select(*_FINDING)
        .where(findings.c.model == model, findings.c.metric == "psi", findings.c.latest)
        .where(findings.c.window_end > start, findings.c.window_end <= end)
        .where(findings.c.version == "", findings.c.segment == "")
        .where(sa.or_(findings.c.verdict == "alarm", share >= _SUSPECT))
        .order_by(sa.case((findings.c.verdict == "alarm", 0), else_=1), share.desc(), findings.c.feature)
        .limit(3)
    )
    return [Finding(*row) for row in connection.execute(statement)]


def newest_value(connection: sa.Connection, row: AlertRow, until: datetime) -> Finding | None:
    """What is measured now of what an alert was about: the newest finding with a value that was due by then."""
    labels = row.labels
    where = [findings.c[name] == labels.get(name, "") for name in ("version", "segment")]
    if "feature" in labels:
        where.append(findings.c.feature == labels["feature"])
    statement = sa.select(*_FINDING).where(
        findings.c.model == row.model, findings.c.metric == labels.get("metric", ""), findings.c.latest,
        findings.c.window_end <= until, findings.c.value.is_not(None), *where,
    )  # fmt: skip
    first = connection.execute(statement.order_by(findings.c.window_end.desc()).limit(1)).first()
    return Finding(*first) if first else None


def coverage(connection: sa.Connection, model: str, now: datetime) -> float | None:
    """The newest known share of labelled predictions."""
    statement = (
        sa.select(findings.c.value)
        .where(findings.c.model == model, findings.c.metric == "label_coverage", findings.c.latest)
        .where(findings.c.version == "", findings.c.segment == "", findings.c.window_end <= now)
        .order_by(findings.c.window_end.desc())
        .limit(1)
    )
    return connection.execute(statement).scalar()


def archived(connection: sa.Connection, model: str, start: datetime, end: datetime) -> list[str]:
    """Folders below the archive's with a model's rows from `start` to before `end`: one a day, or of many the model's."""
    files = sa.select(archives.c.file).where(
        archives.c.model == model, archives.c.first < end, archives.c.last >= start
    )
    days = sorted({file.rpartition("/")[0] for file in connection.execute(files).scalars()})
    return days if len(days) <= _MOST_FOLDERS else sorted({day.rpartition("/")[0] for day in days})


# --- alerts ----------------------------------------------------------------------------------------------------------


def unresolved_alerts(connection: sa.Connection, model: str) -> list[AlertRow]:
    statement = sa.select(*_ALERT).where(alerts.c.model == model, alerts.c.state != "resolved")
    return [AlertRow(*row) for row in connection.execute(statement)]


def alerts_by_id(connection: sa.Connection, ids: Collection[str]) -> list[AlertRow]:
    wanted = [
        (identity,) for identity in ids
    ]  # in one statement, however many: a list of parameters has an end
    found = select_keys(connection, sa.select(*_ALERT), ["id"], wanted)
    return sorted((AlertRow(*row) for row in found), key=lambda row: (row.active_at, row.id))


def put_alerts(connection: sa.Connection, rows: Sequence[AlertRow]) -> None:
    """Write them, in the place of those with the same ids: all in two statements, there may be ten thousand."""
    delete_keys(connection, alerts, ["id"], [(row.id,) for row in rows])
    insert_rows(connection, alerts, [dict(vars(row)) for row in rows])


def delete_alerts(connection: sa.Connection, ids: Sequence[str]) -> None:
    """A pending alert that ends was never told to anybody: it leaves nothing."""
    delete_keys(connection, alerts, ["id"], [(identity,) for identity in ids])


# --- notifications ---------------------------------------------------------------------------------------------------


def told(connection: sa.Connection) -> dict[tuple[str, str], Told]:
    """By (group key, receiver), what each receiver knows."""
    return {
        (row.group_key, row.receiver): Told(frozenset(row.firing), frozenset(row.resolved), row.sent_at)
        for row in connection.execute(sa.select(notifications))
    }


def notifiable(connection: sa.Connection, told_firing: Collection[str]) -> list[AlertRow]:
    """Every firing alert, and of those that somebody was told of and that fire no more, the last resolution."""
    firing = [
        AlertRow(*row) for row in connection.execute(sa.select(*_ALERT).where(alerts.c.state == "firing"))
    ]
    gone = sorted(set(told_firing) - {row.fingerprint for row in firing})
    resolved: dict[str, AlertRow] = {}
    for start in range(0, len(gone), 500):
        statement = (
            sa.select(*_ALERT)
            .where(alerts.c.state == "resolved", alerts.c.fingerprint.in_(gone[start : start + 500]))
            .order_by(alerts.c.resolved_at)
        )
        resolved |= {
            row.fingerprint: row for row in (AlertRow(*found) for found in connection.execute(statement))
        }
    return firing + list(resolved.values())


def remember(
    connection: sa.Connection, group_key: str, receiver: str, known: Told, reason: str,
) -> None:  # fmt: skip
    row = {
        "group_key": group_key, "receiver": receiver, "firing": sorted(known.firing),
        "resolved": sorted(known.resolved), "reason": reason, "sent_at": known.sent_at,
    }  # fmt: skip
    upsert(connection, notifications, row)


def live_silences(connection: sa.Connection, now: datetime) -> list[Silence]:
    statement = sa.select(silences).where(silences.c.starts_at <= now, silences.c.ends_at > now)
    return [Silence(**row) for row in connection.execute(statement).mappings()]
