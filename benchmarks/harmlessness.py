"""What the callers of a model notice while everything behind the sidecar's proxy goes wrong.

    python benchmarks/harmlessness.py [--quick] [--rounds N] [--rate 300]       # about six minutes

A 1 kB JSON POST, 16 kept-alive loopback connections at a fixed rate; a request's time counts from the moment when it was
due, so a proxy that stands still cannot hide it. A sidecar of its own for each state:

    undisturbed       records go into SQLite
    database away     nothing listens where the database should be
    spool full        that, and the spool may hold 1 MiB, which is full before the measurement begins
    disk full         that, on a file system of 24 MiB without a free byte (left out where none may be mounted)
    recorder stopped  SIGSTOP: it reads nothing, and the ring fills
    recorder killed   SIGKILL, again every second: the supervisor starts the next one
    burst             ten times the rate

p50 and p99 are medians of the rounds, which are interleaved; `ratio` is that to the undisturbed sidecar of the same run. The
limit is 1.10. No request may fail, and of all requests it is asked where they are: `differ` is how many were received
but neither captured, nor dropped and counted, nor left out by a rule.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conservation_world import disk_of
from loopback import Sidecar, call, percentile, process, run_model, sidecar, wait_for

AWAY = ("--database", "postgresql+psycopg://remora@127.0.0.1:1/remora")
CONNECTIONS = 16
_MEBIBYTE = 1 << 20


@dataclass
class State:
    """What goes wrong, and what was seen meanwhile, a value per round."""

    name: str
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    failed: int = 0
    dropped: int = 0
    differ: int = 0


def measure(state: State, model: int, rate: float, seconds: float) -> None:
    """One round of one state."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remora-harm-")))
        disk = stack.enter_context(disk_of(folder)) if state.name == "disk full" else None
        if state.name == "disk full" and disk is None:
            return
        one = stack.enter_context(sidecar(disk or folder, model, *_options(state.name, folder)))
        recorder, port = one.recorder, one.port
        call(port, CONNECTIONS, min(1.0, seconds), rate)  # warm
        _prepare(state.name, one, disk, rate)
        times = rate * 10 if state.name == "burst" else rate
        with DISTURBANCES.get(state.name, _nothing)(one, recorder):
            calls = call(port, CONNECTIONS, seconds, times)
        state.p50.append(percentile(calls.times, 0.5))
        state.p99.append(percentile(calls.times, 0.99))
        state.failed += calls.failed
        status = wait_for(one.status, "the sidecar's status")
        requests = status["balance"]["requests"]
        state.differ += abs(requests["difference"])
        state.dropped += int(status["requests"]["dropped_full"])


def _options(name: str, folder: Path) -> tuple[str, ...]:
    if name in {"database away", "disk full"}:
        return AWAY
    if name == "spool full":
        return (*AWAY, "--spool-bytes", str(_MEBIBYTE))
    return ("--database", f"sqlite:///{folder / 'remora.db'}")


def _prepare(name: str, one: Sidecar, disk: Path | None, rate: float) -> None:
    """Fill what is to be full."""
    if name == "spool full":
        while (wait_for(one.status, "the status"))["bytes"] < 0.9 * _MEBIBYTE:
            call(one.port, CONNECTIONS, 0.5, rate * 4)
    if disk is not None:
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass


@contextlib.contextmanager
def _nothing(_one: Sidecar, _recorder: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _stopped(_one: Sidecar, recorder: int) -> Iterator[None]:
    os.kill(recorder, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(recorder, signal.SIGCONT)


@contextlib.contextmanager
def _killed(one: Sidecar, _recorder: int) -> Iterator[None]:
    over = threading.Event()

    def kill() -> None:
        while not over.is_set():
            with contextlib.suppress(ProcessLookupError):
                for pid in one.recorders():
                    os.kill(pid, signal.SIGKILL)
            over.wait(1.0)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


DISTURBANCES: dict[str, Callable[[Sidecar, int], contextlib.AbstractContextManager[None]]] = {
    "recorder stopped": _stopped,
    "recorder killed": _killed,
}
STATES = (
    "undisturbed", "database away", "spool full", "disk full", "recorder stopped", "recorder killed", "burst",
)  # fmt: skip


def show(states: list[State]) -> None:
    """The table: microseconds, ratios, and what became of the requests."""
    usual = states[0]
    print(
        f"\n{'':17}{'p50 µs':>9}{'ratio':>7}{'p99 µs':>9}{'ratio':>7}{'failed':>8}{'dropped':>9}{'differ':>8}"
    )
    for state in states:
        if not state.p50:
            print(f"{state.name:17}{'not measured: no file system may be mounted here':>9}")
            continue
        p50, p99 = statistics.median(state.p50), statistics.median(state.p99)
        ratios = (p50 / statistics.median(usual.p50), p99 / statistics.median(usual.p99))
        print(
            f"{state.name:17}{p50:9.0f}{ratios[0]:7.2f}{p99:9.0f}{ratios[1]:7.2f}"
            f"{state.failed:8}{state.dropped:9}{state.differ:8}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=300.0, help="requests per second")
    parser.add_argument(
        "--states", default=",".join(STATES), help="some of them, with commas; the first is the measure"
    )
    parser.add_argument("--role", choices=["model"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        run_model()
        return
    if shutil.which("mount") is None:
        print("no mount: the full disk is left out", file=sys.stderr)
    rounds, seconds = (1, 0.5) if given.quick else (given.rounds, 4.0)
    names = given.states.split(",")
    if unknown := set(names) - set(STATES):
        parser.error(f"there is no state {min(unknown)!r}: choose among {', '.join(STATES)}")
    states = [State(name) for name in names]
    begun = time.monotonic()
    with process(__file__, "model") as (_, model):
        for number in range(rounds):
            for state in states:
                measure(state, model, given.rate, seconds)
            print(f"round {number + 1} of {rounds}, {time.monotonic() - begun:.0f} s", flush=True)
    show(states)


if __name__ == "__main__":
    main()
