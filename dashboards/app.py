"""The web pages: routes to `dashboards.pages`, and the files that they load from this server alone."""

from __future__ import annotations

import gzip
import importlib.util
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from dashboards import pages
from dashboards.access import Guard
from dashboards.errors import BadRequestError, NotFoundError
from dashboards.html import FOLDER, REPORT_POLICY, render
from dashboards.listing import Download, download
from dashboards.queries import models, response
from remora.config import Config
from remora.database import Database

__all__ = ["mount_static", "pages_router"]

_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}

Build = Callable[[pages.Asked], dict[str, Any]]


def _wall() -> datetime:
    """A request is an outermost loop: here the time is asked for, and handed down."""
    return datetime.now(UTC)


def pages_router(
    database: Database, config: Config, guard: Guard, reports: Path, *, wall: Callable[[], datetime] = _wall,
    process: Mapping[str, str] | None = None,
) -> APIRouter:  # fmt: skip
    """Every page; `reports` is the folder of the Evidently files, `process` how the server was started.

    `database` is only read.
    """
    reading = database.only_reading()
    routes = APIRouter(dependencies=[Depends(guard.require("read"))], default_response_class=HTMLResponse)

    def answer(request: Request, template: str, build: Build) -> Response:
        query, real = dict(request.query_params), wall()
        try:
            with reading.read() as connection:
                now = models.business_now(connection, replay=config.schedule.clock == "replay", wall=real)
                context = build(pages.Asked(connection, config, now, real, query, process or {}))
            if query.get("download"):
                return _file(download(context["tables"], query["download"], _stem(request.url.path)))
        except (NotFoundError, BadRequestError) as error:
            status = 404 if isinstance(error, NotFoundError) else 400
            return render("error.html", status=status, message=str(error), here="")
        return render(template, here=request.url.path, **context)

    _lists(routes, answer)
    _of_models(routes, answer)
    _of_reports(routes, answer, reading, reports)
    return routes


Answer = Callable[[Request, str, Build], Response]


def _stem(path: str) -> str:
    """What a file from this page is called: letters, digits and hyphens of its path."""
    return re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:80]


def _file(made: Download) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{made.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(made.content, media_type=made.kind, headers=headers)


def _lists(routes: APIRouter, answer: Answer) -> None:
    @routes.get("/")
    def overview(request: Request) -> Response:
        return answer(request, "overview.html", pages.overview)

    @routes.get("/alerts")
    def alerts(request: Request) -> Response:
        return answer(request, "alerts.html", pages.alerts)

    @routes.get("/alerts/{alert_id:path}")
    def alert(request: Request, alert_id: str) -> Response:
        return answer(request, "alert.html", lambda asked: pages.alert(asked, alert_id))

    @routes.get("/incidents")
    def incidents(request: Request) -> Response:
        return answer(request, "incidents.html", pages.incidents)

    @routes.get("/incidents/{incident_id:path}")
    def incident(request: Request, incident_id: str) -> Response:
        return answer(request, "incident.html", lambda asked: pages.incident(asked, incident_id))

    @routes.get("/rules")
    def rules(request: Request) -> Response:
        return answer(request, "rules.html", pages.rules)

    @routes.get("/collectors")
    def collectors(request: Request) -> Response:
        return answer(request, "collectors.html", pages.collectors)

    @routes.get("/settings")
    def settings(request: Request) -> Response:
        return answer(request, "settings.html", pages.settings)

    @routes.get("/deliveries")
    def deliveries(request: Request) -> Response:
        return answer(request, "deliveries.html", pages.deliveries)


def _of_models(routes: APIRouter, answer: Answer) -> None:
    @routes.get("/models/{model:path}/features/{feature:path}")
    def feature(request: Request, model: str, feature: str) -> Response:
        return answer(request, "feature.html", lambda asked: pages.feature(asked, model, feature))

    @routes.get("/models/{model:path}")
    def model(request: Request, model: str) -> Response:
        return answer(request, "model.html", lambda asked: pages.model(asked, model))


def _of_reports(routes: APIRouter, answer: Answer, database: Database, folder: Path) -> None:
    @routes.get("/reports")
    def reports(request: Request) -> Response:
        return answer(request, "reports.html", pages.reports)

    @routes.get("/reports/{report_id}")
    def report(request: Request, report_id: str) -> Response:
        return answer(request, "report.html", lambda asked: pages.report(asked, report_id))

    @routes.get("/reports/{report_id}/document")
    def document(report_id: str) -> Response:
        """Evidently's file as it is, in a sandbox that reaches nothing."""
        with database.read() as connection:
            found = response.report(connection, report_id)
        path = folder / Path(found.path).name if found is not None and found.path else None
        if path is None or not path.is_file():
            return render("error.html", status=404, message="The file of this report is not here.", here="")
        headers = {"Content-Security-Policy": REPORT_POLICY, "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


def mount_static(app: FastAPI) -> None:
    """Serve style, scripts and Plotly's own script, which the installed package carries."""

    @app.get("/static/plotly.min.js", include_in_schema=False)
    def plotly(request: Request) -> Response:
        packed = "gzip" in request.headers.get("accept-encoding", "")
        content = _plotly_packed() if packed else _plotly_path().read_bytes()
        headers = _FOREVER | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(content, media_type="text/javascript", headers=headers)

    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")


@cache
def _plotly_path() -> Path:
    found = importlib.util.find_spec("plotly")  # finds the folder; nothing of plotly is imported
    if found is None or found.origin is None:
        msg = "plotly is not installed: pip install 'remora[server]'"
        raise ModuleNotFoundError(msg)
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


@cache
def _plotly_packed() -> bytes:
    return gzip.compress(_plotly_path().read_bytes(), 6, mtime=0)
