"""Its figures are for people; here it must only measure, everybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "proxy.py"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    command = [sys.executable, str(SCRIPT), "--quick"]
    folder = tmp_path_factory.mktemp("proxy")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["direct", "bare pair", "nginx", "haproxy", "forwarder", "sidecar"])
def test_quick_measures(printed, name):
    assert f"\n{name} " in printed


def test_quick_counts_what_it_captured(printed):
    counts = dict(part.split() for part in printed.splitlines()[-1].removeprefix("sidecar: ").split(", "))
    assert counts["received"] == counts["captured"]
