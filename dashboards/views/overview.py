"""One row per model, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from dashboards.sparklines import sparkline
from dashboards.words import VERDICTS, day_or_minute, title_of
from remora.catalogue import show

__all__ = ["QUALITY", "SERIES", "Cell", "ModelRow", "States", "build", "state_of"]

QUALITY = (
    "auc",
    "accuracy",
    "mae",
    "rmse",
    "log_loss",
)  # the first with values stands for the model's quality
SERIES = ("predictions", "latency_p95", "error_rate", *QUALITY, "label_coverage")
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


def in_service(versions: Sequence[Any], last_seen: datetime, window: Any) -> list[str]:
    """Versions that were seen in the newest window's length of time before the model's last prediction."""
    recent = [row.version for row in versions if row.last_seen >= last_seen - window]
    return recent[:3] or [row.version for row in versions[:1]]


def build(
    models: Sequence[Any], versions: Sequence[Any], alerts: Sequence[Any], series: Sequence[Any],
    drift: tuple[Sequence[Any], Sequence[Any]], windows: Any,
) -> list[ModelRow]:  # fmt: skip
    """Rows for the overview; `drift` is (alarming features per window, newest PSI per feature), `windows(model)` a length."""
    lines = _group(series)
    by_model = {name: [row for row in alerts if row.model == name] for name in {row.model for row in alerts}}
    of_version = {
        name: [row for row in versions if row.model == name] for name in {row.model for row in versions}
    }
    rows = []
    for model in models:
        mine = lines.get(model.name, {})
        newest = [points[-1] for points in mine.values() if points]
        rows.append(ModelRow(
            name=model.name,
            states=state_of(by_model.get(model.name, []), newest),
            versions=in_service(of_version.get(model.name, []), model.last_seen, windows(model.name)),
            last_seen=model.last_seen,
            traffic=cell("predictions", mine.get("predictions", [])),
            latency=cell("latency_p95", mine.get("latency_p95", [])),
            errors=cell("error_rate", mine.get("error_rate", [])),
            quality=_quality(mine),
            drift=_drift(*([row for row in part if row.model == model.name] for part in drift)),
        ))  # fmt: skip
    return sorted(rows, key=lambda row: (*row.states.rank, row.name))


def _group(series: Sequence[Any]) -> dict[str, dict[str, list[Any]]]:
    grouped: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in series:
        grouped[row.model][row.metric].append(row)
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
    return Cell(title_of(metric), value, note, verdict, line)


def _older(known: Sequence[Any], last: Any) -> str:
    """That a value is not of the newest window, and why that one has none."""
    why = f"newest window: {VERDICTS.get(last.verdict, last.verdict)}"
    return f"of {day_or_minute(known[-1].window_start)}; {why}" if known else why


def _quality(mine: dict[str, list[Any]]) -> Cell:
    metric = next(
        (name for name in QUALITY if any(row.value is not None for row in mine.get(name, []))), "accuracy"
    )
    coverage = [row for row in mine.get("label_coverage", []) if row.value is not None]
    points = mine.get(metric, [])
    newest = next((row for row in reversed(points) if row.value is not None), None)
    covered = newest.coverage if newest is not None and newest.coverage is not None else None
    if covered is None and coverage:
        covered = coverage[-1].value
    if newest is None:
        return cell(metric, points, "no labels yet")
    labelled = f", {show('label_coverage', covered)} labelled" if covered is not None else ""
    return cell(metric, points, title_of(metric) + labelled)


def _drift(counts: Sequence[Any], newest: Sequence[Any]) -> Cell:
    """How many features alarm in the newest window, and which is farthest beyond, or nearest to, its own threshold."""
    known = [row for row in newest if row.value is not None]
    numbers = [None if row.worst is None else float(row.alarms) for row in counts]
    line = sparkline(
        numbers, f"drifting features over {len(numbers)} windows", alarms=[bool(row.alarms) for row in counts]
    )
    if not newest:
        return Cell("Drift", "-", "no reference yet", "not_enough_data", line)
    if not known:
        last = next((row for row in reversed(counts) if row.worst is not None), None)
        value, day = (
            (f"{last.alarms}", f"of {day_or_minute(last.window_end)}; ") if last is not None else ("-", "")
        )
        why = VERDICTS.get(newest[0].verdict, newest[0].verdict)
        return Cell("Drift", value, f"{day}newest window: {why}", "not_enough_data", line)
    alarms = sum(row.verdict == "alarm" for row in known)
    worst = max(known, key=lambda row: (row.verdict == "alarm", row.value / (row.threshold or 0.25)))
    beyond = f" of {show('psi', worst.threshold)}" if worst.threshold is not None else ""
    note = f"{worst.feature} PSI {show('psi', worst.value)}{beyond}"
    return Cell("Drift", f"{alarms} of {len(known)}", note, "alarm" if alarms else "ok", line)
