"""`remora aside …`: records that the database refused, as a collector keeps them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from remora.cli.calling import AsJson, ServerToken, Service, print_json, print_table, short

__all__ = ["app"]

app = typer.Typer(
    help="Records that were refused for good: see why, try them again, discard them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Collector = Annotated[
    str,
    typer.Option(
        "--collector",
        envvar="REMORA_COLLECTOR",
        metavar="URL",
        help="A server, or a sidecar: where it answers, with /remora behind it.",
    ),
]
_PAGE = 1000
_HERE = "http://127.0.0.1:8000/remora"
_Batches = Annotated[list[str], typer.Argument(metavar="BATCH...", help="As `remora aside list` shows them.")]


@app.callback()
def group() -> None:
    """Records that were refused for good: see why, try them again, discard them."""


@app.command("list")
def list_aside(
    collector: _Collector = _HERE,
    token: ServerToken = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest batches that were set aside, oldest first, with the reason; never what is in them."""
    found, more = _newest(Service(collector, token), limit)
    if as_json:
        print_json(found)
        return
    rows = [("BATCH", "RECORDS", "SINCE (UTC)", "REASON")]
    rows += [
        (
            one["batch"],
            str(one["records"]),
            f"{datetime.fromtimestamp(one['at'], UTC):%Y-%m-%d %H:%M}",
            one["reason"],
        )
        for one in found
    ]
    print_table(rows, "nothing was set aside")
    if more:
        print(f"older ones are not shown: --limit {10 * limit}", file=sys.stderr)


def _newest(service: Service, limit: int) -> tuple[list[Any], bool]:
    """The newest so many, oldest first, page by page; and whether there are more."""
    found: list[Any] = []
    before = None
    while True:
        size = min(_PAGE, limit - len(found))
        page = service.get("/v1/aside", limit=str(size), before=before)
        found += page["aside"]
        if page["next"] is None or len(found) >= limit:
            return found[::-1], page["next"] is not None
        before = str(page["next"])


@app.command("retry")
def retry(batches: _Batches, collector: _Collector = _HERE, token: ServerToken = None) -> None:
    """Deliver them after all, once what refused them is mended; what is refused again comes back with its reason."""
    service = Service(collector, token)
    for batch in batches:
        done = service.post(f"/v1/aside/{short(batch)}/retry", {})
        print(f"{done['batch']}: {done['accepted']} records wait for their delivery again")


@app.command("discard")
def discard(batches: _Batches, collector: _Collector = _HERE, token: ServerToken = None) -> None:
    """Delete them for good. They stay counted as set aside."""
    service = Service(collector, token)
    for batch in batches:
        done = service.delete(f"/v1/aside/{short(batch)}")
        print(f"{done['batch']}: {done['discarded']} records are gone")
