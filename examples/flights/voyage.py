"""The whole voyage: a model, its sidecar, Remora's server, a CI job and ten months of flights, on one machine.

    remora demo            (or `make run`; this file is what it starts)

The replayed clock waits for Remora's judgement of each day and for the CI job, and the traffic is never more than a day
ahead, so that a voyage of minutes tells the same story as ten months would.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import uvloop
from data import DataError, flights
from fleet import Fleet
from logbook import Logbook
from processes import Crew, VoyageError, port_is_free
from replay import hours
from rich.console import Console
from screen import Screen
from sender import Options, ReplayError, send

HERE = Path(__file__).resolve().parent
FIRST_DAY = date(2013, 3, 1)
INCIDENT_DAY = date(2013, 3, 20)
FAULT = {"delay_ms": 300, "error_share": 0.3}
JUDGE_SECONDS = 120.0
REPAIR_SECONDS = 120.0
REPORT_SECONDS = 180.0
NOON = timedelta(hours=12)


@dataclass(frozen=True)
class Log:
    """How far a voyage has come; kept in its folder."""

    until: str
    next_day: str = str(FIRST_DAY)
    finished: bool = False


class Voyage:
    """One run, from casting off to the table at the end."""

    def __init__(self, options: argparse.Namespace, log: Log, console: Console) -> None:
        self.options = options
        self.log = log
        self.folder: Path = options.folder
        self.last = date.fromisoformat(log.until)
        self.screen = Screen(console, FIRST_DAY, self.last)
        self.crew = Crew(self.folder, self.screen.note)
        self.fleet = Fleet(self.folder, options.listen, options.config, self.crew)
        self._judging: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Cast off, replay, and wait until everything that was set going has ended."""
        self.fleet.launch(self.screen.note)
        self.logbook = Logbook(self.fleet.database())
        self.screen.begin()
        try:
            uvloop.run(self._replay())
        finally:
            self.screen.end()
            self._fault(on=False)
        self._save(replace(self.log, finished=True))

    async def _replay(self) -> None:
        begin = date.fromisoformat(self.log.next_day)
        midnight = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
        how = Options(
            f"{self.fleet.sidecar_url}/predict",
            f"{self.fleet.sidecar_url}/remora/v1/labels",
            speed=self.options.speed or None,
            record=self.folder / "answered.tsv",
        )
        async with httpx.AsyncClient(timeout=30, trust_env=False) as self.client:
            if begin == FIRST_DAY:
                await self._set_clock(midnight)
            plan = hours(flights(), FIRST_DAY, self.last, resume_at=midnight)
            self._fault(on=begin == INCIDENT_DAY)
            await send(plan, how, on_day_end=self._day_end)
            await self._last_judgement()

    async def _day_end(self, day: date) -> None:
        """Hand the day over to be judged; the next one is sent meanwhile, and no more than that one."""
        self._fault(on=day + timedelta(days=1) == INCIDENT_DAY)
        mark = await self._accepted()
        await self._judged()
        if day <= self.last:
            self._judging = asyncio.create_task(self._judge(day, mark))

    async def _judged(self) -> None:
        """Wait for the day that is being judged; its trouble is the voyage's."""
        task, self._judging = self._judging, None
        if task is not None:
            await task

    async def _judge(self, day: date, mark: int) -> None:
        """Let Remora take in, judge and act on a day."""
        await self._delivered(mark)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        # At noon yesterday's labels are in, at midnight the day is over.
        for now in (midnight + NOON, midnight + 2 * NOON):
            await self._set_clock(now)
            await self._settled(now)
        self._save(replace(self.log, next_day=str(day + timedelta(days=1))))
        self._show(day)

    def _show(self, day: date) -> None:
        self.screen.day(day, self.logbook.counts(), self.logbook.daily("auc"), self.logbook.events())

    async def _last_judgement(self) -> None:
        """Half a day more for the labels and the verdict of the last day, then the reports and messages under way."""
        await self._judged()
        await self._delivered(await self._accepted())
        end = datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + 3 * NOON
        await self._set_clock(end)
        await self._settled(end)
        await self._until(
            REPORT_SECONDS, "the reports were not ready", lambda: not self.logbook.open_reports()
        )
        await self._until(60, "messages were not delivered", lambda: not self.logbook.waiting_deliveries())
        self._show(self.last)

    async def _set_clock(self, now: datetime) -> None:
        """Move the replayed clock; patient, because the server may just be starting again."""

        async def moved() -> bool:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.client.put(
                    f"{self.fleet.server_url}/v1/clock", json={"now": now.isoformat()}
                )
                return answer.status_code in {200, 409}  # 409: it stands there or later already
            return False

        await self._until(JUDGE_SECONDS, "the server does not take the clock", moved)

    async def _status(self) -> dict[str, int]:
        """What the sidecar says of its records; nothing while it is starting again."""
        with contextlib.suppress(httpx.TransportError, ValueError):
            answer = await self.client.get(f"{self.fleet.sidecar_url}/remora/v1/status")
            if answer.status_code == httpx.codes.OK:
                return answer.json()
        return {}

    async def _accepted(self) -> int:
        """How many records the sidecar has taken in since its spool was made, all that was sent so far among them."""
        status: dict[str, int] = {}

        async def read() -> bool:
            status.update(await self._status())
            return status.get("in_ring") == 0

        await self._until(JUDGE_SECONDS, "the sidecar does not take in what it captured", read)
        return status["accepted"]

    async def _delivered(self, mark: int) -> None:
        """Wait until the first `mark` records are in the database."""

        async def there() -> bool:
            status = await self._status()
            return status.get("delivered", 0) + status.get("set_aside", 0) >= mark

        await self._until(JUDGE_SECONDS, "the sidecar does not deliver", there)

    async def _settled(self, now: datetime) -> None:
        """Wait for the judgement, and hold the clock while a model update is under way."""
        await self._until(
            JUDGE_SECONDS, "the server does not judge", lambda: _reached(self.logbook.settled(), now)
        )
        if self.logbook.busy_repairs():
            await self._until(
                REPAIR_SECONDS, "the model update did not end", lambda: not self.logbook.busy_repairs()
            )

    async def _until(self, seconds: float, trouble: str, done) -> None:  # noqa: ANN001
        deadline = time.monotonic() + seconds
        pause = 0.005
        while True:
            answer = done()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            if time.monotonic() > deadline:
                raise VoyageError(f"{trouble} for {seconds:.0f} s; see the logs in {self.folder / 'logs'}")
            await asyncio.sleep(pause)
            pause = min(0.1, pause * 1.5)

    def _fault(self, *, on: bool) -> None:
        """The incident: while the file is there, the model server is slow and fails."""
        if on:
            self.fleet.fault_file.write_text(json.dumps(FAULT))
        else:
            self.fleet.fault_file.unlink(missing_ok=True)

    def _save(self, log: Log) -> None:
        self.log = log
        path = self.folder / "log.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(log)))
        path.with_suffix(".new").replace(path)

    def summary(self) -> None:
        """The table at the end."""
        places = {
            "pages": self.fleet.server_url,
            "messages": f"{self.fleet.harbour_url} (Slack's stand-in)",
            "database": str(self.folder / "remora.db"),
            "reports": f"{self.logbook.counts().reports} in {self.folder / 'reports'}, linked from the alerts",
        }
        self.screen.summary(
            self.logbook.totals(),
            self.logbook.counts(),
            self.logbook.alerts(),
            self.logbook.repairs(),
            places,
        )


def _reached(settled: datetime | None, now: datetime) -> bool:
    return settled is not None and settled >= now


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--until", type=date.fromisoformat, default=date(2013, 12, 31))
    parser.add_argument("--speed", type=float, default=0)
    parser.add_argument("--folder", type=Path, default=Path("voyage"))
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--config", type=Path, default=HERE / "remora.yaml")
    parser.add_argument("--exit", action="store_true", dest="leave")
    parser.add_argument("--clean", action="store_true")
    return parser.parse_args()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One voyage per folder at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VoyageError(
                f"another voyage is under way in {folder}: end it, or choose another --folder"
            ) from None
        yield


def _begin(options: argparse.Namespace, console: Console) -> Log:
    """Continue an unfinished voyage or start clean, and say which."""
    folder: Path = options.folder
    path = folder / "log.json"
    before = Log(**json.loads(path.read_text())) if path.is_file() else None
    if before and not before.finished and not options.clean:
        log = replace(before, until=str(options.until))
        console.print(f"Continuing the voyage in {folder} at {before.next_day} (start anew with --clean).")
    else:
        for old in folder.iterdir():
            if old.name != "lock":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        log = Log(until=str(options.until))
        console.print(f"Starting a new voyage in {folder}." + (" The last one had ended." if before else ""))
    path.write_text(json.dumps(asdict(log)))
    return log


def _sail(options: argparse.Namespace, console: Console) -> None:
    host, _, port = options.listen.rpartition(":")
    if not port.isdigit() or not port_is_free(host or "127.0.0.1", int(port)):
        raise VoyageError(
            f"the pages cannot listen on {options.listen}: choose another place, such as --listen 127.0.0.1:8081"
        )
    with _alone(options.folder):
        voyage = Voyage(options, _begin(options, console), console)
        try:
            voyage.run()
            voyage.summary()
            if not options.leave:
                console.print(f"\nThe pages stay up at {voyage.fleet.server_url}. Ctrl-C ends everything.")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        finally:
            killed = voyage.crew.stop()
            if killed:
                console.print(f"had to be killed: {', '.join(killed)}")


def main() -> int:
    """Run and turn every foreseeable trouble into one line."""
    options = _arguments()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _sail(options, console)
    except KeyboardInterrupt:
        console.print(f"\nStopped. The next run continues in {options.folder}.")
        return 130
    except (VoyageError, ReplayError, DataError) as error:
        print(f"remora demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
