"""The second process of a sidecar: ring → records → spool → database; and the API. `python -m collector.recorder`.

It runs without the database, and outlives the forwarder only as long as it takes to empty the ring.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvicorn

from collector.app import ForwarderCounters, sidecar_app
from collector.delivery import Delivery, Pace
from collector.handover import Options, Report, command, environment, read_options
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.privacy.keeping import Keeper
from collector.reporting import Reporter
from collector.ring import Ring
from collector.ring_reader import RingReader
from collector.runtime import tune
from collector.sinks import DatabaseSink, HttpSink, Sink
from collector.spool import Spool
from collector.store import shapes_of
from collector.trust import tls_of, trusting
from remora.config import Config, load
from remora.database import connect
from remora.errors import UserError
from remora.listening import server_settings
from remora.security import Guard
from remora.settings import parse_api_address
from remora.sockets import listen
from remora.telemetry import REGISTRY, configure_logging, get_logger

__all__ = ["Options", "Recorder", "command", "environment", "main"]

log = get_logger("recorder")

# Beside a model memory is dear. A batch takes some twenty times its bytes while it is written; who writes, hardly reads.
_BATCH_BYTES = 1 << 20
_PAGE_CACHE = 2 << 20
_WATCH_SECONDS = 0.2
_RING_SECONDS = 20.0
_FAULT = 70


def utc_now() -> datetime:
    """The recorder's clock; the outermost place where time is asked for."""
    return datetime.now(UTC)


def _sink(options: Options, config: Config) -> Sink:
    if options.database is not None:
        database = connect(options.database, page_cache=_PAGE_CACHE)
        return DatabaseSink(database, shapes_of(config), utc_now, apart=True)
    if options.forward is not None:
        return HttpSink(options.forward, options.forward_token, verify=trusting(options))
    raise UserError("give either --database URL or --forward URL: where shall the records go?")


def _end() -> None:
    """Without its spool a recorder is of no use: the forwarder starts a dead one again, not one that hangs."""
    os._exit(_FAULT)


class Recorder:
    """All stages of one recorder, started and ended in order."""

    def __init__(self, options: Options, config: Config) -> None:
        self.options = options
        self._sink = _sink(options, config)
        self._spool = Spool(Path(options.spool), options.spool_bytes, batch_bytes=_BATCH_BYTES, on_death=_end)
        self._ring = Ring.attach(Path(options.spool))
        gate = Gate(config, options.hash_key)
        self.ingest = Ingest(
            self._spool,
            utc_now,
            gate,
            model=options.model,
            ring=lambda: (self._reader.pending, self._ring.counters()),
        )
        capture = self.ingest.captures.of(options.model, options.version)
        self._reader = RingReader(self._ring, self._spool, capture, gate)
        self._delivery = Delivery(
            self._spool,
            self._sink,
            source=f"{options.model}@{socket.gethostname()}",
            pace=Pace.of(config.delivery),
            prepare=Keeper(config, shapes_of(config), options.hash_key).prepare,
            reporter=Reporter(
                self._spool, self.ingest.numbers, utc_now,
                model=options.model, ring=self._ring.id.hex(), others=self.ingest.reports,
            ),
        )  # fmt: skip
        REGISTRY.register(ForwarderCounters(self._ring.counters))

    def start(self) -> None:
        """Begin to read and to deliver."""
        tune()
        self._reader.start()
        self.ingest.events.start()
        self._delivery.start()

    def stop(self) -> None:
        """Empty the ring into the spool, and the spool as far as the time allows; the rest waits for the next start."""
        self.ingest.events.stop()
        emptied = self._reader.drain(_RING_SECONDS)
        delivered = self._delivery.drain(self.options.drain_seconds)
        log.info(
            "recorder_stopped", ring_emptied=emptied, all_delivered=delivered, pending=self._spool.pending
        )
        self._spool.close()
        self._sink.close()
        self._ring.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours empty the ring and the spool before the process ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _sockets(options: Options) -> list[socket.socket]:
    sockets = []
    if options.socket is not None:
        path = Path(options.socket)
        path.unlink(missing_ok=True)
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        local.bind(str(path))
        path.chmod(0o600)
        local.listen(128)  # from here on callers wait for the server instead of being turned away
        sockets.append(local)
    if options.api:
        sockets.append(listen(parse_api_address(options.api, "--api", options.api_mode), "--api"))
    return sockets


async def _serve(recorder: Recorder, sockets: list[socket.socket]) -> None:
    """Answer until a signal comes or the forwarder is gone."""
    app = sidecar_app(recorder.ingest, Guard(recorder.options.token, None, rate=recorder.options.token_rate))
    server = _Server(
        server_settings(app, tls_of(recorder.options), lifespan="off", timeout_graceful_shutdown=3)
    )
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    loop.add_signal_handler(signal.SIGTERM, leave)
    watch = asyncio.create_task(_watch(recorder.options.parent, server))
    public = next((s.getsockname() for s in sockets if s.family != socket.AF_UNIX), None)
    _report(Report(ready=True, api=f"{public[0]}:{public[1]}" if public else recorder.options.api))
    await server.serve(sockets)
    watch.cancel()


async def _watch(parent: int, server: uvicorn.Server) -> None:
    while parent in {0, os.getppid()}:  # noqa: ASYNC110  (nothing tells a child of its parent's end)
        await asyncio.sleep(_WATCH_SECONDS)
    log.warning("forwarder_gone", what="emptying the ring, then ending")
    server.should_exit = True


def _report(report: Report) -> None:
    """Tell the forwarder; it may be gone already."""
    with contextlib.suppress(OSError):
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        sys.stdout.flush()


def main() -> int:
    """Run until told to stop; 2 is a mistake that a person must mend, 0 a clean end."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the forwarder says when to stop
    configure_logging()
    options = read_options()
    try:
        sockets = _sockets(options)
        recorder = Recorder(options, load(Path(options.config) if options.config else None))
    except UserError as error:
        _report(Report(error=str(error)))
        return 2
    recorder.start()
    try:
        asyncio.run(_serve(recorder, sockets))
    finally:
        recorder.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
