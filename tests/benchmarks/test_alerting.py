"""Its figures are for people; here it must only measure, and every message must come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "alerting.py"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    command = [sys.executable, str(SCRIPT), "--quick"]
    folder = tmp_path_factory.mktemp("alerting")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "row", ["through 10 rules", "both", "median of 6 messages", "p99", "1 receiver", "8 receivers"]
)
def test_quick_measures(printed, row):
    line = next(line for line in printed.splitlines() if line.startswith(f"{row} "))
    assert float(line.removeprefix(row).split()[0].replace(",", "")) > 0
