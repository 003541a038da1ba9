from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from collector.delivery import Delivery, Pace, backoff
from collector.errors import BusyError, RefusedError
from collector.sinks import HttpSink
from collector.spool import Receipt, Spool, encode_record
from remora.errors import UnavailableError
from remora.records import Batch, Prediction

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


class Recording:
    """A sink that keeps what it takes, fails as often as told, and refuses the ids in `poison`."""

    def __init__(self, failures: int = 0, poison: tuple[str, ...] = ()) -> None:
        self.batches: list[Batch] = []
        self.failures = failures
        self.poison = poison
        self.tidied = 0

    def write(self, batch: Batch) -> Receipt:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("away")
        if any(row.id in self.poison for row in batch.predictions):
            raise RefusedError("poison")
        self.batches.append(batch)
        return Receipt(written=len(batch.predictions))

    def tidy(self) -> None:
        self.tidied += 1

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [row.id for batch in self.batches for row in batch.predictions]


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path)
    opened.put([encode_record(Prediction(model="m", id=f"p{n}", timestamp=NOON)) for n in range(20)]).result(
        5
    )
    yield opened
    opened.close()


def test_delivers_in_order_and_empties_the_spool(spool):
    sink = Recording()
    assert Delivery(spool, sink, source="test", pace=Pace(rows=6)).drain(10)
    assert sink.ids == [f"p{n}" for n in range(20)]
    assert [len(batch.predictions) for batch in sink.batches] == [6, 6, 6, 2]
    assert spool.pending == 0


def test_tries_again_with_the_same_batch_until_the_sink_answers(spool):
    sink = Recording(failures=3)
    delivery = Delivery(spool, sink, source="test", pace=Pace(rows=20))
    delivery.start()
    deadline = time.monotonic() + 20
    while spool.pending and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sink.ids == [f"p{n}" for n in range(20)]
    assert delivery.drain(5)


def test_one_poisonous_record_is_set_aside_alone(spool):
    sink = Recording(poison=("p7", "p13"))
    assert Delivery(spool, sink, source="test", pace=Pace(rows=20)).drain(10)
    assert sink.ids == [f"p{n}" for n in range(20) if n not in {7, 13}]
    assert spool.counters()["set_aside"] == 2
    assert [one.reason for one in spool.aside()] == ["poison", "poison"]


def test_drain_gives_up_at_its_deadline_and_keeps_everything(spool):
    delivery = Delivery(spool, Recording(failures=10**6), source="test")
    assert not delivery.drain(0.3)
    assert spool.pending == 20
    assert delivery.failing


def test_an_unexpected_fault_is_counted_and_tried_again(spool, capsys):
    class Broken(Recording):
        def write(self, batch):
            if not self.tidied:
                self.tidied = 1
                raise ZeroDivisionError
            return super().write(batch)

    sink = Broken()
    assert Delivery(spool, sink, source="test").drain(10)
    assert len(sink.ids) == 20


class Faulty(Recording):
    """Meets an unexpected fault in every batch that holds one of the ids in `poison`."""

    def __init__(self, poison: tuple[str, ...], fault: type[Exception] = KeyError) -> None:
        super().__init__()
        self.bad, self.fault, self.tries = poison, fault, 0

    def write(self, batch: Batch) -> Receipt:
        self.tries += 1
        if any(row.id in self.bad for row in batch.predictions):
            raise self.fault
        return super().write(batch)


def _attempts(delivery: Delivery, spool: Spool, most: int) -> None:
    while spool.pending and most:
        delivery._attempt()
        most -= 1


def test_a_record_that_always_causes_a_fault_is_set_aside_alone(spool, capsys):
    sink = Faulty(("p7", "p13"))
    _attempts(Delivery(spool, sink, source="test", pace=Pace(rows=20)), spool, 100)
    assert sink.ids == [f"p{n}" for n in range(20) if n not in {7, 13}]
    counts = spool.counters()
    assert (counts["delivered"], counts["set_aside"], counts["pending"]) == (18, 2, 0)
    assert {one.reason for one in spool.aside()} == {"an unexpected KeyError while it was written"}


def test_a_fault_is_tried_five_times_before_the_batch_is_halved(spool, capsys):
    sink = Faulty(("p7",))
    delivery = Delivery(spool, sink, source="test", pace=Pace(rows=20))
    _attempts(delivery, spool, 4)
    assert spool.seal(20).records == 20
    _attempts(delivery, spool, 1)
    assert spool.seal(20).records == 10


def test_an_outage_never_sets_anything_aside(spool):
    _attempts(
        Delivery(spool, Faulty(("p7",), UnavailableError), source="test", pace=Pace(rows=20)), spool, 30
    )
    assert spool.counters()["set_aside"] == 0
    assert spool.seal(20).records == 20


@pytest.mark.parametrize("attempt", [0, 1, 5, 100])
def test_backoff_grows_to_thirty_seconds(attempt):
    longest = min(30.0, 0.25 * 2**attempt)
    assert backoff(attempt, 0.0) == longest
    assert backoff(attempt, 1.0) == longest / 2


def _sink(status: int, seen: list[httpx.Request]) -> HttpSink:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status)

    return HttpSink("http://collector", "secret", httpx.MockTransport(answer))


def test_forwards_gzipped_msgpack_with_the_token():
    seen: list[httpx.Request] = []
    batch = Batch(id="b", source="s", predictions=[Prediction(model="m", id="p", timestamp=NOON)])
    _sink(202, seen).write(batch)
    assert seen[0].url == "http://collector/v1/batches"
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert msgspec.msgpack.decode(gzip.decompress(seen[0].content), type=Batch) == batch


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (413, RefusedError),
        (401, UnavailableError),
        (503, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_tells_refusals_from_outages(status, error):
    with pytest.raises(error, match=str(status)):
        _sink(status, []).write(Batch(id="b", source="s"))


def test_a_collector_that_says_when_is_left_alone_so_long(spool):
    def answer(request):
        return httpx.Response(503, headers={"retry-after": "7"})

    sink = HttpSink("http://collector", None, httpx.MockTransport(answer))
    with pytest.raises(BusyError) as busy:
        sink.write(Batch(id="b", source="s"))
    assert busy.value.seconds == 7
    delivery = Delivery(spool, sink, source="test")
    assert not delivery._attempt()
    assert delivery._asked_wait == 7


def test_another_collector_that_comes_and_goes_has_everything_in_order(spool):
    """A third of the calls is answered, a third refused for now, a third breaks after it was taken: then it comes again."""
    got: list[Batch] = []

    def answer(request):
        answer.calls += 1
        if answer.calls % 3 == 1:
            return httpx.Response(503)
        batch = msgspec.msgpack.decode(gzip.decompress(request.content), type=Batch)
        if batch.id not in {one.id for one in got}:
            got.append(batch)
        if answer.calls % 3 == 2:
            raise httpx.ReadError("the line broke")
        return httpx.Response(202)

    answer.calls = 0
    delivery = Delivery(
        spool,
        HttpSink("http://collector", None, httpx.MockTransport(answer)),
        source="test",
        pace=Pace(rows=3),
    )
    _attempts(delivery, spool, 100)
    assert [row.id for batch in got for row in batch.predictions] == [f"p{n}" for n in range(20)]
    assert (spool.pending, spool.counters()["delivered"]) == (0, 20)


def test_what_is_too_old_expires_while_the_sink_is_away(tmp_path, capsys):
    now = [0.0]
    spool = Spool(tmp_path, clock=lambda: now[0])
    spool.put([encode_record(Prediction(model="m", id="old", timestamp=NOON))]).result(5)
    sink = Recording(failures=1)
    delivery = Delivery(spool, sink, source="test", pace=Pace(max_age=60))
    assert not delivery._attempt()
    now[0] = 61.0
    spool.put([encode_record(Prediction(model="m", id="new", timestamp=NOON))]).result(5)
    assert delivery._attempt()
    assert (sink.ids, spool.counters()["expired"]) == (["new"], 1)
    spool.close()


def test_what_is_sampled_out_is_counted(spool):
    def half(batch: Batch) -> Batch:
        kept = batch.predictions[::2]
        return msgspec.structs.replace(batch, predictions=kept, unkept=len(batch.predictions) - len(kept))

    sink = Recording()
    assert Delivery(spool, sink, source="test", pace=Pace(rows=6), prepare=half).drain(10)
    assert sink.ids == [f"p{n}" for n in range(0, 20, 2)]
    counts = spool.counters()
    assert (counts["delivered"], counts["written"], counts["unkept"]) == (20, 10, 10)


def test_a_collector_that_is_away_is_unavailable():
    def fail(request):
        raise httpx.ConnectError("no")

    with pytest.raises(UnavailableError, match="ConnectError"):
        HttpSink("http://collector", None, httpx.MockTransport(fail)).write(Batch(id="b", source="s"))
