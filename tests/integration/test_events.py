"""Events as KServe's and Seldon's loggers send them, made by the CloudEvents SDK, to the application on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.app import sidecar_app
from collector.capture import UNREAD
from collector.events.envelope import read_events
from collector.events.pairing import UNPAIRED
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.spool import Spool, to_batch
from remora.config.load import parse
from remora.records import check_prediction
from remora.security import Guard

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KSERVE = "org.kubeflow.serving.inference"
SELDON = "io.seldon.serving"
ASKED = {"instances": [[1.5, 2.0], [3.0, 4.0]]}
ANSWERED = {"predictions": [0, 1]}


def event(kind: str, data: object, key: str = "e1", after: float = 0.0, **more: str) -> CloudEvent:
    attributes = {
        "id": key, "source": "http://localhost:9081/", "type": f"{KSERVE}.{kind}", "specversion": "1.0",
        "time": NOON + timedelta(milliseconds=after), "datacontenttype": "application/json",
        "inferenceservicename": "iris", "namespace": "ml", "component": "predictor", "endpoint": "default", **more,
    }  # fmt: skip
    return CloudEvent(attributes, data)


def pair(key: str = "e1") -> list[CloudEvent]:
    return [event("request", ASKED, key), event("response", ANSWERED, key, 12.5)]


class Collector:
    """The recorder's application with a spool of its own."""

    def __init__(self, folder: Path, text: str = "version: 1") -> None:
        config = parse(text)
        self.spool = Spool(folder)
        self.ingest = Ingest(self.spool, lambda: NOON, Gate(config))
        self.events = self.ingest.events
        self.app = sidecar_app(self.ingest, Guard(None, None))

    def take(self, *events: CloudEvent) -> list:
        message = [to_binary_event(one) for one in events]
        found = [read_events({k.lower(): v for k, v in one.headers.items()}, one.body)[0] for one in message]
        return [self.events.take(one, NOON).result() for one in found]

    def rows(self) -> list:
        found = []
        while sealed := self.spool.seal(1000):
            batch = to_batch(sealed, "test")
            found += [*batch.predictions, *batch.labels]
            self.spool.set_aside(sealed, "read")
        return found

    def close(self) -> None:
        self.events.stop()
        self.spool.close()


@pytest.fixture
def collector(tmp_path):
    made = Collector(tmp_path / "spool")
    yield made
    made.close()


@pytest.fixture
def url(collector):
    server = uvicorn.Server(uvicorn.Config(collector.app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1/events"
    server.should_exit = True
    thread.join()


def post(url: str, message) -> httpx.Response:
    return httpx.post(url, headers=message.headers, content=message.body)


def check_pair(rows: list, key: str = "e1") -> None:
    assert [(row.model, row.id, row.features, row.prediction) for row in rows] == [
        ("iris", f"{key}-0", {"f0": 1.5, "f1": 2.0}, 0),
        ("iris", f"{key}-1", {"f0": 3.0, "f1": 4.0}, 1),
    ]
    assert {(row.timestamp, row.latency_ms, row.status) for row in rows} == {(NOON, 12.5, 200)}
    assert rows[0].tags == {"namespace": "ml", "component": "predictor", "endpoint": "default"}


@pytest.mark.parametrize("made", [to_binary_event, to_structured_event], ids=["binary", "structured"])
@pytest.mark.parametrize("turned", [False, True], ids=["request first", "answer first"])
def test_a_pair_in_either_order_is_one_request(collector, url, made, turned):
    first, second = reversed(pair()) if turned else pair()
    assert post(url, made(first)).json() == {"accepted": 1, "repeated": 0, "records": 0, "rejected": []}
    answer = post(url, made(second))
    assert (answer.status_code, answer.json()["records"]) == (202, 2)
    assert post(url, made(first)).json()["repeated"] == 1
    check_pair(collector.rows())
    assert collector.spool.counters()["sides"] == collector.spool.counters()["bytes"] == 0


def test_a_batch_of_events(collector, url):
    bodies = [
        json.loads(to_structured_event(one).body) for one in [*pair("a"), *pair("b"), event("other", {})]
    ]
    bodies[1].pop("specversion")
    answer = httpx.post(url, json=bodies, headers={"content-type": "application/cloudevents-batch+json"})
    assert answer.status_code == 202
    assert answer.json() | {"rejected": []} == {"accepted": 3, "repeated": 0, "records": 2, "rejected": []}
    wrong = {one["index"]: one["error"] for one in answer.json()["rejected"]}
    assert "specversion" in wrong[1]
    assert "io.seldon.serving.feedback" in wrong[4]
    check_pair(collector.rows(), "b")


def test_seldons_events_pair_by_the_request_and_feedback_labels_it(collector, url):
    mine = {"requestid": "r7", "modelid": "classifier"}
    asked, answered = (
        {"data": {"names": ["a"], "ndarray": [[1]]}},
        {"data": {"names": ["x", "y"], "ndarray": [[0.25, 0.75]]}},
    )
    sides = [
        event("x", asked, "one", type=f"{SELDON}.inference.request", **mine),
        event("x", answered, "two", 5.0, type=f"{SELDON}.inference.response", **mine),
        event("x", {"truth": {"data": {"ndarray": [["y"]]}}, "reward": 1}, "three", type=f"{SELDON}.feedback", **mine),
    ]  # fmt: skip
    assert [post(url, to_binary_event(one)).status_code for one in sides] == [202] * 3
    row, label = collector.rows()
    assert (row.model, row.id, row.features) == ("iris", "r7", {"a": 1})
    assert (row.prediction, row.scores, row.latency_ms) == ("y", {"x": 0.25, "y": 0.75}, 5.0)
    assert (label.id, label.label) == ("r7", "y")


def test_the_older_envelope_of_seldons_servers(collector, url):
    headers = {
        "ce-specversion": "0.3", "ce-id": "i", "ce-requestid": "r1", "ce-source": "io.seldon.serving.deployment.d.ns",
        "ce-type": f"{SELDON}.inference.request", "ce-modelid": "m1", "ce-endpoint": "NOTIMPLEMENTED", "ce-namespace": "ns",
    }  # fmt: skip
    assert httpx.post(url, json={"data": {"ndarray": [[1]]}}, headers=headers).status_code == 202
    answer = {**headers, "ce-id": "j", "ce-type": f"{SELDON}.inference.response"}
    assert httpx.post(url, json={"data": {"ndarray": [[2]]}}, headers=answer).status_code == 202
    (row,) = collector.rows()
    assert (row.model, row.id, row.prediction, row.tags) == ("m1", "r1", 2, {"namespace": "ns"})


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({}, b"{}", "no CloudEvent"),
        ({"ce-id": "x"}, b"{}", "specversion"),
        ({"ce-id": "x", "ce-specversion": "1.0", "ce-source": "s"}, b"{}", "`type` is missing"),
        ({"content-type": "application/cloudevents+json"}, b"[]", "not a JSON object"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "JSON array"),
        ({"content-type": "application/cloudevents+json"}, b"{", "not JSON"),
    ],
)
def test_what_is_no_event_is_refused_with_what_would_be_one(url, headers, body, said):
    answer = httpx.post(url, headers=headers, content=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"time": "yesterday"}, "`time` is not"),
        ({"inferenceservicename": "a b"}, "no model is named"),
        ({"statuscode": "abc"}, "`statuscode`"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(url, more, said):
    body = json.loads(to_structured_event(event("request", ASKED)).body) | more
    answer = httpx.post(url, json=body, headers={"content-type": "application/cloudevents+json"})
    assert (answer.status_code, said in answer.json()["error"]) == (400, True)


def test_feedback_that_labels_nothing_is_refused(collector):
    told = event("x", {"reward": 0.5}, type=f"{SELDON}.feedback", requestid="r")
    message = to_binary_event(told)
    (found,) = read_events({k.lower(): v for k, v in message.headers.items()}, message.body)
    assert "reward alone" in collector.events.take(found, NOON)


def test_a_side_that_stays_alone_is_told_as_what_it_is(collector):
    collector.take(event("request", ASKED, "no-answer"), event("response", ANSWERED, "no-request"))
    assert collector.events.sweep(time.time() + 200) == 0
    assert collector.events.sweep(time.time() + 301) == 2
    rows = {row.id: row for row in collector.rows()}
    assert set(rows) == {"no-answer-0", "no-answer-1", "no-request"}
    alone = rows["no-request"]
    assert (alone.status, alone.prediction, alone.tags[UNPAIRED]) == (200, None, "request")
    assert collector.take(event("response", ANSWERED, "no-answer"))[
        0
    ].repeated  # too late: the request is told already


def test_a_lonely_request_is_neither_an_error_nor_answered(collector):
    collector.take(event("request", ASKED))
    collector.events.sweep(time.time() + 301)
    rows = collector.rows()
    assert [(row.status, row.tags[UNPAIRED], row.latency_ms) for row in rows] == [(499, "answer", None)] * 2


def test_an_answer_that_cannot_be_read_keeps_the_request(collector):
    collector.take(event("request", ASKED), event("response", {"predictions": [1, 2, 3]}))
    rows = collector.rows()
    assert [row.features for row in rows] == [{"f0": 1.5, "f1": 2.0}, {"f0": 3.0, "f1": 4.0}]
    assert {row.tags[UNREAD] for row in rows} == {"answer_of_other_length"}


def test_a_failed_answer_has_its_status(collector):
    collector.take(event("request", ASKED), event("response", {"error": "x"}, statuscode="503"))
    assert {(row.status, row.prediction) for row in collector.rows()} == {(503, None)}


def test_what_waits_is_redacted_already(tmp_path):
    made = Collector(
        tmp_path / "spool",
        "version: 1\nmodels: {iris: {privacy: {deny: [name], mask: [email]}}}",
    )
    made.take(
        event("request", {"name": "Ann Onymous", "n": 1}, "a"),
        event("response", {"prediction": "ask bob@example.org"}, "b"),
    )
    content = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir() if path.is_file())
    assert b"Onymous" not in content
    assert b"bob@" not in content
    assert b"[email]" in content
    made.close()


def test_a_full_spool_refuses_the_event_and_keeps_nothing_of_it(tmp_path):
    made = Collector(tmp_path / "spool")
    made.spool.limit = 600
    with pytest.raises(Exception, match="as many as it may"):
        made.take(event("request", {"instances": [[0.0] * 60] * 4}))
    assert made.spool.counters()["sides"] == 0
    made.close()


SIDES = [
    *pair("a"),
    *pair("b"),
    event("request", {"x": 1}, "c"),
    event("response", {"prediction": 2}, "c", 3.0),
]


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
@settings(max_examples=25, deadline=None)
def test_any_order_and_repetition_gives_the_same_records(tmp_path_factory, order, again):
    made = Collector(tmp_path_factory.mktemp("events") / "spool")
    made.take(*(SIDES[index] for index in [*order, *again]))
    rows = made.rows()
    assert sorted((row.id, row.prediction, row.latency_ms) for row in rows) == [
        ("a-0", 0, 12.5), ("a-1", 1, 12.5), ("b-0", 0, 12.5), ("b-1", 1, 12.5), ("c", 2, 3.0),
    ]  # fmt: skip
    made.close()


names = st.sampled_from(["specversion", "id", "source", "type", "time", "data", "data_base64", "inferenceservicename", "requestid"])  # fmt: skip
values = st.none() | st.text(max_size=6) | st.sampled_from(["1.0", f"{KSERVE}.request", f"{SELDON}.feedback", "m"]) | st.integers() | st.lists(st.integers(), max_size=2)  # fmt: skip


@given(st.lists(st.dictionaries(names, values, max_size=9), max_size=3))
@settings(max_examples=150, deadline=None)
def test_no_event_raises(shared, items):
    found = read_events({"content-type": "application/cloudevents-batch+json"}, json.dumps(items).encode())
    for one in found:
        taken = one if isinstance(one, str) else shared.events.take(one, NOON)
        assert isinstance(taken, str) or taken.result()
    assert all(check_prediction(row) is None for row in shared.rows() if hasattr(row, "features"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Collector(tmp_path_factory.mktemp("shared") / "spool")
    yield made
    made.close()


HALF_A_PAIR = """
import sys
from pathlib import Path
from tests.integration.test_events import Collector, pair
made = Collector(Path(sys.argv[1]))
print(made.take(pair()[int(sys.argv[2])]), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_a_kill_between_the_sides_loses_neither(tmp_path, first, second):
    child = subprocess.Popen(
        [sys.executable, "-c", HALF_A_PAIR, str(tmp_path / "spool"), str(first)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert b"Taken" in child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    made = Collector(tmp_path / "spool")
    made.take(pair()[second])
    check_pair(made.rows())
    made.close()
