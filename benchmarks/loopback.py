"""A model that answers at once, callers, and a sidecar between them: what the benchmarks of the proxy share.

The traffic is a 1 kB JSON POST on kept-alive loopback connections. Model, proxy and callers have a process each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import uvloop

from collector.ring import Ring
from remora.errors import UserError

__all__ = [
    "ANSWER", "BODY", "Calls", "Sidecar", "call", "cpu_seconds", "listen", "percentile", "process", "resident_bytes", "run_model",
    "sidecar", "wait_for",
]  # fmt: skip

BODY = (
    b'{"model": "flights", "features": {' + b", ".join(b'"feature_%02d": %d.25' % (n, n) for n in range(48))
).ljust(1022) + b"}}"
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: model\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n"
    b'{"prediction": 1, "score": 0.8125}'
)
_PATIENCE = 60.0


class _Model(asyncio.Protocol):
    """Answers when the end of the body has come; the head may differ, nginx rewrites it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(BODY[-2:]):
            self.transport.write(ANSWER)


def run_model() -> None:
    """Serve until killed; the port is printed."""
    uvloop.run(listen(_Model))


async def listen(factory: Callable[[], asyncio.Protocol]) -> None:
    """Serve on a free port and print it."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- callers -----------------------------------------------------------------------------------------------------------


@dataclass
class Calls:
    """Seconds that each answered request took, from the moment when it was due; and requests without their answer."""

    times: list[float] = field(default_factory=list)
    failed: int = 0


class _Caller(asyncio.Protocol):
    """One request at a time: the next when the answer is there, or `interval` seconds after the last was due."""

    def __init__(
        self, calls: Calls, begin: float, end: float, interval: float, done: Callable[[], None]
    ) -> None:
        self.calls, self.due, self.end, self.interval, self.done = calls, begin, end, interval, done
        self.asked = False
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()
        self._next(time.perf_counter())

    def _next(self, now: float) -> None:
        if not self.interval:
            self.due = now
        if self.due >= self.end:
            self.transport.close()
        elif self.due > now:
            self.loop.call_later(self.due - now, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        self.asked = True
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.tail = (self.tail + data) if self.tail else data
        if not self.tail.endswith(ANSWER[-34:]):
            return
        self.tail = b""
        self.asked = False
        now = time.perf_counter()
        self.calls.times.append(now - self.due)
        self.due += self.interval
        self._next(now)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.calls.failed += self.asked
        self.done()


async def _call(port: int, connections: int, seconds: float, rate: float) -> Calls:
    loop = asyncio.get_running_loop()
    calls, left, finished = Calls(), connections, asyncio.Event()

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            finished.set()

    begin = time.perf_counter()
    interval = connections / rate if rate else 0.0
    for number in range(connections):
        due = begin + interval * number / connections
        await loop.create_connection(
            lambda due=due: _Caller(calls, due, begin + seconds, interval, done),  # type: ignore[misc]
            "127.0.0.1", port,
        )  # fmt: skip
    await asyncio.wait_for(finished.wait(), seconds + 30)
    return calls


def call(port: int, connections: int, seconds: float, rate: float = 0.0) -> Calls:
    """Call for so long; at `rate` requests per second, or (0) as fast as answers come."""
    return uvloop.run(_call(port, connections, seconds, rate))


def percentile(times: list[float], share: float) -> float:
    """In microseconds."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e6


# --- processes ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def process(script: str, *words: str) -> Iterator[tuple[int, int]]:
    """Starts a benchmark in a role; yields its process id and port."""
    child = subprocess.Popen([sys.executable, script, "--role", *words], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.pid, int(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives once it is true. Raises SystemExit."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise SystemExit(f"waited {_PATIENCE:.0f} s for {what}")


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> dict[str, int]:
    """`RssAnon`, `RssFile` and `RssShmem` of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.startswith(("RssAnon", "RssFile", "RssShmem")))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


class Sidecar:
    """A `remora sidecar` as users run it."""

    def __init__(self, folder: Path, upstream: int, *options: str) -> None:
        self.spool = folder / "spool"
        self._log = folder / "sidecar.log"
        arguments = [
            "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream}", "--model", "flights",
            "--spool", str(self.spool), *options,
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "remora", "sidecar", *arguments], stderr=log, cwd=folder
            )
        self.pid = self._process.pid

    def _told(self, event: str) -> dict[str, Any] | None:
        for line in self._log.read_text().splitlines():
            if f'"{event}"' in line:
                return cast("dict[str, Any]", json.loads(line))
        if self._process.poll() is not None:
            raise SystemExit(f"the sidecar ended: {self._log.read_text()[-2000:]}")
        return None

    @property
    def port(self) -> int:
        told = wait_for(lambda: self._told("sidecar_listening"), "the sidecar to listen")
        return int(told["address"].rpartition(":")[2])

    @property
    def recorder(self) -> int:
        """The process id of the recorder, once it is ready."""
        wait_for(lambda: self._told("recorder_ready"), "the recorder")
        return wait_for(self.recorders, "a recorder")[0]  # type: ignore[no-any-return]

    def recorders(self) -> list[int]:
        found = []
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"collector.recorder" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def status(self) -> dict[str, Any] | None:
        """What it says of itself; None while the recorder cannot."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/remora/v1/status", timeout=2)
            return cast("dict[str, Any]", answer.json()) if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    def settled(self) -> dict[str, Any] | None:
        """The status, once nothing waits in ring or spool."""
        status = self.status()
        return status if status is not None and not status["pending"] else None

    def end(self) -> None:
        """In order, and without its ring where that was not possible."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(45)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(UserError, OSError):
            ring = Ring.attach(self.spool)
            ring.path.unlink()
            ring.close()


@contextlib.contextmanager
def sidecar(folder: Path, upstream: int, *options: str) -> Iterator[Sidecar]:
    """`options` are more of the command's: at least where the records go."""
    one = Sidecar(folder, upstream, *options)
    try:
        yield one
    finally:
        one.end()
