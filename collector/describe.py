"""`python -m collector.describe FILE MODEL`: what the forwarder must know of remora.yaml, as one line of JSON."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from collector.handover import Captured
from remora.config import load
from remora.errors import UserError

__all__ = ["describe"]


def describe(config: Path, model: str) -> Captured:
    """The capture settings of a model, or the mistakes in the file."""
    try:
        capture = load(config).model(model).capture
    except UserError as error:
        return Captured(error=str(error))
    return Captured(paths=list(capture.paths), id_header=capture.id_header, max_body=capture.max_body)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(describe(Path(sys.argv[1]), sys.argv[2])).decode() + "\n")
