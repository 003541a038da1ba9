"""Where an API listens, and with which certificate. Light: it is checked before anything else is loaded."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from pathlib import Path

from remora.errors import UserError
from remora.settings import Address, Tls, UnixAddress

__all__ = ["check_tls", "listen"]


def check_tls(tls: Tls | None) -> None:
    """Raises UserError when certificate and key cannot be used."""
    if tls is None:
        return
    for option, path in (("--tls-cert", tls.cert), ("--tls-key", tls.key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise UserError(f"{option} {path} cannot be read: {error.strerror}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password=lambda: "")
    except (ssl.SSLError, ValueError, TypeError):
        raise UserError(
            f"--tls-cert {tls.cert} and --tls-key {tls.key} are not a PEM certificate and its key without a password"
        ) from None


def listen(address: Address | UnixAddress, option: str) -> socket.socket:
    """A socket that listens there. Raises UserError when it cannot be had."""
    try:
        found = _unix(address) if isinstance(address, UnixAddress) else _public(address)
        found.listen(128)  # from here on callers wait for the server instead of being turned away
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise UserError(
            f"cannot listen on {address}: {why}: choose another {option}, or end what is there"
        ) from None
    return found


def _public(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    public = socket.socket(family, socket.SOCK_STREAM)
    try:
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        public.bind((address.host, address.port))
    except OSError:
        public.close()
        raise
    return public


def _unix(address: UnixAddress) -> socket.socket:
    """A socket whose file nobody else may open before its mode is set; one that a dead process left is replaced."""
    _remove_stale(address.path)
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        local.bind(str(address.path))
        address.path.chmod(address.mode)
    except OSError:
        local.close()
        raise
    finally:
        os.umask(before)
    return local


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # bind will say that it is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
