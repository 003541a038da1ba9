"""The ingest API over a real spool: what is accepted, what is refused and how, what 202 promises."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from collector.app import sidecar_app
from collector.bodies import Limits
from collector.delivery import Delivery
from collector.errors import RefusedError
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.spool import Receipt, Spool, to_batch
from remora.cli import main
from remora.config import Config
from remora.listening import REFUSED
from remora.records import Batch, Label, Prediction
from remora.security import Guard
from tests.example_server import serving

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}
GOOD = {"model": "m", "id": "a", "features": {"x": 1}}


class Api:
    """The recorder's application on a spool, called in this process."""

    def __init__(self, path, **options) -> None:
        self.spool = Spool(path, options.pop("limit", 1 << 30))
        token = options.pop("token", None)
        self.ingest = Ingest(self.spool, lambda: NOON, Gate(Config()), **options)
        self.app = sidecar_app(self.ingest, Guard(token, None))

    def call(self, method: str, path: str, **more) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def post(self, path: str, body: object, headers: dict[str, str] = JSON) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, content=content, headers=headers)

    @property
    def records(self) -> Batch:
        sealed = self.spool.seal(100_000)
        return Batch(id="", source="") if sealed is None else to_batch(sealed, "test")


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path)
    yield made
    made.spool.close()


def test_one_object_an_array_or_lines(api):
    assert api.post("/v1/predictions", GOOD).json() == {"accepted": 1, "rejected": []}
    assert api.post("/v1/predictions", [GOOD, GOOD]).json()["accepted"] == 2
    lines = b'{"model":"m","id":"b","features":{}}\n\n{"model":"m","id":"c","features":{}}\n'
    answer = api.post("/v1/predictions", lines, LINES)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert [row.id for row in api.records.predictions] == ["a", "a", "a", "b", "c"]


def test_what_is_missing_is_settled(api):
    api.post("/v1/predictions", {"model": "m", "features": {"x": 1}, "version": 3})
    api.post("/v1/labels", {"model": "m", "id": 7, "label": "yes"})
    records = api.records
    row = records.predictions[0]
    assert (len(row.id), row.timestamp, row.version, row.status) == (26, NOON, "3", 200)
    assert records.labels == [Label(model="m", id="7", label="yes", timestamp=NOON)]


def test_gzip_is_unpacked(api):
    headers = {**JSON, "content-encoding": "gzip"}
    assert (
        api.post("/v1/predictions", gzip.compress(json.dumps([GOOD] * 3).encode()), headers).json()[
            "accepted"
        ]
        == 3
    )


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"model": "m"}, "features"),
        ({"features": {}}, "model"),
        ({**GOOD, "model": ""}, "`model` is empty"),
        ({**GOOD, "timestamp": "2013-03-01T10:00:00"}, "no time zone"),
        ({**GOOD, "timestamp": "yesterday"}, "timestamp"),
        ({**GOOD, "features": {"x": [1]}}, "neither text"),
        ({**GOOD, "features": {"x": "a\x00b"}}, "NUL"),
        ({**GOOD, "features": {"x": 2**70}}, "64 bits"),
        ({**GOOD, "features": {"$x": 1}}, r"begins with \$"),
        ({**GOOD, "features": {f"f{n}": n for n in range(1001)}}, "1001 entries"),
        ({**GOOD, "id": "x" * 129}, "129 characters"),
        ({**GOOD, "scores": "high"}, "scores"),
        ({**GOOD, "status": 7}, "status"),
        ({**GOOD, "latency_ms": -1}, "latency_ms"),
        ({**GOOD, "tags": {"a": 1}}, "tags"),
        ({**GOOD, "latency": 12}, "has an unknown key `latency`: did you mean `latency_ms`?"),
        (
            {**GOOD, "zzz": 1},
            "has an unknown key `zzz`: known are model, features, version, id, timestamp, prediction,",
        ),
        ({**GOOD, "x" * 5000: 1}, "has an unknown key `x{60}`: known are"),
        ({**GOOD, "a`\n": 1}, "has an unknown key `a`\n`"),
        ("text", "object"),
        (None, "object"),
    ],
)
def test_a_bad_item_is_refused_alone_and_its_values_are_not_repeated(api, item, words):
    answer = api.post("/v1/predictions", [GOOD, item, GOOD])
    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 2
    assert [rejected["index"] for rejected in body["rejected"]] == [1]
    assert re.search(words, body["rejected"][0]["error"])
    assert len(api.records.predictions) == 2


def test_a_misspelt_key_is_refused_in_lines_and_beside_nan_and_of_labels_too(api):
    answer = api.post(
        "/v1/predictions", f"{json.dumps(GOOD)}\n{json.dumps({**GOOD, 'tag': {}})}\n".encode(), LINES
    ).json()
    assert (answer["accepted"], answer["rejected"][0]["index"]) == (1, 1)
    assert answer["rejected"][0]["error"] == "has an unknown key `tag`: did you mean `tags`?"
    refused = api.post("/v1/predictions", b'{"model":"m","features":{"x":NaN},"latency":1}')
    assert (refused.status_code, "`latency_ms`" in refused.json()["error"]) == (400, True)
    wrong = api.post("/v1/labels", {"model": "m", "id": "a", "label": 1, "lable": 2})
    assert wrong.json()["rejected"] == [
        {"index": 0, "error": "has an unknown key `lable`: did you mean `label`?"}
    ]


def test_not_a_number_becomes_null(api):
    body = b'[{"model":"m","id":"a","features":{"x":NaN,"y":-Infinity,"z":"NaN"}},{"model":"m","id":"b","features":{"x":1}}]'
    assert api.post("/v1/predictions", body).json() == {"accepted": 2, "rejected": []}
    assert api.post("/v1/predictions", b'{"model":"m","id":"c","features":{"x":NaN}}').json()["accepted"] == 1
    rows = api.records.predictions
    assert rows[0].features == {"x": None, "y": None, "z": "NaN"}
    assert rows[1].features == {"x": 1}


HOSTILE = [
    b"", b"   ", b"nonsense", b"42", b'"text"', b"[", b"[{]", b'{"model":', b"[" * 100_000, b'{"a":' * 50_000,
    b'{"model":"m","id":"a","features":{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    b'{"model":"m","id":"a","features":{"x":"\\ud800"}}', b'[{"model":"m","features":{"x":"\\udfff"}}, NaN]',
    b'{"model":"m","id":"a","features":{"x":"\xff"}}', b'[{"model":"m","id":"\xff"}]', b"\xff\xfe\x00", b"\x00",
    b'{"model":"m","id":"a","features":{"x":' + b"9" * 5000 + b"}}", b"[NaN]", b"[" + b"9" * 5000 + b", NaN]",
    b'{"model":"m","features":{"\\ud800":1}}', b"[1,2,3]", b'{"model":"m","features":{"x":1e999}}',
    b'{"model":"m\\u0000","features":{}}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("headers", [JSON, LINES], ids=["json", "lines"])
@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/labels"])
def test_hostile_bodies_are_refused_in_words(api, path, headers, body):
    answer = api.post(path, body, headers)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert answer.json()["accepted"] == 0
    assert api.spool.pending == 0


def test_a_line_that_is_not_utf_8_spoils_only_itself(api):
    body = b'{"model":"m","id":"a","features":{}}\n{"model":"\xff"}\n{"model":"m","id":"b","features":{}}'
    answer = api.post("/v1/predictions", body, LINES).json()
    assert (answer["accepted"], [item["index"] for item in answer["rejected"]]) == (2, [1])


def test_sizes_are_bounded(tmp_path):
    api = Api(tmp_path, limits=Limits(wire=2000, decoded=5000, records=10))
    headers = {**JSON, "content-encoding": "gzip"}
    assert api.post("/v1/predictions", b" " * 2001).status_code == 413
    assert api.post("/v1/predictions", gzip.compress(b" " * 6000), headers).status_code == 413
    assert api.post("/v1/predictions", [GOOD] * 11).status_code == 413
    assert api.post("/v1/predictions", [GOOD] * 10).status_code == 202

    async def chunks():
        for _ in range(30):
            yield b" " * 100

    assert api.call("POST", "/v1/predictions", content=chunks(), headers=JSON).status_code == 413
    api.spool.close()


def test_what_is_refused_unread_is_counted_by_reason(tmp_path):
    api = Api(tmp_path, limits=Limits(wire=2000, decoded=5000, records=10, seconds=0.2))
    packed = {**JSON, "content-encoding": "gzip"}

    async def never():
        yield b"{"
        await asyncio.sleep(5)

    calls = {
        "body_too_large": [(b" " * 2001, JSON), (gzip.compress(b" " * 6000), packed), ([GOOD] * 11, JSON)],
        "type_unsupported": [
            (GOOD, {"content-type": "text/csv"}),
            (GOOD, {**JSON, "content-encoding": "br"}),
        ],
        "body_unreadable": [(b"", JSON), (b"not gzip", packed)],
    }
    before = {reason: REFUSED.labels(reason)._value.get() for reason in (*calls, "body_late")}
    for tried in calls.values():
        for body, headers in tried:
            api.post("/v1/labels", body, headers)
    assert api.call("POST", "/v1/predictions", content=never(), headers=JSON).status_code == 408
    counted = {reason: REFUSED.labels(reason)._value.get() - before[reason] for reason in before}
    assert counted == {"body_too_large": 3, "type_unsupported": 2, "body_unreadable": 2, "body_late": 1}
    api.spool.close()


def test_a_gzip_bomb_is_refused_before_it_unpacks(api):
    bomb = gzip.compress(b"0" * (200 << 20))
    answer = api.post("/v1/predictions", bomb, {**JSON, "content-encoding": "gzip"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"more"],
    ids=["no", "short", "long"],
)
def test_damaged_gzip_is_refused(api, body):
    assert api.post("/v1/predictions", body, {**JSON, "content-encoding": "gzip"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {**JSON, "content-encoding": "br"},
    ],
)
def test_other_types_and_encodings_are_refused(api, headers):
    assert api.post("/v1/predictions", GOOD, headers).status_code == 415


def test_a_full_spool_asks_to_come_back(tmp_path):
    api = Api(tmp_path, limit=300)
    assert api.post("/v1/predictions", GOOD).status_code == 202
    answer = api.post("/v1/predictions", [GOOD] * 20)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert api.ingest.status()["accepted"] == 1
    api.spool.close()


def test_the_status_balances_after_mixed_traffic(tmp_path):
    """Accepted, rejected in part and whole, refused by a full spool, poisonous, delivered, sampled out."""
    api = Api(tmp_path, limit=2000)
    assert api.post("/v1/predictions", [GOOD, {"model": ""}, GOOD | {"id": "b"}]).status_code == 202
    assert api.post("/v1/predictions", {"model": "m"}).status_code == 400
    assert api.post("/v1/predictions", GOOD | {"features": {"x": "y" * 3000}}).status_code == 503
    assert api.post("/v1/labels", {"model": "m", "id": "a", "label": 1}).status_code == 202

    class Choosy:
        def write(self, batch: Batch) -> Receipt:
            if any(row.id == "b" for row in batch.predictions):
                raise RefusedError("no b")
            return Receipt(written=len(batch.predictions), repeated=len(batch.labels))

        def tidy(self) -> None: ...

        def close(self) -> None: ...

    def sampled(batch: Batch) -> Batch:
        kept = [row for row in batch.predictions if row.id == "b"]
        return msgspec.structs.replace(batch, predictions=kept, unkept=len(batch.predictions) - len(kept))

    Delivery(api.spool, Choosy(), source="test", prepare=sampled).drain(10)
    api.post("/v1/predictions", GOOD | {"id": "waits"})
    status = api.call("GET", "/v1/status").json()
    assert {stage: counts["difference"] for stage, counts in status["balance"].items()} == {
        "api": 0, "records": 0, "deliveries": 0,
    }  # fmt: skip
    assert status["balance"]["api"] == {"read": 7, "taken": 4, "rejected": 2, "refused": 1, "difference": 0}
    assert [(one["records"], one["reason"]) for one in status["aside"]] == [(1, "no b")]
    shown = {
        name: status[name] for name in ("accepted", "set_aside", "unkept", "repeated", "written", "pending")
    }
    assert shown == {"accepted": 4, "set_aside": 1, "unkept": 1, "repeated": 1, "written": 0, "pending": 1}
    api.spool.close()


def test_batches_of_other_collectors_are_taken_once(api):
    batch = Batch(
        id="b-1-2", source="s",
        predictions=[Prediction(model="m", id="p", timestamp=NOON)],
        labels=[Label(model="m", id="p", label=True, timestamp=NOON)],
    )  # fmt: skip
    packed = gzip.compress(msgspec.msgpack.encode(batch))
    headers = {"content-type": "application/msgpack", "content-encoding": "gzip"}
    assert api.post("/v1/batches", packed, headers).json() == {"accepted": 2, "new": True}
    assert api.post("/v1/batches", packed, headers).json() == {"accepted": 2, "new": False}
    assert api.post("/v1/batches", msgspec.json.encode(batch)).json()["new"] is False
    assert (api.records.predictions, api.records.labels) == (batch.predictions, batch.labels)


@pytest.mark.parametrize(
    "batch",
    [
        b"\x00", b"\xff" * 10,
        msgspec.msgpack.encode(Batch(id="", source="")),
        msgspec.msgpack.encode(Batch(id="b", source="", predictions=[Prediction(model="", id="p", timestamp=NOON)])),
        msgspec.msgpack.encode({"id": "b", "source": "", "labels": [{"model": "m", "id": "p", "label": 1,
                                "timestamp": "2013-01-01T00:00:00"}]}),
    ],
)  # fmt: skip
def test_bad_batches_are_refused_whole(api, batch):
    assert api.post("/v1/batches", batch, {"content-type": "application/msgpack"}).status_code == 400
    assert api.spool.pending == 0


def test_everything_is_reached_below_remora_too(api):
    assert api.post("/remora/v1/predictions", GOOD).status_code == 202
    status = api.call("GET", "/remora/v1/status").json()
    assert status["accepted"] == status["delivered"] + status["pending"] + status["set_aside"] == 1
    assert api.call("GET", "/remora/healthz").json() == {"status": "ok"}
    assert api.call("GET", "/readyz").status_code == 200
    assert "remora_accepted_total" in api.call("GET", "/remora/metrics").text
    assert api.call("GET", "/nowhere").json() == {"error": "there is nothing at /nowhere"}
    assert api.call("GET", "/v1/predictions").status_code == 405


def test_the_token_is_asked_for(tmp_path):
    api = Api(tmp_path, token="secret")
    assert api.post("/v1/predictions", GOOD).status_code == 401
    assert api.post("/v1/predictions", GOOD, {**JSON, "authorization": "Bearer secret"}).status_code == 202
    assert api.call("GET", "/metrics").status_code == 401
    assert api.call("GET", "/healthz").status_code == 200
    api.spool.close()


def test_openapi_describes_the_bodies(api):
    document = api.call("GET", "/openapi.json").json()
    body = document["paths"]["/v1/predictions"]["post"]["requestBody"]
    assert set(body["content"]) == {"application/json", "application/x-ndjson"}
    assert "503" in document["paths"]["/v1/labels"]["post"]["responses"]


@pytest.fixture
def aside(api, capsys):
    """`remora aside …` against the application with one poison record set aside."""
    api.post("/v1/predictions", {**GOOD, "features": {"secret": "of-a-patient"}})
    api.spool.set_aside(api.spool.seal(10), "the database refuses it: value out of range")

    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["aside", *arguments, "--collector", f"{url}/remora"])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out if code == 0 else said.err

    with serving(api.app) as url:
        run.url = f"{url}/remora"
        yield run


def test_all_that_was_set_aside_is_listed_page_by_page(api, aside, monkeypatch):
    for number in range(24):
        api.post("/v1/predictions", {**GOOD, "id": f"n{number}"})
        api.spool.set_aside(api.spool.seal(10), f"poison {number}")
    newest = api.call("GET", "/v1/aside?limit=2").json()
    assert [one["reason"] for one in newest["aside"]] == ["poison 23", "poison 22"]
    older = api.call("GET", f"/v1/aside?limit=1000&before={newest['next']}").json()
    assert ([one["reason"] for one in older["aside"]][:2], older["next"]) == (
        ["poison 21", "poison 20"],
        None,
    )
    assert len(older["aside"]) == 23
    assert api.call("GET", "/v1/aside?limit=0").status_code == 422
    monkeypatch.setattr("remora.cli.aside._PAGE", 10)
    rows = aside("list").splitlines()
    assert (len(rows), rows[1][-8:], rows[-1][-9:]) == (21, "poison 4", "poison 23")
    assert len(aside("list", "--limit", "24").splitlines()) == 25
    everything = json.loads(aside("list", "--limit", "100", "--json"))
    assert (len(everything), everything[1]["reason"], everything[-1]["reason"]) == (
        25,
        "poison 0",
        "poison 23",
    )


def test_that_older_ones_are_not_shown_is_said(api, aside, capsys):
    api.post("/v1/predictions", GOOD)
    api.spool.set_aside(api.spool.seal(10), "another")
    with pytest.raises(SystemExit):
        main(["aside", "list", "--limit", "1", "--collector", aside.url])
    said = capsys.readouterr()
    assert ("another" in said.out, said.err) == (True, "older ones are not shown: --limit 10\n")


def test_what_was_set_aside_is_settled_from_the_terminal(api, aside):
    [batch] = [one.batch for one in api.spool.aside()]
    listed = aside("list")
    assert re.search(
        rf"^{re.escape(batch)}  1 .*  the database refuses it: value out of range$", listed, re.MULTILINE
    )
    assert "of-a-patient" not in listed + aside("list", "--json")
    assert aside("retry", batch) == f"{batch}: 1 records wait for their delivery again\n"
    assert aside("list") == "nothing was set aside\n"
    sealed = api.spool.seal(10)
    assert [row.id for row in to_batch(sealed, "t").predictions] == ["a"]
    api.spool.set_aside(sealed, "refused again")
    assert aside("discard", sealed.id) == f"{sealed.id}: 1 records are gone\n"
    assert f"no batch {sealed.id} was set aside" in aside("retry", sealed.id, code=2)
    assert api.call("GET", "/v1/status").json()["balance"]["records"]["difference"] == 0
