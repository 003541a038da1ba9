"""What a process is told on its command line or as REMORA_…: frozen, built once in `remora.cli`, handed down."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from remora.errors import UserError

__all__ = [
    "Address",
    "ServerSettings",
    "SidecarSettings",
    "Tls",
    "Trust",
    "UnixAddress",
    "check_exposure",
    "parse_address",
    "parse_api_address",
    "parse_http_url",
]

_LONGEST_SOCKET = 107


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


@dataclass(frozen=True)
class UnixAddress:
    """A Unix socket to listen on; who may open its file may call."""

    path: Path
    mode: int = 0o600

    loopback = True

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class Tls:
    """PEM files with which an API answers over HTTPS."""

    cert: Path
    key: Path

    @classmethod
    def of(cls, cert: Path | None, key: Path | None) -> Tls | None:
        """Both or none. Raises UserError."""
        if cert is None and key is None:
            return None
        if cert is None or key is None:
            raise UserError("--tls-cert and --tls-key belong together: give both, or none")
        return cls(cert, key)


@dataclass(frozen=True)
class Trust:
    """How another collector is met over HTTPS: `ca` signs its certificate, `cert` and `key` are shown to it."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def parse_api_address(text: str, option: str, mode: str = "600") -> Address | UnixAddress:
    """HOST:PORT, or `unix:PATH` with the file's mode in octal digits."""
    if not text.startswith("unix:"):
        return parse_address(text, option)
    path = Path(text.removeprefix("unix:"))
    if not path.name or not path.parent.is_dir():
        raise UserError(
            f"{option} {text!r} names no file in a folder that is there: write unix:/run/remora/api.sock"
        )
    if len(str(path).encode()) > _LONGEST_SOCKET:
        raise UserError(
            f"{option} {text!r} is longer than the {_LONGEST_SOCKET} characters of a socket's path"
        )
    if not re.fullmatch(r"0?[0-7]{3}", mode):
        raise UserError(f"{option}-mode {mode!r} is not a file's mode: write 600 or 660")
    return UnixAddress(path, int(mode, 8))


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
    api: Address | UnixAddress | None
    token: str | None
    forward_token: str | None
    hash_key: str | None = None
    tls: Tls | None = None
    trust: Trust = field(default_factory=Trust)
    connect_timeout: float = 5.0
    response_timeout: float = 60.0
    token_rate: float = 1000.0


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
    archive: Path = Path("remora-archive")
    hash_key: str | None = None
    allow_commands: tuple[str, ...] = ()
    tls: Tls | None = None
    token_rate: float = 1000.0


def check_exposure(address: Address | UnixAddress, what: str, *, protected: bool) -> None:
    """Refuse to open an API beyond this machine while anybody could use it."""
    if not address.loopback and not protected:
        msg = (
            f"{what} would listen on {address}, beyond this machine, without a token: set REMORA_TOKEN "
            "(or create one with `remora token create`), or listen on 127.0.0.1"
        )
        raise UserError(msg)
