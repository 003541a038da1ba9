"""What looks at several features together: golden values from scikit-learn, chance, and changes that no feature shows."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK
from detectors.methods import domain, reconstruction
from detectors.methods.encoding import Encoded, encode_rows

KINDS = {"x": "numeric", "y": "numeric", "z": "numeric", "c": "categorical"}
METHODS = (domain.judge, reconstruction.judge)


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


def rows_of(random, size, shift=0.0, together=0.8):
    x = random.normal(size=size)
    y = together * x + np.sqrt(1 - together**2) * random.normal(size=size) + shift
    return [
        {"x": float(one), "y": float(other), "z": float(third), "c": str(name)}
        for one, other, third, name in zip(
            x, y, random.normal(size=size), random.choice(["a", "b"], size), strict=True
        )
    ]


def encoded(random, there=1000, here=500, **change):
    return encode_rows(rows_of(random, there), rows_of(random, here, **change), KINDS)


def test_out_of_fold_scores_are_those_of_fits_without_the_fold(random):
    design, labels = random.normal(size=(200, 7)), (random.random((200, 3)) < 0.4).astype(float)
    scores, weights = domain._out_of_fold(design, labels)
    folds = np.random.default_rng(1).permutation(200) % domain._FOLDS
    centred = labels - labels.mean(axis=0)
    golden = np.empty_like(labels)
    for fold in range(domain._FOLDS):
        fitted = Ridge(alpha=0.05 * 200, fit_intercept=False).fit(
            design[folds != fold], centred[folds != fold]
        )
        golden[folds == fold] = fitted.predict(design[folds == fold])
    assert scores == pytest.approx(golden, abs=1e-9)
    whole = Ridge(alpha=0.05 * 200, fit_intercept=False).fit(design, centred)
    assert weights == pytest.approx(whole.coef_[0], abs=1e-9)
    ours = domain._aucs(scores, labels)
    assert ours == pytest.approx([roc_auc_score(labels[:, at], scores[:, at]) for at in range(3)])


def test_chance_is_told_from_a_change_as_often_as_the_level_says(random):
    p_values = [domain.judge(encoded(random, 300, 300), 200, 0.1).details["p_value"] for _ in range(40)]
    assert np.mean(np.array(p_values) <= 0.2) == pytest.approx(0.2, abs=0.18)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)


def test_a_shift_is_seen_and_its_feature_named(random):
    result = domain.judge(encoded(random, 1500, 1500, shift=1.0), 200, 0.1)
    assert result.verdict == ALARM
    assert result.value > norm.cdf(1.0 / np.sqrt(2)) - 0.02  # x beside it helps
    assert result.details["features"][0]["feature"] == "y"
    assert "most by y" in result.reason


def test_a_broken_correlation_is_seen_where_no_feature_moved(random):
    rows = encoded(random, 2000, 2000, together=-0.8)
    result = domain.judge(rows, 200, 0.1)
    assert result.verdict == ALARM
    assert {one["feature"] for one in result.details["features"][:2]} == {"x", "y"}
    assert reconstruction.judge(rows, 200, 0.1).verdict == ALARM


def test_reconstruction_errors_are_those_of_principal_components(random):
    rows = encoded(random, 1000, 500, together=0.0)
    usual, found = reconstruction._errors(rows)
    learn, check = rows.reference[::2], rows.reference[1::2]
    kept = learn.std(axis=0) > 0

    def scale(values):
        return ((values - learn.mean(axis=0)) / np.where(kept, learn.std(axis=0), 1))[:, kept]

    golden = PCA(n_components=reconstruction.HELD, svd_solver="full").fit(scale(learn))
    for ours, side in ((usual, check), (found, rows.current)):
        back = golden.inverse_transform(golden.transform(scale(side)))
        assert ours == pytest.approx(np.linalg.norm(scale(side) - back, axis=1), abs=1e-9)


def test_a_quiet_window_is_quiet(random):
    for _ in range(8):
        rows = encoded(random, 600, 300)
        assert [judge(rows, 200, 0.1).verdict for judge in METHODS] == [OK, OK]


@pytest.mark.parametrize("judge", METHODS)
@pytest.mark.parametrize("here", [0, 1, 199])
def test_too_few_rows_are_said_to_be_too_few(random, judge, here):
    result = judge(encoded(random, 1000, here), 200, 0.1)
    assert (result.verdict, result.size) == (NOT_ENOUGH_DATA, here)
    assert f"{here} rows of the window" in result.reason


@pytest.mark.parametrize("judge", METHODS)
def test_wild_values_have_an_outcome_and_are_not_told(random, judge):
    wild = [None, float("nan"), float("inf"), 1e308, -(2**70), True, "SECRET"]
    rows = [{"x": wild[number % 7], "y": 1.0, "c": "SECRET"} for number in range(700)]
    result = judge(encode_rows(rows_of(random, 1000), rows, KINDS), 200, 0.1)
    assert result.verdict == ALARM
    assert "SECRET" not in json.dumps(asdict(result), allow_nan=False)


@pytest.mark.parametrize("judge", METHODS)
def test_a_constant_reference_and_window_have_an_outcome(judge):
    rows = [{"x": 3.0, "c": "a"}] * 500
    assert (
        judge(encode_rows(rows, rows, {"x": "numeric", "c": "categorical"}), 200, 0.1).verdict
        == NOT_ENOUGH_DATA
    )


def test_columns_are_standardised_clipped_and_named():
    reference = [{"x": 0.0, "c": "a"}, {"x": 2.0, "c": "b"}, {"x": None, "c": None}]
    found = encode_rows(reference, [{"x": 1e9, "c": "new"}], {"x": "numeric", "c": "categorical"})
    assert isinstance(found, Encoded)
    assert found.features == ("c", "c", "c", "x", "x")
    assert found.numbers == (3,)
    assert found.reference[:, 3] == pytest.approx([-1.0, 1.0, 0.0])
    assert found.current.tolist() == [[0.0, 0.0, 1.0, 5.0, 0.0]]
