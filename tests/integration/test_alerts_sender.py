"""The sender against a real HTTP server that is down, slow, full of errors or of rubbish."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from datetime import timedelta
from types import SimpleNamespace

import pytest
from standardwebhooks import Webhook

from alerts import outbox
from alerts import sender as sender_module
from alerts.receivers.base import Event
from alerts.sender import Sender
from remora import tables as t
from remora.errors import UserError
from tests.example_alerts import DAY, SECRET, WALL, FakeReceiver, World

PATIENT = 20.0


def config(**urls: str) -> str:
    receivers = "\n".join(
        f'  {name}: {{kind: webhook, url: "{url}", secret: {SECRET}, timeout: 2s}}'
        for name, url in urls.items()
    )
    return f"version: 1\nreceivers:\n{receivers}\n"


def put(
    world: World, name: str, number: int = 1, *, key: str = "group", kind: str = "alert.firing", wall=WALL
) -> None:
    event = Event(
        type=kind, timestamp=WALL, receiver=name, title=f"number {number}", external_url="http://x.example"
    )
    with world.database.write() as connection:
        outbox.enqueue(
            connection, world.config, event, event_id=f"evt_{name}_{number}", order_key=key, wall=wall,
        )  # fmt: skip


def deliveries(world: World):
    return world.rows(t.deliveries, "created_at", "id")


@pytest.fixture
def receiver():
    with FakeReceiver() as running:
        yield running


def sender_of(world: World, name: str = "me") -> Sender:
    made = Sender(world.database, world.config, name)
    made._random = lambda: 0.5  # no jitter
    return made


def test_a_delivery_is_signed_and_noted(database, receiver):
    world = World(database, config(hook=receiver.url))
    put(world, "hook")
    sender = sender_of(world)
    assert sender.run_once(WALL, patience=PATIENT) == 1
    assert sender.run_once(WALL, patience=PATIENT) == 0
    sender.close()
    row = deliveries(world)[0]
    assert (row.state, row.attempts, row.last_status, row.lease_owner) == ("delivered", 1, 200, None)
    got = receiver.received[0]
    assert got.headers["webhook-id"] == row.id
    assert int(got.headers["webhook-timestamp"]) == int(WALL.timestamp())
    oracle = Webhook(SECRET)
    from datetime import UTC, datetime

    expected = oracle.sign(row.id, datetime.fromtimestamp(int(WALL.timestamp()), UTC), got.body.decode())
    assert got.headers["webhook-signature"] == expected
    attempt = world.rows(t.delivery_attempts, "attempt")[0]
    assert (attempt.status, attempt.error, attempt.response) == (200, None, "ok")


def test_failures_are_tried_again_on_the_schedule_under_the_same_id(database, receiver):
    receiver.answers = deque([(500, {}, b"no"), (503, {}, b"no"), (408, {}, b""), (200, {}, b"")])
    world = World(database, config(hook=receiver.url))
    put(world, "hook")
    sender = sender_of(world)
    wall, waits = WALL, []
    while deliveries(world)[0].state == "pending":
        before = wall
        wall = deliveries(world)[0].next_attempt_at
        waits.append(round((wall - before).total_seconds()))
        assert sender.run_once(wall - timedelta(milliseconds=1), patience=PATIENT) == 0 or wall == WALL
        sender.run_once(wall, patience=PATIENT)
        assert len(waits) < 10
    sender.close()
    assert waits == [0, 5, 30, 120]
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    stamps = [int(got.headers["webhook-timestamp"]) for got in receiver.received]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] >= 154
    assert len({got.body for got in receiver.received}) == 1
    assert [row.status for row in world.rows(t.delivery_attempts, "attempt")] == [500, 503, 408, 200]


def test_retry_after_is_honoured_up_to_an_hour(sqlite_database, receiver):
    receiver.answers = deque([(429, {"Retry-After": "90"}, b""), (429, {"Retry-After": "86400"}, b"")])
    world = World(sqlite_database, config(hook=receiver.url))
    put(world, "hook")
    sender = sender_of(world)
    sender.run_once(WALL, patience=PATIENT)
    first = deliveries(world)[0].next_attempt_at
    assert 90 <= (first - WALL).total_seconds() < 93
    sender.run_once(first, patience=PATIENT)
    assert 3600 <= (deliveries(world)[0].next_attempt_at - first).total_seconds() < 3603
    sender.close()


@pytest.mark.parametrize(
    ("status", "state"),
    [(204, "delivered"), (301, "pending"), (307, "pending"), (400, "dead"), (404, "dead"), (410, "dead"),
     (425, "pending"), (502, "pending")],
)  # fmt: skip
def test_what_a_status_means(sqlite_database, receiver, status, state):
    receiver.answers = deque([(status, {"Location": receiver.url}, b"")])
    world = World(sqlite_database, config(hook=receiver.url))
    put(world, "hook")
    sender = sender_of(world)
    sender.run_once(WALL, patience=PATIENT)
    sender.close()
    assert deliveries(world)[0].state == state
    assert len(receiver.received) == 1  # a redirect is not followed


def test_resolved_never_overtakes_firing(database, receiver):
    receiver.answers = deque([(500, {}, b""), (200, {}, b"")])
    world = World(database, config(hook=receiver.url))
    put(world, "hook", 1)
    sender = sender_of(world)
    sender.run_once(WALL, patience=PATIENT)  # fails, but who knows what the receiver made of it
    put(world, "hook", 2, kind="alert.resolved")
    put(world, "hook", 3, key="another")
    for seconds in (1, 6, 7):
        sender.run_once(WALL + timedelta(seconds=seconds), patience=PATIENT)
    sender.close()
    titles = [json.loads(got.body)["data"]["title"] for got in receiver.received]
    assert sorted(titles) == ["number 1", "number 1", "number 2", "number 3"]
    assert titles[0] == "number 1"
    assert titles.index("number 2") > max(i for i, title in enumerate(titles) if title == "number 1")


def test_a_slow_receiver_blocks_nobody_else(sqlite_database, receiver):
    release = threading.Event()

    def slow(handler):
        release.wait(10)
        handler.send_response(200)
        handler.end_headers()

    with FakeReceiver(deque([slow])) as tarpit:
        world = World(
            sqlite_database, config(slow=tarpit.url, hook=receiver.url).replace("timeout: 2s", "timeout: 15s")
        )
        put(world, "slow", 1)
        put(world, "hook", 2)
        sender = sender_of(world)
        deadline = time.monotonic() + 10
        while not receiver.received and time.monotonic() < deadline:
            sender.run_once(WALL, patience=0.05)
        put(world, "hook", 3)
        while len(receiver.received) < 2 and time.monotonic() < deadline:
            sender.run_once(WALL, patience=0.05)
        states = {row.event_id: row.state for row in deliveries(world)}
        release.set()
        sender.close()
    assert len(receiver.received) == 2
    assert states["evt_slow_1"] == "pending"
    assert len(tarpit.received) == 1


def test_an_answer_that_drips_ends_at_the_timeout(sqlite_database):
    stop = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.1):
            try:
                handler.wfile.write(b"x-more: 1\r\n")
            except OSError:
                return

    with FakeReceiver(deque([drip])) as receiver:
        world = World(sqlite_database, config(hook=receiver.url).replace("timeout: 2s", "timeout: 500ms"))
        put(world, "hook")
        sender = sender_of(world)
        assert sender.run_once(WALL, patience=PATIENT) == 1
        sender.close()
        stop.set()
    row = deliveries(world)[0]
    assert row.state == "pending"
    assert "Timeout" in row.last_error


def test_of_an_endless_answer_four_kilobytes_are_kept(sqlite_database):
    def endless(handler):
        handler.send_response(500)
        handler.end_headers()
        try:
            for _ in range(10_000):
                handler.wfile.write(b"z" * 65536)
        except OSError:
            pass

    with FakeReceiver(deque([endless])) as receiver:
        world = World(sqlite_database, config(hook=receiver.url))
        put(world, "hook")
        sender = sender_of(world)
        sender.run_once(WALL, patience=PATIENT)
        sender.close()
    assert world.rows(t.delivery_attempts, "attempt")[0].response == "z" * 4000


def test_rubbish_and_silence_are_network_errors(sqlite_database):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{unused.getsockname()[1]}/x"  # bound, not listening: refused

        def rubbish(handler):
            handler.wfile.write(b"\x00\xff this is not HTTP\r\n\r\n")

        with FakeReceiver(deque([rubbish])) as receiver:
            world = World(sqlite_database, config(odd=receiver.url, down=down))
            put(world, "odd", 1)
            put(world, "down", 2)
            sender = sender_of(world)
            sender.run_once(WALL, patience=PATIENT)
            sender.close()
    rows = {row.receiver: row for row in deliveries(world)}
    assert rows["odd"].last_error.startswith("RemoteProtocolError")
    assert rows["down"].last_error.startswith("ConnectError")
    assert {row.state for row in rows.values()} == {"pending"}


def test_the_breaker_opens_after_five_failures_and_probes(sqlite_database, receiver):
    receiver.answers = deque([(500, {}, b"")])
    world = World(sqlite_database, config(hook=receiver.url))
    for number in range(7):
        put(world, "hook", number, key=f"key{number}")
    sender = sender_of(world)
    for second in range(4):
        sender.run_once(WALL + timedelta(seconds=second), patience=PATIENT)
        sender.run_once(WALL + timedelta(seconds=second, milliseconds=500), patience=PATIENT)
    assert len(receiver.received) == 5
    sender.run_once(WALL + timedelta(seconds=55), patience=PATIENT)
    assert len(receiver.received) == 5
    receiver.answers = deque([(200, {}, b"")])
    sender.run_once(WALL + timedelta(seconds=70), patience=PATIENT)
    sender.close()
    assert {row.state for row in deliveries(world)} == {"delivered"}


def test_nothing_is_sent_after_its_time(database, receiver):
    world = World(database, config(hook=receiver.url))
    put(world, "hook", 1)
    later = sender_of(world)
    later.run_once(WALL + DAY, patience=PATIENT)
    later.close()
    assert {row.event_id: row.state for row in deliveries(world)} == {"evt_hook_1": "dead"}
    assert receiver.received == []


def test_a_request_to_start_something_is_left_to_the_starter(database, receiver):
    world = World(database, config(hook=receiver.url))
    put(world, "hook", 1, kind="action.requested", key="act")
    sender = sender_of(world)
    for wall in (WALL, WALL + DAY):
        sender.run_once(wall, patience=PATIENT)
    sender.close()
    assert [(row.state, row.attempts) for row in deliveries(world)] == [("pending", 0)]
    assert receiver.received == []


def test_two_senders_and_one_that_died_deliver_each_message_once(database, receiver):
    world = World(database, config(hook=receiver.url))
    for number in range(10):
        put(world, "hook", number, key=f"key{number % 3}")
    with world.database.write() as connection:  # somebody claimed one and was killed
        lost = outbox.claim(connection, "hook", owner="dead", wall=WALL, lease=timedelta(seconds=90))
    senders = [sender_of(world, name) for name in ("one", "two")]
    for second in (0, 1, 2, 89):
        for sender in senders:
            sender.run_once(WALL + timedelta(seconds=second), patience=0.01)
    deadline = time.monotonic() + 30
    while any(row.state == "pending" for row in deliveries(world)) and time.monotonic() < deadline:
        for sender in senders:
            sender.run_once(WALL + timedelta(seconds=95), patience=0.2)
    for sender in senders:
        sender.close()
    ids = [got.headers["webhook-id"] for got in receiver.received]
    assert sorted(ids) == sorted(row.id for row in deliveries(world))
    assert next(row for row in deliveries(world) if row.id == lost.id).attempts == 2
    for key in ("key0", "key1", "key2"):
        order = [row.id for row in deliveries(world) if row.order_key == key]
        assert [one for one in ids if one in order] == order


def test_a_metadata_address_is_not_called(sqlite_database):
    world = World(
        sqlite_database, config(bad="http://169.254.169.254/latest", mapped="http://[::ffff:169.254.1.1]/x")
    )
    put(world, "bad", 1)
    put(world, "mapped", 2)
    sender = sender_of(world)
    sender.run_once(WALL, patience=PATIENT)
    sender.close()
    assert all("metadata" in row.last_error for row in deliveries(world))


def test_a_receiver_that_left_the_configuration_gets_nothing(sqlite_database, receiver):
    world = World(sqlite_database, config(hook=receiver.url))
    put(world, "hook")
    emptied = World(sqlite_database, "version: 1")
    sender = sender_of(emptied)
    assert sender.run_once(WALL + timedelta(minutes=16), patience=PATIENT) == 0
    sender.close()
    assert deliveries(world)[0].state == "dead"


def test_a_secret_that_cannot_be_read_stops_the_start(sqlite_database, tmp_path):
    text = 'version: 1\nreceivers:\n  hook: {kind: webhook, url_file: "%s"}\n'
    with pytest.raises(UserError, match=r"receiver hook: url_file .* cannot be read"):
        Sender(sqlite_database, World(sqlite_database, text % (tmp_path / "none")).config, "me")


def test_a_receiver_that_only_a_newer_server_knows_keeps_its_messages(database, receiver):
    newer = World(database, config(chat=receiver.url, pager=receiver.url))
    older = sender_of(World(database, config(chat=receiver.url)), "older")
    put(newer, "pager")
    older.run_once(WALL + timedelta(minutes=14), patience=PATIENT)
    assert [row.state for row in deliveries(newer)] == ["pending"]
    older.run_once(WALL + timedelta(minutes=15), patience=PATIENT)
    assert [row.state for row in deliveries(newer)] == ["dead"]
    older.close()


def test_a_lease_counts_from_the_claim_also_after_waiting_for_a_worker(database, receiver, monkeypatch):
    world = World(database, config(chat=receiver.url))
    put(world, "chat")
    clock = [100.0]
    monkeypatch.setattr(sender_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    sender = sender_of(world)
    begin = sender._pool.submit

    def late(*arguments):
        clock[0] = 220.0  # two minutes until a worker is free
        return begin(*arguments)

    monkeypatch.setattr(sender._pool, "submit", late)
    sender.run_once(WALL, patience=PATIENT)
    sender.close()
    (attempt,) = world.rows(t.delivery_attempts, "attempt")
    assert attempt.started_at == WALL + timedelta(minutes=2)
