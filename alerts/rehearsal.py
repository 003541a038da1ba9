"""Rules over windows that are over, with states kept in memory: nothing is stored, nobody is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerts.decision import Decision, decide, rules_for
from alerts.finding import Finding
from alerts.queries import AlertRow, Window
from remora.config import Config
from remora.config.alerting import Rule

__all__ = ["Found", "Scene", "rehearse"]

Found = Callable[[Window, Sequence[Rule]], Mapping[str, Sequence[Finding]]]


@dataclass(frozen=True)
class Scene:
    """A window as the rules saw it: what they decided, and how each alert stands afterwards (also one that just ended)."""

    window: Window
    decisions: list[Decision]
    alerts: list[AlertRow]


def rehearse(config: Config, windows: Iterable[Window], found: Found) -> Iterator[Scene]:
    """The scenes of windows in the order of `ts`; `found` gives the findings that rules ask for in a window."""
    stored: dict[str, AlertRow] = {}
    for window in windows:
        rules = rules_for(config, window)
        if not rules:
            continue
        mine = [row for row in stored.values() if row.model == window.model]
        decisions = list(decide(rules, window, mine, found(window, [rule for _, rule in rules])))
        ended = []
        for change in (change for decision in decisions for change in decision.changes):
            stored[change.row.id] = change.row
            if change.dropped or change.row.state == "resolved":
                del stored[change.row.id]
                ended += [] if change.dropped else [change.row]
        yield Scene(window, decisions, [*stored.values(), *ended])
