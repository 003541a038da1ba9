"""One exchange per wire format, written after its protocol's documentation, and what must be read out of it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collector.formats import Mapping, Message


@dataclass(frozen=True)
class Example:
    format: str
    name: str
    request: Message
    answer: Message
    rows: list[tuple[dict[str, Any], Any, Any]]  # features, prediction, scores
    mapping: Mapping = field(default_factory=Mapping)
    id: str | None = None
    version: Any = None

    def __str__(self) -> str:
        return f"{self.format}: {self.name}"


def message(body: object, path: str = "", kind: str = "application/json", **headers: str) -> Message:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message({"content-type": kind, **headers}, content, path)


def binary(top: dict[str, Any], rest: bytes, path: str = "") -> Message:
    head = json.dumps(top).encode()
    return message(
        head + rest, path, "application/octet-stream", **{"inference-header-content-length": str(len(head))}
    )


def tensor(
    name: str, shape: list[int], datatype: str, data: object = None, **parameters: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
    if data is not None:
        made["data"] = data
    return {**made, "parameters": parameters} if parameters else made


INFER = "/v2/models/iris/versions/3/infer"
HALVES = np.array([[1.5, -2.0], [0.25, 3.0]], dtype="<f2").tobytes()
TEXTS = b"".join(struct.pack("<I", len(text)) + text for text in (b"red", "grün".encode()))
PROBABLE = {"0": 0.25, "1": 0.75}

EXAMPLES = [
    Example(
        "open_inference", "one tensor of rows, flat",
        message({"id": "r1", "inputs": [tensor("x", [2, 3], "FP32", [1, 2, 3, 4, 5, 6])]}, INFER),
        message({"model_name": "iris", "model_version": "3", "id": "r1", "outputs": [tensor("y", [2], "INT64", [0, 1])]}),
        [({"a": 1, "b": 2, "c": 3}, 0, None), ({"a": 4, "b": 5, "c": 6}, 1, None)],
        Mapping(columns=("a", "b", "c")), "r1", "3",
    ),
    Example(
        "open_inference", "one tensor of rows, nested, with probabilities",
        message({"inputs": [tensor("x", [1, 2], "FP64", [[0.5, 1.5]])]}, "/v2/models/iris/infer"),
        message({"model_name": "iris", "id": "made", "outputs": [tensor("predict_proba", [1, 2], "FP64", [0.25, 0.75])]}),
        [({"f0": 0.5, "f1": 1.5}, "1", PROBABLE)], id="made",
    ),
    Example(
        "open_inference", "a tensor per column",
        message({"inputs": [
            tensor("age", [2, 1], "INT32", [41, 17], content_type="np"), tensor("job", [2, 1], "BYTES", ["nurse", "cook"], content_type="str"),
        ]}, "/v2/models/m/infer"),
        message({"model_name": "m", "outputs": [tensor("predict", [2, 1], "BOOL", [True, False]), tensor("predict_proba", [2, 2], "FP32", [0.1, 0.9, 0.8, 0.2])]}),
        [({"age": 41, "job": "nurse"}, True, {"no": 0.1, "yes": 0.9}), ({"age": 17, "job": "cook"}, False, {"no": 0.8, "yes": 0.2})],
        Mapping(classes=("no", "yes")),
    ),
    Example(
        "open_inference", "binary tensors",
        binary({"id": "b", "inputs": [tensor("x", [2, 2], "FP16", binary_data_size=8), tensor("c", [2], "BYTES", binary_data_size=len(TEXTS))]}, HALVES + TEXTS, INFER),
        binary({"model_name": "m", "model_version": "1", "outputs": [tensor("label", [2], "INT16", binary_data_size=4)]}, np.array([7, -1], dtype="<i2").tobytes()),
        [({"x": [1.5, -2.0], "c": "red"}, 7, None), ({"x": [0.25, 3.0], "c": "grün"}, -1, None)], id="b", version="1",
    ),
    Example(
        "open_inference", "recognised by its tensors",
        message({"inputs": [tensor("x", [1], "FP32", [2.5])]}, "/score"),
        message({"model_name": "m", "outputs": [tensor("y", [1], "FP32", [0.5])]}),
        [({"x": 2.5}, 0.5, None)],
    ),
    Example(
        "tf_serving", "rows of objects", message({"instances": [{"age": 1}, {"age": 2}]}, "/v1/models/m:predict"),
        message({"predictions": [[0.25, 0.75], [0.5, 0.5]]}),
        [({"age": 1}, "1", PROBABLE), ({"age": 2}, "0", {"0": 0.5, "1": 0.5})],
    ),
    Example(
        "tf_serving", "rows of lists, NaN in them",
        message(b'{"instances": [[1.0, NaN], [Infinity, 2]]}', "/v1/models/m/versions/12:predict"), message({"predictions": [[3.5], [4.5]]}),
        [({"f0": 1.0, "f1": None}, 3.5, None), ({"f0": None, "f1": 2}, 4.5, None)], version="12",
    ),
    Example(
        "tf_serving", "columns", message({"signature_name": "s", "inputs": {"a": [1, 2], "b": ["x", "y"]}}, "/v1/models/m/labels/stable:predict"),
        message({"outputs": {"classes": [5, 6], "score": [0.2, 0.3]}}),
        [({"a": 1, "b": "x"}, 5, 0.2), ({"a": 2, "b": "y"}, 6, 0.3)], Mapping(prediction="classes"),
    ),
    Example(
        "tf_serving", "one column", message({"inputs": [[1, 2], [3, 4]]}, "/v1/models/m:predict"), message({"outputs": [8, 9]}),
        [({"f0": 1, "f1": 2}, 8, None), ({"f0": 3, "f1": 4}, 9, None)],
    ),
    Example(
        "tf_serving", "classified examples", message({"examples": [{"x": 1.0}]}, "/v1/models/m:classify"),
        message({"results": [[["cat", 0.9], ["dog", 0.1]]]}), [({"x": 1.0}, "cat", {"cat": 0.9, "dog": 0.1})],
    ),
    Example("tf_serving", "regressed examples", message({"examples": [{"x": 1}, {"x": 2}]}, "/v1/models/m:regress"), message({"result": [1.5, 2.5]}), [({"x": 1}, 1.5, None), ({"x": 2}, 2.5, None)]),
    Example(
        "tf_serving", "an image", message({"instances": [{"image": {"b64": "aGVsbG8="}}]}, "/v1/models/m:predict"), message({"predictions": ["cat"]}),
        [({"image": {"bytes": 5}}, "cat", None)],
    ),
    Example(
        "tf_serving", "Vertex AI", message({"instances": [{"a": 1}], "parameters": {}}, "/v1/projects/p/locations/l/endpoints/9:predict"),
        message({"predictions": [{"classes": ["a", "b"], "scores": [0.3, 0.7]}], "deployedModelId": "5", "modelVersionId": "2"}),
        [({"a": 1}, None, {"a": 0.3, "b": 0.7})], Mapping(classes=("a", "b")), version="2",
    ),
    Example(
        "mlflow", "split", message({"dataframe_split": {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, None]]}}, "/invocations"),
        message({"predictions": [0, 1]}), [({"a": 1, "b": "x"}, 0, None), ({"a": 2, "b": None}, 1, None)],
    ),
    Example(
        "mlflow", "records on Databricks", message({"dataframe_records": [{"a": 1}]}, "/serving-endpoints/x/invocations"),
        message({"predictions": [{"label": "no", "probability": 0.1}], "databricks_output": {"databricks_request_id": "dbr-1", "trace": None}}),
        [({"a": 1}, "no", 0.1)], id="dbr-1",
    ),
    Example("mlflow", "instances", message({"instances": [[1, 2], [3, 4]]}, "/invocations"), message({"predictions": [[0.25, 0.75], [0.5, 0.5]]}), [({"f0": 1, "f1": 2}, "1", PROBABLE), ({"f0": 3, "f1": 4}, "0", {"0": 0.5, "1": 0.5})]),
    Example("mlflow", "inputs", message({"inputs": {"a": [1, 2]}, "params": {"t": 1}}, "/invocations"), message({"predictions": {"p": [3, 4]}}), [({"a": 1}, 3, None), ({"a": 2}, 4, None)], Mapping(prediction="p")),
    Example("mlflow", "CSV with a header", message(b'a,b\n1,"x, y"\n2.5,\n', "/invocations", "text/csv; charset=utf-8"), message({"predictions": [1, 0]}), [({"a": 1, "b": "x, y"}, 1, None), ({"a": 2.5, "b": None}, 0, None)]),
    Example("sagemaker", "CSV", message(b"1,2.5,red\n4,,blue\n", "/invocations", "text/csv"), message(b"0.02\n0.9\n", kind="text/csv; charset=utf-8"), [({"a": 1, "b": 2.5, "c": "red"}, None, 0.02), ({"a": 4, "b": None, "c": "blue"}, None, 0.9)], Mapping(columns=("a", "b", "c"), scores="$")),
    Example("sagemaker", "CSV answered in one line", message(b"1\n2\n3", "/invocations", "text/csv"), message(b"0.1,0.2,0.3", kind="text/csv"), [({"f0": 1}, 0.1, None), ({"f0": 2}, 0.2, None), ({"f0": 3}, 0.3, None)]),
    Example("sagemaker", "JSON lines", message(b'{"features": [1, 2]}\n{"features": [3, 4]}\n', "/invocations", "application/jsonlines"), message(b'{"predicted_label": 1, "score": 0.8}\n{"predicted_label": 0, "score": 0.1}', kind="application/jsonlines"), [({"f0": 1, "f1": 2}, 1, 0.8), ({"f0": 3, "f1": 4}, 0, 0.1)]),
    Example("sagemaker", "JSON of a container's own", message({"a": 1, "b": "x"}, "/invocations"), message({"prediction": "yes"}), [({"a": 1, "b": "x"}, "yes", None)]),
    Example("seldon", "ndarray", message({"data": {"names": ["a", "b"], "ndarray": [[1, 2]]}}, "/api/v1.0/predictions"), message({"meta": {"puid": "p1"}, "data": {"names": ["setosa", "virginica"], "ndarray": [[0.25, 0.75]]}}), [({"a": 1, "b": 2}, "virginica", {"setosa": 0.25, "virginica": 0.75})], id="p1"),
    Example("seldon", "tensor", message({"meta": {"puid": "q"}, "data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}}, "/seldon/ns/dep/api/v0.1/predictions"), message({"data": {"tensor": {"shape": [2, 1], "values": [5, 6]}}}), [({"f0": 1, "f1": 2}, 5, None), ({"f0": 3, "f1": 4}, 6, None)], id="q"),
    Example("seldon", "jsonData", message({"jsonData": {"a": 1}}, "/api/v1.0/predictions"), message({"jsonData": {"prediction": 3}}), [({"a": 1}, 3, None)]),
    Example("seldon", "strData", message({"strData": "hello"}, "/api/v1.0/predictions"), message({"strData": "greeting"}), [({"value": "hello"}, "greeting", None)]),
    Example("bentoml", "one argument of lists", message({"input_data": [[1, 2], [3, 4]]}, "/classify"), message([0, 1]), [({"f0": 1, "f1": 2}, 0, None), ({"f0": 3, "f1": 4}, 1, None)]),
    Example("bentoml", "one argument of records", message({"df": [{"a": 1}]}, "/predict"), message([0.25]), [({"a": 1}, 0.25, None)]),
    Example("bentoml", "a data frame's columns", message({"df": {"a": [1, 2], "b": [3, 4]}}, "/predict"), message(["x", "y"]), [({"a": 1, "b": 3}, "x", None), ({"a": 2, "b": 4}, "y", None)]),
    Example("plain_json", "an object", message({"age": 41, "inner": {"x": 1}}, "/predict"), message({"prediction": True, "probability": 0.9}), [({"age": 41, "inner": {"x": 1}}, True, 0.9)]),
    Example("plain_json", "a list", message([{"a": 1}, {"a": 2}], "/predict"), message({"predictions": [1, 2]}), [({"a": 1}, 1, None), ({"a": 2}, 2, None)]),
    Example("plain_json", "one row with a list in it", message({"embedding": [0.1, 0.2]}, "/predict"), message([0.25, 0.75]), [({"embedding": [0.1, 0.2]}, "1", PROBABLE)]),
]  # fmt: skip
