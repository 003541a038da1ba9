"""What is captured of the traffic, under which id, and at what cost."""

import asyncio
import re
from pathlib import Path

import pytest

from collector.identity import USUAL
from collector.ring import Ring
from tests.proxy_world import ID, OK, post, read_message, run, until, without_id, world


def test_the_prediction_id_is_the_callers_when_it_is_usable(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            given = await w.ask(post("/p", b"{}", "X-Request-ID:  order 17 "))
            assert b"x-remora-prediction-id: order 17\r\n" in given
            for bad in ("", "x" * 129, "caf\u00e9", "tab\there"):
                made = ID.search(await w.ask(post("/p", b"{}", f"X-Request-ID: {bad}")))
                assert re.fullmatch(
                    rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made[1]
                )
            ids = [record.id for record in w.records()]
            assert ids[0] == "order 17"
            assert len(set(ids)) == 5

    run(main())


@pytest.mark.parametrize(
    ("headers", "options", "expected"),
    [
        (["X-Request-Id: r", "Ce-Id: c", "X-Amzn-SageMaker-Inference-Id: s"], {}, b"s"),
        (["X-Request-Id: r", "Ce-Id: c"], {}, b"c"),
        (["X-Request-Id: r", "X-Order: 17"], {"ids": ("x-order", *USUAL)}, b"17"),
        (["X-Request-Id: r"], {"ids": ("x-order", *USUAL)}, b"r"),
    ],
)
def test_the_first_id_that_a_request_carries_counts(ring: Ring, headers, options, expected: bytes) -> None:
    async def main() -> None:
        async with world(ring, **options) as w:
            answer = await w.ask(post("/p", b"{}", *headers))
            assert ID.search(answer)[1] == expected
            assert [record.id for record in w.records()] == [expected.decode()]

    run(main())


INFER = "/v2/models/m/infer"
JSON_PART = b'{"id": "inside", "inputs": []}'


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        (INFER, b'{"inputs": [{"id": "deep"}], "id": "inside"}', [], b"inside"),
        (INFER, b'{"id": 17}', [], b"17"),
        (INFER, b'{"id": "\xc3\xa9"}', [], b"r"),
        (INFER, b'{"id": ["x"]}', [], b"r"),
        (INFER, b'{"inputs": []}', [], b"r"),
        (INFER, b"not json", [], b"r"),
        (INFER, JSON_PART + b"\x00\xff", [f"Inference-Header-Content-Length: {len(JSON_PART)}"], b"inside"),
        (INFER, b'{"id": "inside"}', ["X-Order: first"], b"first"),
        ("/predict", b'{"id": "inside"}', [], b"r"),
    ],
)
def test_an_open_inference_body_may_name_the_request(
    ring: Ring, path, body, headers, expected: bytes
) -> None:
    async def main() -> None:
        async with world(ring, ids=("x-order", *USUAL)) as w:
            request = post(path, body, "X-Request-Id: r", *headers)
            answer = await w.ask(request)
            assert ID.search(answer)[1] == expected
            reader, writer = await w.connect()
            for at in range(0, len(request), 7):  # the same in many packets
                writer.write(request[at : at + 7])
                await asyncio.sleep(0)
            assert ID.search(await read_message(reader))[1] == expected
            writer.close()
            assert [record.id for record in w.records()] == [expected.decode()] * 2

    run(main())


@pytest.mark.parametrize(
    "path", ["/v2/repository/models/m/load", "/api/v1.0/feedback", "/v2/models/m/unload"]
)
def test_a_model_servers_management_is_not_a_prediction(ring: Ring, path: str) -> None:
    async def main() -> None:
        async with world(ring) as w:
            await w.ask(post(path))
            assert w.records() == []
            assert ring.counters()["not_prediction"] == 1

    run(main())


def test_the_added_header_can_be_turned_off(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, add_id_header=False) as w:
            assert await w.ask(post()) == OK
            assert len(w.records()) == 1

    run(main())


def test_only_what_is_configured_is_captured(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, capture_paths=("/predict", "/v2/*/infer")) as w:
            for path in ("/predict", "/predict/x?y", "/predictions", "/v2/models/m/infer", "/v2/infer", "/"):
                await w.ask(post(path))
            paths = [record.request.split()[1] for record in w.records()]
            assert paths == [b"/predict", b"/predict/x?y", b"/v2/models/m/infer"]
            assert ring.counters()["not_prediction"] == 3

    run(main())


def test_a_full_ring_costs_records_and_no_traffic(ring: Ring, tmp_path: Path) -> None:
    small = Ring.create_or_open(tmp_path / "small", 4096)

    async def main() -> None:
        async with world(small) as w:
            for _ in range(100):
                assert without_id(await w.ask(post())) == OK
            counters = small.counters()
            assert counters["received"] == counters["forwarded"] == 100
            assert counters["dropped_full"] > 0
            assert len(w.records()) == counters["captured"] == 100 - counters["dropped_full"]

    run(main())
    small.unlink()
    small.path.unlink(missing_ok=True)
    small.close()


def test_large_bodies_stream_with_little_memory_and_a_capped_copy(ring: Ring) -> None:
    size = 50_000_000
    go = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        received = 0
        while received < size:
            received += len(await reader.read(1 << 20))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 1_000_000):
            writer.write(b"y" * 1_000_000)
            await writer.drain()

    async def main() -> None:
        peak = 0
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(b"POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
            sent = 0

            async def send() -> None:
                nonlocal sent, peak
                while sent < size:
                    writer.write(b"x" * 1_000_000)
                    await writer.drain()
                    sent += 1_000_000
                    peak = max(peak, w.proxy.hub.buffered_bytes())

            sending = asyncio.create_task(send())
            await until(lambda: any(not client._reading for client in w.proxy.hub.clients))
            assert sent < size  # the model does not read, so the client had to stop
            go.set()
            await sending
            await reader.readuntil(b"\r\n\r\n")
            await until(
                lambda: any(client.full for client in w.proxy.hub.clients)
            )  # now the client does not read
            peak = max(peak, w.proxy.hub.buffered_bytes())
            received = 0
            while received < size:
                received += len(await reader.read(1 << 20))
                peak = max(peak, w.proxy.hub.buffered_bytes())
            await until(w.records)
            [record] = w.records()
            assert len(record.request) == len(record.response) == 256 * 1024
            assert record.request_cut
            assert record.response_cut
            writer.close()
        assert peak < 2_000_000

    run(main())


# Ends and failures.
