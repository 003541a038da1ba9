"""What the forwarder can be told, checked once before it listens."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from collector.identity import USUAL
from remora.errors import UserError

__all__ = ["ProxyOptions", "Upstream", "parse_upstream"]

_UNIX = "unix:"
_LONGEST_SOCKET = 107  # characters of a socket's path, on Linux


@dataclass(frozen=True)
class Upstream:
    """Where the model answers: `host` and `port`, or the Unix socket at `path`."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        return _name(self.host, self.port) if self.path is None else f"{_UNIX}{self.path}"


@dataclass(frozen=True, kw_only=True)
class ProxyOptions:
    """Times in seconds, `capture_limit` in bytes per side (request, answer) of an exchange.

    `capture_paths`: `/predict` means that path and what lies below it; a pattern with `*` is matched against
    the whole path, query excluded. `ids` is where a prediction's id is looked for. `api_socket` is the Unix socket that serves `/remora/`; None turns that off.
    """

    listen_host: str = "127.0.0.1"
    listen_port: int = 0
    upstream: Upstream
    api_socket: Path | None = None
    ids: tuple[str, ...] = USUAL
    capture_methods: tuple[str, ...] = ("POST",)
    capture_paths: tuple[str, ...] = ("/",)
    capture_limit: int = 256 * 1024
    connect_timeout: float = 5.0
    response_timeout: float = 60.0
    add_id_header: bool = True

    @property
    def listen_name(self) -> str:
        return _name(self.listen_host, self.listen_port)


def _name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_upstream(url: str) -> Upstream:
    """`http://host[:port]` or `unix:/path`. Raises UserError for everything that the proxy cannot serve."""
    if url.startswith(_UNIX):
        return _socket(url.removeprefix(_UNIX))
    example = "write it as http://127.0.0.1:8000, or unix:/run/model.sock for a Unix socket"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError(f"upstream: the address or the port is not valid; {example}") from None
    if parts.scheme == "https":
        raise UserError(
            "upstream: https is not supported yet; give the model's plain http address beside the proxy"
        )
    if parts.scheme != "http" or not parts.hostname:
        raise UserError(f"upstream: not an http address; {example}")
    if parts.username is not None or parts.password is not None:
        raise UserError(f"upstream: a user or password in the address is not supported; {example}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UserError(f"upstream: a path is not supported, requests keep their own path; {example}")
    return Upstream(parts.hostname, 80 if port is None else port)


def _socket(text: str) -> Upstream:
    """Nothing need be there yet: a model may start after its sidecar."""
    path = Path(text)
    if not path.name or "\x00" in text:
        raise UserError("upstream: unix: names no file; write it as unix:/run/model.sock")
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise UserError(
            f"upstream: the socket's path is longer than the {_LONGEST_SOCKET} characters that it may have"
        )
    return Upstream(path=path)
