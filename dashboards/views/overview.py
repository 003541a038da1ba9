"""One row per model, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from dashboards.listing import Column
from dashboards.sparklines import sparkline
from dashboards.views.columns import instant
from dashboards.words import VERDICTS, day_or_minute, short, title_of
from remora.catalogue import METRICS, show

__all__ = [
    "COLUMNS",
    "DRIFT",
    "HYGIENE",
    "MOVED_BY",
    "QUALITY",
    "SERIES",
    "Cell",
    "Found",
    "ModelRow",
    "States",
    "build",
    "state_of",
]

# The first with values stands for the model's performance.
QUALITY = tuple(name for name in ("auc", "accuracy", "mae", "rmse", "log_loss") if name in METRICS)
ESTIMATED = tuple(name for quality in QUALITY if (name := f"estimated_{quality}") in METRICS)
SERIES = ("predictions", "latency_p95", "error_rate", *QUALITY, *ESTIMATED, "label_coverage")
HYGIENE = (
    "missing_rate", "unseen_rate", "vanished_rate", "out_of_range_rate", "wrong_type_rate", "stuck_rate", "personal_data",
)  # fmt: skip
"""What is wrong with the data themselves."""
DRIFT = tuple(name for name, metric in METRICS.items() if metric.per_feature and name not in HYGIENE)
MOVED_BY = ("psi",)
"""What features are ranked by where a page asks which of them moved."""
_BLIND = {"not_enough_data", "labels_not_mature", "could_not_compute"}
_RANK = {"firing": 0, "pending": 2, "blind": 3, "ok": 4, "new": 5}
_WORDS = {
    "firing": "alert firing", "pending": "alert pending", "blind": "cannot say", "ok": "as usual", "new": "no windows yet",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One metric of one model: the newest value, what is to be known about it, and its line."""

    title: str
    value: str
    note: str
    verdict: str
    line: Markup
    number: float | None = None


@dataclass(frozen=True)
class States:
    """How a model stands, and how many of its alerts are open."""

    state: str
    word: str
    firing: int
    pending: int
    pages: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sorts the worst first: pages before tickets, many before few."""
        return (_RANK[self.state], -self.pages, -self.firing)


@dataclass(frozen=True)
class ModelRow:
    name: str
    states: States
    versions: list[str]
    last_seen: datetime
    traffic: Cell
    latency: Cell
    errors: Cell
    quality: Cell
    drift: Cell
    hygiene: Cell


COLUMNS = (
    Column("model", "Model", lambda row: row.name, head=True),
    Column("state", "State", lambda row: row.states.word, hidden=True),
    Column("version", "Version", lambda row: ", ".join(row.versions), hidden=True),
    instant("last_seen", "Last seen", hidden=True),
    Column("predictions", "Predictions", lambda row: row.traffic.number),
    Column("latency_p95", "Latency p95", lambda row: row.latency.number),
    Column("error_rate", "Errors", lambda row: row.errors.number),
    Column("metric", "Performance in", lambda row: row.quality.title, hidden=True),
    Column("performance", "Performance", lambda row: row.quality.number),
    Column("drifting", "Drift", lambda row: row.drift.number),
    Column("unclean", "Data quality", lambda row: row.hygiene.number),
    Column("alerts", "Alerts", lambda row: row.states.firing),
)


@dataclass(frozen=True)
class Found:
    """Findings of all models: the sampled series, the newest of each metric, how many features alarmed when."""

    series: Sequence[Any]
    newest: Sequence[Any]
    drifting: Sequence[Any]
    unclean: Sequence[Any]


def state_of(alerts: Iterable[Any], newest: Iterable[Any]) -> States:
    """A model's state out of its open alerts (model, rule, severity, state, number) and its newest findings."""
    counts = {"firing": 0, "pending": 0}
    pages = 0
    for row in alerts:
        counts[row.state] = counts.get(row.state, 0) + row.number
        pages += row.number if row.state == "firing" and row.severity in {"page", "critical"} else 0
    verdicts = [row.verdict for row in newest]
    if counts["firing"]:
        state = "firing"
    elif counts["pending"]:
        state = "pending"
    elif not verdicts:
        state = "new"
    elif all(verdict in _BLIND for verdict in verdicts):
        state = "blind"
    else:
        state = "ok"
    return States(state, _WORDS[state], counts["firing"], counts["pending"], pages)


def in_service(versions: Sequence[Any], last_seen: datetime, window: timedelta) -> list[str]:
    """Versions that were seen in the newest window's length of time before the model's last prediction."""
    recent = [row.version for row in versions if row.last_seen >= last_seen - window]
    return recent[:3] or [row.version for row in versions[:1]]


def build(
    models: Sequence[Any], versions: Sequence[Any], alerts: Sequence[Any], found: Found, windows: Any
) -> list[ModelRow]:
    """Rows for the overview; `windows(model)` is a length."""
    lines = _with_newest(found)
    of = {name: _by_model(rows) for name, rows in (("alerts", alerts), ("versions", versions), ("newest", found.newest),
                                                  ("drifting", found.drifting), ("unclean", found.unclean))}  # fmt: skip
    rows = []
    for model in models:
        name, mine = model.name, lines.get(model.name, {})
        newest = of["newest"].get(name, [])
        ends = [row.window_end for row in mine.get("predictions", [])]
        rows.append(ModelRow(
            name=name,
            states=state_of(of["alerts"].get(name, []), [row for row in newest if not row.feature]),
            versions=in_service(of["versions"].get(name, []), model.last_seen, windows(name)),
            last_seen=model.last_seen,
            traffic=cell("predictions", mine.get("predictions", [])),
            latency=cell("latency_p95", mine.get("latency_p95", [])),
            errors=cell("error_rate", mine.get("error_rate", [])),
            quality=_quality(mine),
            drift=_of_features("Drift", DRIFT, ends, of["drifting"].get(name, []), newest),
            hygiene=_of_features("Data quality", HYGIENE, ends, of["unclean"].get(name, []), newest),
        ))  # fmt: skip
    return sorted(rows, key=lambda row: (*row.states.rank, row.name))


def _by_model(rows: Sequence[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.model].append(row)
    return grouped


def _with_newest(found: Found) -> dict[str, dict[str, list[Any]]]:
    """Model -> metric -> points; the newest window is the last point, also where the sample leaves it out."""
    grouped: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in found.series:
        grouped[row.model][row.metric].append(row)
    for row in found.newest:
        points = grouped[row.model][row.metric]
        if not row.feature and (not points or points[-1].window_end < row.window_end):
            points.append(row)
    return grouped


def cell(metric: str, points: Sequence[Any], note: str = "") -> Cell:
    """The newest value that is known, and a word where the newest window has none."""
    known = [row for row in points if row.value is not None]
    last = points[-1] if points else None
    if last is not None and last.value is None:
        note = "; ".join(filter(None, [note, _older(known, last)]))
    value = show(metric, known[-1].value) if known else "-"
    label = f"{title_of(metric)} over {len(points)} windows, newest {value}"
    line = sparkline(
        [row.value for row in points], label, limit=next((row.threshold for row in reversed(points)), None),
        alarms=[row.verdict == "alarm" for row in points],
    )  # fmt: skip
    verdict = last.verdict if last is not None else "not_enough_data"
    return Cell(title_of(metric), value, note, verdict, line, known[-1].value if known else None)


def _older(known: Sequence[Any], last: Any) -> str:
    """That a value is not of the newest window, and why that one has none."""
    why = f"newest window: {VERDICTS.get(last.verdict, last.verdict)}"
    return f"of {day_or_minute(known[-1].window_start)}; {why}" if known else why


def _quality(mine: dict[str, list[Any]]) -> Cell:
    """Realised performance, what is estimated of it meanwhile, and the share of rows with a label."""
    metric = next((name for name in QUALITY if any(row.value is not None for row in mine.get(name, []))), "")
    if not metric:
        return _only_estimated(mine)
    points = mine[metric]
    newest = next(row for row in reversed(points) if row.value is not None)
    covered = newest.coverage
    if covered is None:
        coverage = [row.value for row in mine.get("label_coverage", []) if row.value is not None]
        covered = coverage[-1] if coverage else None
    parts = [title_of(metric)]
    parts += [f"{show('label_coverage', covered)} labelled"] if covered is not None else []
    estimated = [row for row in mine.get(f"estimated_{metric}", []) if row.value is not None]
    parts += [f"estimated now {show(metric, estimated[-1].value)}"] if estimated else []
    return cell(metric, points, ", ".join(parts))


def _only_estimated(mine: dict[str, list[Any]]) -> Cell:
    """Without any label there may be an estimate; it is named as one."""
    for metric in ESTIMATED:
        if any(row.value is not None for row in mine.get(metric, [])):
            return cell(metric, mine[metric], f"{title_of(metric)}; no labels yet")
    empty = next((mine[name] for name in QUALITY if mine.get(name)), [])
    return cell("accuracy", empty, "no labels yet")


def _of_features(
    title: str,
    metrics: Sequence[str],
    ends: Sequence[datetime],
    alarming: Sequence[Any],
    found: Sequence[Any],
) -> Cell:
    """How many features alarm in the newest window, and which is farthest beyond, or nearest to, its own threshold."""
    newest = [row for row in found if row.metric in metrics and row.feature]
    counts = {row.window_end: row.alarms for row in alarming}
    numbers = [float(counts.get(end, 0)) for end in sorted({*ends, *counts})]
    line = sparkline(
        numbers, f"{title}: features that alarm, over {len(numbers)} windows", alarms=[n > 0 for n in numbers]
    )
    known = [row for row in newest if row.value is not None]
    if not newest:
        return Cell(title, "-", "no reference yet", "not_enough_data", Markup(""))
    if not known:
        why = VERDICTS.get(newest[0].verdict, newest[0].verdict)
        before = max(counts, default=None)
        older = f"last alarm {day_or_minute(before)}; " if before is not None else ""
        return Cell(title, "-", f"{older}newest window: {why}", "not_enough_data", line)
    alarms = len({row.feature for row in known if row.verdict == "alarm"})
    worst = max(known, key=lambda row: (row.verdict == "alarm", row.value / (row.threshold or 1.0)))
    beyond = f" of {show(worst.metric, worst.threshold)}" if worst.threshold is not None else ""
    name = short(worst.metric)
    note = f"{worst.feature}: {name} {show(worst.metric, worst.value)}{beyond}"
    number = len({row.feature for row in known})
    return Cell(title, f"{alarms} of {number}", note, "alarm" if alarms else "ok", line, float(alarms))
