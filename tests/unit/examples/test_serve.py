import json
import pickle

import pytest

ROW = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "weekday": "Fri",
    "distance": 1400,
    "scheduled": 315,
    "wind_speed": None,
    "visib": 10.0,
    "precip": 0.0,
}


@pytest.fixture(scope="module")
def trained(frame, tmp_path_factory):
    from datetime import date

    from train import labelled, train

    out = tmp_path_factory.mktemp("model")
    return out, train(labelled(frame, date(2013, 1, 1), date(2013, 1, 7)), "v1", out)


@pytest.fixture
def client(trained, tmp_path):
    from serve import create_app

    return create_app(str(trained[0]), str(tmp_path / "fault.json")).test_client()


def test_one_object_one_answer(client):
    answer = client.post("/predict", json=ROW)
    assert answer.status_code == 200
    assert set(answer.json) == {"late", "probability", "model_version"}
    assert answer.json["model_version"] == "v1"
    assert answer.json["late"] is (answer.json["probability"] >= 0.5)


def test_an_array_answers_in_order(client):
    other = ROW | {"dest": "never seen", "scheduled": 1200}
    answer = client.post("/predict", json=[ROW, other])
    assert [row["probability"] for row in answer.json] == [
        client.post("/predict", json=row).json["probability"] for row in (ROW, other)
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b"3", "JSON object"),
        (b"[]", "non-empty array"),
        (b"[1]", "JSON object"),
        (json.dumps([ROW, {"carrier": "UA"}]).encode(), "row 1: `origin` is missing"),
        (json.dumps(ROW | {"distance": "far"}).encode(), "row 0: `distance` must be a number"),
        (json.dumps(ROW | {"carrier": 7}).encode(), "row 0: `carrier` must be a string"),
    ],
)
def test_malformed_input_is_named(client, body, why):
    answer = client.post("/predict", data=body)
    assert answer.status_code == 400
    assert why in answer.json["error"]


def test_a_fault_file_makes_it_fail_and_its_end_heals(client, tmp_path):
    fault = tmp_path / "fault.json"
    fault.write_text('{"delay_ms": 1, "error_share": 1}')
    assert client.post("/predict", json=ROW).status_code == 500
    fault.unlink()
    assert client.post("/predict", json=ROW).status_code == 200


def test_health_names_the_version(client):
    assert client.get("/health").json == {"status": "ok", "model_version": "v1"}


def test_training_leaves_an_honest_reference(trained):
    import pandas as pd
    from data import FEATURES
    from sklearn.metrics import roc_auc_score

    out, done = trained
    reference = pd.read_csv(out / "reference.csv")
    assert list(reference.columns) == ["id", "timestamp", *FEATURES, "score", "prediction", "label"]
    assert len(reference) == done.rows == json.loads((out / "metadata.json").read_text())["rows"]
    assert roc_auc_score(reference["label"], reference["score"]) == pytest.approx(done.auc, abs=1e-3)
    assert pickle.loads((out / "model.pkl").read_bytes())["version"] == "v1"


def test_only_labels_that_had_arrived_are_trained_on(frame):
    from datetime import UTC, date, datetime

    from train import labelled

    cut = datetime(2013, 1, 8, tzinfo=UTC)
    rows = labelled(frame, date(2013, 1, 1), date(2013, 1, 7), cut)
    assert rows["known_time"].max() <= cut
    assert len(rows) < len(labelled(frame, date(2013, 1, 1), date(2013, 1, 7)))
