"""Which features moved the score and which segments lose, against scipy's F test and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway

from detectors.binning import categorical_bins, numeric_bins
from detectors.causes import MOST, Lost, rank_features, rank_segments
from detectors.methods.influence import correlation_ratio
from detectors.methods.performance import loss_of
from detectors.reference_file import Rows
from detectors.reference_influence import influence_of
from remora.summaries import PerformanceSummary


@pytest.fixture
def random():
    return np.random.default_rng(7)


shares = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 5), max_size=8)


def groups(random, bins=5, rows=400, apart=0.5):
    codes = random.integers(0, bins, rows)
    return codes.astype(np.int64), random.normal(apart * codes, 1)


# --- influence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [0.0, 0.1, 1.0])
def test_influence_is_kelleys_epsilon_of_scipys_f(random, apart):
    codes, score = groups(random, apart=apart)
    f = f_oneway(*(score[codes == code] for code in range(5))).statistic
    between, within = 4, len(score) - 5
    eta = f * between / (f * between + within)
    epsilon = 1 - (1 - eta) * (len(score) - 1) / within
    assert correlation_ratio(codes, score) == pytest.approx(max(0.0, epsilon), abs=1e-12)


def test_many_empty_words_have_no_influence(random):
    codes = random.integers(0, 200, 1000).astype(np.int64)
    assert correlation_ratio(codes, random.normal(size=1000)) < 0.06  # eta² would be 0.2


def test_a_column_that_is_the_score_has_all_of_it():
    codes = np.arange(100, dtype=np.int64) % 4
    assert correlation_ratio(codes, codes.astype(float)) == 1.0
    assert correlation_ratio(codes, np.eye(4)[codes]) == 1.0


@pytest.mark.parametrize(
    ("codes", "score"),
    [([], []), ([0], [1.0]), ([0, 1, 2], [1.0, 2.0, 3.0]), ([0, 0, 1, 1, 1], [0.1 + 0.2] * 5)],
    ids=["empty", "one row", "a bin each", "constant"],
)
def test_where_nothing_can_be_said_the_influence_is_none(codes, score):
    assert correlation_ratio(np.array(codes, dtype=np.int64), np.array(score)) == 0.0


def column(name, bins, kind):
    return {"column_name": name, "kind": kind, "bins": bins.to_json()}


def a_reference(random, **over):
    count = 3000
    frame = pd.DataFrame({"x": random.normal(size=count), "noise": random.normal(size=count),
                          "c": random.choice(["a", "b", None], count)})  # fmt: skip
    rain = (frame["c"] == "a") * 2.0
    score = pd.Series(frame["x"] + rain + random.normal(size=count))
    rows = Rows(frame, None, *(over.get(name) for name in ("score", "prediction", "label")), "test")
    columns = [
        column("x", numeric_bins(frame["x"].to_numpy(), 20), "numeric"),
        column("noise", numeric_bins(frame["noise"].to_numpy(), 20), "numeric"),
        column("c", categorical_bins({"a": 1000, "b": 1000}), "categorical"),
    ]
    return frame, score, rows, columns


def test_the_reference_tells_what_each_feature_does_to_the_score(random):
    _, score, rows, columns = a_reference(random)
    variance = 1 + 4 * (1 / 3) * (2 / 3) + 1
    found = influence_of(Rows(rows.features, None, score, None, None, "test"), columns)
    assert found["x"] == pytest.approx(1 / variance, abs=0.05)
    assert found["c"] == pytest.approx(4 * 2 / 9 / variance, abs=0.05)
    assert found["noise"] < 0.01


def test_without_a_score_the_predicted_number_or_class_takes_its_place(random):
    _, score, rows, columns = a_reference(random)
    numbers = [*columns, column("$prediction", numeric_bins(score.to_numpy(), 10), "numeric")]
    regression = influence_of(Rows(rows.features, None, None, score, None, "test"), numbers)
    classes = (score > 1).map({True: "late", False: "on time"})
    named = [
        *columns,
        column("$prediction", categorical_bins({"late": 1000, "on time": 2000}), "categorical"),
    ]
    classifier = influence_of(Rows(rows.features, None, None, classes, None, "test"), named)
    for found in (regression, classifier):
        assert min(found["x"], found["c"]) > 0.1
        assert found["noise"] < 0.02
    assert influence_of(rows, columns) == {}


# --- features --------------------------------------------------------------------------------------------------------


def test_features_are_ranked_by_drift_times_influence():
    found = rank_features(
        {"far": 2.0, "near": 0.5, "idle": 9.0}, {"far": 0.04, "near": 0.36, "idle": 0.0}, 0.1
    )
    assert found == [  # 2 · .2 = .4 and .5 · .6 = .3
        {"feature": "far", "share": 0.571, "influence": 0.04}, {"feature": "near", "share": 0.429, "influence": 0.36},
    ]  # fmt: skip


def test_what_moved_by_less_than_the_minimum_effect_is_part_of_the_whole_and_not_named():
    found = rank_features({"a": 0.3, "b": 0.09}, {"a": 0.25, "b": 0.25}, 0.1)
    assert found == [{"feature": "a", "share": 0.769, "influence": 0.25}]
    assert rank_features({"b": 0.09}, {"b": 0.25}, 0.1) == []


@given(shares, shares)
def test_shares_are_at_most_one_together_and_fall(effects, influence):
    found = rank_features(effects, {name: min(1.0, value) for name, value in influence.items()}, 0.0)
    parts = [one["share"] for one in found]
    assert len(found) <= MOST
    assert parts == sorted(parts, reverse=True)
    assert sum(parts) <= 1.005
    assert all(effects[one["feature"]] > 0 and influence[one["feature"]] > 0 for one in found)


# --- segments --------------------------------------------------------------------------------------------------------


def wrong(rows, share):
    return Lost(rows, rows * share, rows * share)


def test_segments_that_lose_more_than_the_rest_are_ranked_by_what_they_lose_beyond_their_rows():
    parts = {"s=bad": wrong(200, 0.5), "s=worse": wrong(100, 0.8), "s=good": wrong(700, 0.1)}
    whole = Lost(1000, 250, 250)
    assert rank_segments(whole, parts, 30) == [
        {"segment": "s=worse", "share": 0.32, "rows": 0.1}, {"segment": "s=bad", "share": 0.4, "rows": 0.2},
    ]  # fmt: skip


def test_chance_and_small_segments_are_not_named():
    whole = Lost(10_000, 1000, 1000)
    assert rank_segments(whole, {"s=a": wrong(5000, 0.105), "s=b": wrong(20, 1.0)}, 30) == []
    assert rank_segments(Lost(100, 0, 0), {"s=a": Lost(50, 0, 0)}, 30) == []
    assert rank_segments(whole, {"s=all": whole}, 30) == []


def test_equal_segments_are_hardly_ever_blamed(random):
    blamed = 0
    for _ in range(300):
        parts = {f"s={number}": wrong(500, random.binomial(500, 0.2) / 500) for number in range(4)}
        rows, loss = 2000, sum(part.loss for part in parts.values())
        blamed += bool(rank_segments(Lost(rows, loss, loss), parts, 30))
    assert blamed <= 10  # 4 looks at three standard errors, one side: about 1.6 of 300


# --- losses ----------------------------------------------------------------------------------------------------------


def test_a_classifier_loses_its_wrong_classes():
    summary = PerformanceSummary()
    for label, prediction in [("a", "a"), ("a", "b"), ("b", "b"), ("b", "a"), ("b", "a")]:
        summary.add_row(label, prediction, None, kind="multiclass")
    assert loss_of(summary, "multiclass") == Lost(5, 3, 3)


def test_a_regression_loses_its_absolute_errors_with_numpys_spread(random):
    errors = random.normal(size=50)
    summary = PerformanceSummary()
    for error in errors:
        summary.add_number(0.0, float(error))
    found = loss_of(summary, "regression")
    assert found.mean == pytest.approx(np.abs(errors).mean())
    assert found.error == pytest.approx(np.abs(errors).std() / np.sqrt(50))


def test_a_ranking_loses_what_its_ndcg_lacks():
    summary = PerformanceSummary()
    summary.add_row(["a"], ["a", "b"], None, kind="ranking")
    summary.add_row(["z"], ["a", "b"], None, kind="ranking")
    assert loss_of(summary, "ranking") == Lost(2, 1, 1)


def test_of_sampled_rows_as_many_count_as_say_as_much():
    summary = PerformanceSummary()
    for weight in (1, 1, 10):
        summary.add_class("a", "b", weight)
    rows = 12**2 / 102
    assert loss_of(summary, "binary") == Lost(*[pytest.approx(rows)] * 3)


def test_without_labelled_rows_no_loss_is_known():
    assert [loss_of(PerformanceSummary(), kind) for kind in ("binary", "regression", "ranking")] == [None] * 3
