"""Who takes part in the voyage, on which ports, with which options."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from processes import Crew, Process, VoyageError, free_port

from remora.database import Database, connect

__all__ = ["Fleet"]

HERE = Path(__file__).resolve().parent
FIRST_VERSION = "2013-01..02"
MODEL = "flights"
# More threads than cores make training slower, not faster, while everybody else works too.
_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Fleet:
    """The model server, the CI job beside it, Remora's server and the sidecar; all on loopback."""

    def __init__(self, folder: Path, listen: str, config: Path, crew: Crew) -> None:
        self._folder = folder.resolve()
        self._listen = listen
        self._config = config.resolve()
        self._crew = crew
        self._logs = self._folder / "logs"
        self.model_dir = self._folder / "model"
        self.fault_file = self._folder / "fault.json"
        self.database_url = f"sqlite:///{self._folder / 'remora.db'}"
        self.server_url = f"http://{listen if listen.rpartition(':')[0] else '127.0.0.1' + listen}"
        self._model, self._harbour, self._sidecar = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.sidecar_url = f"http://{self._sidecar}"
        self.harbour_url = f"http://{self._harbour}"

    def launch(self, tell: Callable[[str], None]) -> None:
        """Train where there is no model yet, and start everybody."""
        self._logs.mkdir(exist_ok=True)
        if not (self.model_dir / "model.pkl").is_file():
            tell("training the first model on January and February")
            self._run("train.py", "--from", "2013-01-01", "--to", "2013-02-28",
                      "--out", str(self.model_dir), "--version", FIRST_VERSION)  # fmt: skip
            self._remora("migrate", "--database", self.database_url)
            tell("making its training data the reference")
            self._remora(
                "reference",
                "build",
                *self._reference_options(),
                "--file",
                str(self.model_dir / "reference.csv"),
            )
        tell("starting the model server, its CI job, Remora's server and the sidecar")
        for process in (
            self._model_server(),
            self._harbour_master(),
            self._server(),
            self._sidecar_process(),
        ):
            self._crew.start(process)

    def database(self) -> Database:
        """Remora's database, for looking at."""
        return connect(self.database_url)

    # --- one after the other -----------------------------------------------------------------------------------------

    def _model_server(self) -> Process:
        command = [sys.executable, "-m", "gunicorn", "--config", str(HERE / "gunicorn.conf.py"), "--chdir", str(HERE),
                   "--pid", str(self._pid_file)]  # fmt: skip
        environment = {
            "MODEL_DIR": str(self.model_dir),
            "FAULT_FILE": str(self.fault_file),
            "BIND": self._model,
        }
        return self._process("model server", command, environment, f"http://{self._model}/health")

    def _harbour_master(self) -> Process:
        reference = [
            "remora",
            "reference",
            "build",
            *self._reference_options(),
            "--version",
            "{version}",
            "--file",
            "{reference}",
        ]
        command = [
            sys.executable, str(HERE / "retrain.py"), "--listen", self._harbour, "--model-dir", str(self.model_dir),
            "--health", f"http://{self._model}/health", "--pid-file", str(self._pid_file),
            "--reference-command", " ".join([sys.executable, "-m", *reference]), "--log", str(self._folder / "messages.jsonl"),
        ]  # fmt: skip
        return self._process("CI job", command, {"WEBHOOK_SECRET": self._secret()}, self.harbour_url)

    def _server(self) -> Process:
        command = [
            sys.executable, "-m", "remora", "server", "--listen", self._listen, "--database", self.database_url,
            "--config", str(self._config), "--spool", str(self._folder / "server-spool"),
            "--reports", str(self._folder / "reports"), "--external-url", self.server_url,
        ]  # fmt: skip
        environment = {
            "FLIGHTS_CI_URL": f"{self.harbour_url}/hooks/retrain",
            "FLIGHTS_CI_SECRET": self._secret(),
            "FLIGHTS_SLACK_URL": f"{self.harbour_url}/slack",
            "FLIGHTS_PAGER_URL": f"{self.harbour_url}/pager",
        }
        return self._process("server", command, environment, f"{self.server_url}/readyz")

    def _sidecar_process(self) -> Process:
        command = [
            sys.executable, "-m", "remora", "sidecar", "--listen", self._sidecar, "--upstream", f"http://{self._model}",
            "--model", MODEL, "--database", self.database_url, "--spool", str(self._folder / "spool"),
            "--config", str(self._config),
        ]  # fmt: skip
        return self._process("sidecar", command, {}, f"{self.sidecar_url}/remora/healthz")

    # --- how -----------------------------------------------------------------------------------------------------------

    @property
    def _pid_file(self) -> Path:
        return self._folder / "gunicorn.pid"

    def _reference_options(self) -> list[str]:
        return ["--model", MODEL, "--database", self.database_url, "--config", str(self._config)]

    def _process(self, name: str, command: list[str], environment: dict[str, str], up: str) -> Process:
        # no developer's REMORA_… option may steer the voyage
        clean = {key: "" for key in os.environ if key.startswith("REMORA_")}
        log = self._logs / f"{name.replace(' ', '-')}.log"
        return Process(name, command, clean | environment, log, lambda: _answers(up))

    def _run(self, script: str, *arguments: str) -> None:
        self._finish([sys.executable, str(HERE / script), *arguments])

    def _remora(self, *arguments: str) -> None:
        self._finish([sys.executable, "-m", "remora", *arguments])

    def _finish(self, command: list[str]) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **_ONE_CORE}
        )
        with (self._logs / "preparation.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise VoyageError(
                f"{Path(command[1]).name} {command[3] if command[1] == '-m' else ''} failed: {said}"
            )

    def _secret(self) -> str:
        """The webhook secret that Remora and the CI job share; made anew for each voyage."""
        path = self._folder / "secret"
        if not path.is_file():
            path.touch(mode=0o600)
            path.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        return path.read_text()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
