"""The process that makes Evidently reports, apart from the server: `python -m dashboards.report_process`.

One line of JSON comes in per report, one goes out: `{"ok": true}` or `{"ok": false, "error": "…"}`. It limits its own
memory, talks to nobody (Evidently's telemetry is off, and a socket that is opened all the same is refused), and may
die at any time: whoever started it says so in the report's row and starts another.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from typing import Any

from dashboards.report_contents import make

__all__ = ["QUIET", "main"]

QUIET = {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1", "MPLBACKEND": "Agg"}


def main() -> None:
    """Answer jobs until the input ends. argv: the most memory in bytes."""
    os.environ.update(QUIET)
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    _refuse_network()
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _refuse_network() -> None:
    def refused(*_: Any) -> None:
        msg = "a report must not open a connection"
        raise OSError(msg)

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refused)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """Errors of one report are its answer; the next report gets its own try."""
    try:
        make(job)
    except MemoryError:
        return {"ok": False, "error": "the report needs more memory than it may have"}
    except Exception as error:  # noqa: BLE001 - the edge of a job: told to the server, which logs and counts it
        return {"ok": False, "error": f"Evidently failed: {type(error).__name__}"}
    return {"ok": True}


if __name__ == "__main__":
    main()
