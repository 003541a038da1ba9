"""`remora server`, composed: ingest, scheduled jobs, alerts, deliveries, reports and pages over one database."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

import alerts.api
import alerts.incident_api
import alerts.templates
import collector.api
import collector.gateway
import dashboards.api
import dashboards.app
import dashboards.report_api
import detectors.api
import detectors.own
from remora import __version__, schema
from remora.cli.jobs import Jobs
from remora.config import Config, load
from remora.database import Database, connect
from remora.listening import server_settings
from remora.refusals import install_error_answers
from remora.security import Guard
from remora.settings import ServerSettings, check_exposure
from remora.sockets import check_tls, listen
from remora.telemetry import configure_logging, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["serve"]

log = get_logger("server")

_GRACE_SECONDS = 10


def serve(settings: ServerSettings) -> None:
    """Run until SIGTERM or Ctrl-C, then deliver what is spooled and stop."""
    configure_logging()
    config = load(settings.config, alerts.templates.mistakes)
    if settings.external_url:
        config = config.model_copy(update={"external_url": settings.external_url})
    detectors.own.check_own(name for model in config.models.values() for name in model.drift.own)
    database = connect(settings.database)
    schema.prepare(database)
    guard = Guard(settings.token, database, rate=settings.token_rate)
    check_exposure(settings.listen, "the server", protected=guard.protected)
    check_tls(settings.tls)
    listener = listen(settings.listen, "--listen")
    jobs = Jobs(database, config, settings)
    ingest = collector.gateway.Gateway(database, config, settings)
    app = compose(database, config, settings, guard, ingest, jobs.wake)
    ingest.start()
    jobs.start()
    log.info("server_started", address=str(settings.listen), version=__version__, clock=config.schedule.clock)
    try:
        _Server(server_settings(app, settings.tls, timeout_graceful_shutdown=_GRACE_SECONDS)).run([listener])
    finally:
        jobs.stop()
        ingest.stop()
        database.dispose()
        log.info("server_stopped")


class _Server(uvicorn.Server):
    """uvicorn that does not raise the signal again once it has ended, so that jobs and spool end in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def compose(
    database: Database, config: Config, settings: ServerSettings, guard: Guard,
    ingest: collector.gateway.Gateway, wake: Callable[[], None],
) -> FastAPI:  # fmt: skip
    """The one HTTP application, each part's routes under its own tag."""
    app = FastAPI(title="Remora", version=__version__, docs_url=None, redoc_url=None)
    install_error_answers(app)
    reading = database.only_reading()
    app.include_router(collector.api.router(ingest.ingest, guard), tags=["ingest"])
    app.include_router(detectors.api.router(database, config, guard, wake), tags=["clock"])
    app.include_router(alerts.api.router(database, config, guard), tags=["alerts"])
    app.include_router(alerts.incident_api.router(database, config, guard), tags=["incidents"])
    app.include_router(dashboards.api.router(reading, config, guard), tags=["read"])
    app.include_router(dashboards.report_api.router(database, guard), tags=["read"])
    app.include_router(
        dashboards.app.pages_router(reading, config, guard, settings.reports), include_in_schema=False
    )
    dashboards.app.mount_static(app)
    return app
