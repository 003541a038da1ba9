"""`remora server`, composed: ingest, scheduled jobs, alerts, deliveries, reports and pages over one database."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from fastapi import FastAPI

import alerts.api
import alerts.jobs
import alerts.sender
import collector.api
import collector.gateway
import dashboards.api
import dashboards.app
import dashboards.reports
import detectors.api
import detectors.clock
import detectors.jobs
from remora import __version__, schema
from remora.cli.errors import install_error_answers
from remora.config import Config, load
from remora.database import Database, connect
from remora.errors import RemoraError, UserError
from remora.security import Guard
from remora.settings import Address, ServerSettings, check_exposure
from remora.telemetry import configure_logging, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["serve"]

log = get_logger("server")

_SEND_SECONDS = 0.25
_REPORT_SECONDS = 1.0


def serve(settings: ServerSettings) -> None:
    """Run until SIGTERM or Ctrl-C, then deliver what is spooled and stop."""
    configure_logging()
    config = load(settings.config)
    database = connect(settings.database)
    schema.prepare(database)
    guard = Guard(settings.token, database)
    check_exposure(settings.listen, "the server", protected=guard.protected)
    listener = _listen(settings.listen)
    jobs = Jobs(database, config, settings)
    ingest = collector.gateway.Gateway(database, config, settings)
    app = compose(database, config, settings, guard, ingest, jobs.wake)
    ingest.start()
    jobs.start()
    log.info("server_started", address=str(settings.listen), version=__version__, clock=config.schedule.clock)
    try:
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False)).run([listener])
    finally:
        jobs.stop()
        ingest.stop()
        database.dispose()
        log.info("server_stopped")


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        msg = f"cannot listen on {address}: {os.strerror(error.errno or 0)}: choose another --listen, or end what is there"
        raise UserError(msg) from None
    return listener


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
    app.include_router(dashboards.api.router(reading, config, guard), tags=["read"])
    app.include_router(dashboards.app.pages_router(reading, config, guard, settings.reports), include_in_schema=False)
    dashboards.app.mount_static(app)
    return app


class Jobs:
    """What happens by itself. APScheduler gives the ticks; the database decides what is due."""

    def __init__(self, database: Database, config: Config, settings: ServerSettings) -> None:
        self.database = database
        self.config = config
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.sender = alerts.sender.Sender(database, config, self.owner)
        self.reports = dashboards.reports.ReportWorker(database, settings.reports, config)
        self._woken = threading.Lock()
        self.scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def start(self) -> None:
        """Begin to tick."""
        self._every(self.config.schedule.tick.total_seconds(), self.tick)
        self._every(_SEND_SECONDS, self.send)
        self._every(_REPORT_SECONDS, self.report)
        self.scheduler.start()

    def _every(self, seconds: float, job: Callable[[], None]) -> None:
        self.scheduler.add_job(job, "interval", seconds=seconds, id=job.__name__, next_run_time=datetime.now(UTC))

    def wake(self) -> None:
        """The replayed clock moved: look at once instead of at the next tick."""
        self.scheduler.modify_job("tick", next_run_time=datetime.now(UTC))

    def tick(self) -> None:
        """Judge, evaluate and plan everything that is due, then say so."""
        with _edge("tick"):
            wall = datetime.now(UTC)
            now = detectors.clock.read_clock(self.database, self.config, wall)
            if now is None:
                return
            while detectors.jobs.run_due(self.database, self.config, now=now, wall=wall, owner=self.owner):
                alerts.jobs.run_due(self.database, self.config, now=now, wall=wall, owner=self.owner)
            alerts.jobs.run_due(self.database, self.config, now=now, wall=wall, owner=self.owner)
            detectors.clock.settle(self.database, self.config, now)

    def send(self) -> None:
        """Deliver what is due in the outbox."""
        with _edge("send"):
            while self.sender.run_once(datetime.now(UTC)):
                pass

    def report(self) -> None:
        """Make the Evidently reports that are wanted."""
        with _edge("report"):
            wall = datetime.now(UTC)
            now = detectors.clock.read_clock(self.database, self.config, wall)
            self.reports.run_once(now or wall, wall)

    def stop(self) -> None:
        """Let running jobs end."""
        self.scheduler.shutdown(wait=True)
        self.sender.close()
        self.reports.close()
