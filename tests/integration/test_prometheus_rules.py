"""The shipped rules and configurations, as promtool sees them; `test_grafana.py` asks what they ask."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus is not installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
)
def test_promtool_finds_nothing_wrong(arguments):
    done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_alert_of_the_rules_is_tested():
    groups = yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"]
    tests = yaml.safe_load((DEPLOY / "rules_test.yml").read_text())["tests"]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"] if "exp_alerts" in case}
    assert tried == {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
