"""`remora demo`: the whole voyage on real flights, out of `examples/flights/`."""

from __future__ import annotations

import importlib.util
import os
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from remora.cli.options import require_extra
from remora.errors import UserError

__all__ = ["demo"]

_FIRST, _LAST = date(2013, 3, 1), date(2013, 12, 31)


def demo(
    leave: Annotated[
        bool,
        typer.Option(
            "--exit", envvar="REMORA_DEMO_EXIT", help="End by itself instead of keeping the page up."
        ),
    ] = False,
    speed: Annotated[
        float,
        typer.Option(
            "--speed",
            envvar="REMORA_DEMO_SPEED",
            min=0,
            help="Simulated seconds per second; 0 is as fast as possible.",
        ),
    ] = 0,
    until: Annotated[
        str,
        typer.Option("--until", envvar="REMORA_DEMO_UNTIL", metavar="DATE", help="The last day to replay."),
    ] = str(_LAST),
    folder: Annotated[
        Path,
        typer.Option(
            "--folder",
            envvar="REMORA_DEMO_FOLDER",
            metavar="DIR",
            help="Where the voyage keeps its database and logs.",
        ),
    ] = Path("voyage"),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="REMORA_DEMO_CONFIG",
            metavar="FILE",
            help="Other rules than examples/flights/remora.yaml.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", envvar="REMORA_DEMO_LISTEN", metavar="HOST:PORT", help="Where the pages are."
        ),
    ] = "127.0.0.1:8080",
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            envvar="REMORA_DEMO_CLEAN",
            help="Begin anew where an earlier voyage could be continued.",
        ),
    ] = False,
) -> None:
    """Ride along with a real model for ten months of New York flights: it decays, is noticed, and is repaired.

    A Flask model server, the sidecar in front of it, the server behind it, a CI job and a Slack channel to look at,
    all on this machine. Needs the server and demo extras and the source folder.
    """
    for module in ("flask", "sklearn", "evidently"):
        if importlib.util.find_spec(module) is None:
            raise require_extra("demo", "server,demo", ImportError(name=module))
    last = _date(until)
    script = Path(__file__).resolve().parents[2] / "examples" / "flights" / "voyage.py"
    if not script.is_file():
        msg = f"the demo's files are not at {script.parent}: run it in a checkout of the source (make run)"
        raise UserError(msg)
    arguments = ["--until", str(last), "--speed", str(speed), "--folder", str(folder), "--listen", listen]
    if config is not None:
        from remora.config import load

        load(config)  # a mistake in it is said now and not in a log
        arguments += ["--config", str(config)]
    arguments += ["--exit"] * leave + ["--clean"] * clean
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(script), *arguments])  # noqa: S606


def _date(text: str) -> date:
    try:
        wanted = date.fromisoformat(text)
    except ValueError:
        msg = f"--until {text!r} is not a date: write {_LAST}"
        raise UserError(msg) from None
    if not _FIRST <= wanted <= _LAST:
        msg = f"--until {text} lies outside the data: choose a day from {_FIRST} to {_LAST}"
        raise UserError(msg)
    return wanted
