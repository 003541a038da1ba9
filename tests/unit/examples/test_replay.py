import asyncio
import json
from datetime import UTC, date, datetime
from itertools import pairwise

import httpx
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def two_days(frame):
    from replay import hours

    return list(hours(frame, date(2013, 3, 1), date(2013, 3, 2)))


def _predictions(hours):
    for hour in hours:
        for request in hour.requests:
            if isinstance(request.body, list):
                yield from ((f"{request.id}-{i}", request.at) for i in range(len(request.body)))
            else:
                yield request.id, request.at


def test_hours_are_in_order_and_hold_their_own(two_days):
    starts = [hour.start for hour in two_days]
    assert starts[0] == datetime(2013, 3, 1, tzinfo=UTC)
    assert all((b - a).total_seconds() == 3600 for a, b in pairwise(starts))
    for hour in two_days:
        assert all(request.at.replace(minute=0) == hour.start for request in hour.requests)
        assert sum(isinstance(request.body, list) for request in hour.requests) <= 1


def test_every_flight_is_asked_for_once(frame, two_days):
    asked = dict(_predictions(two_days))
    departed = frame[frame["hour"].dt.strftime("%Y-%m-%d").isin(["2013-03-01", "2013-03-02"])]
    assert len(asked) == len(departed) == sum(1 for _ in _predictions(two_days))
    alone = [id_ for id_ in asked if not id_.startswith("flights-")]
    assert set(alone) <= set(departed["id"])
    assert 0.005 < len(alone) / len(asked) < 0.05


def test_labels_name_predictions_that_were_asked_before(frame, two_days):
    asked, labels = dict(_predictions(two_days)), [label for hour in two_days for label in hour.labels]
    departed = frame[frame["hour"].dt.strftime("%Y-%m-%d").isin(["2013-03-01", "2013-03-02"])]
    assert len(labels) == departed["late"].notna().sum() == len({label["id"] for label in labels})
    assert all(datetime.fromisoformat(label["timestamp"]) > asked[label["id"]] for label in labels)
    assert sum(label["label"] for label in labels) == departed["late"].sum()
    for hour in two_days:
        assert all(label["timestamp"][:13] == f"{hour.start:%Y-%m-%dT%H}" for label in hour.labels)


def test_a_row_of_an_array_has_the_label_of_its_flight(frame, two_days):
    request = next(r for hour in two_days for r in hour.requests if isinstance(r.body, list))
    known = {label["id"]: label["label"] for hour in two_days for label in hour.labels}
    departed = frame[
        (frame["hour"] == request.at) & ~frame["id"].isin([i for i, _ in _predictions(two_days)])
    ]
    assert [row["dest"] for row in request.body] == departed["dest"].tolist()
    for i, late in enumerate(departed["late"]):
        assert known.get(f"{request.id}-{i}") == (None if pd.isna(late) else late)


def test_resuming_goes_on_with_the_same_requests(frame, two_days):
    from replay import hours

    later = list(
        hours(frame, date(2013, 3, 1), date(2013, 3, 2), resume_at=datetime(2013, 3, 1, 17, tzinfo=UTC))
    )
    assert later == two_days[17:]


def _send(two_days, handler, **options):
    import sender

    seen, days = [], []

    def answer(request):
        seen.append(request)
        return handler(request, len(seen))

    async def day_end(day):
        days.append(day)

    how = sender.Options("http://model/predict", "http://model/remora/v1/labels", **options)
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    done = asyncio.run(sender.send(two_days, how, on_day_end=day_end, client=client))
    return done, seen, days


def _good(request, _n=0):
    if request.url.path.endswith("labels"):
        return httpx.Response(202, json={"accepted": request.content.count(b"\n"), "rejected": []})
    return httpx.Response(200, json=[])


def test_sending_counts_and_records(two_days, tmp_path):
    from replay import answered_ids

    record = tmp_path / "answered"
    done, seen, days = _send(two_days, _good, record=record)
    asked = dict(_predictions(two_days))
    assert done.rows_ok == len(asked)
    assert done.labels == sum(len(hour.labels) for hour in two_days)
    assert set(answered_ids(record)) == set(asked)
    assert days[:2] == [date(2013, 3, 1), date(2013, 3, 2)]
    first = next(request for request in seen if request.url.path == "/predict")
    assert first.headers["x-remora-timestamp"] == "2013-03-01T00:00:00Z"
    assert first.headers["x-request-id"] == "flights-2013-03-01T00"
    assert isinstance(json.loads(first.content), list)


def test_a_lost_connection_is_tried_again_with_the_same_id(two_days):
    def handler(request, n):
        if n == 1:
            raise httpx.ConnectError("gone")
        return _good(request)

    done, seen, _ = _send(two_days[:1], handler)
    assert done.retries == 1
    assert seen[0].headers["x-request-id"] in [request.headers.get("x-request-id") for request in seen[1:]]
    assert done.rows_failed == 0


def test_a_failing_answer_is_counted_and_not_repeated(two_days):
    def handler(request, _n):
        return httpx.Response(500) if request.url.path == "/predict" else _good(request)

    done, seen, _ = _send(two_days[:3], handler)
    requests = [request for hour in two_days[:3] for request in hour.requests]
    assert done.requests_failed == len(requests) == sum(request.url.path == "/predict" for request in seen)
    assert (done.rows_ok, done.rows_failed) == (0, sum(request.rows for request in requests))


def test_patience_ends_with_one_line(two_days):
    from sender import ReplayError

    def handler(_request, _n):
        raise httpx.ConnectError("gone")

    with pytest.raises(ReplayError, match="was not to be had"):
        _send(two_days[:1], handler, patience=0)
