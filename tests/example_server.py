"""A server with the pages and the reading API alone, on a port of its own, for tests of `dashboards`."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI

import dashboards.api
import dashboards.app
from remora.config import Config
from remora.refusals import install_error_answers

NOW = datetime(2013, 12, 26, 0, 10, tzinfo=UTC)


class OpenGuard:
    def require(self, scope):
        assert scope == "read"
        return lambda: None


def app_of(database, reports, *, config=None, guard=None, now=NOW):
    app = FastAPI()
    install_error_answers(app)
    config, guard = config or Config(), guard or OpenGuard()
    app.include_router(dashboards.api.router(database, config, guard))
    app.include_router(dashboards.app.pages_router(database, config, guard, reports, wall=lambda: now))
    dashboards.app.mount_static(app)
    return app


@contextlib.contextmanager
def serving(app):
    """The base URL of a running server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
