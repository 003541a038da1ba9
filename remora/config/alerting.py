"""`groups:`, `routes:` — when to alarm and whom to tell.

The words and their timing are Prometheus's; what happens without data or on an error is Grafana's.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from remora.catalogue import METRICS
from remora.config.base import Duration, Name, Section

__all__ = ["Group", "Labels", "Route", "Rule", "Select"]

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONDITION = re.compile(r"\s*(<=|>=|<|>|==|!=)\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*")
_OWN_LABELS = {"alertname", "model", "metric", "version", "segment", "feature"}
_OF_WINDOWS = re.compile(r"\s*(\d+)\s+of\s+(\d+)\s*")


def _plain_labels(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name):
            msg = f"{name!r} is not a label's name: letters, digits and _, and no digit first"
            raise ValueError(msg)
        if name in _OWN_LABELS:
            msg = f"the label `{name}` is set by Remora: choose another name"
            raise ValueError(msg)
        if "{{" in value:
            msg = f"the label `{name}` is plain text, because labels say which alert it is: templates belong in annotations"
            raise ValueError(msg)
    return labels


Labels = Annotated[dict[str, str], AfterValidator(_plain_labels)]


class Select(Section):
    """Which findings a rule looks at. Unset: all models, all versions together, the whole traffic."""

    model: str | None = None
    version: str = ""
    segment: str = ""
    feature: str | None = Field(
        default=None, description="one feature; unset means every feature the metric has"
    )


class Rule(Section):
    """One alert rule."""

    alert: Name
    metric: str
    select: Select = Select()
    by: list[Literal["model", "version", "segment", "feature"]] = ["model"]
    condition: str | None = Field(
        default=None, description='such as "< 0.92"; unset: the finding\'s own verdict is alarm'
    )
    resolve_threshold: float | None = Field(
        default=None, description="a firing alert resolves only beyond this value"
    )
    windows: str | None = Field(
        default=None, description='such as "5 of 7": met in so many of the last windows'
    )
    min_samples: int = Field(default=0, ge=0)
    label_coverage: float = Field(default=0.0, ge=0, le=1)
    for_: Duration = Field(default=timedelta(0), alias="for")
    keep_firing_for: Duration = timedelta(0)
    no_data: Literal["ok", "alerting", "no_data", "keep_last"] = "keep_last"
    on_error: Literal["ok", "alerting", "keep_last"] = "keep_last"
    missing_evals_to_resolve: int = Field(default=2, ge=1)
    labels: Labels = {}
    annotations: dict[str, str] = {}
    plan: Name | None = None

    @field_validator("condition")
    @classmethod
    def _condition(cls, value: str | None) -> str | None:
        if value is not None and not _CONDITION.fullmatch(value):
            msg = f'{value!r} is not a condition: write an operator and a number, such as "< 0.92"'
            raise ValueError(msg)
        return value

    @field_validator("windows")
    @classmethod
    def _windows(cls, value: str | None) -> str | None:
        match = _OF_WINDOWS.fullmatch(value) if value is not None else None
        if value is not None and (not match or not 1 <= int(match[1]) <= int(match[2]) <= 366):
            msg = f'{value!r} does not say how many windows: write "5 of 7"'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        limit = self.limit
        if self.resolve_threshold is None:
            return self
        if limit is None:
            msg = "resolve_threshold needs a condition with a number"
            raise ValueError(msg)
        operator, threshold = limit
        if (operator[0] == "<" and self.resolve_threshold < threshold) or (
            operator[0] == ">" and self.resolve_threshold > threshold
        ):
            msg = f"resolve_threshold {self.resolve_threshold} lies on the alarm's side of {operator} {threshold}"
            raise ValueError(msg)
        return self

    @cached_property  # asked for thousands of times a second, and a rule never changes
    def limit(self) -> tuple[str, float] | None:
        """Operator and number of the condition."""
        match = _CONDITION.fullmatch(self.condition) if self.condition else None
        return (match[1], float(match[2])) if match else None

    @cached_property
    def of_windows(self) -> tuple[int, int]:
        """(m, n): the condition must hold in m of the last n windows."""
        match = _OF_WINDOWS.fullmatch(self.windows) if self.windows else None
        return (int(match[1]), int(match[2])) if match else (1, 1)

    def looks_back(self, size: timedelta) -> int:  # noqa: ARG002  # an objective's rule looks back for a time
        """How many windows of a size the rule looks at, the newest among them."""
        return self.of_windows[1]

    @property
    def severity(self) -> str:
        metric = METRICS.get(self.metric)  # an unknown one is refused with the whole file in view
        return self.labels.get("severity", metric.severity if metric else "ticket")


class Group(Section):
    """Rules that belong together and are evaluated one after the other at one instant."""

    name: str = Field(min_length=1)
    labels: Labels = {}
    rules: list[Rule]


class Route(Section):
    """The first route whose `match` fits an alert's labels says who is told, and how often."""

    match: dict[str, str] = {}
    receivers: list[Name]
    group_by: list[str] = ["model", "alertname"]
    group_wait: Duration = timedelta(seconds=30)
    group_interval: Duration = timedelta(minutes=5)
    repeat_interval: Duration = timedelta(hours=4)
