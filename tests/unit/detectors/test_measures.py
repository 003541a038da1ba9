"""Measures of labelled predictions against scikit-learn's, their intervals against drawing, and what has no value."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from sklearn import metrics as sk

from detectors.base import NOT_ENOUGH_DATA, OK
from detectors.methods.measures import Task
from detectors.methods.performance import METRICS_OF_KIND, Maturity, judge
from remora.summaries import PerformanceSummary, decode, encode, ranking

MATURE = Maturity(50, 0.0)
CLASSES = ("stays", "leaves", "returns")


def binary(random, size):
    labels = random.random(size) < 0.3
    scores = np.clip(random.beta(2, 4, size) + 0.2 * labels, 0, 1)
    return labels, scores > 0.45, scores


def multiclass(random, size):
    actual = random.choice(3, size, p=[0.6, 0.3, 0.1])
    logits = random.normal(size=(size, 3)) + 1.3 * np.eye(3)[actual]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return actual, scores.argmax(axis=1), scores


def summed(rows, **how):
    summary = PerformanceSummary()
    for label, prediction, score in rows:
        summary.add_row(label, prediction, score, **how)
    return decode(encode(summary))


def binary_summary(random, size):
    labels, predicted, scores = binary(random, size)
    rows = zip(labels.tolist(), predicted.tolist(), scores.tolist(), strict=True)
    return summed(rows, kind="binary"), labels, predicted, scores


def multiclass_summary(random, size):
    actual, predicted, scores = multiclass(random, size)
    rows = [
        (CLASSES[a], CLASSES[p], dict(zip(CLASSES, s.tolist(), strict=True)))
        for a, p, s in zip(actual, predicted, scores, strict=True)
    ]
    return summed(rows, kind="multiclass"), actual, predicted, scores


@pytest.fixture
def random():
    return np.random.default_rng(7)


def test_a_binary_models_measures_are_scikit_learns(random):
    summary, labels, predicted, scores = binary_summary(random, 3000)
    found = judge(summary, 3000, Task("binary"), MATURE)
    for metric, exact in {
        "accuracy": sk.accuracy_score(labels, predicted), "precision": sk.precision_score(labels, predicted),
        "recall": sk.recall_score(labels, predicted), "f1": sk.f1_score(labels, predicted),
        "log_loss": sk.log_loss(labels, scores), "brier": sk.brier_score_loss(labels, scores),
    }.items():  # fmt: skip
        assert found[metric].value == pytest.approx(exact, rel=1e-9), metric
    assert found["auc"].value == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-3)
    groups = np.minimum((scores * 16).astype(int), 15)
    exact = sum(abs((scores[groups == g] - labels[groups == g]).sum()) for g in range(16)) / len(scores)
    assert found["calibration_error"].value == pytest.approx(exact, abs=1 / 2048)


def test_a_multiclass_models_measures_are_scikit_learns(random):
    summary, actual, predicted, scores = multiclass_summary(random, 3000)
    found = judge(summary, 3000, Task("multiclass"), MATURE)
    assert found["f1_macro"].value == pytest.approx(sk.f1_score(actual, predicted, average="macro"))
    exact = sk.roc_auc_score(actual, scores, multi_class="ovr")
    assert found["auc_macro"].value == pytest.approx(exact, abs=1e-3)
    each = {one["class"]: one for one in found["f1_macro"].details["classes"]}
    report = sk.classification_report(actual, predicted, target_names=CLASSES, output_dict=True)
    for name in CLASSES:
        assert each[name]["precision"] == pytest.approx(report[name]["precision"])
        assert each[name]["recall"] == pytest.approx(report[name]["recall"])
        assert each[name]["rows"] == report[name]["support"]


def test_a_regressions_measures_are_scikit_learns(random):
    actual = random.normal(50, 10, 2000)
    predicted = actual + random.normal(1, 4, 2000)
    found = judge(summed(zip(actual.tolist(), predicted.tolist(), [None] * 2000, strict=True), kind="regression"),
                  2000, Task("regression"), MATURE)  # fmt: skip
    assert found["r2"].value == pytest.approx(sk.r2_score(actual, predicted))
    assert found["mape"].value == pytest.approx(sk.mean_absolute_percentage_error(actual, predicted))
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(actual, predicted))
    assert found["rmse"].value == pytest.approx(sk.root_mean_squared_error(actual, predicted))


def test_what_a_regression_cannot_say_has_no_value():
    flat = judge(summed([(0.0, 1.0, None)] * 60, kind="regression"), 60, Task("regression"), MATURE)
    for metric in ("r2", "mape"):
        assert (flat[metric].verdict, flat[metric].value) == (NOT_ENOUGH_DATA, None)
    far = judge(
        summed([(1e9 + i % 2, 1e9, None) for i in range(60)], kind="regression"),
        60,
        Task("regression"),
        MATURE,
    )
    assert (
        far["r2"].value is None
    )  # so small a variance is lost in the sums: better no number than a wrong one


def test_a_rankings_measures_are_scikit_learns(random):
    items = [f"i{number}" for number in range(20)]
    rows, truth, scores = [], [], []
    for _ in range(200):
        order = random.permutation(items).tolist()
        relevance = {item: float(random.integers(0, 4)) for item in items}
        rows.append((relevance, order, None))
        truth.append([relevance[item] for item in order])
        scores.append(np.arange(20, 0, -1))
    found = judge(summed(rows, kind="ranking", top=5), 200, Task("ranking", top=5), MATURE)
    assert found["ndcg"].value == pytest.approx(sk.ndcg_score(truth, scores, k=5))
    relevant = np.array(truth) > 0
    first = [np.flatnonzero(row[:5])[0] + 1 if row[:5].any() else np.inf for row in relevant]
    assert found["mrr"].value == pytest.approx(np.mean(1 / np.array(first)))
    assert found["hit_rate"].value == pytest.approx(relevant[:, :5].any(axis=1).mean())


def test_mean_average_precision_of_whole_lists_is_scikit_learns(random):
    rows, exact = [], []
    for _ in range(100):
        relevant = random.random(12) < 0.3
        if not relevant.any():
            continue
        rows.append(([int(i) for i in np.flatnonzero(relevant)], list(range(12)), None))
        exact.append(sk.average_precision_score(relevant, np.arange(12, 0, -1)))
    found = judge(summed(rows, kind="ranking", top=12), len(rows), Task("ranking", top=12), Maturity(10, 0.0))
    assert found["map"].value == pytest.approx(np.mean(exact))


@pytest.mark.parametrize(
    ("ranked", "label", "top", "expected"),
    [
        (["a", "b"], "a", 10, (1, 1, 1, 1)),
        (["a", "b"], [], 10, (0, 0, 0, 0)),  # nothing was relevant
        (["a", "b", "c"], ["c"], 2, (0, 0, 0, 0)),  # beyond the places that count
        (["a", "a", "b"], ["b"], 10, (0.6309, 0.5, 0.5, 1)),  # an item has one place: its first
        ([1, 2], {"1": 2.0, "2": 1.0, "3": 0.0}, 10, (1, 1, 1, 1)),  # 1 and "1" are one item
        ([], ["a"], 10, (0, 0, 0, 0)),
    ],
)
def test_quality_of_a_list(ranked, label, top, expected):
    assert ranking.quality(ranked, ranking.relevances(label), top) == pytest.approx(expected, abs=1e-4)


def test_the_example_in_the_docstring_holds():
    assert tuple(doctest.testmod(ranking)) == (0, 1)


@pytest.mark.parametrize(("metric", "kind"), [("f1", "binary"), ("precision", "binary"), ("f1_macro", "multiclass"),
                                              ("auc_macro", "multiclass"), ("mape", "regression"), ("ndcg", "ranking")])  # fmt: skip
def test_an_interval_holds_the_truth_about_as_often_as_it_says(metric, kind, random):
    def rows(size):
        if kind == "binary":
            return binary_summary(random, size)[0]
        if kind == "multiclass":
            return multiclass_summary(random, size)[0]
        if kind == "regression":
            actual = random.uniform(5, 15, size)
            return summed(
                zip(
                    actual.tolist(), (actual + random.normal(size=size)).tolist(), [None] * size, strict=True
                ),
                kind=kind,
            )
        return summed(
            [([int(random.integers(8))], random.permutation(8).tolist(), None) for _ in range(size)],
            kind=kind,
        )

    truth = judge(rows(30_000), 30_000, Task(kind), MATURE)[metric].value
    results = [judge(rows(300), 300, Task(kind), MATURE)[metric] for _ in range(60)]
    held = sum(result.low <= truth <= result.high for result in results)
    assert held >= 52  # of 60: 95 % is 57


@pytest.mark.parametrize("kind", METRICS_OF_KIND)
def test_a_row_that_is_taken_back_leaves_nothing(kind):
    rows = {
        "binary": [(True, True, 0.9), (False, True, 0.4)],
        "multiclass": [
            ("a", "b", {"a": 0.2, "b": 0.5, "c": 0.3}),
            ("c", "c", {"a": 0.1, "b": 0.1, "c": 0.8}),
        ],
        "regression": [(3.0, 2.5, None), (7.0, 6.0, None)],
        "ranking": [(["a"], ["b", "a"], None), (["b", "z"], ["b"], None)],
    }[kind]
    both, alone = PerformanceSummary(), PerformanceSummary()
    alone.add_row(*rows[0], kind=kind)
    both.add_row(*rows[0], kind=kind)
    for weight in (3.0, -3.0):
        delta = PerformanceSummary()
        delta.add_row(*rows[1], kind=kind, weight=weight)
        both.merge(decode(encode(delta)))
    for metric, result in judge(both, 1, Task(kind), Maturity(1, 0.0)).items():
        expected = judge(alone, 1, Task(kind), Maturity(1, 0.0))[metric]
        assert (result.value, result.verdict) == (pytest.approx(expected.value), expected.verdict), metric


def test_a_positive_class_that_never_comes_is_named_as_the_likely_mistake(random):
    summary = binary_summary(random, 200)[0]
    result = judge(summary, 200, Task("binary", positive="yes"), MATURE)["precision"]
    assert result.verdict == NOT_ENOUGH_DATA
    assert "`positive`" in result.reason
    assert judge(summary, 200, Task("binary"), MATURE)["precision"].verdict == OK


def test_summaries_from_before_these_sums_are_read(random):
    summary = binary_summary(random, 100)[0]
    old = PerformanceSummary.from_fields(summary.fields()[:10])
    assert old.accuracy == summary.accuracy
    old.merge(summary)
    assert old.rows == 200
