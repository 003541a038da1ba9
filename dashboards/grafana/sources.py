"""Where Grafana's numbers come from: the two data sources, queries of them, and the variables that choose."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard

__all__ = [
    "FEATURE", "MODEL", "MODELS", "POSTGRES", "PROMETHEUS", "REMORA", "VERSION", "Query", "Sql", "choice", "mark",
    "now", "over_time", "rows",
]  # fmt: skip

PROMETHEUS = dashboard.DataSourceRef(type_val="prometheus", uid="remora-prometheus")
POSTGRES = dashboard.DataSourceRef(type_val="grafana-postgresql-datasource", uid="remora-postgres")

Query = Builder[Dataquery]


class Sql(Dataquery):
    """A query of Grafana's PostgreSQL data source: the SDK has no type for it."""

    def __init__(self, statement: str, format_val: str, ref_id: str = "") -> None:
        self.statement = statement
        self.format_val = format_val
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id, "datasource": POSTGRES, "format": self.format_val, "rawQuery": True,
            "editorMode": "code", "rawSql": self.statement,
        }  # fmt: skip


class _Statement(Builder[Dataquery]):
    def __init__(self, statement: str, format_val: str) -> None:
        self.made = Sql(" ".join(statement.split()), format_val)

    def build(self) -> Dataquery:
        return self.made


def now(expression: str, legend: str = "") -> Query:
    """A PromQL expression, drawn over the times at which it was scraped."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(PROMETHEUS).range()


def over_time(statement: str) -> Query:
    """SQL with the columns time, metric (the line's name) and value: drawn over the time of the windows."""
    return _Statement(statement, "time_series")


def rows(statement: str) -> Query:
    """SQL whose columns are a table's."""
    return _Statement(statement, "table")


def _of_prometheus(name: str, label: str, query: str) -> build.QueryVariable:
    asked: dict[str, object] = {"query": query, "refId": name}
    variable = build.QueryVariable(name).label(label).query(asked).datasource(PROMETHEUS)
    return variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def _of_postgres(name: str, label: str, statement: str) -> build.QueryVariable:
    variable = build.QueryVariable(name).label(label).query(statement).datasource(POSTGRES)
    return variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def _any_of(variable: build.QueryVariable) -> build.QueryVariable:
    """Several may be chosen, and all are to begin with."""
    everything = dashboard.VariableOption(text="All", value="$__all", selected=True)
    return variable.multi(True).include_all(True).current(everything)


_SEEN = "label_values(remora_model_last_seen_timestamp_seconds, model)"

MODELS = _any_of(_of_prometheus("model", "Model", _SEEN).sort(dashboard.VariableSort.ALPHABETICAL_ASC))
MODEL = _of_prometheus("model", "Model", _SEEN).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
# Where Remora's pages are, as its configuration says: links lead there.
REMORA = _of_prometheus("remora", "Remora", "label_values(remora_info, url)").hide(
    dashboard.VariableHide.HIDE_VARIABLE
)
VERSION = _any_of(
    _of_postgres(
        "version", "Version",
        "SELECT version FROM version_history WHERE model = ${model:sqlstring} AND version <> '' "
        "ORDER BY last_seen DESC LIMIT 20",
    )
)  # fmt: skip
FEATURE = _any_of(
    _of_postgres(
        "feature", "Feature",
        "SELECT DISTINCT feature FROM finding_history WHERE model = ${model:sqlstring} AND feature <> '' "
        "AND $__timeFilter(window_end) ORDER BY 1 LIMIT 500",
    )
)  # fmt: skip


def choice(name: str, label: str, values: Sequence[str]) -> build.CustomVariable:
    """One of values that are known beforehand; the first to begin with."""
    options = [
        dashboard.VariableOption(text=value, value=value, selected=not at) for at, value in enumerate(values)
    ]
    return (
        build.CustomVariable(name).label(label).values(",".join(values)).options(options).current(options[0])
    )


class _Mark(dashboard.AnnotationQuery):
    """An annotation by SQL: the SDK knows those of Grafana's own tags alone."""

    statement = ""

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "target": Sql(self.statement, "table", "Anno")}


class _MarkBuilder(Builder[dashboard.AnnotationQuery]):
    def __init__(self, made: _Mark) -> None:
        self.made = made

    def build(self) -> dashboard.AnnotationQuery:
        return self.made


def mark(name: str, colour: str, statement: str) -> Builder[dashboard.AnnotationQuery]:
    """What happened, drawn into every picture over time: SQL with the columns time, timeend (or none) and text."""
    made = _Mark(name=name, datasource=POSTGRES, enable=True, icon_color=colour, built_in=None)
    made.statement = " ".join(statement.split())
    return _MarkBuilder(made)
