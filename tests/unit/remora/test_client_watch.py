from __future__ import annotations

import asyncio
import json

import httpx
import numpy as np
import pandas as pd
import pytest

from remora.client import Client
from remora.client.watching import ids


@pytest.fixture
def logged():
    records: list[dict] = []

    def answer(request: httpx.Request) -> httpx.Response:
        records.extend(json.loads(line) for line in request.content.splitlines())
        return httpx.Response(202, json={"accepted": 1, "rejected": []})

    client = Client(model="m", interval=0.01, transport=httpx.MockTransport(answer))
    yield client, records
    client.close()


def told(logged) -> list[tuple]:
    client, records = logged
    assert client.flush()
    return [(one["features"], one["prediction"], one["scores"], one["status"]) for one in records]


@pytest.mark.parametrize(
    ("argument", "result", "rows"),
    [
        ({"a": 1}, 5, [({"a": 1}, 5)]),
        ([{"a": 1}, {"a": 2}], [5, 6], [({"a": 1}, 5), ({"a": 2}, 6)]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), np.array([5.0, 6.0]), [({"a": 1, "b": "x"}, 5), ({"a": 2, "b": "y"}, 6)]),
        (np.array([[1, 2], [3, 4]]), [True, False], [({"f0": 1, "f1": 2}, True), ({"f0": 3, "f1": 4}, False)]),
        ([1, 2, 3], "cat", [({"f0": 1, "f1": 2, "f2": 3}, "cat")]),
        ("a text", 0.5, [({"x": "a text"}, 0.5)]),
        ([{"a": 1}, {"a": 2}], "one for both", [({"a": 1}, None), ({"a": 2}, None)]),
    ],
)  # fmt: skip
def test_rows_and_results_of_many_shapes(logged, argument, result, rows):
    @logged[0].watch
    def predict(x):
        return result

    assert predict(argument) is result
    assert [(features, prediction) for features, prediction, _, _ in told(logged)] == rows
    assert len(ids()) == len(rows)


def test_arguments_by_name_are_features(logged):
    class Model:
        @logged[0].watch
        def predict(self, age, *, job="nurse"):
            return age > 40

    assert Model().predict(41) is True
    assert told(logged) == [({"age": 41}, True, None, 200)]


def test_features_prediction_and_scores_may_be_told(logged):
    @logged[0].watch(
        features=lambda request: [{"x": value} for value in request["values"]],
        prediction=lambda answer: answer["labels"],
        scores=lambda answer: answer["p"],
        tags={"region": "eu"},
    )
    def predict(request):
        return {"labels": ["a", "b"], "p": [0.1, 0.9]}

    predict({"values": [1, 2]})
    assert told(logged) == [({"x": 1}, "a", 0.1, 200), ({"x": 2}, "b", 0.9, 200)]
    assert {one["tags"]["region"] for one in logged[1]} == {"eu"}
    assert [one["id"] for one in logged[1]] == list(ids())


def test_an_error_is_recorded_and_raised_as_it_was(logged):
    @logged[0].watch
    def predict(x):
        raise KeyError("no such row")

    with pytest.raises(KeyError, match="no such row"):
        predict({"a": 1})
    assert told(logged) == [({"a": 1}, None, None, 500)]


def test_coroutines_are_awaited_and_tasks_have_ids_of_their_own(logged):
    @logged[0].watch
    async def predict(x):
        await asyncio.sleep(0)
        return x["a"] * 2

    async def one(value: int) -> tuple[str, ...]:
        assert await predict({"a": value}) == value * 2
        return ids()

    async def main() -> list[tuple[str, ...]]:
        return await asyncio.gather(*(one(value) for value in range(5)))

    found = asyncio.run(main())
    assert [prediction for _, prediction, _, _ in told(logged)] == [0, 2, 4, 6, 8]
    assert len({key for keys in found for key in keys}) == 5
    assert all(one["latency_ms"] > 0 for one in logged[1])


def test_what_cannot_be_read_is_counted_and_never_the_models_trouble(logged):
    def broken(x):
        raise ValueError("not mine")

    @logged[0].watch(features=broken, prediction=broken)
    def predict(x):
        return 1

    assert predict({"a": 1}) == 1
    assert told(logged) == []
    assert logged[0].drops == {"not_read": 2}


def test_name_and_text_of_the_function_stay(logged):
    @logged[0].watch
    def predict(x):
        """Says yes."""

    assert (predict.__name__, predict.__doc__) == ("predict", "Says yes.")
