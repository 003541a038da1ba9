"""How fast an error budget burns, pure: sums over a long and a short window, compared with a row of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from alerts.finding import Finding
from remora.catalogue import METRICS, show
from remora.config.base import format_duration
from remora.config.slo import Burn, BurnRule, bad_share

__all__ = ["Burning", "judge", "wilson_low"]

_Z = 1.959963984540054  # the normal quantile of .975


@dataclass(frozen=True)
class Burning:
    """What the table says of a series: whether it burns (None: too few events), and the finding that speaks for it."""

    burns: bool | None
    finding: Finding


@dataclass(frozen=True)
class _Sum:
    bad: float
    events: int

    @property
    def share(self) -> float:
        return self.bad / self.events if self.events else 0.0


def judge(rule: BurnRule, windows: Sequence[Finding]) -> Burning:
    """The first row of the rule that fires; windows of one series, oldest first."""
    current, known = windows[-1], [finding for finding in windows if _is_known(rule, finding)]
    judged = [(row, _over(known, current, row.long), _over(known, current, row.short)) for row in rule.rows]
    enough = [(row, long, short) for row, long, short in judged if long.events >= row.least]
    for row, long, short in enough:
        if _sure_share(rule, long) > row.threshold and short.share > row.threshold:
            return Burning(burns=True, finding=_said(rule, row, current, long))
    row, long, _ = (enough or judged)[0]
    return Burning(burns=False if enough else None, finding=_said(rule, row, current, long))


def _is_known(rule: BurnRule, finding: Finding) -> bool:
    if finding.value is None or finding.verdict in {"could_not_compute", "labels_not_mature"}:
        return False
    return not rule.label_coverage or (finding.coverage or 0.0) >= rule.label_coverage


def _over(windows: Sequence[Finding], current: Finding, length: timedelta) -> _Sum:
    inside = [finding for finding in windows if finding.window_end > current.window_end - length]
    bad = math.fsum(bad_share(finding.metric, finding.value or 0.0) * finding.size for finding in inside)
    return _Sum(bad, sum(finding.size for finding in inside))


def _sure_share(rule: BurnRule, found: _Sum) -> float:
    """Labels are a sample of what will be labelled: only what is surely bad counts."""
    if METRICS[rule.metric].job != "performance":
        return found.share
    return wilson_low(found.bad, found.events)


def wilson_low(bad: float, events: int) -> float:
    """The lower end of the 95 % interval of a share (Wilson 1927, without continuity correction)."""
    if not events:
        return 0.0
    share, z2 = bad / events, _Z * _Z
    middle = share + z2 / (2 * events)
    spread = _Z * math.sqrt(share * (1 - share) / events + z2 / (4 * events * events))
    return max(0.0, (middle - spread) / (1 + z2 / events))


def _said(rule: BurnRule, row: Burn, current: Finding, long: _Sum) -> Finding:
    """The finding of the newest window, with what the long one says: its share, its size, and in words how fast it burns."""
    text = (
        f"{show(rule.metric, long.share)} of {long.events:,} events of {format_duration(row.long)} were bad: that is "
        f"{long.share / rule.budget:.1f} times what the error budget allows; from {row.rate:.4g} times on "
        f"({show(rule.metric, row.threshold)}) this row alarms"
    )
    if long.events < row.least:
        text = f"{long.events:,} events in {format_duration(row.long)}: nothing is said of fewer than {row.least:,}"
    return replace(current, value=long.share, threshold=row.threshold, size=long.events, reason=text)
