"""kill -9 of the server at random moments of a storm: what comes of it is what comes of a run that nobody disturbs.

A few rounds here; the long mode is

    FAULT_ROUNDS=100 pytest -s tests/faults/test_kill.py

with so many kills over SQLite and over PostgreSQL.
"""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from tests.server_world import Receiver, Server
from tests.storm_world import MODELS, Storm

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "0"))
KINDS = ["sqlite", "postgresql"] if ROUNDS else ["sqlite"]
SHORT, STEPS = 3, 4


def kill(server, storm, chance):
    """At a moment after it has come up; sometimes once more before that, in the middle of its first round."""
    kills = 1 + (chance.random() < 0.3)
    time.sleep(chance.uniform(0, 1.2))
    for left in reversed(range(kills)):
        server.kill()
        server.lapse(storm.database)
        server.start()
        time.sleep(chance.uniform(0, 2.5) if left else 0)
    server.ready()
    return kills


@pytest.mark.timeout(300 + 60 * ROUNDS)
@pytest.mark.parametrize("database_url", KINDS, indirect=True)
def test_a_killed_server_loses_nothing_and_does_nothing_twice(database_url, tmp_path):
    rounds, kills = ROUNDS or SHORT, 0
    steps, chance = max(STEPS, rounds // 2), random.Random(rounds)
    with Receiver(slowest=0.1, loses=0.02 if ROUNDS else 0) as receiver:
        storm = Storm(database_url, receiver, tmp_path, steps, seed=rounds)
        server = Server(tmp_path / "one", database_url, storm.config)
        try:
            server.ready()
            while kills < rounds:
                storm.go_on(server)
                kills += kill(server, storm, chance)
            while storm.left or not storm.is_done():
                storm.go_on(server)
                time.sleep(0.1)
        finally:
            server.stop()
        calls = len(receiver.calls())
        sys.stdout.write(f"{kills} kills, {steps} windows of {MODELS} models, {calls} calls\n")
        storm.check()
        storm.database.dispose()
