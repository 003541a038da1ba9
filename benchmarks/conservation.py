"""Nothing that was acknowledged is lost, doubled or made up, whoever is killed, and whatever is full or away.

    python benchmarks/conservation.py [--rounds 200] [--quick] [--seed N] [--only direct|gateway]

Two set-ups: `direct` is a sidecar that writes into SQLite, `gateway` one that sends to a server that writes into
PostgreSQL. In each round traffic flows (requests through the proxy; predictions and labels over the API), and at a
random moment one thing happens: kill -9 of the forwarder, of the recorder, of both, of the server or of a process of
PostgreSQL; PostgreSQL that stands still; an SQLite file that is locked; a disk of the sidecar's spool (a tmpfs of 24 MiB, where it may be mounted) that is full.

Checked every ten rounds, when everything has arrived: each id that was answered by the proxy with its header, or by the
API with 202, is in the database; none is that was never sent; the traffic summaries count each row once, and the
performance summaries each labelled one; the spool's counters balance. Exit code 1 when anything of this does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from conservation_world import World, direct, gateway, wait_for

from remora import tables
from remora.database import connect
from remora.errors import UnavailableError
from remora.summaries import merge_encoded


def found_in(url: str) -> tuple[set[str], set[str], int, int, int]:
    """Ids of predictions and labels, rows in the traffic summaries, joined labels, rows in the performance summaries."""
    database = connect(url)
    try:
        with database.read() as connection:
            predictions = set(connection.execute(sa.select(tables.predictions.c.id)).scalars())
            labels = set(connection.execute(sa.select(tables.labels.c.id)).scalars())
            joined = sa.select(sa.func.count()).select_from(tables.labels).where(tables.labels.c.joined)
            count = connection.execute(joined).scalar_one()
            totals = [_summed(connection, column) for column in ("$traffic", "$performance")]
        traffic, performance = totals
        return (
            predictions,
            labels,
            traffic.count if traffic else 0,
            count,
            performance.rows if performance else 0,
        )
    finally:
        database.dispose()


def _summed(connection: sa.Connection, column: str) -> Any:
    table = tables.summaries
    return merge_encoded(
        connection.execute(sa.select(table.c.data).where(table.c.column_name == column)).scalars()
    )


def check(world: World) -> list[str]:
    """What does not hold, after everything had time to arrive."""
    traffic = world.traffic

    def arrived() -> tuple[set[str], set[str], int, int, int] | None:
        try:
            found = found_in(world.database)
            status = httpx.get(f"http://127.0.0.1:{traffic.port}/remora/v1/status", timeout=5).json()
        except (UnavailableError, httpx.HTTPError, ValueError):
            return None
        late = set(traffic.acknowledged) - found[0] or set(traffic.labelled) - found[1]
        return None if late or status.get("pending") != 0 else found

    with contextlib.suppress(SystemExit):
        wait_for(arrived, "everything that was acknowledged")
    predictions, labels, counted, joined, judged = found_in(world.database)
    problems = [
        f"lost {key}, acknowledged in round {traffic.acknowledged[key]}"
        for key in traffic.acknowledged.keys() - predictions
    ]
    problems += [f"lost the label of {key}" for key in set(traffic.labelled) - labels]
    problems += [f"{key} was never sent" for key in predictions - traffic.sent]
    if counted != len(predictions):
        problems.append(f"{len(predictions)} rows, {counted} in the traffic summaries")
    if joined != judged or joined != len(labels & predictions):
        problems.append(
            f"{len(labels & predictions)} labelled rows, {joined} joined, {judged} in the summaries"
        )
    return problems + unbalanced(traffic.port)


def unbalanced(port: int) -> list[str]:
    """What the sidecar's counters say themselves."""
    try:
        stages = httpx.get(f"http://127.0.0.1:{port}/remora/v1/status", timeout=5).json()["balance"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [f"the sidecar does not tell its counters: {type(error).__name__}"]
    return [
        f"the counters of {stage} do not balance: {counts}"
        for stage, counts in stages.items()
        if counts["difference"] and stage != "requests"  # those that a kill cut off were never answered
    ]


def run(name: str, rounds: int, seed: int) -> bool:
    """Print a line for each kind of event; True when everything held."""
    chance, done, problems = random.Random(f"{seed}{name}"), Counter[str](), []
    setups = {"direct": direct, "gateway": gateway}
    with (
        tempfile.TemporaryDirectory(prefix="remora-", ignore_cleanup_errors=True) as folder,
        setups[name](Path(folder)) as world,
    ):
        wait_for(world.traffic.reaches, "the sidecar")
        deck: list[str] = []
        for number in range(1, rounds + 1):
            deck = deck or chance.sample(sorted(world.events), len(world.events))
            event = deck.pop()
            world.traffic.start(number)
            time.sleep(chance.uniform(0.05, 0.6))
            try:
                world.events[event](chance)
            except SystemExit:
                world.traffic.stop()
                print(world.sidecar.last_words(), file=sys.stderr)
                raise
            time.sleep(chance.uniform(0.1, 0.5))
            world.traffic.stop()
            done[event] += 1
            if number % 10 == 0 or number == rounds:
                found = check(world)
                problems += found
                print(
                    f"{name}: {number} rounds, {len(world.traffic.acknowledged):,} acknowledged, problems: {len(problems)}",
                    flush=True,
                )
                if found:
                    print(world.sidecar.last_words(), file=sys.stderr)
                    break
        traffic = world.traffic
    print(f"\n{name:<9} {'event':<16} {'rounds':>6}")
    for event, count in sorted(done.items()):
        print(f"{'':<9} {event:<16} {count:>6}")
    print(
        f"{'':<9} sent {len(traffic.sent):,}, acknowledged {len(traffic.acknowledged):,} predictions and"
        f" {len(traffic.labelled):,} labels, problems {len(problems)}\n"
    )
    for problem in problems[:20]:
        print(f"  {problem}")
    return not problems


def main() -> int:
    """Run half of the rounds in each set-up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument(
        "--quick", action="store_true", help="five rounds, direct alone: only to prove that it works"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=["direct", "gateway"])
    options = parser.parse_args()
    if options.quick:
        return 0 if run("direct", 5, options.seed) else 1
    names = [options.only] if options.only else ["direct", "gateway"]
    held = [run(name, max(1, options.rounds // len(names)), options.seed) for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
