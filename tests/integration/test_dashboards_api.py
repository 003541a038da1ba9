"""The reading API over both databases: filters, errors, health, and that nothing is written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from remora import tables
from remora.database import connect
from tests.example_server import app_of, serving
from tests.example_year import DAY, FEATURES, START, fill, finding, put


@pytest.fixture
def client(database):
    fill(database, days=30)
    with (
        serving(app_of(database.only_reading(), Path("none"))) as base,
        httpx.Client(base_url=base) as opened,
    ):
        yield opened


def test_models_carry_versions_newest_metrics_and_open_alerts(client):
    (model,) = client.get("/v1/models").json()
    assert model["name"] == "flights"
    assert [row["version"] for row in model["versions"]] == ["2013-02"]
    assert model["alerts"] == {"pending": 1, "firing": 1}
    metrics = {row["metric"]: row for row in model["metrics"]}
    assert metrics["predictions"]["value"] > 0
    assert metrics["auc"] | {"threshold": 0} == {
        "metric": "auc", "value": None, "threshold": 0, "verdict": "labels_not_mature",
        "window_start": "2013-03-30T00:00:00Z", "window_end": "2013-03-31T00:00:00Z",
    }  # fmt: skip


def test_findings_answer_every_filter(client):
    def ask(**query):
        answer = client.get("/v1/models/flights/findings", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert len(ask(metric="predictions", version="")) == 30
    assert {row["version"] for row in ask(metric="predictions", version="2013-02")} == {"2013-02"}
    assert {row["feature"] for row in ask(metric="psi", limit=10000)} == {*FEATURES, "$score", "$prediction"}
    assert {row["feature"] for row in ask(feature="temp")} == {"temp"}
    assert all(row["feature"] == "" for row in ask(feature="", limit=10000))
    assert ask(segment="carrier=UA") == []
    inside = ask(metric="predictions", version="", **{"from": "2013-03-05", "to": "2013-03-08T00:00:00Z"})
    assert [row["window_start"][:10] for row in inside] == ["2013-03-05", "2013-03-06", "2013-03-07"]


def test_a_limit_keeps_the_newest_and_orders_by_window(client):
    rows = client.get("/v1/models/flights/findings?metric=predictions&version=&limit=3").json()
    assert [row["window_start"][:10] for row in rows] == ["2013-03-28", "2013-03-29", "2013-03-30"]


def test_only_the_latest_revision_is_answered(client, database):
    revised = finding("flights", 29, "predictions", 1234.0, revision=2)
    with database.write() as connection:
        connection.execute(
            tables.findings.update()
            .where(tables.findings.c.metric == "predictions", tables.findings.c.version == "",
                   tables.findings.c.window_start == START + 29 * DAY).values(latest=False)
        )  # fmt: skip
    put(database, tables.findings, [revised])
    rows = client.get("/v1/models/flights/findings?metric=predictions&version=").json()
    assert len(rows) == 30
    assert (rows[-1]["value"], rows[-1]["revision"]) == (1234.0, 2)


MISTAKES = [
    ("/v1/models/nobody/findings", 404, "no such model"),
    ("/v1/models/nobody/versions", 404, "no such model"),
    ("/v1/models/flights/findings?metric=speed", 400, "`metric` is one of"),
    ("/v1/models/flights/findings?from=yesterday", 400, "`from` is not a time"),
    ("/v1/models/flights/findings?from=2013-03-02&to=2013-03-01", 400, "must lie before"),
    ("/v1/models/flights/findings?limit=0", 422, "limit"),
    ("/v1/models/flights/findings?limit=many", 422, "limit"),
    ("/v1/alerts?state=loud", 400, "`state` is one or several of"),
    ("/v1/incidents?state=loud", 400, "`state` is one or several of"),
    ("/v1/deliveries?state=loud", 400, "`state` is one or several of"),
    ("/v1/incidents/none", 404, "no such incident"),
]


def test_errors_say_what_would_be_right(client):
    for path, status, words in MISTAKES:
        answer = client.get(path)
        assert answer.status_code == status, path
        assert list(answer.json()) == ["error"]
        assert words in answer.json()["error"]


def test_alerts_incidents_and_deliveries_are_listed_worst_first(client):
    assert [row["id"] for row in client.get("/v1/alerts").json()][:2] == ["a5", "a6"]
    assert [row["id"] for row in client.get("/v1/alerts?state=firing,pending").json()] == ["a5", "a6"]
    assert client.get("/v1/alerts?model=other").json() == []
    assert [row["id"] for row in client.get("/v1/incidents").json()] == ["i2", "i1"]
    detail = client.get("/v1/incidents/i1").json()
    assert [row["id"] for row in detail["alerts"]] == ["a2", "a3"]
    assert [row["state"] for row in detail["steps"]] == ["done", "done", "done", "failed", "skipped"]
    assert detail["timeline"][0]["kind"] == "opened"
    assert detail["actions"][0]["model_version"] == "2013-09"
    deliveries = client.get("/v1/deliveries?state=dead").json()
    assert [(row["id"], row["last_status"]) for row in deliveries] == [("d2", 500)]
    assert "body" not in deliveries[0]


def test_health_says_nothing_and_readiness_says_why_not(client, database):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "remora migrate" in answer.json()["error"]


def test_a_database_that_is_away_makes_the_server_unready_but_not_dead():
    away = connect("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with serving(app_of(away, Path("none"))) as base, httpx.Client(base_url=base) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").json() == {"error": "the database does not answer"}
        assert client.get("/v1/models").status_code == 503
        assert "remora_database_up 0.0" in client.get("/metrics").text
    away.dispose()


def test_metrics_are_prometheus_text_with_the_databases_numbers(client, database):
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    with database.read() as connection:
        expected = connection.execute(
            sa.select(tables.findings.c.value).where(
                tables.findings.c.metric == "error_rate", tables.findings.c.version == "",
                tables.findings.c.window_end == START + 30 * DAY)
        ).scalar_one()  # fmt: skip
    values = {s.labels["metric"]: s.value for s in families["remora_metric_value"].samples}
    assert values["error_rate"] == expected
    assert "auc" not in values, "a value that is not known has no series"
    assert {s.labels["metric"]: s.value for s in families["remora_metric_threshold"].samples}[
        "latency_p95"
    ] == 50
    drift = families["remora_feature_value"].samples
    psi = {sample.labels["feature"] for sample in drift if sample.labels["metric"] == "psi"}
    assert psi == {*FEATURES, "$score", "$prediction"}
    verdicts = {(s.labels["job"], s.labels["verdict"]): s.value for s in families["remora_findings"].samples}
    assert verdicts["performance", "labels_not_mature"] == 5
    judged = {
        sample.labels["job"]: sample.value
        for sample in families["remora_window_judged_timestamp_seconds"].samples
    }
    assert judged == dict.fromkeys(
        ("traffic", "drift", "performance"), (START + timedelta(days=30)).timestamp()
    )
    assert {sample.labels["state"]: sample.value for sample in families["remora_deliveries"].samples} == {
        "pending": 1, "delivered": 1, "dead": 1,
    }  # fmt: skip
    assert {(s.labels["alertname"], s.labels["state"]) for s in families["remora_alerts"].samples} == {
        ("FeatureDrift", "firing"), ("LabelsLate", "pending"),
    }  # fmt: skip


def test_features_in_metrics_are_bounded(database):
    put(database, tables.models, [{"name": "wide", "first_seen": START, "last_seen": START + DAY}])
    rows = [finding("wide", 0, "psi", index / 1000, feature=f"f{index}") for index in range(80)]
    put(database, tables.findings, rows)
    with serving(app_of(database, Path("none"))) as base:
        text = httpx.get(f"{base}/metrics").text
    shown = [line for line in text.splitlines() if line.startswith("remora_feature_value{")]
    assert len(shown) == 50
    assert any('feature="f79"' in line for line in shown)


def test_every_answer_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in (
        "/v1/models",
        "/v1/models/{model}/findings",
        "/v1/alerts",
        "/v1/incidents",
        "/v1/incidents/{incident_id}",
    ):
        schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert "$ref" in str(schema), path
