"""`remora changes`: when a metric changed, not only that it did."""

from __future__ import annotations

from typing import Annotated

import typer

from remora.catalogue import METRICS, show
from remora.cli.calling import AsJson, print_json, print_table
from remora.cli.options import DatabaseUrl, require_extra
from remora.cli.reference import instant, opened
from remora.errors import UserError

__all__ = ["changes"]


def changes(
    database: DatabaseUrl,
    model: Annotated[str, typer.Option("--model", envvar="REMORA_MODEL", help="The model's name.")],
    metric: Annotated[
        str, typer.Option("--metric", help="Any metric that was found: auc, psi, latency_p95.")
    ],
    feature: Annotated[str, typer.Option("--feature", help="The feature of a metric per feature.")] = "",
    model_version: Annotated[
        str, typer.Option("--model-version", help="Of this version alone; without, of all together.")
    ] = "",
    segment: Annotated[
        str, typer.Option("--segment", help="Of this segment alone, such as country=DE.")
    ] = "",
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Windows from then on.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And until then.")] = None,
    as_json: AsJson = False,
) -> None:
    """When a metric's series of windows changed, from what to what; days or weeks of windows stay together."""
    try:
        from detectors.series import Series, changes_of
    except ImportError as error:
        raise require_extra("changes", "server", error) from None
    if metric not in METRICS:
        raise UserError(f"there is no metric {metric}: docs/configuration.md lists them")
    if METRICS[metric].per_feature != bool(feature):
        raise UserError(
            f"{metric} is found per feature: give --feature"
            if not feature
            else f"{metric} is not found per feature"
        )
    since, until = (instant(start, "--from") if start else None), (instant(end, "--to") if end else None)
    with opened(database) as connected:
        found = changes_of(connected, Series(model, metric, model_version, segment, feature, since, until))
    if found.windows < found.needed:
        raise UserError(
            f"{found.windows} windows have a value of {metric}, {found.needed} are needed to tell a change from chance"
        )
    if as_json:
        print_json([{"at": one.at.isoformat(), **vars(one.point)} for one in found.found])
        return
    rows = [("CHANGED AT (UTC)", "BEFORE", "AFTER", "SPREADS", "BY CHANCE")]
    rows += [
        (
            f"{one.at:%Y-%m-%d %H:%M}", show(metric, one.point.before), show(metric, one.point.after),
            f"{one.point.effect:+.1f}", f"{one.point.p_value:.1%}".replace("%", " %"),
        )
        for one in found.found
    ]  # fmt: skip
    print_table(rows, f"no change in {found.windows} windows")
