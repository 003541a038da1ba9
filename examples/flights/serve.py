"""The model server: a plain Flask application around a pickled model.

``POST /predict`` takes the features of one flight as a JSON object, or an array of them, and answers
``{"late": bool, "probability": 0.31, "model_version": "..."}`` or an array of these. ``GET /health`` says which version
is in service. The environment names the folder of ``model.pkl`` (``MODEL_DIR``) and, for rehearsing an incident, a file
that makes the server slow and failing while it exists (``FAULT_FILE``).
"""

from __future__ import annotations

import json
import os
import pickle
import random
import time
from pathlib import Path
from typing import Any

from features import BadRowError, encode
from flask import Flask, Response, request

__all__ = ["create_app"]

MAX_ROWS = 1000
LATE_FROM = 0.5


def create_app(model_dir: str | None = None, fault_file: str | None = None) -> Flask:
    """The application; its model is read once, here."""
    model = _load(Path(model_dir or os.environ.get("MODEL_DIR", "model")) / "model.pkl")
    faults = fault_file or os.environ.get("FAULT_FILE")
    app = Flask(__name__)

    @app.get("/health")
    def health() -> Response:
        return _json({"status": "ok", "model_version": model["version"]})

    @app.post("/predict")
    def predict() -> Response:
        if faults and _fault(Path(faults)):
            return _json({"error": "the model is out of order"}, 500)
        try:
            rows = _rows(request.get_data())
            answers = _answers(model, rows if isinstance(rows, list) else [rows])
        except BadRowError as error:
            return _json({"error": str(error)}, 400)
        return _json(answers if isinstance(rows, list) else answers[0])

    return app


def _rows(body: bytes) -> Any:
    try:
        rows = json.loads(body)
    except ValueError:
        raise BadRowError(
            "the body is not JSON: send the features of a flight, or an array of them"
        ) from None
    many = rows if isinstance(rows, list) else [rows]
    if not many or not all(isinstance(row, dict) for row in many):
        raise BadRowError("send a JSON object with the features of a flight, or a non-empty array of them")
    if len(many) > MAX_ROWS:
        raise BadRowError(f"{len(many)} rows in one request, at most {MAX_ROWS} are answered")
    return rows


def _answers(model: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    matrix = encode(rows, model["categories"], model["numbers"])
    scores = model["classifier"].predict_proba(matrix)[:, 1].tolist()
    version = model["version"]
    return [{"late": s >= LATE_FROM, "probability": round(s, 6), "model_version": version} for s in scores]


def _load(path: Path) -> dict[str, Any]:
    try:
        return pickle.loads(path.read_bytes())  # our own file, from our own training
    except FileNotFoundError:
        raise SystemExit(f"serve: {path} is missing: train a model first, or set MODEL_DIR") from None


def _fault(path: Path) -> bool:
    """Wait as the fault file says; True when this request is to fail."""
    try:
        fault = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return False
    time.sleep(float(fault.get("delay_ms", 0)) / 1000)
    return random.random() < float(fault.get("error_share", 0))


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
