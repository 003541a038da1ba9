"""Files of every kind of source, written after its documentation, and the records that must come out of them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

NOON = "2026-01-01T12:00:00Z"
FEATURES = {"age": 41, "country": "NL"}


@dataclass(frozen=True)
class Example:
    """`rows` are (id, features, prediction, scores, latency), `labels` (id, label); `config` is of the model `m`."""

    source: str
    files: dict[str, str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    labels: list[tuple[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.source


def lines(*items: object) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def captured(key: str, data: str, answer: str, **meta: str) -> dict[str, Any]:
    side = {"observedContentType": "text/csv", "encoding": "CSV"}
    return {
        "captureData": {
            "endpointInput": {**side, "mode": "INPUT", "data": data},
            "endpointOutput": {**side, "mode": "OUTPUT", "data": answer},
        },
        "eventMetadata": {"eventId": key, "inferenceTime": NOON, **meta},
        "eventVersion": "0",
    }


def truth(key: str, data: str) -> dict[str, Any]:
    return {
        "groundTruthData": {"data": data, "encoding": "CSV"},
        "eventMetadata": {"eventId": key},
        "eventVersion": "0",
    }


def azure(side: str, time: str, data: object) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": side, "type": f"azureml.inference.{side}", "time": time, "data": data,
        "correlationid": "c1", "collectdatatype": "pandas.core.frame.DataFrame",
    }  # fmt: skip


def blob(side: str, time: str, body: object) -> dict[str, Any]:
    return {
        "id": "k1", "reqType": f"org.kubeflow.serving.inference.{side}", "contentType": "application/json",
        "bytes": base64.b64encode(json.dumps(body).encode()).decode(), "occurrenceTime": time,
    }  # fmt: skip


_TABLE = "id,time,age,country,prediction,probability,label\n007,2026-01-01T12:00:00Z,41,NL,true,0.7,true\n"

EXAMPLES = [
    Example(
        "sagemaker",
        {"capture/a.jsonl": lines(captured("e1", "41,NL\n", "0.7"), captured("e2", "41,NL\n42,DE\n", "0.7\n0.2", inferenceId="mine"))},
        rows=[
            ("e1", FEATURES, 0.7, None, None),
            ("mine-0", FEATURES, 0.7, None, None),
            ("mine-1", {"age": 42, "country": "DE"}, 0.2, None, None),
        ],
        config={"capture": {"columns": ["age", "country"]}},
    ),
    Example(
        "sagemaker_truth",
        {
            "1/a.jsonl": lines(captured("e2", "41,NL", "0.7", inferenceId="mine")),
            "2/truth.jsonl": lines(truth("e2", "1"), truth("other", "no")),
        },
        rows=[("mine", FEATURES, 0.7, None, None)],
        labels=[("mine", 1), ("other", "no")],
        config={"capture": {"columns": ["age", "country"]}},
        options=("--timestamp", NOON),
    ),
    Example(
        "azure",
        {
            "model_inputs/a.jsonl": lines(azure("model_inputs", NOON, [{**FEATURES, "row": "r1"}, {**FEATURES, "row": "r2"}])),
            "model_outputs/a.jsonl": lines(azure("model_outputs", "2026-01-01T12:00:00.250Z", [{"prediction": True}, {"prediction": False}])),
        },
        rows=[("r1", FEATURES, True, None, 250.0), ("r2", FEATURES, False, None, 250.0)],
        config={"table": {"id": "row"}},
    ),
    Example(
        "kserve",
        {"a.json": json.dumps([blob("response", "2026-01-01T12:00:01Z", {"predictions": [1]}), blob("request", NOON, {"instances": [FEATURES]})])},
        rows=[("k1", FEATURES, 1, None, 1000.0)],
    ),
    Example(
        "databricks",
        {"a.jsonl": lines({
            "client_request_id": None, "databricks_request_id": "d1", "timestamp_ms": 1767268800000, "status_code": 200,
            "execution_time_ms": 12, "request": json.dumps({"dataframe_records": [FEATURES]}),
            "response": json.dumps({"predictions": [1]}), "sampling_fraction": 1.0,
        })},
        rows=[("d1", FEATURES, 1, None, 12.0)],
    ),
    Example(
        "vertex",
        {"a.jsonl": lines({
            "endpoint": "9", "deployed_model_id": "8", "logging_time": "2026-01-01 12:00:00 UTC", "request_id": "v1",
            "request_payload": [json.dumps(FEATURES)], "response_payload": [json.dumps({"prediction": "a"})],
        })},
        rows=[("v1", FEATURES, "a", None, None)],
    ),
    Example(
        "bentoml",
        {
            "data/data.1.log": lines({**FEATURES, "out": 1, "timestamp": "2026-01-01T13:00:00", "request_id": "b1", "trace_id": "t"}),
            "schema/schema.1.log": lines({
                "meta_data": {"bento_name": "m", "bento_version": "1"},
                "columns": [
                    {"name": "age", "role": "feature", "type": "numerical"},
                    {"name": "country", "role": "feature", "type": "categorical"},
                    {"name": "out", "role": "prediction", "type": "numerical"},
                ],
            }),
        },
        rows=[("b1", FEATURES, 1, None, None)],
        options=("--timezone", "Europe/Amsterdam"),
    ),
    Example(
        "table",
        {"a.csv": _TABLE},
        rows=[("007", FEATURES, "true", 0.7, None)],
        labels=[("007", "true")],
    ),
]  # fmt: skip
