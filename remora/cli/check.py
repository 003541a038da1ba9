"""`remora check FILE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remora.errors import ConfigError

if TYPE_CHECKING:
    from remora.config.load import Check

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
    rules = sum(len(group.rules) for group in config.groups)
    print(
        f"{file}: good: {_count(len(config.models), 'model')}, {_count(rules, 'rule')}, "
        f"{_count(len(config.receivers), 'receiver')}, {_count(len(config.plans), 'plan')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _template_check() -> Check | None:
    """Annotations are looked at where the server extra is installed: their template engine comes with it."""
    try:
        from alerts.templates import mistakes
    except ImportError:
        return None
    return mistakes
