"""The reading API: models, findings, alerts, incidents, deliveries, reports, health and metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import JSONResponse

from dashboards import prometheus, schemas
from dashboards.access import Guard
from dashboards.errors import BadRequestError
from dashboards.periods import parse_instant
from dashboards.queries import findings, models, response
from dashboards.schemas import rows_of
from remora import schema
from remora.catalogue import METRICS
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.refusals import EVERYWHERE, refusals

__all__ = ["KEY_METRICS", "router"]

KEY_METRICS = tuple(name for name, metric in METRICS.items() if not metric.per_feature)
ALERT_STATES = ("pending", "firing", "resolved")
INCIDENT_STATES = ("open", "acknowledged", "resolved")
DELIVERY_STATES = ("pending", "delivered", "dead")
_ERRORS = refusals(*EVERYWHERE, 404, 422)

Limit = Annotated[int, Query(ge=1, le=findings.MAX_FINDINGS, description="at most so many, the newest")]


def router(database: Database, config: Config, guard: Guard) -> APIRouter:
    """Routes under /v1, and /healthz, /readyz and /metrics beside them. `database` is only read."""
    reading = database.only_reading()
    routes = APIRouter()
    guarded = APIRouter(prefix="/v1", dependencies=[Depends(guard.require("read"))], responses=_ERRORS)
    _models(guarded, reading)
    _responses(guarded, reading)
    _incidents(guarded, reading)
    routes.include_router(guarded)
    _health(routes, reading, config, guard)
    return routes


def _models(routes: APIRouter, database: Database) -> None:
    @routes.get("/models", response_model=list[schemas.Model])
    def list_models() -> list[schemas.Model]:
        """Every model with its versions, the newest value of each metric and how many alerts are open."""
        with database.read() as connection:
            return _all_models(connection)

    @routes.get("/models/{model}/versions", response_model=list[schemas.Version])
    def list_versions(model: str) -> list[Any]:
        """The versions of a model, those seen last first."""
        with database.read() as connection:
            _known(connection, model)
            return rows_of(schemas.Version, models.versions_of(connection, model))

    @routes.get("/models/{model}/findings", response_model=list[schemas.Finding])
    def list_findings(  # noqa: PLR0913, PLR0917 - the filters of the query string
        model: str,
        metric: str | None = None,
        feature: Annotated[
            str | None, Query(description="'' asks for metrics that are of no feature")
        ] = None,
        segment: Annotated[str | None, Query(description="'' is the whole traffic")] = None,
        version: Annotated[str | None, Query(description="'' is all versions together")] = None,
        from_: Annotated[
            str | None, Query(alias="from", description="windows that start here or later")
        ] = None,
        to: Annotated[str | None, Query(description="windows that end here or before")] = None,
        limit: Limit = 1000,
    ) -> list[Any]:
        """The latest revision of each finding, ordered by window; the newest ones where there are more than limit."""
        wanted = findings.Filter(model, _metric(metric), feature, segment, version, *_period(from_, to))
        with database.read() as connection:
            _known(connection, model)
            return rows_of(schemas.Finding, findings.find(connection, wanted, limit))


def _all_models(connection: Any) -> list[schemas.Model]:
    versions: dict[str, list[Any]] = {}
    for row in models.versions_of(connection):
        versions.setdefault(row.model, []).append(row)
    latest: dict[str, list[Any]] = {}
    for row in findings.newest(connection, KEY_METRICS):
        latest.setdefault(row.model, []).append(row)
    open_alerts: dict[str, dict[str, int]] = {}
    for row in models.open_alerts(connection):
        counts = open_alerts.setdefault(row.model, {"pending": 0, "firing": 0})
        counts[row.state] += row.number
    order = list(METRICS)
    return [
        schemas.Model(
            name=row.name, first_seen=row.first_seen, last_seen=row.last_seen,
            versions=rows_of(schemas.Version, versions.get(row.name, [])),
            metrics=rows_of(schemas.Latest, sorted(latest.get(row.name, []), key=lambda f: order.index(f.metric))),
            alerts=schemas.OpenAlerts(**open_alerts.get(row.name, {"pending": 0, "firing": 0})),
        )
        for row in models.models_seen(connection)
    ]  # fmt: skip


def _responses(routes: APIRouter, database: Database) -> None:
    @routes.get("/alerts", response_model=list[schemas.Alert])
    def list_alerts(state: str | None = None, model: str | None = None, limit: Limit = 200) -> list[Any]:
        """Alerts: firing first, then the newest. `state` is one or several of pending, firing, resolved."""
        states = _states(state, ALERT_STATES)
        with database.read() as connection:
            return rows_of(
                schemas.Alert, response.alert_list(connection, states=states, model=model, limit=limit)
            )

    @routes.get("/deliveries", response_model=list[schemas.Delivery])
    def list_deliveries(state: str | None = None, limit: Limit = 200) -> list[Any]:
        """Messages to receivers, the newest first. `state` is one or several of pending, delivered, dead."""
        states = _states(state, DELIVERY_STATES)
        with database.read() as connection:
            return rows_of(schemas.Delivery, response.delivery_list(connection, states=states, limit=limit))

    @routes.get("/reports", response_model=list[schemas.Report])
    def list_reports(model: str | None = None, limit: Limit = 100) -> list[Any]:
        """Evidently reports, the newest windows first; the report itself is at /reports/{id}."""
        with database.read() as connection:
            return rows_of(schemas.Report, response.report_list(connection, model, limit))


def _incidents(routes: APIRouter, database: Database) -> None:
    @routes.get("/incidents", response_model=list[schemas.Incident])
    def list_incidents(state: str | None = None, model: str | None = None, limit: Limit = 200) -> list[Any]:
        """Incidents: open first, then the newest. `state` is one or several of open, acknowledged, resolved."""
        states = _states(state, INCIDENT_STATES)
        with database.read() as connection:
            found = response.incident_list(connection, states=states, model=model, limit=limit)
            return rows_of(schemas.Incident, found)

    @routes.get("/incidents/{incident_id}", response_model=schemas.IncidentDetail)
    def show_incident(incident_id: str) -> schemas.IncidentDetail:
        """One incident with its alerts, its timeline, the plan's steps and what they started."""
        with database.read() as connection:
            found = response.incident(connection, incident_id)
            if found is None:
                raise HTTPException(404, "there is no such incident")
            return schemas.IncidentDetail(
                **schemas.Incident.model_validate(found).model_dump(),
                alerts=rows_of(schemas.Alert, response.alerts_by_id(connection, found.alert_ids)),
                timeline=rows_of(schemas.TimelineEvent, response.events_of(connection, incident_id)),
                steps=rows_of(schemas.Step, response.steps_of(connection, incident_id)),
                actions=rows_of(schemas.Action, response.actions_of(connection, incident_id)),
            )


def _health(routes: APIRouter, database: Database, config: Config, guard: Guard) -> None:
    @routes.get("/healthz", response_model=dict[str, str])
    def healthz() -> dict[str, str]:
        """The process answers; says nothing about anything else."""
        return {"status": "ok"}

    @routes.get("/readyz", response_model=schemas.Ready, responses=refusals(503))
    def readyz() -> Any:
        """The database answers and its tables are of this version; else 503 with the reason."""
        reason = _not_ready(database)
        return JSONResponse({"error": reason}, 503) if reason else {"status": "ready"}

    @routes.get(
        "/metrics", response_class=Response, dependencies=[Depends(guard.require("read"))],
        responses={200: {"content": {prometheus.CONTENT_TYPE: {"schema": {"type": "string"}}}}, **refusals(*EVERYWHERE)},
    )  # fmt: skip
    def metrics() -> Response:
        """Prometheus text: this process's own metrics and the newest findings, alerts and deliveries."""
        return Response(prometheus.exposition(database, config), media_type=prometheus.CONTENT_TYPE)


def _not_ready(database: Database) -> str | None:
    try:
        with database.read():
            found = schema.state(database)
    except (UnavailableError, OSError):
        return "the database does not answer"
    if found is schema.State.CURRENT:
        return None
    return f"the database's tables are {found.value}: run `remora migrate`"


def _known(connection: Any, model: str) -> None:
    if models.model(connection, model) is None:
        raise HTTPException(404, "there is no such model: GET /v1/models names those that were seen")


def _metric(metric: str | None) -> str | None:
    if metric is not None and metric not in METRICS:
        raise HTTPException(400, f"`metric` is one of {', '.join(METRICS)}")
    return metric


def _states(state: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = tuple(state.split(",")) if state else ()
    if any(name not in known for name in wanted):
        raise HTTPException(400, f"`state` is one or several of {', '.join(known)}, with commas between them")
    return wanted


def _period(start: str | None, end: str | None) -> tuple[Any, Any]:
    try:
        first, last = (
            parse_instant(text, name) if text else None for text, name in ((start, "from"), (end, "to"))
        )
    except BadRequestError as error:
        raise HTTPException(400, str(error)) from None
    if first and last and first >= last:
        raise HTTPException(400, "`from` must lie before `to`")
    return first, last
