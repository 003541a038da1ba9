"""Every question that Grafana's dashboards and the shipped rules ask, asked of a real Prometheus and a real PostgreSQL after a
real run: an empty answer is a failure."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
import yaml

from dashboards.grafana import build
from dashboards.grafana.alerting import taken_apart
from remora import schema
from remora.database import connect
from tests.conftest import _new_postgres_database
from tests.example_run import DAYS, MODEL, START, TOKEN, WARM, running

DEPLOY = Path(__file__).parents[2] / "deploy"
CHOSEN = {
    "model": MODEL,
    "quality": "auc",
    "metric": "psi",
    "version": "one",
    "feature": "temp",
    "segment": "origin=JFK",
}
ASKED = list(build.asked())
# A bug would have to happen: no series until then.
NEVER_ASKED_FOR = ["sum(increase(remora_collector_faults_total[$__range])) or vector(0)"]
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian's prometheus is not installed"
)


CLIENT = httpx.Client()  # one: each of its own would read the authorities' certificates again


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def database_url(postgres_url, postgres_template):
    return _new_postgres_database(postgres_url, postgres_template)


@pytest.fixture(scope="module")
def run(tmp_path_factory, database_url):
    with running(tmp_path_factory.mktemp("run"), database_url, free_port()) as made:
        yield made


@pytest.fixture(scope="module")
def reader(run, database_url):
    """A connection of Grafana's role, which may read the views and nothing else."""
    role = "grafana reader"
    database = connect(database_url)
    with database.write() as connection:
        connection.exec_driver_sql(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'")
    schema.grant_reading(database, role)
    engine = sa.create_engine(database.engine.url.set(username=role, password="secret"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    with database.write() as connection, contextlib.suppress(sa.exc.DBAPIError):
        connection.exec_driver_sql(f'DROP OWNED BY "{role}"')
        connection.exec_driver_sql(f'DROP ROLE "{role}"')
    database.dispose()


@pytest.fixture(scope="module")
def prometheus(run, tmp_path_factory):
    """The base URL of a Prometheus that has scraped both with the configuration of docker-compose.yml, a second apart."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / "rules.yml")]
    (folder / "token").write_text(TOKEN)
    for job, url in zip(config["scrape_configs"], (run.server, run.sidecar.url), strict=True):
        job["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
        job["authorization"]["credentials_file"] = str(folder / "token")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        until(lambda: len(ask(base, "up == 1")) == 2, "scrape of both")
        run.arrive(DAYS)  # a rate needs something to happen between two scrapes
        run.judge(DAYS)
        until(
            lambda: ask(base, "rate(remora_delivery_duration_seconds_count[30s]) > 0"),
            "delivery",
        )
        yield base
    finally:
        CLIENT.close()
        process.terminate()
        process.wait(20)


def ask(base, expression):
    answer = CLIENT.get(f"{base}/api/v1/query", params={"query": expression}).json()
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


def promql(text):
    """Grafana's variables put in, and what stands in for an empty answer taken out."""
    for name, value in {**CHOSEN, "__rate_interval": "30s", "__range": "30s"}.items():
        text = text.replace(f"${name}", value)
    labels = re.fullmatch(r"label_values\((\w+), (\w+)\)", text)
    if labels:
        return f'{labels[1]}{{{labels[2]}!=""}}'
    text = text.removesuffix(" or vector(0)")
    assert "$" not in text, text
    return text


def sql(text):
    for name, value in CHOSEN.items():
        quoted = "'temp', 'origin'" if name == "feature" else f"'{value}'"
        text = text.replace(f"${{{name}:sqlstring}}", quoted).replace(f"${name}", value)
    begin, end = START.isoformat(), "2100-01-01"
    text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{begin}' AND '{end}'", text)
    assert "$" not in text, text
    return text


def answered(result):
    return any(not math.isnan(float(series["value"][1])) for series in result)


@needs_prometheus
def test_every_promql_expression_of_every_dashboard_answers(prometheus):
    expressions = {one.text: f"{one.board}: {one.where}" for one in ASKED if one.language == "promql"}
    assert len(expressions) > 40
    documented = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for text in NEVER_ASKED_FOR:
        assert f"`{re.search('remora_[a-z_]+', text)[0]}`" in documented
        del expressions[text]
    empty = [
        (where, text) for text, where in expressions.items() if not answered(ask(prometheus, promql(text)))
    ]
    assert empty == []


@needs_prometheus
def test_what_the_rules_look_at_is_there_in_prometheus_and_in_grafana(prometheus):
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    looked_at = [taken_apart(rule["expr"])[0] if "alert" in rule else rule["expr"] for rule in rules]
    provisioned = yaml.safe_load(build.files()["provisioning/alerting/remora.yaml"])["groups"]
    in_grafana = [
        rule["data"][0]["model"]["expr"].replace("$$", "$")
        for group in provisioned
        for rule in group["rules"]
    ]
    assert len(in_grafana) >= 8
    assert [text for text in looked_at + in_grafana if not ask(prometheus, text)] == []
    until(lambda: ask(prometheus, 'ALERTS{alertname="RemoraModelAlert", alertstate="firing"}'), "alert")
    until(lambda: ask(prometheus, "remora:feature_psi:max"), "recorded rule")


@needs_prometheus
def test_a_scrape_stays_small(prometheus):
    (scraped,) = ask(prometheus, 'sum(scrape_samples_scraped{job="remora"})')
    assert 0 < int(scraped["value"][1]) < 1500


@pytest.mark.parametrize(
    "one", [one for one in ASKED if one.language == "sql"], ids=lambda one: f"{one.board} {one.where}"
)
def test_every_statement_answers_to_the_role_that_reads_the_views(reader, one):
    found = reader.exec_driver_sql(sql(one.text).replace("%", "%%")).mappings().all()
    assert found
    assert any(value is not None for row in found for value in row.values())
    if "AS metric" in one.text:  # drawn over time
        assert {"time", "metric", "value"} <= set(found[0])
    other = sql(one.text).replace(f"'{MODEL}'", "'nobody'").replace("%", "%%")
    if "count(*) AS open" not in other and f"'{MODEL}'" in sql(one.text) and "model = ''" not in other:
        assert reader.exec_driver_sql(other).all() == [], "another model's rows"


def test_the_heat_of_features_tells_a_jump_from_none(reader):
    (one,) = (one for one in ASKED if (one.board, one.where) == ("remora-features", "Features by windows"))
    found = reader.exec_driver_sql(sql(one.text).replace("%", "%%"))
    shares = [row.value for row in found if row.metric == "temp"]
    assert len(shares) >= DAYS
    assert max(shares[:WARM]) < 1 < min(shares[WARM:DAYS])


def test_every_link_leads_to_a_page_of_remora(run, reader):
    ids = {
        "alerts": reader.exec_driver_sql("SELECT id FROM alert_history LIMIT 1").scalar_one(),
        "incidents": reader.exec_driver_sql("SELECT id FROM incident_history LIMIT 1").scalar_one(),
    }
    text = "\n".join(build.files().values())
    links = set(re.findall(r'"(\$\{remora\}[^"]*)"', text))
    assert len(links) > 12
    for link in links:
        path = link.replace("${__from:date:iso}", "2026-01-10T00:00:00.000Z").replace(
            "${__to:date:iso}", "2026-01-20T00:00:00.000Z"
        )
        for name, value in CHOSEN.items():
            path = re.sub(rf"\$\{{(?:__data\.fields\.)?{name}(?::percentencode)?\}}", quote(value), path)
        for kind, value in ids.items():
            path = path.replace(f"/{kind}/${{__data.fields.id:percentencode}}", f"/{kind}/{quote(value)}")
        assert "$" not in path.removeprefix("${remora}"), link
        url = path.replace("${remora}", run.server)
        page = run.client.get(url)
        assert page.status_code == 200, url
