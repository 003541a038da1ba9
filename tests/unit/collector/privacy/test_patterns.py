"""Card numbers are those that payment networks publish for tests; IBANs the examples of the IBAN registry."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.privacy.patterns import LOOKS, mask

CARDS = [
    "4111111111111111",
    "5555 5555 5555 4444",
    "3782-822463-10005",
    "6011111111111117",
    "4012888888881881",
]
IBANS = [
    "DE89370400440532013000",
    "GB29 NWBK 6016 1331 9268 19",
    "FR1420041010050500013M02606",
    "CH93 0076 2011 6238 5295 7",
    "NL91ABNA0417164300",
]
EXAMPLES = {
    "card": CARDS,
    "iban": IBANS,
    "email": ["ann.o'hara+x@mail.example.org", "a@b.co"],
    "phone": ["+49 30 901820", "+1 (212) 555-0100", "0044 20 7946 0958", "+4915112345678"],
    "token": [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a" * 36,
        "sk_live_" + "b" * 24,
        "xoxb-123456789012-abcdefgh",
        "Bearer " + "c" * 20,
    ],
}
ALL = [(kind, text) for kind, texts in EXAMPLES.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), ALL)
def test_an_example_is_found_and_blotted_out_inside_a_text(kind: str, text: str):
    sentence = f"please use {text}, thanks"
    assert LOOKS[kind].found(sentence)
    assert mask(sentence, LOOKS) == f"please use [{kind}], thanks"


@pytest.mark.parametrize("kind", ["card", "iban"])
def test_one_wrong_digit_and_the_checksum_says_no(kind: str):
    for text in EXAMPLES[kind]:
        last = max(i for i, sign in enumerate(text) if sign.isdigit())
        wrong = text[:last] + str((int(text[last]) + 1) % 10) + text[last + 1 :]
        assert not LOOKS[kind].found(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "order 17 of 2026-11-24",
        "EWR-JFK 1234567890",
        "0192f3a4-7bcd-7e12-8f00-0123456789ab",
        "2026-01-01T10:00:00.123456+00:00",
        "3.14159265358979",
        "user@localhost",
        "a@b",
        "12345678",
        "0000000000000000",
        "+12",
        "eyes.on.you",
    ],
)
def test_everyday_texts_look_like_nothing(text: str):
    assert [kind for kind, look in LOOKS.items() if look.found(text)] == []
    assert mask(text, LOOKS) == text


@given(st.text(alphabet="abc@.+-019 DE_[]()/é", max_size=200), st.sets(st.sampled_from(sorted(LOOKS))))
def test_masking_twice_changes_nothing_more(text: str, names: set[str]):
    once = mask(text, names)
    assert mask(once, names) == once
    for name in names:
        assert not LOOKS[name].found(re.sub(r"\[\w+\]", " ", once))
