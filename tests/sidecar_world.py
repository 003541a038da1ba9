"""A sidecar as the processes that it is, before a model that always answers alike."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx

SECONDS = 40


def wait_for(condition, what: str):
    """Poll until `condition` gives something true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {SECONDS} s for {what}")


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        one = {"prediction": True, "probability": 0.75}
        body = json.dumps([one] * len(asked) if isinstance(asked, list) else one).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Sidecar:
    """`remora sidecar` in its own process."""

    def __init__(self, folder: Path, model: str, *options: str) -> None:
        self.folder = folder
        self.log = folder / f"sidecar-{len(list(folder.glob('*.log')))}.log"
        self.spool = folder / "spool"
        arguments = [
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            model,
            "--model",
            "m",
            "--spool",
            str(self.spool),
        ]
        with self.log.open("wb") as log:  # an option that is given twice counts as it is given last
            self.process = subprocess.Popen(
                [sys.executable, "-m", "remora", "sidecar", *arguments, *options], stderr=log, cwd=folder
            )

    def events(self, name: str) -> list[dict]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    @property
    def url(self) -> str:
        return "http://" + wait_for(lambda: self.events("sidecar_listening"), "listening")[0]["address"]

    def ready(self) -> Sidecar:
        wait_for(lambda: self.events("recorder_ready"), f"ready: {self.log.read_text()}")
        return self

    @property
    def recorders(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def predict(self, client: httpx.Client, key: str, body: object) -> None:
        answer = client.post(f"{self.url}/predict", json=body, headers={"x-request-id": key})
        assert answer.status_code == 200
        assert answer.headers["x-remora-prediction-id"] == key

    def status(self) -> dict:
        return httpx.get(f"{self.url}/remora/v1/status").json()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
