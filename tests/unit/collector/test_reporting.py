"""What a collector says about itself: each loss once, the newest word of everybody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collector.errors import BodyError
from collector.reporting import Reporter, Reports, read_reports
from collector.spool import Receipt, Spool, encode_record, to_batch
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

    def numbers(dropped: int) -> dict[str, float]:
        return {"dropped_full": dropped, **spool.counters()}

    reporter(spool, numbers(7)).note_losses()
    reporter(spool, numbers(2), ring="r2").note_losses()
    assert [count for *_, count in told(spool)][:2] == [8, 2]
    spool.close()


def test_that_nothing_was_lost_is_told_and_a_loss_that_is_made_good_is_not_told_as_less_than_nothing(
    tmp_path,
):
    spool = Spool(tmp_path)
    numbers = lambda: {"dropped_full": 0, **spool.counters()}  # noqa: E731
    speaker = Reporter(spool, numbers, lambda: NOON, model="m", ring="r1")
    speaker.note_losses()
    sealed = spool.seal(10)
    assert [decode(one.data).count for one in to_batch(sealed, "s").profiles] == [0]
    spool.set_aside(sealed, "poison")
    speaker.note_losses()
    spool.remove(spool.seal(10), Receipt())
    spool.retry_aside(sealed.id)
    waiting = spool.pending
    speaker.note_losses()
    assert spool.pending == waiting
    spool.close()


def test_a_batch_that_is_refused_twice_is_told_once_and_one_that_came_through_makes_good_for_the_next(
    tmp_path,
):
    spool = Spool(tmp_path)
    speaker = Reporter(
        spool, lambda: {"dropped_full": 0, **spool.counters()}, lambda: NOON, model="m", ring="r1"
    )

    def refused(count):
        rows = [
            encode_record(Prediction(model="m", id=str(number), timestamp=NOON)) for number in range(count)
        ]
        spool.put(rows).result(5)
        sealed = spool.seal(100)
        spool.set_aside(sealed, "poison")
        return sealed.id

    def told_now():
        speaker.note_losses()
        sealed = spool.seal(100)
        if sealed is None:
            return []
        spool.remove(sealed, Receipt())
        return [decode(one.data).count for one in to_batch(sealed, "s").profiles]

    assert told_now() == [0]
    first = refused(2)
    assert told_now() == [2]
    spool.retry_aside(first)
    again = spool.seal(100)
    spool.set_aside(again, "poison still")
    assert told_now() == []
    spool.retry_aside(again.id)
    spool.remove(spool.seal(100), Receipt(written=2))
    assert told_now() == []
    refused(3)
    assert told_now() == [1]  # 3 are lost, of which 2 were told when they were not
    spool.close()


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
