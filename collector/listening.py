"""The socket of an API that has an address of its own."""

from __future__ import annotations

import os
import socket

from remora.errors import UserError

__all__ = ["public_socket"]


def public_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises UserError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    public = socket.socket(family, socket.SOCK_STREAM)
    public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        public.bind((host, port))
        public.listen(128)  # from here on callers wait for the server instead of being turned away
    except OSError as error:
        public.close()
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise UserError(f"cannot listen on {host}:{port}: {why}: choose another --api") from None
    return public
