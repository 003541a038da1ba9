"""A receiver that does not answer: its breaker outlives processes, and somebody else is told."""

from __future__ import annotations

import json
from collections import deque
from datetime import timedelta

import pytest

from alerts import outbox, receiver_state
from alerts.receivers.base import Event
from alerts.sender import Sender
from remora import tables as t
from tests.example_alerts import WALL, FakeReceiver, World

PATIENT = 20.0


@pytest.fixture
def pair():
    with FakeReceiver() as chat, FakeReceiver() as mail:
        yield chat, mail


def world_of(database, chat, mail) -> World:
    return World(
        database,
        f'version: 1\nreceivers:\n  chat: {{kind: webhook, url: "{chat.url}", timeout: 2s, fallback: mail}}\n'
        f'  mail: {{kind: webhook, url: "{mail.url}", timeout: 2s}}\n',
    )


def put(world: World, number: int, kind: str = "alert.firing", key: str | None = None) -> None:
    event = Event(kind, WALL, "chat", f"number {number}", "http://x.example")
    with world.database.write() as connection:
        outbox.enqueue(
            connection, world.config, event, event_id=f"evt_{number}", order_key=key or f"key{number}",
            wall=WALL + timedelta(milliseconds=number),
        )  # fmt: skip


def send(world: World, seconds: float = 1) -> None:
    """By a process that knows nothing but what is in the database."""
    sender = Sender(world.database, world.config, "me")
    sender._random = lambda: 0.5
    for part in (0, 0.3):
        sender.run_once(WALL + timedelta(seconds=seconds + part), patience=PATIENT)
    sender.close()


def titles(receiver) -> list[str]:
    return [json.loads(got.body)["data"]["title"] for got in receiver.received]


def test_the_fallback_is_told_when_five_attempts_have_failed_and_not_before(database, pair):
    chat, mail = pair
    chat.answers = deque([(500, {}, b"")])
    world = world_of(database, chat, mail)
    for number in range(3):
        put(world, number)
    send(world, 1)
    send(world, 2)
    assert len(chat.received) == 3
    assert mail.received == []
    send(world, 8)
    send(world, 9)
    assert len(chat.received) == 5
    assert sorted(titles(mail)) == ["number 0", "number 1", "number 2"]
    put(world, 3)  # decided while it is known that chat does not answer
    send(world, 10)
    assert "number 3" in titles(mail)
    assert len(chat.received) == 5

    chat.answers = deque([(200, {}, b"")])
    send(world, 120)  # the probe, then everything that waited
    assert sorted(titles(chat)[5:]) == ["number 0", "number 1", "number 2", "number 3"]
    assert len(mail.received) == 4
    assert world.rows(t.receiver_states) == []


def test_who_is_told_needs_no_fallback(database, pair):
    chat, mail = pair
    world = world_of(database, chat, mail)
    put(world, 1)
    assert sorted(row.state for row in world.rows(t.deliveries)) == ["pending", "standby"]
    send(world)
    assert [row.state for row in world.rows(t.deliveries)] == ["delivered"]
    assert mail.received == []


def test_what_one_refuses_the_other_is_told(database, pair):
    chat, mail = pair
    chat.answers = deque([(404, {}, b"no such channel")])
    world = world_of(database, chat, mail)
    put(world, 1)
    send(world)
    assert titles(mail) == ["number 1"]
    assert [row.state for row in world.rows(t.deliveries, "created_at")] == ["dead", "delivered"]
    assert world.rows(t.receiver_states) == []  # it answers: nothing is wrong with it


def test_one_that_is_gone_is_left_alone_at_once(sqlite_database, pair):
    chat, mail = pair
    chat.answers = deque([(410, {}, b"channel_is_archived")])
    world = world_of(sqlite_database, chat, mail)
    for number in range(3):
        put(world, number)
    send(world)
    assert len(chat.received) == 1
    assert sorted(titles(mail)) == ["number 0", "number 1", "number 2"]


def test_only_one_process_asks_again(database, pair):
    chat, mail = pair
    world = world_of(database, chat, mail)
    with database.write() as connection:
        for _ in range(5):
            breaker = receiver_state.note(connection, "chat", WALL, failed=True, gone=False)
    assert breaker.is_open
    until = WALL + timedelta(minutes=2)
    with database.write() as connection:
        known = receiver_state.breakers(connection)["chat"]
        assert receiver_state.claim_probe(connection, "chat", known, until)
        assert not receiver_state.claim_probe(connection, "chat", known, until)
        assert receiver_state.breakers(connection)["chat"].probe_at == until
    assert world.rows(t.receiver_states)[0].failures == 5


def test_what_is_over_before_it_was_sent_is_not_sent(database, pair):
    chat, mail = pair
    world = world_of(database, chat, mail)
    put(world, 1, key="g")
    put(world, 2, "alert.resolved", key="g")
    send(world)
    assert (chat.received, mail.received) == ([], [])
    assert [(row.kind, row.state) for row in world.rows(t.deliveries)] == [("alert.firing", "collapsed")]
    put(world, 3, key="g")
    send(world, 2)
    put(world, 4, key="g")
    put(world, 5, "alert.resolved", key="g")  # of this one chat knows
    send(world, 3)
    assert titles(chat) == ["number 3", "number 4", "number 5"]
    put(world, 6, key="g")
    put(world, 7, "alert.resolved", key="g")
    send(world, 4)
    assert len(chat.received) == 3


def test_somebody_may_ask_for_it_again_under_the_same_id(database, pair):
    chat, mail = pair
    chat.answers = deque([(400, {}, b"no"), (200, {}, b"ok")])
    world = world_of(database, chat, mail)
    put(world, 1)
    send(world)
    (first, _) = world.rows(t.deliveries, "created_at")
    assert first.state == "dead"
    with database.write() as connection:
        assert outbox.redeliver(connection, first.id, WALL + timedelta(days=2)) == "dead"
        assert outbox.redeliver(connection, first.id, WALL + timedelta(days=2)) == "pending"
        assert outbox.redeliver(connection, "msg_none", WALL) is None
    send(world, 2 * 86400 + 1)
    assert [got.headers["webhook-id"] for got in chat.received] == [first.id, first.id]
    assert chat.received[0].headers["webhook-timestamp"] < chat.received[1].headers["webhook-timestamp"]  # fmt: skip
    attempts = [(row.attempt, row.manual, row.status) for row in world.rows(t.delivery_attempts, "started_at") if row.delivery_id == first.id]  # fmt: skip
    assert attempts == [(1, False, 400), (2, True, 200)]
