"""`remora report …`: ask a server for an Evidently report, wait for it, and fetch it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from remora.cli.calling import HERE, AsJson, Server, ServerToken, Service, print_json, print_table, short
from remora.errors import UnavailableError, UserError

__all__ = ["app"]

app = typer.Typer(
    help="Evidently reports: ask for one, fetch it.", no_args_is_help=True, rich_markup_mode=None
)
_PAUSE = 1.0  # seconds between two looks


@app.callback()
def group() -> None:
    """Evidently reports: ask for one, fetch it."""


@app.command("request")
def request(
    model: Annotated[str, typer.Option("--model", help="The model.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="2013-09-21 or 2013-09-21T06:00:00Z.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The end, which is not in it.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Wait for it, and write it there.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it anew where there is one.")] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=1, help="The longest to wait.")
    ] = 300,
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Ask for the report of a window. With --out, wait until it is made."""
    service = Service(server, token)
    body = {"model": model, "start": start, "end": end, "again": again}
    report = service.post("/v1/reports", body)
    if out is None:
        print(f"{report['id']}: {report['state']}; see {server}/reports/{short(report['id'])}")
        return
    _write(service, _awaited(service, report, time.monotonic() + wait), out)


@app.command("list")
def list_reports(
    model: Annotated[str | None, typer.Option("--model", help="Only of this model.")] = None,
    server: Server = HERE,
    token: ServerToken = None,
    as_json: AsJson = False,
) -> None:
    """The newest 100 reports."""
    found = Service(server, token).get("/v1/reports", model=model)
    if as_json:
        print_json(found)
        return
    rows = [("ID", "MODEL", "FROM", "TO", "STATE", "ROWS", "ERROR")]
    rows += [
        (one["id"], one["model"], _minute(one["window_start"]), _minute(one["window_end"]), one["state"],
         str(one["rows"] or "-"), one["error"] or "")
        for one in found
    ]  # fmt: skip
    print_table(rows, "there is no report")


@app.command("fetch")
def fetch(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The report's id.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")],
    server: Server = HERE,
    token: ServerToken = None,
) -> None:
    """Write a report that is made into a file."""
    service = Service(server, token)
    report = service.get(f"/v1/reports/{short(identity)}")
    if report["state"] != "done":
        raise UserError(_why_not(report))
    _write(service, report, out)


def _awaited(service: Service, report: dict[str, Any], deadline: float) -> dict[str, Any]:
    while report["state"] in {"wanted", "running"}:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{report['id']} is not made yet: fetch it later, or give --wait more seconds"
            )
        time.sleep(_PAUSE)
        report = service.get(f"/v1/reports/{short(report['id'])}")
    if report["state"] != "done":
        raise UserError(_why_not(report))
    return report


def _why_not(report: dict[str, Any]) -> str:
    return f"{report['id']} is {report['state']}" + (f": {report['error']}" if report["error"] else "")


def _write(service: Service, report: dict[str, Any], out: Path) -> None:
    text = service.text(f"/reports/{short(report['id'])}/document")
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None
    print(f"{out}: {report['model']}, {report['rows']} rows of the window")


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")
