# ruff: noqa: INP001  - a script that stands alone
"""Exit 0 when the process in this container answers: `python healthcheck.py PATH`, for Docker's HEALTHCHECK.

The address is read from the variables that the process itself was given.
"""

from __future__ import annotations

import http.client
import os
import sys

__all__ = ["main"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def main(path: str) -> int:
    """Ask our own process; 0 is well, 1 is not."""
    listen = os.environ.get("REMORA_API") or os.environ.get("REMORA_LISTEN", "127.0.0.1:8080")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    connection = http.client.HTTPConnection(_EVERYWHERE.get(host, host), int(port), timeout=3)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status < 400 else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
