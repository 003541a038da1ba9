"""The parent's side of the report process: start it, give it a job, take it away when it is late or dead."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from typing import Any

from dashboards.errors import ReportError
from dashboards.report_process import QUIET

__all__ = ["Child"]

_IDLE_JOBS = 50  # then a fresh process: libraries that leak do so for a bounded time


class Child:
    """One long-lived process for many reports, because importing Evidently takes four seconds. Not thread-safe."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._process: subprocess.Popen[str] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._jobs = 0

    def make(self, job: dict[str, Any], timeout: float) -> None:
        """Have a report made; raises `ReportError` with the reason where it was not."""
        process = self._running()
        answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        talk = threading.Thread(target=_talk, args=(process, json.dumps(job), answers), daemon=True)
        talk.start()
        try:
            line = answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            msg = f"the report took longer than {timeout:.0f} s and was stopped"
            raise ReportError(msg) from None
        talk.join()
        if not line:
            code = process.wait()
            self.close()
            msg = f"the process that made the report ended with code {code}, perhaps for want of memory"
            raise ReportError(msg)
        answer = json.loads(line)
        self._jobs += 1
        if not answer["ok"] or self._jobs >= _IDLE_JOBS:
            self.close()
        if not answer["ok"]:
            raise ReportError(str(answer["error"]))

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        # A home of its own: nothing is read from or written to the user's.
        self._home = tempfile.TemporaryDirectory(prefix="remora-report-")
        environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ
        }
        environment |= QUIET | {"HOME": self._home.name, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                                "XDG_CONFIG_HOME": self._home.name}  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "dashboards.report_process", str(self.memory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment, cwd=self._home.name, process_group=0,
        )  # fmt: skip
        self._jobs = 0
        return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _shut(pipe)
        if self._home is not None:
            self._home.cleanup()
            self._home = None


def _shut(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:  # what was not written yet has no reader any more
        return


def _talk(process: subprocess.Popen[str], job: str, answers: queue.SimpleQueue[str]) -> None:
    """Write the job and read its answer; an empty line means that the process has ended."""
    try:
        if process.stdin is None or process.stdout is None:
            answers.put("")
            return
        process.stdin.write(job + "\n")
        process.stdin.flush()
        answers.put(process.stdout.readline())
    except (OSError, ValueError):  # it died while we wrote, or was closed under us
        answers.put("")
