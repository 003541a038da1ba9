"""`remora check FILE`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remora.errors import ConfigError

if TYPE_CHECKING:
    from remora.config.load import Check
    from remora.config.slo import Slo

__all__ = ["check"]


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The remora.yaml to look at.")],
) -> None:
    """Say whether a remora.yaml is right, or every mistake in it with its line. Exit code 2 on a mistake."""
    from remora.config import load

    try:
        config = load(file, _template_check())
    except ConfigError as error:
        for problem in error.problems:
            print(f"{file}: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None
    print(
        f"{file}: good: {_count(len(config.models), 'model')}, {_count(len(config.rules), 'rule')}, "
        f"{_count(len(config.receivers), 'receiver')}, {_count(len(config.plans), 'plan')}"
    )
    for slo in config.slos:
        _objective(slo, config.model(slo.model).windows.size)


def _objective(slo: Slo, size: timedelta) -> None:
    """What an objective comes to: from where on each row alarms, and how soon a total outage is found."""
    from remora.cli.calling import print_table
    from remora.config.base import format_duration

    print(
        f"\n{slo.name}: {slo.metric} of {slo.model}, {slo.budget:.4g} of the events of {slo.period.days}d may be bad"
    )
    rows = [("SEVERITY", "OVER", "AND OVER", "BURN RATE", "ALARMS ABOVE", "EVENTS", "ALL BAD FOR")]
    for row in slo.rows(size):
        over = (row.severity, format_duration(row.long), format_duration(row.short), f"{row.rate:.4g}")
        if row.why_not:
            rows.append((*over, "never:", row.why_not, ""))
        else:
            outage = timedelta(seconds=round(row.outage().total_seconds()))
            rows.append((*over, f"{row.threshold:.4g}", f"{row.least:,}", format_duration(max(outage, size))))
    print_table(rows, "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _template_check() -> Check | None:
    """Annotations are looked at where the server extra is installed: their template engine comes with it."""
    try:
        from alerts.templates import mistakes
    except ImportError:
        return None
    return mistakes
