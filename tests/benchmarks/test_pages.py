"""Its figures are for people; here it must only measure, and every page must answer with few queries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pages.py"


def test_quick(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("  /")]
    assert {"/", "/models/model-7", "/models/model-7/features/number_0", "/metrics"} <= {
        line[0] for line in lines
    }
    assert all(0 < int(line[4]) <= 50 for line in lines), done.stdout
