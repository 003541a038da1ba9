from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime

import httpx
import pytest

from remora.client import Client


class Collector:
    """What the client talks to: answers with the statuses in `script`, then 202."""

    def __init__(self, *script: int | Exception) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.lines: list[dict] = []
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests.append(request)
            step = self.script.pop(0) if self.script else 202
            if isinstance(step, Exception):
                raise step
            if step == 202:
                self.lines += [json.loads(line) for line in request.content.splitlines()]
            return httpx.Response(step, json={"accepted": 1, "rejected": []})


@pytest.fixture
def make():
    made = []

    def build(collector, **more):
        client = Client(
            "http://c/remora", "m", "1", transport=httpx.MockTransport(collector), interval=0.01, **more
        )
        made.append(client)
        return client

    yield build
    for client in made:
        client.close(0.1)


def test_logs_predictions_and_labels_in_order(make):
    collector = Collector()
    client = make(collector, token="t")
    key = client.log(features={"a": 1, "b": "x"}, prediction=True, scores=0.7)
    client.label(key, label=False)
    client.log(features={}, id="mine", timestamp=datetime(2013, 3, 1, tzinfo=UTC))
    assert client.flush(10)
    assert [request.url.path for request in collector.requests] == [
        "/remora/v1/predictions", "/remora/v1/labels", "/remora/v1/predictions",
    ]  # fmt: skip
    assert collector.requests[0].headers["authorization"] == "Bearer t"
    assert collector.lines[0]["id"] == collector.lines[1]["id"] == key
    assert collector.lines[2]["timestamp"] == "2013-03-01T00:00:00+00:00"
    assert (client.sent, client.dropped, client.rejected) == (3, 0, 0)


def test_tries_again_until_the_collector_answers(make):
    collector = Collector(503, httpx.ConnectError("no"), 429)
    client = make(collector)
    client.log(features={"a": 1})
    assert client.flush(20)
    assert (client.sent, len(collector.lines)) == (1, 1)


def test_a_refused_batch_is_counted_and_not_sent_again(make):
    collector = Collector(400)
    client = make(collector)
    client.log(features={"a": 1})
    assert client.flush(10)
    client.log(features={"a": 2})
    assert client.flush(10)
    assert (client.rejected, client.sent, len(collector.requests)) == (1, 1, 2)


def test_a_full_queue_drops_and_counts(make):
    blocked = threading.Event()

    def wait(_request):
        blocked.wait(20)
        return httpx.Response(202, json={"rejected": []})

    client = make(wait, capacity=5, batch=1)
    for number in range(20):
        client.log(features={"n": number})
    assert client.dropped >= 14
    blocked.set()
    assert client.flush(20)
    assert client.sent + client.dropped == 20


def test_what_is_not_json_never_reaches_the_model(make):
    class Unfriendly:
        def __str__(self):
            raise RuntimeError

    client = make(Collector())
    assert client.log(features={"a": Unfriendly()})
    assert client.log(features={("a", "tuple"): 1})
    assert client.dropped == 2


def test_numpy_and_dates_become_json(make):
    numpy = pytest.importorskip("numpy")
    collector = Collector()
    client = make(collector)
    client.log(features={"a": numpy.float32(0.5), "b": numpy.int64(3), "c": datetime(2013, 1, 1, tzinfo=UTC)})
    assert client.flush(10)
    assert collector.lines[0]["features"] == {"a": 0.5, "b": 3, "c": "2013-01-01T00:00:00+00:00"}


def test_flush_gives_up_and_close_counts_what_is_left(make):
    client = make(Collector(*[503] * 1000))
    client.log(features={})
    assert client.flush(0.2) is False
    client.close(0.2)
    client.log(features={})
    assert client.sent == 0
    assert client.dropped >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_a_queue_of_its_own():
    """In a fresh interpreter, as forking beside pytest's own threads is nobody's business."""
    program = """
import os, httpx, sys
from remora.client import Client
lines = []
def answer(request):
    lines.extend(request.content.splitlines())
    return httpx.Response(202, json={"rejected": []})
client = Client("http://c", "m", transport=httpx.MockTransport(answer), interval=60)
client.log(features={"who": "parent"})
child = os.fork()
if child == 0:
    client.log(features={"who": "child"})
    ok = client.flush(10) and len(lines) == 1 and b"child" in lines[0]
    os._exit(0 if ok else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ok = client.flush(10) and len(lines) == 1 and b"parent" in lines[0]
sys.exit(code or (0 if ok else 2))
"""
    found = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True)
    assert found.returncode == 0, found.stderr.decode()


def test_needs_nothing_but_httpx():
    program = (
        "import sys; import remora.client; "
        "bad = {'sqlalchemy', 'numpy', 'pandas', 'fastapi', 'pydantic', 'msgspec', 'structlog'} & set(sys.modules); "
        "sys.exit(f'{bad}' if bad else 0)"
    )
    found = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True)
    assert found.returncode == 0, found.stderr.decode()
