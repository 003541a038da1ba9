from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.privacy import Gate
from collector.privacy.redaction import Redaction, keyed_hash
from remora.config.load import parse
from remora.config.privacy import Privacy
from remora.errors import ConfigError, UserError
from remora.records import Label, Prediction, check_prediction

KEY = b"0123456789abcdef"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(features=None, *, model="m", tags=None, prediction=None, **more) -> Prediction:
    return Prediction(
        model=model,
        id="r",
        timestamp=NOON,
        features=features or {},
        tags=tags or {},
        prediction=prediction,
        **more,
    )


def redact(settings: dict, features=None, **more) -> Prediction:
    redaction = Redaction.of(Privacy.model_validate(settings), KEY)
    assert redaction is not None
    return redaction.apply(row(features, **more))


def test_an_allow_list_lets_nothing_else_through():
    kept = redact(
        {"allow": ["age", "address", "x_*", "tags.region"]},
        {"age": 1, "address.street": "s", "addressee": "a", "x_1": 2, "name": "n"},
        tags={"region": "eu", "user": "u", "remora.unread": "r"},
    )
    assert kept.features == {"age": 1, "address.street": "s", "x_1": 2}
    assert kept.tags == {"region": "eu", "remora.unread": "r"}


def test_a_deny_list_goes_before_the_allow_list():
    assert redact({"allow": ["*"], "deny": ["a.*"]}, {"a.b": 1, "b": 2}).features == {"b": 2}


def test_hashes_are_hmac_sha_256_as_anybody_can_compute_them():
    kept = redact({"hash": ["user", "n"]}, {"user": "Änne", "n": 17, "gone": None})
    expected = hmac.new(KEY, "Änne".encode(), hashlib.sha256).hexdigest()[:32]
    assert kept.features["user"] == f"h:{expected}"
    assert kept.features["n"] == "h:" + hmac.new(KEY, b"17", hashlib.sha256).hexdigest()[:32]
    assert keyed_hash(b"another key of some", "Änne") != kept.features["user"]


def test_what_is_hashed_or_cut_need_not_be_allowed_besides():
    kept = redact(
        {"allow": ["a"], "hash": ["b"], "truncate": {"c": 3}}, {"a": 1, "b": 2, "c": "long", "d": 4}
    )
    assert set(kept.features) == {"a", "b", "c"}


def test_texts_are_cut_after_they_are_masked():
    kept = redact({"truncate": {"note": 10}, "mask": ["email"]}, {"note": "ann@example.org wrote", "n": 5})
    assert kept.features == {"note": "[email] wr", "n": 5}


def test_masks_reach_every_text_also_tags_and_the_prediction():
    kept = redact(
        {"mask": ["email"]},
        {"a": "to x@y.org", "n": 1, "none": None},
        tags={"t": "x@y.org"},
        prediction="ask x@y.org",
    )
    assert (kept.features, kept.tags) == ({"a": "to [email]", "n": 1, "none": None}, {"t": "[email]"})
    assert kept.prediction == "ask [email]"


def test_no_settings_are_no_redaction():
    assert Redaction.of(Privacy(), None) is None
    assert Redaction.of(Privacy(allow=[]), None) is not None


def test_a_hash_without_a_key_is_a_mistake_of_the_start():
    config = parse("version: 1\nmodels: {m: {privacy: {hash: [user]}}}")
    with pytest.raises(UserError, match="REMORA_HASH_KEY"):
        Gate(config, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{deny: [a], hash: [a]}", "a stands under two of deny, hash and truncate"),
        ("{truncate: {a: 0}}", "greater than or equal to 1"),
        ("{mask: [emails]}", "'email'"),
        ("{denied: [a]}", "did you mean `deny`"),
    ],
)
def test_mistakes_are_named_with_their_line(settings: str, said: str):
    with pytest.raises(ConfigError, match=r"line 2: models\.m\.privacy") as error:
        parse(f"version: 1\nmodels: {{m: {{privacy: {settings}}}}}")
    assert said in str(error.value)


names = st.sampled_from(["a", "b", "a.b", "name", "x_1", "user"])
patterns = st.lists(st.sampled_from(["a", "b", "*", "x_*", "user", "na*"]), max_size=3)
values = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text("ab@.c019 +", max_size=30)
settings_ = st.fixed_dictionaries(
    {
        "allow": st.none() | patterns,
        "deny": patterns,
        "hash": st.lists(st.sampled_from(["user", "h_*"]), max_size=1),
        "mask": st.lists(st.sampled_from(["email", "phone", "card"]), unique=True),
    }
).filter(lambda found: not set(found["deny"]) & set(found["hash"]))


@given(settings_, st.dictionaries(names, values, max_size=6))
def test_redacting_twice_is_redacting_once_and_the_record_stays_good(settings, features):
    redaction = Redaction(Privacy.model_validate(settings), KEY)
    once = redaction.apply(row(features, tags={"user": "u"}))
    assert redaction.apply(once) == once
    assert check_prediction(once) is None


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.just("SECRET"), max_size=6))
def test_a_denied_value_is_nowhere_in_what_is_encoded(features):
    kept = redact({"deny": ["a*", "b", "c*"]}, features)
    assert (b"SECRET" in msgspec.msgpack.encode(kept)) == any(
        name[0] == "b" and name != "b" for name in features
    )


def test_the_gate_knows_the_models_apart():
    gate = Gate(parse("version: 1\nmodels: {m: {privacy: {deny: [a]}}, other: {}}"))
    kept = gate.redact([row({"a": 1}), row({"a": 1}, model="other"), row({"a": 1}, model="unknown")])
    assert [one.features for one in kept] == [{}, {"a": 1}, {"a": 1}]


def test_a_label_that_can_never_be_joined_is_refused():
    gate = Gate(parse("version: 1\nmodels: {m: {privacy: {profiles_only: true}}}"))
    label = Label(model="m", id="r", label=True, timestamp=NOON)
    assert "profiles_only" in gate.refuses(label)
    assert gate.refuses(msgspec.structs.replace(label, model="other")) is None


def looks(count: int, features_of, config: str = "version: 1") -> list:
    gate = Gate(parse(config))
    gate.redact([row(features_of(number)) for number in range(count)])
    return [(found.feature, found.looks_like) for found in gate.found()]


def test_a_field_that_looks_personal_is_reported_once():
    assert looks(500, lambda n: {"mail": f"user{n}@example.org", "n": n}) == [("mail", "email")]


def test_the_same_value_again_and_again_is_no_person():
    assert looks(100, lambda _: {"mail": "support@example.org"}) == []


def test_a_field_that_is_covered_is_not_reported():
    config = "version: 1\nmodels: {m: {privacy: {mask: [email]}}}"
    assert looks(100, lambda n: {"mail": f"user{n}@example.org"}, config) == []


def test_numbers_that_pass_for_cards_by_chance_are_not_reported():
    chance = [int("4" + str(value * 7919 % 10**15).zfill(15)) for value in range(1, 200)]
    assert looks(199, lambda n: {"counter": chance[n]}) == []
