"""The CI job of this example: a signed webhook starts a retraining, puts it in service and calls back.

    WEBHOOK_SECRET=whsec_... python retrain.py --model-dir model --health http://127.0.0.1:8000/health --pid-file gunicorn.pid

``POST /hooks/retrain`` takes a Standard Webhooks request of the type ``action.requested`` and answers 202 at once; one
job runs at a time, in the order in which they came. The same process shows what a chat channel and a pager would have
received: ``POST /slack``, ``POST /pager``, and ``GET /`` to read them.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from channel import Channel, page
from flask import Flask, Response, request
from pipeline import Job, Pipeline, Settings, job_of
from signing import SignatureError, key, verify
from werkzeug.serving import WSGIRequestHandler, make_server

__all__ = ["create_app"]

REMEMBERED = 10_000
MAX_BODY = 1 << 20
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Seen:
    """The ids of the messages that were taken, so that a repeated delivery starts nothing twice."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def first_time(self, message_id: str) -> bool:
        with self._lock:
            if message_id in self._ids:
                return False
            self._ids[message_id] = None
            if len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)
            return True


def create_app(secret: bytes, start: Callable[[Job], None], channel: Channel) -> Flask:
    """The receiver; ``start`` takes a job and must return at once."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    _add_hook(app, secret, start)
    _add_channel(app, channel)
    return app


def _add_hook(app: Flask, secret: bytes, start: Callable[[Job], None]) -> None:
    seen = Seen()

    @app.post("/hooks/retrain")
    def retrain() -> tuple[dict[str, Any], int]:
        body = request.get_data()
        try:
            message_id = verify(secret, request.headers, body, time.time())
        except SignatureError as error:
            return {"error": str(error)}, 401
        try:
            job = job_of(body)
        except ValueError as error:
            return {"error": str(error)}, 400
        if not seen.first_time(message_id):
            return {"status": "already taken"}, 200
        if job is not None:
            start(job)
        return {"status": "accepted" if job else "ignored"}, 202


def _add_channel(app: Flask, channel: Channel) -> None:
    @app.post("/slack")
    def slack() -> Response:
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not (body.get("text") or body.get("blocks")):
            return Response("invalid_payload", 400, mimetype="text/plain")
        channel.add("slack", body, datetime.now(UTC))
        return Response("ok", mimetype="text/plain")

    @app.post("/pager")
    def pager() -> tuple[dict[str, Any], int]:
        body = request.get_json(silent=True)
        if body is None:
            return {"error": "the body is not JSON"}, 400
        channel.add("pager", body, datetime.now(UTC))
        return {"status": "accepted"}, 202

    @app.get("/")
    def read() -> Response:
        return Response(
            page(channel.messages()), headers={"content-security-policy": _POLICY}, mimetype="text/html"
        )


def worker(pipeline: Pipeline) -> Callable[[Job], None]:
    """A background thread that runs the jobs one after the other; returns what hands it a job."""
    jobs: queue.Queue[Job] = queue.Queue()

    def loop() -> None:
        while True:
            pipeline.run(jobs.get())

    threading.Thread(target=loop, name="retrain", daemon=True).start()
    return jobs.put


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No line per request: what matters is on the page and in the log file."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:9100", help="address to listen on (default %(default)s)"
    )
    parser.add_argument(
        "--model-dir", type=Path, required=True, help="folder out of which the model is served"
    )
    parser.add_argument("--health", required=True, help="address of the model server's GET /health")
    parser.add_argument("--pid-file", type=Path, required=True, help="pid file of the gunicorn master")
    parser.add_argument(
        "--weeks", type=int, default=8, help="weeks of labelled flights to train on (default 8)"
    )
    parser.add_argument(
        "--reference-command",
        default="",
        help="command that tells Remora the new reference; {version} and {reference} are filled in",
    )
    parser.add_argument(
        "--log", type=Path, help="file to which received messages are appended, a JSON line each"
    )
    parser.add_argument("--page-url", default="", help="address given as `url` of a job in callbacks")
    return parser.parse_args()


def main() -> int:
    options = _arguments()
    try:
        secret = key(os.environ["WEBHOOK_SECRET"])
    except KeyError:
        print("retrain: set WEBHOOK_SECRET to the secret shared with Remora (whsec_...)", file=sys.stderr)
        return 2
    except SignatureError as error:
        print(f"retrain: WEBHOOK_SECRET: {error}", file=sys.stderr)
        return 2
    host, _, port = options.listen.rpartition(":")
    settings = Settings(
        model_dir=options.model_dir,
        health_url=options.health,
        pid_file=options.pid_file,
        weeks=options.weeks,
        reference_command=options.reference_command,
        page_url=options.page_url or f"http://{options.listen}/",
    )
    app = create_app(secret, worker(Pipeline(settings, secret)), Channel(options.log))
    try:
        server = make_server(host, int(port), app, threaded=True, request_handler=_Quiet)
    except (OSError, SystemExit, ValueError) as error:
        print(f"retrain: cannot listen on {options.listen}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"listening": f"http://{host}:{server.server_port}"}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
