"""Flask under gunicorn and FastAPI under uvicorn, with the middleware, before a collector: every request is there once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn

from collector.app import sidecar_app
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.spool import Spool, to_batch
from remora.config import Config
from remora.security import Guard

FLASK = """
import os
from flask import Flask, jsonify, request
from remora.client import Client
from remora.client.wsgi import Middleware

client = Client(model="m", version="1", socket=os.environ["COLLECTOR"])
app = Flask(__name__)

@app.post("/predict")
def predict():
    asked = request.get_json()
    if asked["n"] % 50 == 7:
        raise RuntimeError("a fault of the model")
    return jsonify(prediction=asked["n"] * 2)

@app.get("/healthz")
def healthz():
    return "ok"

app.wsgi_app = Middleware(app.wsgi_app, client, ["/predict"])
"""
FASTAPI = """
import os
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from remora.client import Client
from remora.client.asgi import Middleware

client = Client(model="m", version="1", socket=os.environ["COLLECTOR"])
app = FastAPI()
app.add_middleware(Middleware, client=client, paths=["/predict"])

@app.post("/predict")
async def predict(asked: dict):
    if asked["n"] % 50 == 7:
        raise RuntimeError("a fault of the model")
    if asked["n"] % 3 == 0:
        async def pieces():
            yield b'{"prediction": '
            yield str(asked["n"] * 2).encode() + b"}"
        return StreamingResponse(pieces(), media_type="application/json")
    return {"prediction": asked["n"] * 2}

@app.get("/healthz")
def healthz():
    return "ok"
"""
COUNT = 200


class Collector:
    """The recorder's application on a Unix socket, and what it took."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "api.sock")
        self.spool = Spool(folder / "spool")
        ingest = Ingest(self.spool, lambda: datetime.now(UTC), Gate(Config()))
        config = uvicorn.Config(
            sidecar_app(ingest, Guard(None, None)), uds=self.socket, log_config=None, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def rows(self) -> list:
        found = []
        while sealed := self.spool.seal(1000):
            found += to_batch(sealed, "test").predictions
            self.spool.set_aside(sealed, "read")
        return found

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.spool.close()


@pytest.fixture
def collector(tmp_path):
    made = Collector(tmp_path)
    yield made
    made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError("the app did not start")


SERVERS = {
    "gunicorn": (FLASK, ["gunicorn", "--workers", "3", "--bind", "{address}", "app:app"]),
    "gunicorn, forked after the client was made": (FLASK, ["gunicorn", "--preload", "--workers", "3", "--threads", "4", "--bind", "{address}", "app:app"]),
    "gunicorn, workers that come and go": (FLASK, ["gunicorn", "--workers", "2", "--max-requests", "25", "--bind", "{address}", "app:app"]),
    "uvicorn": (FASTAPI, ["uvicorn", "--port", "{port}", "--log-level", "critical", "app:app"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_every_request_is_recorded_once_whoever_served_it(name, tmp_path, collector):
    source, command = SERVERS[name]
    (tmp_path / "app.py").write_text(source)
    port = free_port()
    arguments = [part.format(address=f"127.0.0.1:{port}", port=port) for part in command]
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        env={**os.environ, "COLLECTOR": collector.socket, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url, process)
        with httpx.Client(timeout=20) as client, ThreadPoolExecutor(8) as pool:
            answers = dict(
                zip(range(COUNT), pool.map(lambda n: ask(client, url, n), range(COUNT)), strict=True)
            )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
    rows = {row.id: row for row in collector.rows()}
    failed = [n for n in range(COUNT) if n % 50 == 7]
    assert len(rows) == COUNT
    for number, answer in answers.items():
        row = rows[f"call-{number}"]
        assert (row.model, row.version, row.features) == ("m", "1", {"n": number})
        assert row.latency_ms > 0
        if number in failed:
            assert (answer.status_code, row.status, row.prediction) == (500, 500, None)
        else:
            assert answer.headers["x-remora-prediction-id"] == row.id
            assert (
                (row.status, row.prediction)
                == (200, number * 2)
                == (200, json.loads(answer.content)["prediction"])
            )


def ask(client: httpx.Client, url: str, number: int) -> httpx.Response:
    for _ in range(
        3
    ):  # a server may close a connection that a request is already on, after an error or at its end
        try:
            return client.post(
                f"{url}/predict", json={"n": number}, headers={"x-request-id": f"call-{number}"}
            )
        except httpx.TransportError:
            continue
    raise AssertionError("no answer in three attempts")
