"""`remora rules …`: try rules before they can wake anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import require_extra

__all__ = ["app"]

app = typer.Typer(help="Try rules before they can wake anybody.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Try rules before they can wake anybody."""


@app.command("test")
def test(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tests of rules, YAML.")],
) -> None:
    """Run rules against given series and compare the alerts' states. Exit code 1 where one differs."""
    try:
        from alerts.rule_tests import RuleTests, failures
        from alerts.templates import mistakes
    except ImportError as error:
        raise require_extra("rules test", "server", error) from None
    from remora.config import load
    from remora.config.reading import text_of, validated

    failed = 0
    for file in files:
        tests, _ = validated(RuleTests, text_of(file), str(file))
        config = load(file.parent / tests.config, mistakes)
        for one in tests.tests:
            found = list(failures(config, one))
            failed += bool(found)
            print(f"{'FAIL' if found else 'ok  '} {file}: {one.name}")
            for failure in found:
                first, *more = failure.lines
                print(f"     {failure.alert}: {first}")
                for line in more:
                    print(f"       {line}")
    if failed:
        raise typer.Exit(1)
