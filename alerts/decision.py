"""What one finished window does to the alerts, pure: whoever has the findings and the states can ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from alerts.finding import Finding
from alerts.queries import AlertRow, Window
from alerts.rules import Outcome, evaluate
from alerts.transitions import Change, known_instances, transition
from remora.catalogue import METRICS
from remora.config import Config
from remora.config.alerting import Group, Rule

__all__ = ["Decision", "decide", "rules_for"]


@dataclass(frozen=True)
class Decision:
    """What a rule says of one instance, and what that changes."""

    rule: Rule
    outcome: Outcome
    changes: list[Change]


def rules_for(config: Config, window: Window) -> list[tuple[Group, Rule]]:
    """The rules that look at a window of this job and model."""
    return [
        (group, rule)
        for group, rule in config.rules
        if METRICS[rule.metric].job == window.job and rule.select.model in {None, window.model}
    ]


def decide(
    rules: Sequence[tuple[Group, Rule]], window: Window, stored: Sequence[AlertRow],
    found: Mapping[str, Sequence[Finding]],
) -> Iterator[Decision]:  # fmt: skip
    """One decision for each instance of each rule.

    `stored` are the model's alerts that are not resolved; `found` has, for each rule's metric, the findings of the
    window and of those before it, as far back as the rule looks.
    """
    for group, rule in rules:
        known = known_instances(rule, stored)
        active = {key: instance for key, (_, instance) in known.items()}
        for outcome in evaluate(rule, window.model, found[rule.metric], window.end, active):
            before = known.get((outcome.kind, outcome.instance))
            yield Decision(
                rule, outcome, transition(group, rule, outcome, before[0] if before else None, window)
            )
