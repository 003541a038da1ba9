"""Panels that say what they show, in which unit, and what to do when it is bad; and dashboards of them.

The JSON is Grafana's classic one, which Grafana 11 to 13 read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import common, stat, statushistory, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard

from dashboards.grafana.sources import POSTGRES, PROMETHEUS, Query, Sql

__all__ = ["SPAN", "Board", "Panel", "Steps", "bars", "heat", "lines", "listing", "number", "page"]

Panel = stat.Panel | statushistory.Panel | table.Panel | timeseries.Panel
Steps = tuple[tuple[str, float | None], ...]

# The chosen time in the query string of one of Remora's pages.
SPAN = "from=${__from:date:iso}&to=${__to:date:iso}"
_SCHEMA = 39  # Grafana 11.0's; nothing here needs a later one, and later ones bring it up to date
_CALM: Steps = (("blue", None),)
_HALF, _WHOLE, _SIXTH = 12, 24, 4


@dataclass(frozen=True)
class Board:
    """A dashboard: `parts` are headlines and what stands below each."""

    uid: str
    title: str
    about: str
    variables: Sequence[Builder[dashboard.VariableModel]]
    parts: Sequence[tuple[str, Sequence[Panel]]]
    marks: Sequence[Builder[dashboard.AnnotationQuery]] = ()
    recent: str = "now-24h"
    pages: Sequence[tuple[str, str]] = field(default=(("Remora", "/"),))

    def as_json(self) -> dict[str, Any]:
        """The dashboard as Grafana imports it."""
        made = (
            build.Dashboard(self.title).uid(self.uid).description(self.about).tags(["remora"]).editable()
            .timezone("utc").refresh("1m").time(self.recent, "now").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .variables(list(self.variables)).annotations(list(self.marks)).links(self._links())
        )  # fmt: skip
        for headline, panels in self.parts:
            made.with_row(build.Row(headline))
            for panel in panels:
                made.with_panel(panel)
        found: dict[str, Any] = json.loads(JSONEncoder().encode(made.build()))
        for number, panel in enumerate(found["panels"], 1):
            panel["id"] = number
        return _without_later_words(found) | {"schemaVersion": _SCHEMA}

    def _links(self) -> list[Builder[dashboard.DashboardLink]]:
        others = (
            build.DashboardLink("Dashboards").type(dashboard.DashboardLinkType.DASHBOARDS).tags(["remora"])
        )
        return [others.include_vars(True).keep_time(True), *(page(title, path) for title, path in self.pages)]


def _without_later_words(board: dict[str, Any]) -> dict[str, Any]:
    """What the SDK writes unasked, and the schema of the first Grafana 11 or of the last 13 does not know."""
    for panel in board["panels"]:
        for name in ("percentChangeColorMode", "perPage", "footer"):
            panel.get("options", {}).pop(name, None)
    for variable in board["templating"]["list"]:
        for name in ("allowCustomValue", "auto", "auto_min", "auto_count"):
            variable.pop(name, None)
    return board


def page(title: str, path: str) -> build.DashboardLink:
    """A link to one of Remora's own pages."""
    link = build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).icon("external link")
    return link.url("${remora}" + path).target_blank(True)


def _filled(panel: Any, title: str, unit: str, about: str, queries: Sequence[Query], to: str) -> Any:
    """What every panel has. `to` is the page of Remora that says more."""
    made = [query.build() for query in queries]
    for at, query in enumerate(made):
        query.ref_id = chr(ord("A") + at)  # type: ignore[attr-defined]  # every kind of query has one
    source = POSTGRES if isinstance(made[0], Sql) else PROMETHEUS
    panel = panel.title(title).unit(unit).description(about).datasource(source).targets(list(queries))
    return panel.links([page("In Remora", to)]) if to else panel


def _coloured(steps: Steps) -> build.ThresholdsConfig:
    marks = [dashboard.Threshold(color=colour, value=value) for colour, value in steps]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(marks)


def lines(
    title: str, unit: str, about: str, *queries: Query, to: str = "", limit: float | None = None
) -> timeseries.Panel:  # fmt: skip
    """Lines over time; `limit` is drawn across, where one number is everybody's."""
    panel = (
        timeseries.Panel().span(_HALF).height(8).line_width(2).fill_opacity(6)
        .show_points(looks.VisibilityMode.AUTO).point_size(4).span_nulls(True)
        .legend(common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
                .placement(looks.LegendPlacement.BOTTOM).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )  # fmt: skip
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_coloured((("green", None), ("red", limit)))).thresholds_style(style)
    filled: timeseries.Panel = _filled(panel, title, unit, about, queries, to)
    return filled


def bars(title: str, unit: str, about: str, *queries: Query, to: str = "") -> timeseries.Panel:
    """Stacked bars over time: parts of a whole."""
    stacked = common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A")
    panel = lines(title, unit, about, *queries, to=to).draw_style(looks.GraphDrawStyle.BARS)
    return panel.fill_opacity(70).line_width(0).stacking(stacked)


def number(
    title: str, unit: str, about: str, query: Query, *, to: str = "", steps: Steps = _CALM
) -> stat.Panel:
    """One large number, coloured from each of the `steps` on."""
    panel = (
        stat.Panel().span(_SIXTH).height(4).thresholds(_coloured(steps)).color_mode(looks.BigValueColorMode.VALUE)
        .graph_mode(looks.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )  # fmt: skip
    filled: stat.Panel = _filled(panel, title, unit, about, [query], to)
    return filled


def listing(
    title: str, about: str, query: Query, *, to: str = "", units: dict[str, str] | None = None,
    links: dict[str, str] | None = None,
) -> table.Panel:  # fmt: skip
    """A table; `units` of columns, and `links` of columns to pages of Remora (with `${__data.fields.NAME}`)."""
    panel = table.Panel().span(_WHOLE).height(9).filterable(True).cell_height(looks.TableCellHeight.SM)
    for name, unit in (units or {}).items():
        panel = panel.override_by_name(name, [dashboard.DynamicConfigValue(id_val="unit", value=unit)])
    for name, path in (links or {}).items():
        leads = [{"title": "In Remora", "url": "${remora}" + path, "targetBlank": True}]
        panel = panel.override_by_name(name, [dashboard.DynamicConfigValue(id_val="links", value=leads)])
    filled: table.Panel = _filled(panel, title, "none", about, [query], to)
    return filled


def heat(
    title: str, unit: str, about: str, query: Query, *, steps: Steps, to: str = ""
) -> statushistory.Panel:
    """A cell per line and window, coloured from each of the `steps` on."""
    panel = (
        statushistory.Panel().span(_WHOLE).height(9).thresholds(_coloured(steps)).row_height(0.9)
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .show_value(looks.VisibilityMode.NEVER)
    )  # fmt: skip
    filled: statushistory.Panel = _filled(panel, title, unit, about, [query], to)
    return filled
