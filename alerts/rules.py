"""Rules over findings, pure: which findings a rule looks at, which instances they make, and what is said of each.

A rule with `by: [version]` and no selected version looks at every single version; without it, at all versions
together; segments likewise. Findings of one instance that `by` does not tell apart (the features of a drift rule, say)
are joined: any that meets the condition decides, then an error, then one that does not meet it, then missing data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerts import burning
from alerts.finding import Finding
from alerts.state import Signal
from remora.catalogue import METRICS
from remora.config.alerting import Rule
from remora.config.slo import BurnRule

__all__ = ["Active", "Instance", "Kind", "Outcome", "Reason", "evaluate", "selects"]

Instance = tuple[tuple[str, str], ...]
"""Names and values that tell the instances of one rule apart, in order: model, then `by`."""


class Kind(StrEnum):
    """The rule's own alert, or the one that says that the rule cannot see."""

    RULE = "rule"
    NO_DATA = "no_data"


class Reason(StrEnum):
    """Why an outcome is what it is."""

    CONDITION_MET = "condition_met"
    VERDICT_ALARM = "verdict_alarm"
    ENOUGH_WINDOWS = "met_in_enough_windows"
    CONDITION_NOT_MET = "condition_not_met"
    VERDICT_OK = "verdict_ok"
    TOO_FEW_WINDOWS = "met_in_too_few_windows"
    WITHIN_HYSTERESIS = "not_beyond_resolve_threshold"
    NO_FINDINGS = "no_findings"
    NOT_ENOUGH_DATA = "not_enough_data"
    LABELS_NOT_MATURE = "labels_not_mature"
    NO_VALUE = "no_value"
    FEW_SAMPLES = "few_samples"
    LOW_LABEL_COVERAGE = "low_label_coverage"
    COULD_NOT_COMPUTE = "could_not_compute"
    MISSING = "missing"
    MISSING_TOO_LONG = "missing_too_long"
    DATA_IS_BACK = "data_is_back"
    BUDGET_BURNS = "budget_burns"
    BUDGET_LASTS = "budget_lasts"


@dataclass(frozen=True)
class Active:
    """What is stored of an instance that is pending or firing."""

    firing: bool
    missing: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one evaluation says of one instance. `finding` is the one that speaks for it, the worst of several."""

    kind: Kind
    instance: Instance
    signal: Signal
    reason: Reason
    finding: Finding | None = None
    missing: int = 0


class _Class(StrEnum):
    MET = "met"
    ERROR = "error"
    CLEAR = "clear"
    NO_DATA = "no_data"


@dataclass(frozen=True)
class _Judged:
    what: _Class
    reason: Reason
    finding: Finding | None


_NO_DATA_SIGNAL = {
    "ok": Signal.INACTIVE, "alerting": Signal.ACTIVE, "no_data": Signal.KEEP, "keep_last": Signal.KEEP,
}  # fmt: skip
_VERDICTS = {
    "could_not_compute": (_Class.ERROR, Reason.COULD_NOT_COMPUTE),
    "not_enough_data": (_Class.NO_DATA, Reason.NOT_ENOUGH_DATA),
    "labels_not_mature": (_Class.NO_DATA, Reason.LABELS_NOT_MATURE),
}


def selects(rule: Rule, finding: Finding) -> bool:
    """Whether the rule looks at this finding."""
    select = rule.select
    return (
        finding.metric == rule.metric
        and select.model in {None, finding.model}
        and _one_or_each(select.version, finding.version, each="version" in rule.by)
        and _one_or_each(select.segment, finding.segment, each="segment" in rule.by)
        and select.feature in {None, finding.feature}
    )


def _one_or_each(wanted: str, found: str, *, each: bool) -> bool:
    return found != "" if each and not wanted else found == wanted


def evaluate(
    rule: Rule, model: str, findings: Iterable[Finding], window_end: datetime,
    active: Mapping[tuple[Kind, Instance], Active],
) -> list[Outcome]:  # fmt: skip
    """One outcome for each instance that the window has, and for each active one that it lacks.

    `findings` are the newest revisions of the window that ends at `window_end` and of the windows before it, as far
    back as the rule counts (`windows: "5 of 7"`); `active` are the model's pending and firing instances of this rule.
    """
    series = _series([finding for finding in findings if selects(rule, finding)], window_end)
    judged: dict[Instance, list[_Judged]] = {}
    for window_findings in series:
        instance = _instance(rule, model, window_findings[-1])
        known = active.get((Kind.RULE, instance))
        judged.setdefault(instance, []).append(
            _judge(rule, window_findings, firing=known is not None and known.firing)
        )
    outcomes = [
        outcome
        for instance, parts in judged.items()
        for outcome in _outcomes(rule, instance, _combine(rule, parts), active)
    ]
    return outcomes + _absent(rule, model, judged, active)


def _series(findings: Iterable[Finding], window_end: datetime) -> list[list[Finding]]:
    """Findings of one version, segment and feature, oldest first; only series that the window has."""
    series: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        series.setdefault((finding.version, finding.segment, finding.feature), []).append(finding)
    ordered = [sorted(group, key=lambda finding: finding.window_end) for group in series.values()]
    return [group for group in ordered if group[-1].window_end == window_end]


def _instance(rule: Rule, model: str, finding: Finding) -> Instance:
    values = {"version": finding.version, "segment": finding.segment, "feature": finding.feature}
    return (("model", model), *((name, values[name]) for name in rule.by if name != "model"))


def _judge(rule: Rule, windows: Sequence[Finding], *, firing: bool) -> _Judged:
    if isinstance(rule, BurnRule):
        return _burning(rule, windows)
    current = windows[-1]
    unusable = _unusable(rule, current)
    if unusable:
        return _Judged(*unusable, current)
    wanted, of = rule.of_windows
    if of == 1:
        met = _holds(rule, current, firing=firing)
        return _Judged(_Class.MET if met else _Class.CLEAR, _why(rule, current, of=of, met=met), current)
    size = current.window_end - current.window_start
    counted = [
        finding
        for finding in windows
        if finding.window_end > current.window_end - of * size and not _unusable(rule, finding)
    ]
    bad = sum(_holds(rule, finding, firing=firing) for finding in counted)
    # What took `wanted` bad windows to fire takes as many good ones to resolve: one good day proves no repair.
    met = len(counted) - bad < wanted if firing else bad >= wanted
    # A good window among the bad ones is not what the alert is about: the newest bad one speaks for it.
    of_bad = (finding for finding in reversed(counted) if _holds(rule, finding, firing=firing))
    speaks = next(of_bad, current) if met else current
    return _Judged(_Class.MET if met else _Class.CLEAR, _why(rule, current, of=of, met=met), speaks)


def _burning(rule: BurnRule, windows: Sequence[Finding]) -> _Judged:
    found = burning.judge(rule, windows)
    if found.burns is None:
        return _Judged(_Class.NO_DATA, Reason.FEW_SAMPLES, found.finding)
    if found.burns:
        return _Judged(_Class.MET, Reason.BUDGET_BURNS, found.finding)
    return _Judged(_Class.CLEAR, Reason.BUDGET_LASTS, found.finding)


def _why(rule: Rule, current: Finding, *, of: int, met: bool) -> Reason:
    if of > 1:
        return Reason.ENOUGH_WINDOWS if met else Reason.TOO_FEW_WINDOWS
    if rule.limit is None:
        return Reason.VERDICT_ALARM if met else Reason.VERDICT_OK
    if met:
        return Reason.CONDITION_MET if _holds(rule, current, firing=False) else Reason.WITHIN_HYSTERESIS
    return Reason.CONDITION_NOT_MET


def _unusable(rule: Rule, finding: Finding) -> tuple[_Class, Reason] | None:
    counting = METRICS[rule.metric].unit == "count" and rule.limit is not None and finding.value is not None
    if finding.verdict in _VERDICTS and not counting:  # no traffic is a count as well: zero
        return _VERDICTS[finding.verdict]
    if rule.limit is not None and finding.value is None:
        return _Class.NO_DATA, Reason.NO_VALUE
    if finding.size < rule.min_samples:
        return _Class.NO_DATA, Reason.FEW_SAMPLES
    if rule.label_coverage > 0 and (finding.coverage is None or finding.coverage < rule.label_coverage):
        return _Class.NO_DATA, Reason.LOW_LABEL_COVERAGE
    return None


def _holds(rule: Rule, finding: Finding, *, firing: bool) -> bool:
    """Whether one usable finding meets the condition; while firing, the resolve threshold takes its place."""
    if rule.limit is None:
        return finding.verdict == "alarm"
    if finding.value is None:
        return False
    operator, threshold = rule.limit
    if firing and rule.resolve_threshold is not None:
        threshold = rule.resolve_threshold
    return _compare(operator, finding.value, threshold)


def _compare(operator: str, value: float, threshold: float) -> bool:
    match operator:
        case "<":
            return value < threshold
        case "<=":
            return value <= threshold
        case ">":
            return value > threshold
        case ">=":
            return value >= threshold
        case "==":
            return value == threshold
    return value != threshold


def _combine(rule: Rule, parts: Sequence[_Judged]) -> _Judged:
    if len(parts) == 1:
        return parts[0]
    for what in _Class:
        of_class = [part for part in parts if part.what is what]
        if of_class:
            return max(of_class, key=lambda part: _badness(rule, part.finding))
    raise AssertionError("an instance without findings")  # pragma: no cover


def _badness(rule: Rule, finding: Finding | None) -> float:
    if finding is None or finding.value is None:
        return float("-inf")
    low_is_bad = rule.limit[0].startswith("<") if rule.limit else METRICS[rule.metric].better == "up"
    return -finding.value if low_is_bad else finding.value


def _outcomes(
    rule: Rule, instance: Instance, judged: _Judged, active: Mapping[tuple[Kind, Instance], Active],
) -> list[Outcome]:  # fmt: skip
    blind = judged.what is _Class.NO_DATA
    own = Outcome(Kind.RULE, instance, _signal(rule, judged.what), judged.reason, judged.finding)
    if rule.no_data == "no_data" and blind:
        return [own, Outcome(Kind.NO_DATA, instance, Signal.ACTIVE, judged.reason, judged.finding)]
    if (Kind.NO_DATA, instance) in active:
        return [own, Outcome(Kind.NO_DATA, instance, Signal.INACTIVE, Reason.DATA_IS_BACK, judged.finding)]
    return [own]


def _signal(rule: Rule, what: _Class) -> Signal:
    if what is _Class.MET:
        return Signal.ACTIVE
    if what is _Class.CLEAR:
        return Signal.INACTIVE
    return _NO_DATA_SIGNAL[rule.on_error if what is _Class.ERROR else rule.no_data]


def _absent(
    rule: Rule, model: str, present: Mapping[Instance, object],
    active: Mapping[tuple[Kind, Instance], Active],
) -> list[Outcome]:  # fmt: skip
    """Active instances without a finding: gone while others remain, or a window in which nothing was found."""
    if present:
        return [
            _missing(rule, kind, instance, known.missing + 1)
            for (kind, instance), known in active.items()
            if instance not in present
        ]
    instances = list(dict.fromkeys(instance for _, instance in active))
    if not instances and rule.no_data in {"alerting", "no_data"}:
        instances = [(("model", model), *((name, "") for name in rule.by if name != "model"))]
    nothing = _Judged(_Class.NO_DATA, Reason.NO_FINDINGS, None)
    return [outcome for instance in instances for outcome in _outcomes(rule, instance, nothing, active)]


def _missing(rule: Rule, kind: Kind, instance: Instance, missing: int) -> Outcome:
    if missing >= rule.missing_evals_to_resolve:
        return Outcome(kind, instance, Signal.INACTIVE, Reason.MISSING_TOO_LONG, missing=missing)
    return Outcome(kind, instance, Signal.KEEP, Reason.MISSING, missing=missing)
