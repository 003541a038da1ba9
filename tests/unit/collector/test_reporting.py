"""What a collector says about itself: each loss once, the newest word of everybody."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import BodyError
from collector.reporting import Reporter, Reports, read_reports
from collector.spool import Receipt, Spool, encode_record, encode_records, to_batch
from remora.records import CollectorReport, Prediction
from remora.summaries import decode
from remora.summaries.profile import LOST

NOON = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def told(spool) -> list[tuple[str, str, datetime, int]]:
    """The losses that lie in the spool; they are taken out."""
    found = []
    while (sealed := spool.seal(100)) is not None:
        profiles = to_batch(sealed, "s").profiles
        found += [(one.model, one.column, one.start, decode(one.data).count) for one in profiles]
        spool.set_aside(sealed, "read")
    return found


def reporter(spool, numbers, **more):
    return Reporter(spool, lambda: dict(numbers), lambda: NOON, **{"model": "m", "ring": "r1", **more})


def test_a_loss_is_told_once_with_its_minute_also_by_the_next_process(tmp_path):
    numbers = {"dropped_full": 3, "dropped_oversize": 1, "resyncs": 0}
    spool = Spool(tmp_path)
    speaker = reporter(spool, numbers)
    speaker.note_losses()
    speaker.note_losses()
    assert spool.pending == 1
    spool.close()
    spool = Spool(tmp_path)
    reporter(spool, numbers).note_losses()
    assert spool.pending == 1
    numbers["dropped_full"] = 5
    reporter(spool, numbers).note_losses()
    minute = NOON.replace(second=0)
    assert told(spool) == [("m", LOST, minute, 4), ("m", LOST, minute, 2)]
    spool.close()


def test_a_new_ring_counts_from_nothing_and_the_spools_own_losses_stay(tmp_path):
    spool = Spool(tmp_path)
    spool.put([encode_record(Prediction(model="m", id="a", timestamp=NOON))]).result(5)
    spool.set_aside(spool.seal(10), "poison")
    reporter(spool, {"dropped_full": 7}).note_losses()
    reporter(spool, {"dropped_full": 2}, ring="r2").note_losses()
    assert [count for *_, count in told(spool)] == [8, 2]
    spool.close()


def test_that_nothing_was_lost_is_told(tmp_path):
    spool = Spool(tmp_path)
    reporter(spool, {"dropped_full": 0}).note_losses()
    assert [count for *_, count in told(spool)] == [0]
    spool.close()


class Told:
    """What was told of losses, by minute, as a database adds it up; rows are taken, or refused again and again."""

    def __init__(self, path) -> None:
        self.now = NOON.timestamp()
        self.spool = Spool(path, clock=lambda: self.now)
        self.by_minute = Counter()
        self.delivered = 0
        self.reporter = reporter(self.spool, {}, model="m")

    def put(self, count):
        rows = [Prediction(model="m", id=f"{self.now}-{n}", timestamp=NOON) for n in range(count)]
        self.spool.put(encode_records(rows)).result(5)

    def deliver(self, *, refused=False):
        self.reporter.note_losses()
        while (sealed := self.spool.seal(3)) is not None:
            batch = to_batch(sealed, "s")
            if refused and batch.predictions:
                if sealed.records > 1:
                    self.spool.split(sealed)
                else:
                    self.spool.set_aside(sealed, "poison")
                continue
            self.spool.remove(sealed, Receipt(written=sealed.records))
            self.delivered += len(batch.predictions)
            for one in batch.profiles:
                self.by_minute[one.start] += decode(one.data).count
        return {minute.minute: count for minute, count in self.by_minute.items() if count}

    def retry(self):
        for one in self.spool.aside():
            self.spool.retry_aside(one.batch)


def test_what_comes_through_after_all_is_taken_off_its_minute_and_what_is_refused_again_is_told_once(
    tmp_path,
):
    world = Told(tmp_path)
    world.put(3)
    assert world.deliver(refused=True) == {0: 3}
    world.now += 60
    world.retry()
    world.retry()
    assert world.deliver(refused=True) == {1: 3}
    assert world.spool.counters()["set_aside"] == 3
    world.now += 60
    world.retry()
    assert world.deliver() == {}
    assert world.delivered == 3
    world.now += 60
    world.put(1)
    assert world.deliver(refused=True) == {3: 1}
    counts = world.spool.counters()
    assert (counts["set_aside"], counts["pending"], counts["bytes"]) == (1, 0, 0)
    world.spool.close()


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["put", "refuse", "deliver", "retry", "discard", "reopen"]), max_size=12))
def test_what_is_told_is_what_is_lost_whatever_happens(tmp_path_factory, steps):
    world = Told(tmp_path_factory.mktemp("spool"))
    for step in steps:
        world.now += 61
        if step == "put":
            world.put(2)
        elif step in {"refuse", "deliver"}:
            world.deliver(refused=step == "refuse")
        elif step == "retry":
            world.retry()
        elif step == "discard":
            for one in world.spool.aside():
                world.spool.discard_aside(one.batch)
        else:
            world.spool.close()
            world.spool = Spool(world.spool.path, clock=lambda: world.now)
            world.reporter = reporter(world.spool, {}, model="m")
    lost = world.deliver(refused=True)
    counts = world.spool.counters()
    assert sum(lost.values()) == counts["set_aside"]
    assert all(count > 0 for count in lost.values())
    assert counts["accepted"] == counts["delivered"] + counts["set_aside"]
    world.spool.close()


def test_a_refused_report_of_losses_is_not_told_of_in_turn(tmp_path):
    spool = Spool(tmp_path)
    speaker = reporter(spool, {"dropped_full": 1})
    for _ in range(3):
        speaker.note_losses()
        if (sealed := spool.seal(10)) is not None:
            spool.set_aside(sealed, "no such column")
    assert (spool.pending, len(spool.aside())) == (0, 1)
    spool.close()


def test_of_what_a_spool_of_the_first_form_set_aside_nothing_is_taken_off_for_its_minute_is_not_known(
    tmp_path,
):
    world = Told(tmp_path)
    world.put(1)
    assert world.deliver(refused=True) == {0: 1}
    world.spool.transact(
        lambda file, _: file.connection.execute("UPDATE aside SET at = 0.0").rowcount
    ).result()
    world.retry()
    world.deliver()
    assert world.delivered == 1
    assert dict(world.by_minute) == {NOON.replace(second=0): 1}
    world.spool.close()


def test_who_speaks_for_no_model_tells_no_losses_and_a_full_spool_is_tried_again(tmp_path):
    spool = Spool(tmp_path, limit=40)
    reporter(spool, {"dropped_full": 3}, model="").note_losses()
    assert spool.pending == 0
    reporter(spool, {"dropped_full": 3}).note_losses()
    assert spool.pending == 0
    spool.limit = 1 << 20
    reporter(spool, {"dropped_full": 3}).note_losses()
    assert [count for *_, count in told(spool)] == [3]
    spool.close()


def test_a_report_is_due_now_and_then_and_at_the_end(tmp_path):
    spool = Spool(tmp_path)
    others = Reports()
    speaker = reporter(spool, {"accepted": 4, "dropped_full": 2, "expired": 1}, others=others)
    (own,) = speaker.due()
    assert (own.id, own.model, own.started_at) == (spool.id, "m", NOON)
    assert (own.counters["lost"], own.counters["running"], own.counters["records_per_second"]) == (3, 1, 0)
    assert speaker.due() == []
    one = CollectorReport(id="x", host="h", model="m", version="1", started_at=NOON, counters={})
    others.take([one, one])
    own, passed = speaker.due(last=True)
    assert (own.counters["running"], passed) == (0, one)
    assert speaker.due(last=True)[1:] == []
    spool.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "not a list of reports"),
        (b"[1]", "not a list of reports"),
        (b'[{"id":"","host":"h","model":"","version":"1","started_at":"2026-01-01T00:00:00Z","counters":{}}]', "a name"),
        (b'[{"id":"a","host":"h","model":"","version":"1","started_at":"2026-01-01T00:00:00","counters":{}}]', "no instant"),
        (b'[{"id":"a","host":"h","model":"","version":"1","started_at":"2026-01-01T00:00:00Z","counters":{"":1}}]', "bad name"),
    ],
)  # fmt: skip
def test_a_report_that_is_none_is_refused(body, message):
    with pytest.raises(BodyError, match=message):
        read_reports(body)
