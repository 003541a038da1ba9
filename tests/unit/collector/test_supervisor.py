from __future__ import annotations

import asyncio
import errno
import sys

import pytest

from collector import supervisor
from collector.handover import Options
from collector.supervisor import Supervisor

OPTIONS = Options(model="m", version="", spool="spool", spool_bytes=1 << 20)
_DEAF = "import time; print('{}', flush=True); time.sleep(600)"
_SECONDS = 20


@pytest.fixture
def recorder(monkeypatch):
    """Starts a script instead of a recorder."""

    def use(script: str) -> None:
        monkeypatch.setattr(supervisor, "command", lambda: [sys.executable, "-c", script])

    return use


def test_a_stop_during_the_start_ends_the_recorder_that_comes(recorder, monkeypatch):
    recorder(_DEAF)
    start = asyncio.create_subprocess_exec

    async def scenario() -> int | None:
        starting, go_on = asyncio.Event(), asyncio.Event()

        async def slow(*arguments, **options):
            starting.set()
            await go_on.wait()
            return await start(*arguments, **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
        one = Supervisor(OPTIONS)
        running = asyncio.create_task(one.run())
        await starting.wait()
        stopping = asyncio.create_task(one.stop(_SECONDS))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(asyncio.gather(running, stopping), _SECONDS)
        return one._process.returncode

    assert asyncio.run(scenario()) == -15


def test_a_recorder_that_cannot_be_started_is_tried_again(recorder, monkeypatch):
    recorder("print('{\"ready\": true}', flush=True); import time; time.sleep(600)")
    start = asyncio.create_subprocess_exec
    faults = [OSError(errno.EMFILE, "no descriptor"), OSError(errno.EAGAIN, "no process"), ValueError("odd")]

    async def scenario() -> int:
        async def scarce(*arguments, **options):
            if faults:
                raise faults.pop(0)
            return await start(*arguments, **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", scarce)
        one = Supervisor(OPTIONS)
        running = asyncio.create_task(one.run())
        await asyncio.wait_for(asyncio.shield(one.ready), _SECONDS)
        await one.stop(_SECONDS)
        await running
        return one.restarts

    assert asyncio.run(scenario()) == 3


def test_a_recorder_that_refuses_is_tried_again(recorder, tmp_path):
    """As one that cannot have the spool's lock: the reason is logged, nothing is raised."""
    once = tmp_path / "once"
    recorder(
        f"import pathlib, time; p = pathlib.Path({str(once)!r})\n"
        'if not p.exists(): p.touch(); print(\'{"error": "held"}\'); raise SystemExit(2)\n'
        "print('{\"ready\": true}', flush=True); time.sleep(600)"
    )

    async def scenario() -> int:
        one = Supervisor(OPTIONS)
        running = asyncio.create_task(one.run())
        await asyncio.wait_for(asyncio.shield(one.ready), _SECONDS)
        await one.stop(_SECONDS)
        await running
        return one.restarts

    assert asyncio.run(scenario()) == 1
