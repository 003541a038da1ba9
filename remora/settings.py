"""What a process is told on its command line or as REMORA_…: frozen, built once in `remora.cli`, handed down."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from remora.errors import UserError

__all__ = [
    "Address",
    "ServerSettings",
    "SidecarSettings",
    "check_exposure",
    "parse_address",
    "parse_http_url",
]


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, option: str) -> Address:
    """Read HOST:PORT; an empty host means loopback, `[::1]:80` is IPv6."""
    host, separator, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        msg = f"{option} {text!r} is not HOST:PORT: write 127.0.0.1:8080"
        raise UserError(msg)
    return Address(host, int(port))


def parse_http_url(text: str, option: str) -> str:
    """Check that a URL is http or https with a host and nothing secret in it."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{option} {text!r} is not a URL: write http://127.0.0.1:5000"
        raise UserError(msg)
    if parts.username or parts.password:
        msg = f"{option} must not carry a password: use a token"
        raise UserError(msg)
    return text.rstrip("/")


@dataclass(frozen=True)
class SidecarSettings:
    """`remora sidecar`: exactly one of `database` and `forward` is set."""

    listen: Address
    upstream: str
    model: str
    version: str
    database: str | None
    forward: str | None
    spool: Path
    spool_bytes: int
    config: Path | None
    api: Address | None
    token: str | None
    forward_token: str | None


@dataclass(frozen=True)
class ServerSettings:
    """`remora server`."""

    listen: Address
    database: str
    spool: Path
    spool_bytes: int
    config: Path | None
    reports: Path
    token: str | None
    external_url: str | None = None


def check_exposure(address: Address, what: str, *, protected: bool) -> None:
    """Refuse to open an API beyond this machine while anybody could use it."""
    if not address.loopback and not protected:
        msg = (
            f"{what} would listen on {address}, beyond this machine, without a token: set REMORA_TOKEN "
            "(or create one with `remora token create`), or listen on 127.0.0.1"
        )
        raise UserError(msg)
