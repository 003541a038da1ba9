"""Its figures are for people; here it must only judge each stream, and the others beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "false_alarms.py"
STREAMS = ["independent", "one day's own", "wandering", "weekly", "growing"]


def test_quick_counts_the_alarms_of_every_stream(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for stream in STREAMS:
        row = re.search(
            rf"^{stream} +([\d.]+) +([\d.]+) +([\d.]+)% +(\d+)% +(\d+)%$", done.stdout, re.MULTILINE
        )
        assert row, done.stdout
        assert row[1] == row[2]
        assert float(row[1]) <= 30
        assert {int(row[4]), int(row[5])} <= {0, 50, 100}
