"""What one section of the file says of another: whatever is named must be there and must fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from remora.catalogue import METRICS
from remora.config.base import format_duration
from remora.config.lines import LineIndex
from remora.errors import Problem

if TYPE_CHECKING:
    from remora.config.alerting import Rule
    from remora.config.load import Config
    from remora.config.receivers import Receiver

__all__ = ["cross_check", "dotted"]

Path = tuple[Any, ...]


def dotted(path: Path) -> str:
    """A path as a person writes it: `groups[0].rules[2].metric`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def cross_check(config: Config, lines: LineIndex, also: Iterable[tuple[Path, str]] = ()) -> list[Problem]:
    """Every mistake between the sections of a file whose sections are right."""
    found = [
        *_rules(config),
        *_slos(config),
        *_receivers(config),
        *_routes(config),
        *_plans(config),
        *_names(config),
        *also,
    ]
    problems = [Problem(dotted(path), lines.of(path), what) for path, what in found]
    rules = [(rule.alert, (*path, "alert")) for path, rule in _each_rule(config)]
    for index, slo in enumerate(config.slos):
        rules += [(f"{slo.name}-{severity}", ("slos", index, "name")) for severity in ("page", "ticket")]
    plans = [(plan.name, ("plans", index)) for index, plan in enumerate(config.plans)]
    problems += _repeated(rules, lines)
    problems += _repeated([(name, (*path, "name")) for name, path in plans], lines)
    return sorted(problems, key=lambda problem: problem.line or 0)


def _each_rule(config: Config) -> Iterable[tuple[Path, Rule]]:
    for g, group in enumerate(config.groups):
        for r, rule in enumerate(group.rules):
            yield ("groups", g, "rules", r), rule


def _rules(config: Config) -> Iterable[tuple[Path, str]]:
    plans = [plan.name for plan in config.plans]
    # A sidecar reads the same file without the packages of the server's own detectors.
    metrics = [*METRICS, *(name for model in config.models.values() for name in model.drift.own)]
    for path, rule in _each_rule(config):
        yield from _named(rule.metric, metrics, "metric", (*path, "metric"))
        yield from _named(rule.plan, plans, "plan", (*path, "plan"))
        yield from _named(rule.select.model, config.models, "model", (*path, "select", "model"))
        metric = METRICS.get(rule.metric)
        if metric is None:
            continue
        if not metric.per_feature and (rule.select.feature is not None or "feature" in rule.by):
            where = (*path, "by") if rule.select.feature is None else (*path, "select", "feature")
            having = ", ".join(sorted(known.name for known in METRICS.values() if known.per_feature))
            yield where, f"{rule.metric} is not found per feature; these are: {having}"
        if not metric.judged and rule.condition is None:
            yield (
                (*path, "alert"),
                f'{rule.metric} has no verdict of its own: say when, such as condition: "> 0.05"',
            )
        if metric.job != "performance" and rule.label_coverage > 0:
            yield (
                (*path, "label_coverage"),
                f"{rule.metric} needs no labels: label_coverage is for performance metrics",
            )


def _slos(config: Config) -> Iterable[tuple[Path, str]]:
    plans = [plan.name for plan in config.plans]
    for index, slo in enumerate(config.slos):
        path = ("slos", index)
        yield from _named(slo.plan, plans, "plan", (*path, "plan"))
        yield from _named(slo.model, config.models, "model", (*path, "model"))
        if METRICS[slo.metric].per_feature != (slo.feature is not None):
            needs = "say which feature" if slo.feature is None else f"{slo.metric} is not found per feature"
            yield (*path, "metric" if slo.feature is None else "feature"), needs
        if METRICS[slo.metric].job != "performance" and slo.label_coverage > 0:
            yield (
                (*path, "label_coverage"),
                f"{slo.metric} needs no labels: label_coverage is for accuracy and hit_rate",
            )
        rows = slo.rows(config.model(slo.model).windows.size)
        if all(row.why_not for row in rows):
            reasons = "; ".join(f"{row.severity} {format_duration(row.long)}: {row.why_not}" for row in rows)
            yield (*path, "objective"), f"it can never alarm: {reasons}"


def _receivers(config: Config) -> Iterable[tuple[Path, str]]:
    for name, receiver in config.receivers.items():
        path = ("receivers", name, "fallback")
        yield from _named(receiver.fallback, config.receivers, "receiver", path)
        if receiver.fallback == name:
            yield path, "a receiver cannot be its own fallback: name another one"
        elif (
            receiver.fallback
            and getattr(config.receivers.get(receiver.fallback), "kind", "") == "alertmanager"
        ):
            yield (
                path,
                f"`{receiver.fallback}` is an Alertmanager, which takes alerts and no messages: name another one",
            )


def _routes(config: Config) -> Iterable[tuple[Path, str]]:
    for r, route in enumerate(config.routes):
        for i, name in enumerate(route.receivers):
            yield from _named(name, config.receivers, "receiver", ("routes", r, "receivers", i))


def _plans(config: Config) -> Iterable[tuple[Path, str]]:
    for p, plan in enumerate(config.plans):
        for s, step in enumerate(plan.steps):
            path = ("plans", p, "steps", s)
            yield from _named(step.notify, config.receivers, "receiver", (*path, "notify"))
            yield from _named(
                step.action, [*config.actions.targets, *config.receivers], "target", (*path, "action")
            )
            yield from _startable(step.action, config.receivers, (*path, "action"))


def _startable(name: str | None, receivers: dict[str, Receiver], path: Path) -> Iterable[tuple[Path, str]]:
    receiver = receivers.get(name) if name is not None else None
    if receiver is not None and (receiver.kind != "webhook" or receiver.body != "remora.v1"):
        yield (
            path,
            f"`{name}` cannot start anything: name one of actions.targets, or a webhook with body remora.v1",
        )


def _names(config: Config) -> Iterable[tuple[Path, str]]:
    for g, group in enumerate(config.groups):
        if group.name in [before.name for before in config.groups[:g]]:
            yield ("groups", g, "name"), f"another group is called `{group.name}` already"
    for name in config.actions.targets:
        if name in config.receivers:
            yield ("actions", "targets", name), f"a receiver is called `{name}` already: choose another name"
    for model in config.actions.paused_models:
        index = config.actions.paused_models.index(model)
        yield from _named(model, config.models, "model", ("actions", "paused_models", index))


def _named(name: str | None, known: Iterable[str], what: str, path: Path) -> Iterable[tuple[Path, str]]:
    names = list(known)
    if name is None or name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean `{near[0]}`?" if near else f": known are {', '.join(sorted(names)) or 'none'}"
    yield path, f"there is no {what} `{name}`{hint}"


def _repeated(names: list[tuple[str, Path]], lines: LineIndex) -> list[Problem]:
    seen: dict[str, Path] = {}
    problems = []
    for name, path in names:
        if name in seen:
            first = lines.of(seen[name])
            problems.append(
                Problem(dotted(path), lines.of(path), f"the name `{name}` stands at line {first} already")
            )
        seen.setdefault(name, path)
    return problems
