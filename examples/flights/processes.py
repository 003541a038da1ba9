"""The voyage's processes: started, watched, started again when they die, ended with their parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Crew", "Process", "VoyageError", "free_port", "port_is_free"]

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1


class VoyageError(Exception):
    """The voyage cannot go on; the text says why and what to do."""


@dataclass
class Process:
    """A command, where it logs, and how to see that it is up."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_up: Callable[[], bool]
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    starts: int = 0


def _end_with_parent() -> None:
    """In the child: get SIGTERM when the voyage itself is killed, so that nothing stays behind (Linux)."""
    os.setpgid(0, 0)  # Ctrl-C reaches the voyage alone, which then ends its processes in order
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Crew:
    """All processes. `tell` is called with a sentence whenever one of them dies and is started again."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._members: list[Process] = []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def start(self, process: Process) -> None:
        """Start a process and wait until it is up; raises `VoyageError` with the end of its log."""
        self._spawn(process)
        self._await_up(process)
        with self._lock:
            self._members.append(process)

    def _spawn(self, process: Process) -> None:
        process.starts += 1
        with process.log.open("ab") as log:
            process.child = subprocess.Popen(
                process.command,
                env={name: value for name, value in {**os.environ, **process.environment}.items() if value},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the voyage starts processes before it makes threads wait
            )
        self._write_pids(process)

    def _await_up(self, process: Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not process.is_up():
            assert process.child is not None
            if process.child.poll() is not None:
                raise VoyageError(
                    f"the {process.name} did not start: {_last_line(process.log)} (log: {process.log})"
                )
            if time.monotonic() > deadline:
                raise VoyageError(
                    f"the {process.name} is not up after {_START_SECONDS:.0f} s (log: {process.log})"
                )
            time.sleep(0.05)

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            with self._lock:
                fallen = [
                    member for member in self._members if member.child and member.child.poll() is not None
                ]
                for member in fallen:
                    if self._stopping.is_set():
                        return
                    assert member.child is not None
                    self._tell(f"the {member.name} {_how(member.child.returncode)} and is started again")
                    self._spawn(member)

    def _write_pids(self, started: Process) -> None:
        """For people and tests that want to see or to kill somebody."""
        members = {member.name: member for member in [*self._members, started]}
        pids = {name: member.child.pid for name, member in members.items() if member.child}
        path = self._folder / "pids.json"
        path.with_suffix(".new").write_text(json.dumps(pids, indent=1))
        path.with_suffix(".new").replace(path)

    def stop(self) -> list[str]:
        """End everybody, last started first; the names of those that had to be killed."""
        self._stopping.set()
        self._watcher.join()
        killed = []
        for member in reversed(self._members):
            child = member.child
            if child is None or child.poll() is not None:
                continue
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                killed.append(member.name)
        (self._folder / "pids.json").unlink(missing_ok=True)
        return killed


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether HOST:PORT could be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
