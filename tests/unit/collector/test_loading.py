"""What the processes of a sidecar load: they stand beside a model, and a caller waits for their start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EVERYWHERE = {"rich", "pandas", "scipy", "sklearn", "evidently", "plotly", "alembic"}
SERVING = {"fastapi", "starlette", "uvicorn", "httpx", "numpy", "datasketches", "sqlalchemy"}
FORWARDER = "import collector.forwarder, uvloop"
COMMAND = "import remora.cli, remora.ownership, collector.sidecar"
RECORDER = "import collector.recorder"


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        (FORWARDER, EVERYWHERE | SERVING | {"pydantic", "yaml", "prometheus_client", "typer"}),
        (COMMAND, EVERYWHERE | SERVING),
        (RECORDER, EVERYWHERE | {"httpx"}),
    ],
    ids=["forwarder", "command", "recorder"],
)
def test_a_process_loads_what_it_needs_and_no_more(program, unwanted):
    code = f"{program}; import sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.split())
    assert loaded & unwanted == set()


def test_rich_is_there_for_whoever_wants_it():
    code = "import remora.telemetry, structlog, rich; print(rich.__name__, structlog.dev.rich)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "rich None\n"
