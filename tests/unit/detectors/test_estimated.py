"""Estimates of performance from scores alone: against the truth that the drawing knows, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from detectors.base import COULD_NOT_COMPUTE, NOT_ENOUGH_DATA, OK
from detectors.methods import estimated, probabilities
from detectors.methods.measures import Task
from detectors.methods.performance import value_of
from remora.summaries import PerformanceSummary
from remora.summaries.scores import MIDDLES, ScoreSummary, dense

TASK = Task("binary")
CLASSES = ("cat", "dog", "hen")


def binary(random, size, shape=(2, 3), twist=(0.0, 1.0)):
    """Labels, predictions and scores; `twist` turns the score's log-odds into those of the truth."""
    scores = random.beta(*shape, size)
    labels = random.random(size) < expit(twist[0] + twist[1] * logit(scores))
    return labels, scores > 0.4, scores


def performance(labels, predictions, scores, kind="binary"):
    summary = PerformanceSummary()
    for label, prediction, score in zip(labels.tolist(), predictions.tolist(), scores, strict=True):
        summary.add_row(label, prediction, score, kind=kind)
    return summary


def score_summary(predictions, scores):
    summary = ScoreSummary()
    named = ["true" if prediction else "false" for prediction in predictions]
    summary.add(("true", name, score) for name, score in zip(named, scores.tolist(), strict=True))
    return summary


def learnt(random, size, **how):
    rows = binary(random, size, **how)
    reference = performance(rows[0], rows[1], rows[2].tolist())
    return estimated.meaning_of(reference, TASK), reference


@pytest.mark.parametrize("twist", [(0.0, 1.0), (-0.5, 0.6), (1.0, 1.5)])
def test_a_shifted_window_is_estimated_as_it_turns_out(twist):
    """Of 60 windows the interval holds the realised value about as often as it says, and no estimate leans."""
    held, errors = {}, {}
    for seed in range(60):
        random = np.random.default_rng(seed)
        meaning, reference = learnt(random, 3000, twist=twist)
        labels, predictions, scores = binary(random, 1000, shape=(1.5, 3), twist=twist)
        real = performance(labels, predictions, scores.tolist())
        for name, result in estimated.judge(
            score_summary(predictions, scores), TASK, meaning, reference
        ).items():
            truth = value_of(name.removeprefix("estimated_"), real, TASK)
            assert result.verdict == OK
            held.setdefault(name, []).append(result.low <= truth <= result.high)
            errors.setdefault(name, []).append(result.value - truth)
    assert set(held) == {f"estimated_{name}" for name in estimated.ESTIMATES_OF_KIND["binary"]}
    for name, hits in held.items():
        assert sum(hits) >= 48, name
        assert abs(np.mean(errors[name])) < 4 * np.std(errors[name]) / np.sqrt(60) + 0.003, name


def test_the_expected_counts_are_those_of_the_probabilities():
    """By hand: 100 rows of .8 called so and 50 of .2 not, from a reference in which a score is its probability."""
    reference = PerformanceSummary()
    for middle in MIDDLES[
        16::32
    ].tolist():  # each stretch of the scores has rows, just as many as the score says
        for number in range(1000):
            reference.add_row(number < round(1000 * middle), middle > 0.5, middle, kind="binary")
    meaning = estimated.meaning_of(reference, TASK)
    high, low = 0.8, 0.2
    window = ScoreSummary()
    window.add([("true", "true", high)] * 100 + [("true", "false", low)] * 50)
    found = {name: one.value for name, one in estimated.judge(window, TASK, meaning, reference).items()}
    assert found["estimated_accuracy"] == pytest.approx(0.8, abs=0.005)
    assert found["estimated_precision"] == pytest.approx(0.8, abs=0.005)
    assert found["estimated_recall"] == pytest.approx(80 / 90, abs=0.005)
    assert found["estimated_f1"] == pytest.approx(2 * 80 / (90 + 100), abs=0.005)
    assert found["estimated_base_rate"] == pytest.approx(90 / 150, abs=0.005)
    assert found["estimated_auc"] == pytest.approx((80 * 40 + (80 * 20 + 10 * 40) / 2) / (90 * 60), abs=0.005)
    assert found["estimated_brier"] == pytest.approx(0.16, abs=0.005)
    assert found["estimated_log_loss"] == pytest.approx(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)), abs=0.005)


def test_several_classes_are_estimated_as_they_turn_out():
    random = np.random.default_rng(5)

    def drawn(size, tilt):
        logits = random.normal(size=(size, 3)) * 1.5 + tilt
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels = (scores.cumsum(axis=1) > random.random((size, 1))).argmax(axis=1)
        return [
            (CLASSES[label], CLASSES[row.argmax()], dict(zip(CLASSES, row.tolist(), strict=True)))
            for label, row in zip(labels, scores, strict=True)
        ]

    task = Task("multiclass")
    reference, real, window = PerformanceSummary(), PerformanceSummary(), ScoreSummary()
    for label, prediction, scores in drawn(5000, (0.5, 0.0, -0.5)):
        reference.add_row(label, prediction, scores, kind="multiclass")
    for label, prediction, scores in drawn(2000, (-0.5, 0.0, 0.5)):
        real.add_row(label, prediction, scores, kind="multiclass")
        window.add((name, prediction, score) for name, score in scores.items())
    results = estimated.judge(window, task, estimated.meaning_of(reference, task), reference)
    assert set(results) == {f"estimated_{name}" for name in estimated.ESTIMATES_OF_KIND["multiclass"]}
    for name, result in results.items():
        assert result.size == 2000
        assert result.value == pytest.approx(
            value_of(name.removeprefix("estimated_"), real, task), abs=0.03
        ), name


def test_the_maps_are_those_of_scikit_learn():
    labels, _, scores = binary(np.random.default_rng(1), 4000, twist=(-1.0, 2.0))
    bins = np.floor(scores * 1024).astype(int)
    middles = MIDDLES[bins]
    summary = performance(labels, scores > 0.5, scores.tolist())
    sides = dense(summary.positive_scores), dense(summary.negative_scores)
    line, _ = probabilities._logistic(*sides)
    theirs = (
        LogisticRegression(C=np.inf)
        .fit(logit(middles)[:, None], labels)
        .predict_proba(logit(MIDDLES)[:, None])
    )
    assert np.abs(line - theirs[:, 1]).max() < 0.003  # ours is drawn a little towards the score itself
    steps, _ = probabilities._isotonic(*sides)
    sure = IsotonicRegression().fit(middles, labels).predict(middles)
    assert np.mean(np.abs(steps[bins] - sure)) < 0.01  # ours is smoothed by half a row


def test_what_bends_more_than_a_line_gets_steps():
    random = np.random.default_rng(2)
    scores = random.random(20_000)
    labels = random.random(20_000) < np.where(scores < 0.5, 0.1, 0.9)
    summary = performance(labels, scores > 0.5, scores.tolist())
    assert estimated.meaning_of(summary, TASK).maps["true"].method == "isotonic"


def test_the_same_window_gets_the_same_interval():
    random = np.random.default_rng(4)
    meaning, reference = learnt(random, 1000)
    window = score_summary(*binary(random, 300)[1:])
    assert estimated.judge(window, TASK, meaning, reference) == estimated.judge(
        window, TASK, meaning, reference
    )


def test_scores_that_the_reference_does_not_know_are_said_to_be_unknown():
    random = np.random.default_rng(6)
    meaning, reference = learnt(random, 3000, shape=(2, 8))
    _, predictions, scores = binary(random, 500, shape=(20, 2))
    results = estimated.judge(score_summary(predictions, scores), TASK, meaning, reference)
    assert {(one.verdict, one.value) for one in results.values()} == {(COULD_NOT_COMPUTE, None)}
    assert "hardly a labelled row" in results["estimated_auc"].reason


@pytest.mark.parametrize("size", [0, 150])
def test_too_few_labelled_rows_in_the_reference_are_named(size):
    random = np.random.default_rng(7)
    meaning, reference = learnt(random, size)
    results = estimated.judge(score_summary(*binary(random, 500)[1:]), TASK, meaning, reference)
    assert {one.verdict for one in results.values()} == {NOT_ENOUGH_DATA}
    assert f"{size} labelled rows with scores; 200 are needed" in results["estimated_auc"].reason


def test_a_window_of_other_classes_and_rows_without_a_prediction():
    random = np.random.default_rng(8)
    meaning, reference = learnt(random, 3000)
    strange = ScoreSummary()
    strange.add([("somebody", None, 0.5)])
    assert estimated.judge(strange, TASK, meaning, reference)["estimated_auc"].verdict == NOT_ENOUGH_DATA
    nameless = ScoreSummary()
    nameless.add(("true", None, score) for score in binary(random, 400)[2].tolist())
    results = estimated.judge(nameless, TASK, meaning, reference)
    assert results["estimated_auc"].verdict == OK
    assert results["estimated_accuracy"].verdict == NOT_ENOUGH_DATA
    assert "no predicted class" in results["estimated_accuracy"].reason
