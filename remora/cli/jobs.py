"""What the server does by itself. APScheduler gives the ticks; the database decides what is due."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import Counter

import alerts.commands
import alerts.jobs
import alerts.sender
import alerts.starter
import dashboards.reports
import detectors.archiving
import detectors.clock
import detectors.compaction
import detectors.jobs
import detectors.retention
from remora.errors import UnavailableError
from remora.telemetry import REGISTRY, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remora.config import Config
    from remora.database import Database
    from remora.settings import ServerSettings

__all__ = ["Jobs"]

log = get_logger("jobs")

_SEND_SECONDS = 0.25
_REPORT_SECONDS = 1.0
_COMPACT_SECONDS = 60.0
_EXPIRE_SECONDS = 1800.0

TICKS = Counter(
    "remora_ticks", "Rounds of the server's scheduled work", ["job", "outcome"], registry=REGISTRY
)


@contextmanager
def _edge(job: str) -> Iterator[None]:
    """The loop's edge: whatever goes wrong in a round is logged and counted, and the next round comes."""
    try:
        yield
    except UnavailableError as error:
        TICKS.labels(job, "unavailable").inc()
        log.warning("unavailable", job=job, error=str(error))
    except Exception:
        TICKS.labels(job, "failed").inc()
        log.exception("round_failed", job=job)
    else:
        TICKS.labels(job, "done").inc()


class Jobs:
    """The rounds: judge and plan, send, start, report, merge what is old, delete what is too old."""

    def __init__(self, database: Database, config: Config, settings: ServerSettings) -> None:
        self.database = database
        self.config = config
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._stopping = threading.Event()
        self.sender = alerts.sender.Sender(database, config, self.owner)
        self.starter = alerts.starter.Starter(
            database, config, self.owner, commands=alerts.commands.Commands(settings.allow_commands)
        )
        self.settings = settings
        self.reports = dashboards.reports.ReportWorker(
            database, settings.reports, config, archive=settings.archive
        )
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a round that is not over yet is no news
        self.scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(7)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def start(self) -> None:
        """Begin to tick."""
        self._every(self.config.schedule.tick.total_seconds(), self.tick)
        self._every(_SEND_SECONDS, self.send)
        self._every(_SEND_SECONDS, self.begin)
        self._every(_REPORT_SECONDS, self.report)
        self._every(_COMPACT_SECONDS, self.compact)
        self._every(_EXPIRE_SECONDS, self.expire)
        self.scheduler.start()

    def _every(self, seconds: float, job: Callable[[], None]) -> None:
        self.scheduler.add_job(
            job, "interval", seconds=seconds, id=job.__name__, next_run_time=datetime.now(UTC)
        )

    def wake(self) -> None:
        """The replayed clock moved: look at once instead of at the next tick."""
        self.scheduler.modify_job("tick", next_run_time=datetime.now(UTC))

    def tick(self) -> None:
        """Judge, evaluate and plan everything that is due, then say so."""
        with _edge("tick"):
            now = detectors.clock.read_clock(self.database, self.config, datetime.now(UTC))
            if now is None:
                return
            while not self._stopping.is_set() and self._pass(now):
                pass
            if self._stopping.is_set() or self._is_behind(now):
                return  # windows are held by another process, or wait to be tried again: the next round looks
            alerts.jobs.finish(self.database, self.config, now=now, wall=datetime.now(UTC))
            detectors.clock.settle(self.database, self.config, now)

    def _pass(self, now: datetime) -> int:
        """Judge some windows and evaluate them; 0 when there is nothing left that this process can do."""
        database, config, owner, stop = self.database, self.config, self.owner, self._stopping.is_set
        wall = datetime.now(UTC)  # of each pass and part: leases and lifetimes count from it
        judged = detectors.jobs.run_due(database, config, now=now, wall=wall, owner=owner, stop=stop)
        wall = datetime.now(UTC)
        return judged + alerts.jobs.evaluate(database, config, now=now, wall=wall, owner=owner, stop=stop)

    def _is_behind(self, now: datetime) -> bool:
        database, config = self.database, self.config
        return detectors.jobs.is_behind(database, config, now) or alerts.jobs.is_behind(database, config, now)

    def send(self) -> None:
        """Deliver what is due in the outbox."""
        with _edge("send"):
            while not self._stopping.is_set() and self.sender.run_once(datetime.now(UTC)):
                pass

    def begin(self) -> None:
        """Start what plans asked for, and hear what became of local commands."""
        with _edge("begin"):
            while not self._stopping.is_set() and self.starter.run_once(datetime.now(UTC)):
                pass

    def report(self) -> None:
        """Make the Evidently reports that are wanted."""
        if self._stopping.is_set():
            return
        with _edge("report"):
            wall = datetime.now(UTC)
            now = detectors.clock.read_clock(self.database, self.config, wall)
            self.reports.run_once(now or wall, wall)

    def compact(self) -> None:
        """Merge minutes into hours and hours into days."""
        with _edge("compact"):
            now = detectors.clock.read_clock(self.database, self.config, datetime.now(UTC))
            if now is not None:
                detectors.compaction.compact(self.database, self.config, now=now, stop=self._stopping.is_set)

    def expire(self) -> None:
        """Move rows that were kept long enough into the archive, and delete what was."""
        with _edge("expire"):
            database, config, stop, wall = (
                self.database,
                self.config,
                self._stopping.is_set,
                datetime.now(UTC),
            )
            now = detectors.clock.read_clock(database, config, wall)
            if now is None:
                return
            root = self.settings.archive
            detectors.archiving.archive(database, config, root, now=now, stop=stop)
            detectors.archiving.expire_files(database, config, root, now=now)
            detectors.retention.expire(database, config, now=now, wall=wall, stop=stop)
            detectors.retention.remove_reports(database, self.settings.reports)

    def stop(self) -> None:
        """Let running jobs end after the window or message that they are at; a report is broken off."""
        self._stopping.set()
        self.reports.close()
        self.scheduler.shutdown(wait=True)
        self.sender.close()
        self.starter.close()
        self.reports.close()
