"""`slos:` — objectives, and the rules that watch how fast their error budgets burn.

Multiwindow, multi-burn-rate alerts of the Site Reliability Workbook, chapter 5. An objective of 99.5 % leaves an error
budget b = 0.5 %. A burn rate of B eats the budget B times as fast as the period allows. The share p of a period P's
budget is gone within L at B = p P / L; an alert fires where the share of bad events is above B b in the long window L
and in a short one, L / 12, that tells that it still goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from remora.catalogue import METRICS
from remora.config.alerting import Labels, Rule, Select
from remora.config.base import Duration, Name, Section, format_duration

__all__ = ["GOOD_OR_BAD", "LEAST_BAD", "Burn", "BurnRule", "Slo", "bad_share"]

GOOD_OR_BAD = ("error_rate", "accuracy", "hit_rate", "missing_rate", "unseen_rate", "capture_lost")
"""Metrics that are a share of events, each of which is either good or bad: only of these can a budget be spent."""

LEAST_BAD = 5
"""Bad events that a row wants before it fires: of few events, one that is bad burns any budget."""

_SHORT = 12
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LONG = (("page", _HOUR), ("page", 6 * _HOUR), ("ticket", _DAY), ("ticket", 3 * _DAY))
_SHARES = {7: (0.08, 0.125, 0.20, 0.42), 28: (0.02, 0.05, 0.10, 0.10), 30: (0.02, 0.05, 0.10, 0.10)}


def _share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            pass
    return value


def _some(value: float) -> float:
    if not 0 < value < 1:
        msg = f"{value:g} is no objective: a share between 0 and 1, such as 99.5% or 0.995"
        raise ValueError(msg)
    return value


Share = Annotated[
    float,
    BeforeValidator(_share),
    AfterValidator(_some),
    WithJsonSchema({
        "type": ["number", "string"], "exclusiveMinimum": 0, "exclusiveMaximum": 1, "pattern": r"^\s*\d{1,2}(\.\d+)?\s*%\s*$",
    }),
]  # fmt: skip


def bad_share(metric: str, value: float) -> float:
    """The share of bad events that a value of a metric in `GOOD_OR_BAD` stands for."""
    return 1 - value if METRICS[metric].better == "up" else value


@dataclass(frozen=True)
class Burn:
    """A row of the table: above `threshold` bad events in `long` and in `short`, the budget burns `rate` times too fast."""

    severity: str
    long: timedelta
    short: timedelta
    rate: float
    threshold: float
    why_not: str = ""  # what keeps the row from ever firing

    @property
    def least(self) -> int:
        """Events that the long window needs before the row says anything."""
        return math.ceil(LEAST_BAD / self.threshold)

    def outage(self) -> timedelta:
        """How long everything must be bad until the row fires."""
        return self.long * min(self.threshold, 1.0)


class BurnRule(Rule):
    """The rule that an objective's rows of one severity make."""

    rows: tuple[Burn, ...]
    budget: float

    def looks_back(self, size: timedelta) -> int:
        return math.ceil(max(row.long for row in self.rows) / size)


class Slo(Section):
    """One objective of one model."""

    name: Name
    model: Name
    metric: Literal[GOOD_OR_BAD] = "error_rate"  # type: ignore[valid-type]  # the names above, said once
    objective: Share = Field(description="such as 99.5% or 0.995")
    period: Duration = Field(default=timedelta(days=30), description="7d, 28d or 30d")
    feature: str | None = Field(default=None, description="of missing_rate and unseen_rate")
    version: str = ""
    segment: str = ""
    label_coverage: float = Field(default=0.0, ge=0, le=1)
    max_threshold: float = Field(
        default=0.5, gt=0, le=1, description="a row that wants more bad events than this is none"
    )
    labels: Labels = {}
    annotations: dict[str, str] = {}
    plan: Name | None = Field(default=None, description="what runs when a page fires")

    @model_validator(mode="after")
    def _known_period(self) -> Self:
        if self.period not in {timedelta(days=days) for days in _SHARES}:
            msg = f"period {format_duration(self.period)}: choose 7d, 28d or 30d"
            raise ValueError(msg)
        return self

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 12)  # .001, not .00099999999999989

    def windows(self) -> tuple[tuple[str, timedelta], ...]:
        """(severity, long window) of the table's rows."""
        return _LONG

    def rows(self, size: timedelta) -> list[Burn]:
        """The table over windows of a size: also the rows that can never fire, each with its reason."""
        shares = _SHARES[self.period.days]
        return [
            self._row(severity, long, share, size)
            for (severity, long), share in zip(_LONG, shares, strict=True)
        ]

    def _row(self, severity: str, long: timedelta, share: float, size: timedelta) -> Burn:
        rate = share * (self.period / long)
        threshold = rate * self.budget
        return Burn(
            severity,
            long,
            max(long / _SHORT, size),
            rate,
            threshold,
            self._why_not(long, rate, threshold, size),
        )

    def _why_not(self, long: timedelta, rate: float, threshold: float, size: timedelta) -> str:
        if threshold > self.max_threshold:
            return f"{rate:.4g} x {self.budget:.4g} = {threshold:.4g} bad events are more than max_threshold {self.max_threshold:g}"
        if long < size:
            return f"{format_duration(long)} is shorter than the model's windows of {format_duration(size)}"
        if METRICS[self.metric].job == "performance" and long < _DAY:
            return f"labels come late: {self.metric} is looked at over a day or more"
        return ""

    def rules(self, size: timedelta) -> Iterator[BurnRule]:
        """The rules that watch it: one that pages and one for a ticket, as far as their rows can fire."""
        for severity in ("page", "ticket"):
            rows = tuple(row for row in self.rows(size) if row.severity == severity and not row.why_not)
            if rows:
                yield self._rule(severity, rows)

    def _rule(self, severity: str, rows: tuple[Burn, ...]) -> BurnRule:
        what = METRICS[self.metric].title.lower()
        of = f" of {self.feature}" if self.feature else ""
        summary = (
            f"{{{{ labels.model }}}} spends its error budget too fast: {what}{of}, objective {self.objective:.6g}, "
            "{{ value|pct }} bad"
        )
        return BurnRule(
            alert=f"{self.name}-{severity}",
            metric=self.metric,
            select=Select(model=self.model, version=self.version, segment=self.segment, feature=self.feature),
            label_coverage=self.label_coverage,
            labels={**self.labels, "severity": severity, "slo": self.name},
            annotations={"summary": summary, **self.annotations},
            plan=self.plan if severity == "page" else None,
            rows=rows,
            budget=self.budget,
        )
