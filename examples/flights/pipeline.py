"""One retraining from the request to the callback: train, reference, service, proof, word back."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from signing import sign

__all__ = ["Job", "Pipeline", "PipelineError", "Settings", "job_of", "version_name"]

HERE = Path(__file__).resolve().parent
SERVICE_SECONDS = 60
CALLBACK_TRIES = 6


class PipelineError(Exception):
    """A step failed; the text is the ``detail`` of the callback."""


@dataclass(frozen=True)
class Job:
    """What was asked for: labels known by ``known_by`` may be used, and ``callback_url`` wants to hear about it."""

    action_id: str
    known_by: datetime
    callback_url: str


@dataclass(frozen=True)
class Settings:
    model_dir: Path
    health_url: str
    pid_file: Path
    weeks: int = 8
    reference_command: str = ""
    page_url: str = ""


def job_of(body: bytes) -> Job | None:
    """The job in a webhook's body; None for another type of message; ValueError says what is wrong with it."""
    try:
        message = json.loads(body)
        if message["type"] != "action.requested":
            return None
        data = message["data"]
        known_by = datetime.fromisoformat(data["windows"]["to"])
        job = Job(str(data["action_id"]), known_by, str(data["callback"]["url"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a remora.v1 action: {type(error).__name__} {error}") from None
    if known_by.tzinfo is None:
        raise ValueError("`data.windows.to` has no offset from UTC")
    if not job.callback_url.startswith(("http://", "https://")):
        raise ValueError("`data.callback.url` must be an http or https address")
    return job


def version_name(first: date, last: date) -> str:
    """The name of a version: its first and last day of training."""
    return f"{first}..{last:%m-%d}"


class Pipeline:
    """Runs jobs; every outcome ends in a callback."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret

    def run(self, job: Job) -> None:
        self._tell(job, "running", "", "training has started")
        last = job.known_by.astimezone(UTC).date() - timedelta(days=1)
        first = last - timedelta(weeks=self._settings.weeks) + timedelta(days=1)
        version = version_name(first, last)
        try:
            trained = self._train(job, first, last, version)
            # The reference comes first: no prediction of the new version shall find nothing to be compared with.
            self._reference(version, trained)
            self._serve(version, trained)
        except (PipelineError, OSError, ValueError, subprocess.SubprocessError) as error:
            self._tell(job, "failed", version, str(error)[:500])
        else:
            told = json.loads((trained / "metadata.json").read_text())
            self._tell(
                job, "succeeded", version, f"{told['rows']} flights, out-of-fold AUC {told['auc']:.3f}"
            )

    def _train(self, job: Job, first: date, last: date, version: str) -> Path:
        out = self._settings.model_dir / "versions" / version
        known_by = job.known_by.isoformat()
        command = [sys.executable, str(HERE / "train.py"), "--from", str(first), "--to", str(last)]
        _step("training", [*command, "--known-by", known_by, "--out", str(out), "--version", version])
        return out

    def _reference(self, version: str, trained: Path) -> None:
        words = shlex.split(self._settings.reference_command)
        if words:
            filled = {"version": version, "reference": str(trained / "reference.csv")}
            _step("reference", [word.format(**filled) for word in words])

    def _serve(self, version: str, trained: Path) -> None:
        """Replace the model, have the server read it, and believe only the server's own word that it did."""
        fresh = self._settings.model_dir / "model.pkl.new"
        shutil.copyfile(trained / "model.pkl", fresh)
        os.replace(fresh, self._settings.model_dir / "model.pkl")  # noqa: PTH105 - the word says that it is atomic
        os.kill(int(self._settings.pid_file.read_text()), signal.SIGHUP)
        give_up = time.monotonic() + SERVICE_SECONDS
        while self._served() != version:
            if time.monotonic() > give_up:
                raise PipelineError(f"version {version} did not answer within {SERVICE_SECONDS} s")
            time.sleep(0.1)

    def _served(self) -> str:
        try:
            answer = httpx.get(self._settings.health_url, timeout=5, trust_env=False)
            return str(answer.json()["model_version"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return ""

    def _tell(self, job: Job, status: str, version: str, detail: str) -> None:
        told: dict[str, Any] = {"status": status, "model_version": version, "detail": detail}
        body = json.dumps(told | {"url": self._settings.page_url}).encode()
        message_id = f"msg_{secrets.token_hex(12)}"
        for attempt in range(CALLBACK_TRIES):
            headers = sign(self._secret, message_id, int(time.time()), body) | {
                "content-type": "application/json"
            }
            try:
                answer = httpx.post(
                    job.callback_url, content=body, headers=headers, timeout=10, trust_env=False
                )
                if answer.status_code < 500:
                    break
                why = str(answer.status_code)
            except httpx.HTTPError as error:
                why = type(error).__name__
            print(f"retrain: callback of {job.action_id} ({status}): {why}", file=sys.stderr, flush=True)
            time.sleep(min(0.2 * 2**attempt, 3))


def _step(name: str, command: list[str]) -> None:
    """Run a command; its last line of complaint becomes the detail."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise PipelineError(f"{name} failed: {complaint}")
