"""What a sidecar takes beside the model: time to start, memory, and what is installed.

    python benchmarks/footprint.py [--quick] [--rounds N] [--predictions 100000] [--rate 2000]     # about two minutes

start     from the command to the first byte of the model's answer through the proxy, median of the rounds; beside it an
          interpreter that starts and does nothing
memory    of the forwarder and the recorder together, idle and after so many predictions of 48 features (1 kB) into SQLite:
          `private` is what only they have (USS), `shared` their part of what several have (PSS less USS: libraries, and the
          ring), `resident` the sum of what each maps (RSS), which counts libraries and the ring twice
install   the files of the packages that `pip install remora` brings, without pip

The limits are those that Remora set itself: 1 s, 130 MB (private and shared), 180 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from loopback import Sidecar, call, process, run_model, sidecar, wait_for

_MEGABYTE = 1e6
_CONNECTIONS = 16
_SECONDS, _MEMORY, _INSTALL = 1.0, 130.0, 180.0


# --- start -----------------------------------------------------------------------------------------------------------


def start_seconds(model: int) -> float:
    """One start of `remora sidecar`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="remora-start-") as folder:
        began = time.perf_counter()
        options = ("--database", f"sqlite:///{folder}/remora.db", "--listen", f"127.0.0.1:{port}")
        with sidecar(Path(folder), model, *options):
            while not _answers(port):
                time.sleep(0.002)
            return time.perf_counter() - began


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n}}")
        return bool(caller.recv(1))
    return False


def interpreter_seconds() -> float:
    """An interpreter that starts and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


# --- memory ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """Megabytes of some processes together."""

    private: float
    shared: float
    resident: float

    def __str__(self) -> str:
        return f"{self.private + self.shared:9.0f}{self.private:10.0f}{self.shared:9.0f}{self.resident:10.0f}"


def memory_of(pids: list[int]) -> Memory:
    """From /proc/PID/smaps_rollup of each."""
    private = shared = resident = 0.0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = {
            name: int(kilobytes) * 1024
            for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)
        }
        own = found["Private_Clean"] + found["Private_Dirty"]
        private += own
        shared += found["Pss"] - own
        resident += found["Rss"]
    return Memory(private / _MEGABYTE, shared / _MEGABYTE, resident / _MEGABYTE)


def measure_memory(one: Sidecar, predictions: int, rate: float) -> list[tuple[int, Memory]]:
    """Idle, and after a tenth and all of so many predictions."""
    pids, found, sent = [one.pid, one.recorder], [], 0
    found.append((0, memory_of(pids)))
    for goal in (predictions // 10, predictions):
        calls = call(one.port, _CONNECTIONS, (goal - sent) / rate, rate)
        sent += len(calls.times)
        wait_for(one.settled, "the records to be delivered")
        found.append((sent, memory_of(pids)))
    return found


# --- install ---------------------------------------------------------------------------------------------------------


def installed_megabytes(name: str) -> float:
    """The files of a package and of everything that it requires without extras."""
    seen, waiting, total = set(), [name], 0
    while waiting:
        key = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if key in seen:
            continue
        seen.add(key)
        with contextlib.suppress(PackageNotFoundError):
            found = distribution(key)
            total += sum(_size(Path(str(path.locate()))) for path in found.files or [])
            waiting += [
                required for text in found.requires or [] if "extra ==" not in text
                for required in re.findall(r"^[A-Za-z0-9._-]+", text)
            ]  # fmt: skip
    return total / _MEGABYTE


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a little of it, to see that it works")
    parser.add_argument("--rounds", type=int, default=7, help="starts")
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--role", choices=["model"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        run_model()
        return
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # where Remora is installed, nothing is compiled at its start
    rounds, predictions, rate = (
        (1, 200, 200.0) if given.quick else (given.rounds, given.predictions, given.rate)
    )
    with (
        process(__file__, "model") as (_, model),
        tempfile.TemporaryDirectory(prefix="remora-foot-") as folder,
    ):
        starts = [start_seconds(model) for _ in range(rounds)]
        floor = statistics.median(interpreter_seconds() for _ in range(rounds))
        with sidecar(Path(folder), model, "--database", f"sqlite:///{folder}/remora.db") as one:
            memory = measure_memory(one, predictions, rate)
    start = statistics.median(starts)
    print(f"start     {start:.3f} s to the first byte, of which an interpreter {floor:.3f} s;"
          f" limit {_SECONDS:g} s, ratio {start / _SECONDS:.2f}")  # fmt: skip
    print(f"{'memory':23}{'MB':>9}{'private':>10}{'shared':>9}{'resident':>10}")
    for sent, seen in memory:
        print(f"  after {sent:>9,} rows  {seen}")
    most = max(seen.private + seen.shared for _, seen in memory)
    print(f"  limit {_MEMORY:g} MB, ratio {most / _MEMORY:.2f}")
    size = installed_megabytes("remora")
    print(f"install   {size:.0f} MB; limit {_INSTALL:g} MB, ratio {size / _INSTALL:.2f}")


if __name__ == "__main__":
    main()
