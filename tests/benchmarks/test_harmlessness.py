"""Its figures are for people; here it must only measure, and find every request again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "harmlessness.py"
STATES = ["undisturbed", "disk full", "recorder stopped", "recorder killed"]


def test_quick_loses_no_request_and_counts_all(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick", "--states", ",".join(STATES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for state in STATES:
        line = re.search(rf"^{state} +(.+)$", done.stdout, re.MULTILINE)
        assert line, state
        if "not measured" in line[1]:
            assert state == "disk full"
            continue
        *_, failed, _, differ = line[1].split()
        assert (failed, differ) == ("0", "0"), done.stdout
