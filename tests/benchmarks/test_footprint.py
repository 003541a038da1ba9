"""Its figures are for people; here it must only start, measure and sum up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "footprint.py"


def test_quick_measures_start_memory_and_install(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = re.search(
        r"^start +([\d.]+) s to the first byte, of which an interpreter ([\d.]+) s", done.stdout, re.MULTILINE
    )
    assert 0 < float(seconds[2]) < float(seconds[1])
    rows = re.findall(r"after +([\d,]+) rows +(\d+) +(\d+) +(\d+) +(\d+)$", done.stdout, re.MULTILINE)
    assert rows[0][0] == "0"
    assert int(rows[-1][0].replace(",", "")) >= 150
    for _, both, private, shared, resident in rows:
        assert abs(int(both) - int(private) - int(shared)) <= 1
        assert 20 < int(private) < int(both) < int(resident)
    assert 50 < int(re.search(r"^install +(\d+) MB", done.stdout, re.MULTILINE)[1]) < 400
