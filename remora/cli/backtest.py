"""`remora backtest`: what the rules would have said of what is behind us."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remora.cli.calling import AsJson, print_json, print_table
from remora.cli.options import DatabaseUrl, require_extra
from remora.cli.reference import instant, opened
from remora.errors import UserError

if TYPE_CHECKING:
    from alerts.backtest import Backtest, Raised, Tally

__all__ = ["backtest"]


def backtest(
    config: Annotated[
        Path,
        typer.Option("--config", envvar="REMORA_CONFIG", metavar="FILE", help="The remora.yaml to try."),
    ],
    database: DatabaseUrl,
    model: Annotated[
        str | None, typer.Option("--model", envvar="REMORA_MODEL", help="Only this model.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Windows from then on.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And until then.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse the rules over every judged window: which alerts would have fired, when, and how many by chance.

    Nothing is stored and nobody is told.
    """
    try:
        from alerts.backtest import backtest as rehearse
        from alerts.templates import mistakes
    except ImportError as error:
        raise require_extra("backtest", "server", error) from None
    from remora.config import load

    since, until = (instant(start, "--from") if start else None), (instant(end, "--to") if end else None)
    if since and until and since >= until:
        raise UserError("--to must lie after --from")
    settings = load(config, mistakes)
    with opened(database) as connected, connected.read() as connection:
        found = rehearse(connection, settings, model=model, start=since, end=until)
    if not found.windows:
        raise UserError(
            f"no window{f' of {model}' if model else ''} was judged in that time: there is nothing to rehearse"
        )
    if as_json:
        print_json(_document(found))
    else:
        _show(found)


def _show(found: Backtest) -> None:
    print(f"{_minute(found.start)} to {_minute(found.end)} UTC, {found.windows:,} judged windows\n")
    rows: list[tuple[str, ...]] = [("RULE", "WINDOWS", "BLIND IN", "ALERTS", "BY CHANCE", "FIRING FOR")]
    rows += [_tally(tally, found.until) for tally in found.tallies]
    print_table(rows, "there is no rule")
    if found.raised:
        print()
        alerts: list[tuple[str, ...]] = [("FIRED (UTC)", "FOR", "RULE", "VALUE", "OF")]
        alerts += [_alert(one, found.until) for one in found.raised]
        print_table(alerts, "")


def _tally(tally: Tally, end: datetime | None) -> tuple[str, ...]:
    firing = sum((_length(one, end) for one in tally.raised), timedelta(0))
    chance = "-" if tally.by_chance is None else f"{tally.by_chance:.2g}"
    return (
        tally.rule.alert, f"{tally.windows:,}", f"{tally.blind:,}", f"{len(tally.raised):,}", chance, _shown(firing),
    )  # fmt: skip


def _alert(one: Raised, end: datetime | None) -> tuple[str, ...]:
    from remora.catalogue import show

    of = [
        f"{name}={one.labels[name]}"
        for name in ("model", "version", "segment", "feature")
        if one.labels.get(name)
    ]
    lasts = _shown(_length(one, end)) + ("" if one.resolved_at else " so far")
    name = one.rule if one.labels["alertname"] == one.rule else f"{one.rule} (no data)"
    return (_minute(one.fired_at), lasts, name, show(one.metric, one.value), " ".join(of))


def _length(one: Raised, end: datetime | None) -> timedelta:
    return max((one.resolved_at or end or one.fired_at) - one.fired_at, timedelta(0))


def _shown(length: timedelta) -> str:
    hours, days = length.seconds // 3600, length.days
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    return f"{hours}h {length.seconds % 3600 // 60}m" if hours else f"{length.seconds // 60}m"


def _minute(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


def _document(found: Backtest) -> dict[str, Any]:
    return {
        "from": found.start and found.start.isoformat(),
        "to": found.end and found.end.isoformat(),
        "windows": found.windows,
        "rules": [
            {
                "rule": tally.rule.alert, "metric": tally.rule.metric, "windows": tally.windows, "blind": tally.blind,
                "alerts": len(tally.raised), "expected_by_chance": tally.by_chance,
            }
            for tally in found.tallies
        ],
        "alerts": [
            {
                "rule": one.rule, "labels": one.labels, "value": one.value, "fired_at": one.fired_at.isoformat(),
                "resolved_at": one.resolved_at and one.resolved_at.isoformat(),
            }
            for one in found.raised
        ],
    }  # fmt: skip
