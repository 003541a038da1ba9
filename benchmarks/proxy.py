"""What the forwarder costs: direct, through Remora, through a bare pair of protocols (the limit), through nginx.

    python benchmarks/proxy.py            # about two minutes
    python benchmarks/proxy.py --quick    # about fifteen seconds

A 1 kB JSON POST on kept-alive loopback connections, each sending its next request when the answer is there.
Upstream, proxy and load run in processes of their own; the ring is on and is emptied by another process, as the
recorder does. CPU is that of the proxying process (all of nginx's workers: one). Rounds of all candidates are
interleaved and the median is shown; read the ratios, not the figures. nginx is left out when it is not installed.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from collector.proxy import ProxyOptions, serve
from collector.ring import Ring

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


class Upstream(asyncio.Protocol):
    """Answers when the end of the body has come; the head may differ, nginx rewrites it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(BODY[-2:]):
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


class Bare(asyncio.Protocol):
    """The least that a Python proxy can do: bytes from one socket to the other."""

    def __init__(self, port: int, other: "Bare | None" = None) -> None:
        self.port = port
        self.other = other
        self.waiting: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.other is None:
            self.other = Bare(self.port, self)
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(loop.create_connection(lambda: self.other, "127.0.0.1", self.port))
        for data in self.waiting:
            transport.write(data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        other = self.other
        if other.transport is None:  # type: ignore[union-attr]
            other.waiting.append(data)  # type: ignore[union-attr]
        else:
            other.transport.write(data)  # type: ignore[union-attr]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Client(asyncio.Protocol):
    """One closed loop; `times` gets the seconds of every exchange."""

    def __init__(self, end: float, times: list[float], done: Callable[[], None]) -> None:
        self.end, self.times, self.done = end, times, done
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.begin = time.perf_counter()
        self.transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.tail = (self.tail + data) if self.tail else data
        if not self.tail.endswith(ANSWER[-34:]):
            return
        self.tail = b""
        now = time.perf_counter()
        self.times.append(now - self.begin)
        if now < self.end:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.done()


async def load(port: int, connections: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    left = connections
    finished = asyncio.Event()

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            finished.set()

    end = time.perf_counter() + seconds
    for _ in range(connections):
        await loop.create_connection(lambda: Client(end, times, done), "127.0.0.1", port)
    await asyncio.wait_for(finished.wait(), seconds + 10)
    return times


# The processes.


async def run_upstream() -> None:
    await listen(Upstream)


async def listen(factory: Callable[[], asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def run_bare(port: int) -> None:
    await listen(lambda: Bare(port))


async def run_remora(port: int, spool: Path) -> None:
    ring = Ring.create_or_open(spool)
    options = ProxyOptions(upstream_host="127.0.0.1", upstream_port=port)
    await serve(options, ring, asyncio.Event(), on_listening=lambda bound: print(bound, flush=True))


def run_drain(spool: Path) -> None:
    """Empties the ring without reading it: the recorder's work is not what is measured here."""
    ring = Ring.attach(spool)
    print(0, flush=True)
    while True:
        ring.release(ring.head)
        time.sleep(0.02)


ROLES: dict[str, Callable[[list[str]], object]] = {
    "upstream": lambda _: uvloop.run(run_upstream()),
    "bare": lambda words: uvloop.run(run_bare(int(words[0]))),
    "remora": lambda words: uvloop.run(run_remora(int(words[0]), Path(words[1]))),
    "drain": lambda words: run_drain(Path(words[0])),
}


@contextlib.contextmanager
def process(*words: str) -> Iterator[tuple[int, int]]:
    """Starts this file in a role; yields its process id and port."""
    child = subprocess.Popen([sys.executable, __file__, "--role", *words], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.pid, int(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000;
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""


@contextlib.contextmanager
def nginx(program: str, upstream: int, folder: Path) -> Iterator[tuple[int, int]]:
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
    master = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        deadline = time.monotonic() + 5
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
        while not children.read_text().split() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        yield int(children.read_text().split()[0]), port
    finally:
        master.terminate()
        master.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Round:
    rate: float
    p50: float
    p99: float
    cpu: float


def measure(pid: int, port: int, connections: int, seconds: float) -> Round:
    """Rate in requests/s, the rest in microseconds."""
    before = cpu_seconds(pid)
    times = sorted(uvloop.run(load(port, connections, seconds)))
    used = cpu_seconds(pid) - before
    count = len(times)
    return Round(count / seconds, times[count // 2] * 1e6, times[count * 99 // 100] * 1e6, used / count * 1e6)


def show(connections: int, results: dict[str, list[Round]]) -> None:
    def median(name: str, what: str) -> float:
        return statistics.median(getattr(one, what) for one in results[name])

    print(f"\n{connections} connection{'s' if connections > 1 else ''}")
    print(
        f"{'':12}{'requests/s':>12}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>9}{'CPU : bare':>12}{'rate : bare':>13}"
    )
    for name in results:
        rate, cpu = median(name, "rate"), median(name, "cpu")
        line = f"{name:12}{rate:12,.0f}{median(name, 'p50'):9,.0f}{median(name, 'p99'):9,.0f}"
        if name == "direct":
            print(f"{line}{'':>9}{'':>12}{rate / median('bare pair', 'rate'):13.2f}")
        else:
            ratio = cpu / median("bare pair", "cpu")
            print(f"{line}{cpu:9.1f}{ratio:12.2f}{rate / median('bare pair', 'rate'):13.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short rounds, fewer connections")
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        ROLES[arguments.role[0]](arguments.role[1:])
        return
    seconds, rounds, widths = (1.0, 2, (1, 16)) if arguments.quick else (3.0, 4, (1, 16, 64))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-bench-")))
        upstream = stack.enter_context(process("upstream"))
        candidates = {"direct": upstream, "bare pair": stack.enter_context(process("bare", str(upstream[1])))}
        spool = folder / "spool"
        candidates["remora"] = stack.enter_context(process("remora", str(upstream[1]), str(spool)))
        ring = Ring.attach(spool)
        stack.callback(ring.path.unlink, missing_ok=True)
        stack.enter_context(process("drain", str(spool)))
        if (program := shutil.which("nginx")) is not None:
            candidates["nginx"] = stack.enter_context(nginx(program, upstream[1], folder))
        for connections in widths:
            results: dict[str, list[Round]] = {name: [] for name in candidates}
            for _ in range(rounds):
                for name, (pid, port) in candidates.items():
                    results[name].append(measure(pid, port, connections, seconds))
            show(connections, results)
        counters = ring.counters()
        memory = ", ".join(f"{name} {resident_mib(pid):.0f} MiB" for name, (pid, _) in candidates.items())
        print(f"\nresident: {memory} (the ring's touched pages included)")
        print(
            f"remora: {counters['captured']:,} captured, {counters['dropped_full']:,} dropped of {counters['received']:,}"
        )
        ring.close()


if __name__ == "__main__":
    main()
