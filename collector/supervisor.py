"""Starts the recorder, starts it again when it dies, ends it last."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec

from collector.handover import Options, Report, command, environment
from remora.errors import UserError
from remora.telemetry import get_logger

__all__ = ["Supervisor"]

log = get_logger("sidecar")

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
_HEALTHY_SECONDS = 30.0
_MISTAKE = 2


class Supervisor:
    """One recorder at a time. `report` is done when the first one is ready."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.ready: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self.restarts = 0

    async def run(self) -> None:
        """Keep a recorder running until `stop`. Raises UserError when the first one was told something impossible."""
        wait = _FIRST_WAIT
        while not self._stopping:
            began = time.monotonic()
            code = await self._one()
            if self._stopping:
                return
            if time.monotonic() - began > _HEALTHY_SECONDS:
                wait = _FIRST_WAIT
            log.error("recorder_died", exit_code=code, again_in_seconds=wait, traffic="goes on")
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)
            self.restarts += 1

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
        assert process.stdout is not None  # noqa: S101  (PIPE was asked for)
        line = await process.stdout.readline()
        report = Report()
        with contextlib.suppress(msgspec.MsgspecError):
            report = msgspec.json.decode(line or b"{}", type=Report)
        if report.ready and not self.ready.done():
            self.ready.set_result(report)
        code = await process.wait()
        if report.error and not self.ready.done():
            raise UserError(report.error)
        if report.error:
            log.error("recorder_refused", reason=report.error)
        return code

    async def stop(self, seconds: float) -> None:
        """Let the recorder empty ring and spool for at most `seconds`, then end it."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            log.warning("recorder_stuck", after_seconds=seconds, what="ended; its spool and ring are kept")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
