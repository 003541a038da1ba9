"""What a person sees in the terminal while the voyage lasts, and the table at its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import date, datetime

from logbook import Counts, Event, Repair, Totals, span
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = ["Screen", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {"firing": "bold red", "resolved": "green", "action": "cyan", "incident": "yellow", "note": "dim"}
_SIGNS = {"firing": "▲", "resolved": "▼", "action": "↻", "incident": "!", "note": "·"}
_LINES = 12


def sparkline(values: Sequence[float]) -> str:
    """A line of bars between the smallest and the largest value."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int((value - low) / span * 8))] for value in values)


class Screen:
    """On a terminal a picture that moves; elsewhere one line per event."""

    def __init__(self, console: Console, first: date, last: date) -> None:
        self.console = console
        self._first = first
        self._lines: deque[Text] = deque(maxlen=_LINES)
        self._auc: list[float] = []
        self._counts: Counts | None = None
        self._seen: set[tuple[datetime, str, str]] = set()
        self._month = 0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(None), MofNCompleteColumn(), TextColumn("days"),
            TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("under way", total=(last - first).days + 1)
        self._live = Live(self._picture(), console=console, refresh_per_second=8, transient=False)
        self._moving = False

    def begin(self) -> None:
        """Start to move, where there is a terminal."""
        if self.console.is_terminal:
            self._live.start()
            self._moving = True

    def end(self) -> None:
        """Leave the last picture where it is."""
        if self._moving:
            self._live.stop()
            self._moving = False

    def note(self, text: str) -> None:
        """A sentence about the voyage itself."""
        self._line(_row(f"  · {text}", "dim"))

    def day(self, day: date, counts: Counts, auc: list[float], events: list[Event]) -> None:
        """A simulated day has ended and is judged."""
        self._counts, self._auc = counts, auc
        self._progress.update(
            self._task, completed=(day - self._first).days + 1, description=f"{day:%d %b %Y}"
        )
        for event in events:
            key = (event.at, event.kind, event.text.split(":")[0] if event.kind == "firing" else event.text)
            if key not in self._seen:
                self._seen.add(key)
                sign = _SIGNS[event.kind]
                self._line(_row(f"  {sign} {event.at:%d %b %H:%M}  {event.text}", _STYLES[event.kind]))
        if not self._moving and day.month != self._month:
            self._month = day.month
            self.console.print(
                f"{day:%B %Y}: {counts.predictions:,} predictions, {counts.windows:,} windows judged"
            )
        self._refresh()

    def _line(self, line: Text) -> None:
        if self._moving:
            self._lines.append(line)
            self._refresh()
        else:
            self.console.print(line)

    def _refresh(self) -> None:
        if self._moving:
            self._live.update(self._picture())

    def _picture(self) -> Panel:
        parts: list[object] = [self._progress]
        if self._counts is not None:
            c = self._counts
            numbers = Text.assemble(
                ("  predictions ", "dim"), f"{c.predictions:,}", ("   labels ", "dim"), f"{c.labels:,}",
                ("   windows judged ", "dim"), f"{c.windows:,}", ("   messages ", "dim"), f"{c.deliveries:,}",
                ("   reports ", "dim"), f"{c.reports:,}", no_wrap=True, overflow="ellipsis",
            )  # fmt: skip
            parts.append(numbers)
        if self._auc:
            parts.append(
                Text.assemble(
                    ("  daily AUC   ", "dim"), sparkline(self._auc), f"  {self._auc[-1]:.3f}", no_wrap=True
                )
            )
        parts.extend(self._lines or [Text("  no alert so far", "dim")])
        return Panel(
            Group(*parts), title="Remora rides along · flights from New York, 2013", border_style="blue"
        )

    # --- the end -----------------------------------------------------------------------------------------------------

    def summary(
        self,
        totals: Totals,
        counts: Counts,
        alerts: Sequence[object],
        repairs: list[Repair],
        places: dict[str, str],
    ) -> None:
        """The short table that the voyage ends with."""
        table = Table(
            title="The voyage", show_header=False, title_justify="left", box=box.SIMPLE_HEAVY, pad_edge=False
        )
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(
            "predictions", f"{totals.predictions:,} logged, {totals.failed:,} of them answered with an error"
        )
        table.add_row("labels", f"{totals.joined:,} of {totals.labels:,} joined with their prediction")
        table.add_row("windows judged", f"{counts.windows:,}")
        table.add_row("messages", f"{counts.deliveries:,} delivered")
        for name, lines in (("alerts", _alert_lines(alerts)), ("model updates", _repair_lines(repairs))):
            table.add_row(name, "\n".join(lines) or "none")
        for name, place in places.items():
            table.add_row(name, place)
        self.console.print(table)


def _row(text: str, style: str) -> Text:
    """One line, cut where the terminal ends."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _alert_lines(alerts: Sequence[object]) -> list[str]:
    """One line per rule: when it fired first and for how long, and how often more."""
    lines = []
    by_rule: dict[str, list[object]] = {}
    for alert in alerts:
        by_rule.setdefault(alert.rule, []).append(alert)  # type: ignore[attr-defined]
    for rule, members in by_rule.items():
        times = [_span(alert) for alert in members[:3]]
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        lines.append(f"{rule}: {', '.join(times)}{more}")
    return lines


def _span(alert: object) -> str:
    fired: datetime = alert.fired_at  # type: ignore[attr-defined]
    resolved: datetime | None = alert.resolved_at  # type: ignore[attr-defined]
    feature = alert.labels.get("feature", "")  # type: ignore[attr-defined]
    lasted = "still firing" if resolved is None else f"for {span(resolved - fired)}"
    return " ".join(filter(None, [feature, f"{fired:%d %b}", lasted]))


def _repair_lines(repairs: list[Repair]) -> list[str]:
    """What was put in service when, and the quality before and after it."""
    lines = []
    for repair in repairs:
        changes = (f"{name} {before} → {repair.after[name]}" for name, before in repair.before.items())
        done = repair.version if repair.state == "succeeded" else repair.state.replace("_", " ")
        lines.append(f"{repair.requested_at:%d %b}: {done or 'no version'}, {', '.join(changes)}")
    return [*lines, "(means of 14 days before and after)"] if lines else []
