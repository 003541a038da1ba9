"""Texts of annotations: Jinja in a sandbox. A mistake in a template never stops an alert; it shows in the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from remora.catalogue import show
from remora.config import Config
from remora.config.base import format_duration

__all__ = ["FILTERS", "VARIABLES", "mistakes", "render"]

VARIABLES = frozenset({"labels", "annotations", "value", "rule", "runbook_url"})

_LONGEST = 4000


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(float(value), form)


FILTERS: dict[str, Callable[..., str]] = {
    "pct": lambda value, digits=1: "-" if value is None else f"{float(value) * 100:.{digits}f} %",
    "ms": lambda value: _number(value, ",.0f") + " ms",
    "number": lambda value, digits=3: _number(value, f",.{digits}f"),
    "count": lambda value: _number(value, ",.0f"),
    "duration": lambda seconds: format_duration(timedelta(seconds=float(seconds))),
    "metric": lambda value, name: show(str(name), value),  # as the pages show that metric
}
"""What a template may do to a number beside Jinja's own filters."""


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined)  # plain text
    environment.filters.update(FILTERS)
    environment.globals.clear()  # no range(): a text has no use for a million numbers
    return environment


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


def render(text: str, variables: Mapping[str, object]) -> str:
    """Expand a template; what is wrong with it comes out as `<error expanding template: …>`."""
    if "{" not in text:
        return text[:_LONGEST]
    try:
        return _compiled(text).render(variables)[:_LONGEST]
    except (TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        return f"<error expanding template: {str(error) or type(error).__name__}>"[:_LONGEST]


def mistakes(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where an annotation is no template, or names a filter or a variable that there is not, and what is wrong."""
    for g, group in enumerate(config.groups):
        for r, rule in enumerate(group.rules):
            for name, text in rule.annotations.items():
                wrong = _mistake(text)
                if wrong:
                    yield ("groups", g, "rules", r, "annotations", name), wrong
    for index, slo in enumerate(config.slos):
        for name, text in slo.annotations.items():
            wrong = _mistake(text)
            if wrong:
                yield ("slos", index, "annotations", name), wrong


def _mistake(text: str) -> str | None:
    try:
        _compiled(text)
        unknown = meta.find_undeclared_variables(_environment().parse(text)) - VARIABLES
    except TemplateError as error:
        return f"not a template: {error}"
    return (
        f"there is no variable `{min(unknown)}`: known are {', '.join(sorted(VARIABLES))}"
        if unknown
        else None
    )
