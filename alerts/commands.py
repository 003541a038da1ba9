"""Local commands, for the edge where there is no CI: a program from the operator's own list, started without a shell.

The program reads the message on its standard input. It ends with 0 when the update succeeded; if the last line of its output
is JSON, `model_version`, `url` and `detail` in it are kept. It gets no secret of Remora's: only PATH, HOME, LANG, and the
action's id, model and callback.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alerts.calls import Startable, words
from alerts.errors import CommandError
from alerts.requests import Request
from remora.errors import UserError

__all__ = ["Commands"]

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_TAIL = 4096
_DETAILS = {"model_version": 200, "url": 2000, "detail": 4000}


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    output: Any


class Commands:
    """What this process has started. `allowed` are the programs that its operator lets it start."""

    def __init__(self, allowed: Collection[str], clock: Callable[[], datetime] | None = None) -> None:
        self._allowed = frozenset(allowed)
        self._running: dict[str, _Running] = {}
        self.now = clock or (lambda: datetime.now(UTC))

    def check(self, targets: Mapping[str, Startable]) -> None:
        """Raises `UserError` for a target whose program this server may not start."""
        for name, target in targets.items():
            if target.command and target.command[0] not in self._allowed:
                raise UserError(
                    f"target {name} would start {target.command[0]}, which this server may not: start it with "
                    f"--allow-command {target.command[0]}"
                )

    def start(self, request: Request, target: Startable) -> str:
        """Start the program and return its process id; raises `CommandError` where it was not started."""
        program = target.command[0]
        if program not in self._allowed:
            raise CommandError(f"{program} is not among the commands that this server may start")
        known = words(json.loads(request.message))
        arguments = [_filled(argument, known) for argument in target.command[1:]]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "REMORA_ACTION_ID": known["action_id"],
            "REMORA_MODEL": known["model"],
            "REMORA_CALLBACK_URL": known["callback_url"],
            "REMORA_CALLBACK_TOKEN": known["callback_token"],
        }
        output, message = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # the child has them too
        message.write(request.message)
        message.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # no shell, an absolute path from the operator's list
                [program, *arguments],
                stdin=message,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=Path(tempfile.gettempdir()),
                start_new_session=True,  # a signal that ends the server does not end the training
            )
        except OSError as error:
            raise CommandError(f"{program} cannot be started: {error.strerror}") from None
        finally:
            message.close()
        self._running[request.action_id] = _Running(process, output)
        return str(process.pid)

    def collect(self, conclude: Callable[[str, str, dict[str, str | None]], None]) -> None:
        """Tell of every program that has ended what became of its action."""
        for action_id, running in list(self._running.items()):
            code = running.process.poll()
            if code is None:
                continue
            tail = _tail(running.output)
            details = _details(tail)
            if code != 0:
                said = details.get("detail") or tail.strip().splitlines()[-1:] or [""]
                last = said if isinstance(said, str) else said[0]
                details["detail"] = f"exit code {code}: {last}"[:4000]
            conclude(action_id, "succeeded" if code == 0 else "failed", details)
            del self._running[action_id]  # only now: a database that is away is asked again
            running.output.close()


def _filled(text: str, known: Mapping[str, str]) -> str:
    for name in ("action_id", "model", "train_from", "train_to", "train_data"):
        text = text.replace(f"{{{name}}}", known[name])
    return text


def _tail(output: Any) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL))
    return str(output.read().decode("utf-8", "replace")).replace("\x00", "")


def _details(tail: str) -> dict[str, str | None]:
    lines = tail.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        return {}
    return {name: str(found[name])[:most] for name, most in _DETAILS.items() if found.get(name) is not None}
