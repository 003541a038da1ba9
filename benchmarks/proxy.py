"""What Remora's proxy costs beside nginx and haproxy, and beside the least that a Python proxy can cost.

    python benchmarks/proxy.py [--quick] [--rounds N] [--connections 1,16,64]       # about four minutes

A 1 kB JSON POST on kept-alive loopback connections to a model that answers at once, each connection sending its next
request when the answer is there. Model, proxy and callers have a process each. Measured are

    direct      no proxy
    bare pair   two asyncio protocols on uvloop that pass bytes on, and nothing else
    nginx       `proxy_pass`, one worker; haproxy: one thread (each is left out where it is not installed)
    forwarder   Remora's forwarding process, capturing; another process empties its ring and reads nothing
    sidecar     `remora sidecar`: forwarder and recorder, which parses, redacts, summarises, spools, and writes rows and
                summaries into SQLite

CPU is that of the processes in the middle, in µs per request. That of the sidecar is the forwarder's per request and the
recorder's, until everything has arrived in the database, per request that was recorded: when callers leave no processor
to the recorder, the ring fills, and what finds no place in it is dropped and counted. Rounds of all are interleaved and
medians shown; `+` is what was added to direct. Read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop
from loopback import Sidecar, call, cpu_seconds, percentile, process, run_model, sidecar, wait_for
from proxy_peers import PEERS, peer, run_bare

from collector.proxy import ProxyOptions, Upstream, serve
from collector.ring import Ring

NGINX, DIRECT, FORWARDER, SIDECAR = "nginx", "direct", "forwarder", "sidecar"


async def run_forwarder(upstream: int, spool: Path) -> None:
    """Remora's forwarder alone; the port is printed."""
    ring = Ring.create_or_open(spool)
    options = ProxyOptions(upstream=Upstream("127.0.0.1", upstream))
    await serve(options, ring, asyncio.Event(), on_listening=lambda bound: print(bound, flush=True))


def run_drain(spool: Path) -> None:
    """Empties the ring without reading it."""
    ring = Ring.attach(spool)
    print(0, flush=True)
    while True:
        ring.release(ring.head)
        time.sleep(0.02)


ROLES: dict[str, Callable[[list[str]], object]] = {
    "model": lambda _: run_model(),
    "bare": lambda words: run_bare(int(words[0])),
    "forwarder": lambda words: uvloop.run(run_forwarder(int(words[0]), Path(words[1]))),
    "drain": lambda words: run_drain(Path(words[0])),
}


@dataclass
class Round:
    """Requests per second, and microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass
class Candidate:
    """One that is measured: the process in the middle, its port, and the sidecar behind it, if it is one."""

    pid: int
    port: int
    sidecar: Sidecar | None = None

    def measure(self, connections: int, seconds: float) -> Round:
        """Call for so long, and look what that cost."""
        before = cpu_seconds(self.pid)
        record = self._recording()
        calls = call(self.port, connections, seconds)
        if calls.failed:
            raise SystemExit(f"{calls.failed} requests got no answer")
        count = len(calls.times)
        cpu = (cpu_seconds(self.pid) - before) / count + record()
        return Round(count / seconds, percentile(calls.times, 0.5), percentile(calls.times, 0.99), cpu * 1e6)

    def _recording(self) -> Callable[[], float]:
        """What the recorder uses from here on until it has nothing to do, in seconds per request recorded."""
        one = self.sidecar
        if one is None:
            return lambda: 0.0
        captured, used = _settled(one), cpu_seconds(one.recorder)

        def used_since() -> float:
            requests = _settled(one) - captured
            return (cpu_seconds(one.recorder) - used) / requests

        return used_since


def _settled(one: Sidecar) -> int:
    """Requests captured so far, when all have arrived."""
    return int(wait_for(one.settled, "everything to arrive")["requests"]["captured"])


def table(connections: int, results: dict[str, list[Round]]) -> None:
    """Medians of one number of connections."""

    def median(name: str, what: str) -> float:
        return statistics.median(getattr(one, what) for one in results[name])

    base = NGINX if NGINX in results else "bare pair"
    print(f"\n{connections} connection{'s' if connections > 1 else ''}")
    print(f"{'':12}{'requests/s':>11}{'p50':>7}{'+':>6}{'p99':>8}{'+':>7}{'CPU µs':>8}{f'CPU : {base}':>14}")
    for name in results:
        p50, p99, cpu = (median(name, what) for what in ("p50", "p99", "cpu"))
        line = f"{name:12}{median(name, 'rate'):11,.0f}{p50:7,.0f}"
        if name == DIRECT:
            print(f"{line}{'':6}{p99:8,.0f}")
            continue
        added = p50 - median(DIRECT, "p50"), p99 - median(DIRECT, "p99")
        ratio = cpu / median(base, "cpu")
        print(f"{line}{added[0]:6,.0f}{p99:8,.0f}{added[1]:7,.0f}{cpu:8.1f}{ratio:14.2f}", flush=True)


def candidates(stack: contextlib.ExitStack, folder: Path) -> dict[str, Candidate]:
    """Everything started, in the order of the table."""
    model = stack.enter_context(process(__file__, "model"))
    upstream, spool = model[1], folder / "forwarder"
    found = {DIRECT: Candidate(*model)}
    found["bare pair"] = Candidate(*stack.enter_context(process(__file__, "bare", str(upstream))))
    for name in PEERS:
        if (program := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")) is not None:
            found[name] = Candidate(*stack.enter_context(peer(program, name, upstream, folder)))
        else:
            print(f"{name} is not installed and left out")
    found[FORWARDER] = Candidate(
        *stack.enter_context(process(__file__, "forwarder", str(upstream), str(spool)))
    )
    ring = Ring.attach(spool)
    stack.callback(ring.path.unlink, missing_ok=True)
    stack.callback(ring.close)
    stack.enter_context(process(__file__, "drain", str(spool)))
    whole = stack.enter_context(sidecar(folder, upstream, "--database", f"sqlite:///{folder}/remora.db"))
    wait_for(whole.settled, "the sidecar")
    found[SIDECAR] = Candidate(whole.pid, whole.port, whole)
    return found


def main() -> None:
    """Measure every candidate in turn, for each number of connections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round: only to prove that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        ROLES[arguments.role[0]](arguments.role[1:])
        return
    seconds, rounds = (0.2, 1) if arguments.quick else (arguments.seconds, arguments.rounds)
    widths = [16] if arguments.quick else [int(word) for word in arguments.connections.split(",")]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-")))
        everyone = candidates(stack, folder)
        print(f"medians of {rounds} rounds of {seconds:g} s, {os.cpu_count()} processors; p50 and p99 in µs")
        for connections in widths:
            results: dict[str, list[Round]] = {name: [] for name in everyone}
            for _ in range(rounds):
                for name, candidate in everyone.items():
                    results[name].append(candidate.measure(connections, seconds))
            table(connections, results)
        whole = everyone[SIDECAR].sidecar
        assert whole is not None
        requests = wait_for(whole.settled, "everything to arrive")["requests"]
        shares = ", ".join(f"{name} {requests[name]:,}" for name in ("received", "captured", "dropped_full"))
        print(f"\nsidecar: {shares}")


if __name__ == "__main__":
    sys.exit(main())
