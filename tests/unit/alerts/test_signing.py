from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from alerts.signing import check_secret, sign, verify

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"type":"alert.firing","timestamp":"2026-01-01T00:00:00Z","data":{"id":"x"}}'


def test_the_vector_of_the_format():
    signature = sign(SECRET, "msg_01HZX3T7Q2M4N5P6R7S8T9V0W1", 1767225600, BODY)
    assert signature == "v1,xE86bp/N/Tf2aVBouEuj3DTgAZRPoDGuOpiiqKedorc="


@given(st.text(max_size=200), st.integers(0, 4_000_000_000))
def test_the_reference_implementation_agrees(text, stamp):
    body = json.dumps({"text": text})
    assert sign(SECRET, "msg_1", stamp, body.encode()) == Webhook(SECRET).sign(
        "msg_1", datetime.fromtimestamp(stamp, UTC), body
    )


def headers(**changes: str) -> dict[str, str]:
    good = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1000",
        "webhook-signature": sign(SECRET, "msg_1", 1000, BODY),
    }
    return good | {name.replace("_", "-"): text for name, text in changes.items()}


def test_what_is_signed_is_believed_for_five_minutes():
    assert verify(SECRET, headers(), BODY, 1300) is None
    assert verify(SECRET, headers(), BODY, 700) is None
    assert "5 minutes" in verify(SECRET, headers(), BODY, 1301)
    rotated = headers(webhook_signature="v1,AAAA " + headers()["webhook-signature"])
    assert verify(SECRET, rotated, BODY, 1000) is None


@pytest.mark.parametrize(
    "wrong",
    [headers(webhook_signature="v1,AAAA"), headers(webhook_id="msg_2"), headers(webhook_timestamp="1001"),
     headers(webhook_timestamp="x"), headers(webhook_timestamp="²"), headers(webhook_signature="ünknown"), {}],
)  # fmt: skip
def test_anything_else_is_not(wrong):
    assert verify(SECRET, wrong, BODY, 1000) is not None


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_!!!", "", "whsec_" + "A" * 200])
def test_bad_secrets_are_described_without_being_shown(secret):
    wrong = check_secret(secret)
    assert wrong is not None
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in wrong


def test_good_secrets():
    assert check_secret(SECRET) is None
