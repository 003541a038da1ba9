"""Commands that ask a running server: where it is, what they show it, and one line for each thing that goes wrong."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import typer

from remora.errors import UnavailableError, UserError
from remora.settings import parse_http_url

__all__ = [
    "HERE",
    "AsJson",
    "By",
    "Server",
    "ServerToken",
    "Service",
    "name_of",
    "print_json",
    "print_table",
    "short",
]

Server = Annotated[
    str,
    typer.Option("--server", envvar="REMORA_SERVER", metavar="URL", help="Where `remora server` answers."),
]
ServerToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="REMORA_TOKEN",
        metavar="SECRET",
        help="What the server asks for. Better set as REMORA_TOKEN.",
    ),
]
By = Annotated[
    str | None,
    typer.Option("--by", envvar="REMORA_BY", metavar="NAME", help="Who does it; without, your user's name."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]

HERE = "http://127.0.0.1:8080"  # where `remora server` answers unless it is told otherwise
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Service:
    """A server's API. Raises `UserError` for what it refuses and `UnavailableError` where nothing of use answers."""

    url: str
    token: str | None

    def get(self, path: str, **query: str | None) -> Any:
        """The JSON behind a path."""
        return _json(self._ask("GET", path, query={name: text for name, text in query.items() if text}))

    def text(self, path: str) -> str:
        return str(self._ask("GET", path).text)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        known = {name: value for name, value in body.items() if value is not None}
        return _json(self._ask("POST", path, body=known))

    def delete(self, path: str) -> Any:
        return _json(self._ask("DELETE", path))

    def _ask(self, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        import httpx

        url = parse_http_url(self.url, "--server")
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = httpx.request(
                method, url + path, params=query, json=body, headers=headers, timeout=_TIMEOUT, trust_env=False,
            )  # fmt: skip
        except (httpx.HTTPError, UnicodeError) as error:
            raise UnavailableError(
                f"no server answers at {url}: {str(error) or type(error).__name__}"
            ) from None
        if answer.status_code in {401, 403}:
            raise UserError(f"{url} refuses: {_error(answer)} (give --token, or set REMORA_TOKEN)")
        if answer.status_code >= 500:
            raise UnavailableError(f"{url}: {_error(answer)}")
        if not answer.is_success:
            raise UserError(_error(answer))
        return answer


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise UserError(f"{answer.url} is no Remora server: its answer is no JSON") from None


def _error(answer: Any) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}, and no word of Remora's: is this the right address?"


def name_of(by: str | None) -> str:
    """Who does it: as given, else the user of this machine."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise UserError("who does it? give --by NAME") from None


def short(identity: str) -> str:
    """An id as it may stand in a path."""
    return quote(identity, safe="")


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], empty: str) -> None:
    """Columns as wide as their longest cell, for eyes and for `cut`; the first row is the heading."""
    if len(rows) < 2:
        print(empty)
        return
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
