"""The shipped rules and Grafana's expressions against a real Prometheus and a real PostgreSQL that hold data."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
import yaml

from dashboards.grafana import build
from remora import tables
from remora.database import connect
from remora.schema import prepare
from tests.conftest import _new_postgres_database
from tests.example_server import app_of, serving
from tests.example_year import alert, fill, put

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian's prometheus is not installed"
)


@contextlib.contextmanager
def prometheus(folder, target):
    """The base URL of a Prometheus that scrapes the target with the shipped configuration, every second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "rules.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def ask(base, expression):
    answer = httpx.get(f"{base}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    return answer["data"]["result"]


def until(condition, what):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, ValueError, AssertionError):
            if condition():
                return
        time.sleep(0.1)
    pytest.fail(f"no {what} within a minute")


def rule_operands():
    """What the shipped rules look at: their expressions without the comparison that makes an alarm."""
    groups = yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"]
    return [re.split(r" (?:==|>|<) \d", rule["expr"])[0] for group in groups for rule in group["rules"]]


@needs_prometheus
def test_every_expression_answers_after_a_scrape(sqlite_database, tmp_path):
    fill(sqlite_database, days=300)
    with sqlite_database.write() as connection:  # all labels are in
        connection.execute(tables.findings.delete().where(tables.findings.c.verdict == "labels_not_mature"))
    put(
        sqlite_database,
        tables.alerts,
        [alert("p1", "SlowAnswers", "latency_p95", "firing", 299, None, severity="page")],
    )
    with serving(app_of(sqlite_database, tmp_path)) as target, prometheus(tmp_path, target) as base:
        until(lambda: ask(base, "count_over_time(remora_database_up[1m]) > 2"), "three scrapes")
        empty = [text for text in build.expressions() + rule_operands() if not ask(base, text)]
        assert empty == []
        assert ask(base, 'up{job="remora"}')[0]["value"][1] == "1"
        until(lambda: ask(base, 'ALERTS{alertname="RemoraModelAlert", alertstate="firing"}'), "alert")
        until(lambda: ask(base, "remora:feature_psi:max"), "recorded rule")
        (missing,) = ask(base, "sum(scrape_samples_scraped)")
        assert 0 < int(missing["value"][1]) < 1000


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


def test_every_statement_of_grafana_answers_from_postgresql(postgres_url):
    database = connect(_new_postgres_database(postgres_url))
    prepare(database)
    fill(database, days=30)
    with database.read() as connection:
        for statement in build.statements(["flights"]):
            assert connection.execute(sa.text(statement.replace(":", r"\:"))).all(), statement
            assert not connection.execute(sa.text(build.statements(["nobody"])[0])).all()
    database.dispose()
