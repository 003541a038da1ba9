"""Starts the recorder, starts it again when it dies, ends it last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import msgspec

from collector.handover import Options, Report, command, environment
from remora.telemetry import get_logger

__all__ = ["Supervisor"]

log = get_logger("sidecar")

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
_HEALTHY_SECONDS = 30.0


class Supervisor:
    """One recorder at a time. `ready` is done when the first one is. No fault of a recorder ends `run`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self.ready: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self.restarts = 0

    async def run(self) -> None:
        """Keep a recorder running until `stop`."""
        wait = _FIRST_WAIT
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                code = await self._attempt()
                if self._stopping.is_set():
                    return
                if time.monotonic() - began > _HEALTHY_SECONDS:
                    wait = _FIRST_WAIT
                log.error("recorder_died", exit_code=code, again_in_seconds=wait, traffic="goes on")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)
                wait = min(_LONGEST_WAIT, wait * 2)
                self.restarts += 1
        finally:
            self._ended.set()

    async def _attempt(self) -> int | None:
        """The exit code of one recorder; None when it could not be started, as without a free descriptor."""
        try:
            return await self._one()
        except OSError as error:
            log.error("recorder_not_started", reason=os.strerror(error.errno or 0))  # noqa: TRY400  (one line says it)
        except Exception:
            log.exception("supervisor_fault")
            self._signal(signal.SIGKILL)  # whatever it was: two recorders must not meet
        return None

    async def _one(self) -> int:
        """Start a recorder and wait for its end."""
        process = await asyncio.create_subprocess_exec(
            *command(),
            env=environment(self._options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a signal to the whole group must not end it before the forwarder
        )
        self._process = process
        if self._stopping.is_set():  # `stop` came during the start and found no process to end
            self._signal(signal.SIGTERM)
        assert process.stdout is not None  # noqa: S101  (PIPE was asked for)
        line = await process.stdout.readline()
        report = Report()
        with contextlib.suppress(msgspec.MsgspecError):
            report = msgspec.json.decode(line or b"{}", type=Report)
        if report.ready and not self.ready.done():
            self.ready.set_result(report)
        code = await process.wait()
        if report.error:
            log.error("recorder_refused", reason=report.error)
        return code

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, seconds: float) -> None:
        """Let the recorder empty ring and spool for at most `seconds`, then end it; `run` ends with it."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            log.warning("recorder_stuck", after_seconds=seconds, what="ended; its spool and ring are kept")
            self._signal(signal.SIGKILL)
            await self._ended.wait()
