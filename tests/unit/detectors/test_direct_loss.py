"""A regression's error before its labels come: against an independent fit, the truth, and when it cannot be known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from detectors.base import COULD_NOT_COMPUTE, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow
from detectors.binning import categorical_bins, numeric_bins
from detectors.methods import direct_loss
from detectors.methods.losses import DRAWS, LossModel, fit_losses
from detectors.reference_file import Rows
from detectors.reference_losses import losses_of
from remora.summaries import CategoricalSummary, NumericSummary, PerformanceSummary


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


def drawn(random, size, shift=0.0, city=(0.5, 0.3, 0.2)):
    """Errors whose spread grows with x and differs by city; 5 % of x are missing."""
    x = random.normal(shift, 1, size)
    c = random.choice(["a", "b", "c"], size, p=city)
    errors = random.normal(0, 0.5 + 0.5 * np.clip(x + 2, 0, 4) + (c == "c"))
    x[random.random(size) < 0.05] = np.nan
    return pd.DataFrame({"x": x, "c": c}), errors


def columns_of(frame):
    return {
        "x": ColumnReference("x", "numeric", number(frame["x"]), numeric_bins(frame["x"].dropna().to_numpy(), 10)),
        "c": ColumnReference("c", "categorical", names(frame["c"]), categorical_bins(frame["c"].value_counts().to_dict())),
    }  # fmt: skip


def learnt(frame, errors, columns):
    stored = [
        {"column_name": name, "kind": column.kind, "bins": column.bins.to_json()}
        for name, column in columns.items()
    ]
    rows = Rows(frame, None, None, pd.Series(errors), pd.Series(np.zeros(len(errors))), "test")
    found = losses_of(rows, stored)
    return None if found is None else LossModel.from_json(json.loads(json.dumps(found)))


def number(values):
    summary = NumericSummary()
    summary.update(np.asarray(values, dtype=float))
    return summary


def names(values):
    summary = CategoricalSummary()
    summary.update(list(values))
    return summary


def windows_of(frame):
    return {
        "x": ColumnWindow(len(frame), numeric=number(frame["x"])),
        "c": ColumnWindow(len(frame), categorical=names(frame["c"])),
    }


def realised(errors):
    summary = PerformanceSummary()
    for error in errors.tolist():
        summary.add_number(0.0, error)
    return summary


@pytest.fixture
def world(random):
    frame, errors = drawn(random, 20_000)
    columns = columns_of(frame)
    return columns, learnt(frame, errors, columns), realised(errors)


def test_the_effects_are_those_of_ridge_regression(random):
    codes = {"x": random.integers(0, 4, 900), "c": random.integers(0, 3, 900)}
    errors = random.normal(0, 1 + codes["x"])
    model = fit_losses(codes, {"x": 5, "c": 4}, errors)
    design = np.hstack([np.eye(5)[codes["x"]], np.eye(4)[codes["c"]]])
    for at, loss in enumerate((np.abs(errors), errors**2)):
        golden = Ridge(alpha=1.0).fit(design, loss)
        ours = np.concatenate([model.effects["x"][0, at], model.effects["c"][0, at]])
        assert ours == pytest.approx(golden.coef_, abs=1e-9)
        assert model.mean[at] == pytest.approx(loss.mean())
        assert model.spread[at] == pytest.approx(np.square(loss - golden.predict(design)).mean())


def test_the_reference_itself_has_its_own_error(world, random):
    columns, model, performance = world
    found = direct_loss.judge(model, columns, windows_of(drawn(random, 50_000)[0]), 50_000, performance)
    assert found["estimated_mae"].value == pytest.approx(performance.mae, rel=0.02)
    assert found["estimated_rmse"].value == pytest.approx(performance.rmse, rel=0.02)
    assert found["estimated_mae"].reference_value == pytest.approx(performance.mae)


@pytest.mark.parametrize(
    ("shift", "city"), [(0.8, (0.5, 0.3, 0.2)), (0.0, (0.1, 0.1, 0.8)), (-0.8, (0.5, 0.4, 0.1))]
)
def test_a_drift_that_makes_errors_larger_or_smaller_is_foreseen(world, random, shift, city):
    columns, model, performance = world
    frame, errors = drawn(random, 20_000, shift, city)
    found = direct_loss.judge(model, columns, windows_of(frame), len(frame), performance)
    truth = realised(errors)
    assert abs(truth.mae - performance.mae) > 0.1  # there is something to foresee
    assert found["estimated_mae"].value == pytest.approx(truth.mae, rel=0.04)
    assert found["estimated_rmse"].value == pytest.approx(truth.rmse, rel=0.04)


def test_the_interval_holds_the_realised_error_about_as_often_as_it_says(random):
    held = dict.fromkeys(direct_loss.LOSSES, 0)
    for _ in range(100):
        frame, errors = drawn(random, 1500)
        columns = columns_of(frame)
        model = learnt(frame, errors, columns)
        frame, errors = drawn(random, 500, 0.3, (0.3, 0.3, 0.4))
        truth = realised(errors)
        found = direct_loss.judge(model, columns, windows_of(frame), 500, None)
        for metric, real in zip(direct_loss.LOSSES, (truth.mae, truth.rmse), strict=True):
            held[metric] += found[metric].low <= real <= found[metric].high
    assert all(87 <= count <= 100 for count in held.values()), held


@pytest.mark.parametrize("change", ["beyond", "missing", "unseen"])
def test_where_the_reference_has_no_rows_it_cannot_know(random, change):
    frame, errors = drawn(random, 5000)
    frame["x"] = frame["x"].fillna(0.0)
    columns = columns_of(frame)
    model = learnt(frame, errors, columns)
    frame = drawn(random, 1000)[0]
    frame["x"] = frame["x"].fillna(0.0)
    if change == "beyond":
        frame["x"] += 50 * (random.random(1000) < 0.2)
    elif change == "missing":
        frame.loc[random.random(1000) < 0.2, "x"] = np.nan
    else:
        frame.loc[random.random(1000) < 0.2, "c"] = "new"
    found = direct_loss.judge(model, columns, windows_of(frame), 1000, None)["estimated_mae"]
    assert found.verdict == COULD_NOT_COMPUTE
    assert f"a value of {'c' if change == 'unseen' else 'x'} that" in found.reason


def test_without_labels_or_rows_there_is_no_estimate(world, random):
    columns, model, performance = world
    frame, errors = drawn(random, 199)
    assert learnt(frame, errors, columns) is None
    few = direct_loss.judge(None, columns, {}, 500, realised(errors))["estimated_mae"]
    assert few.verdict == NOT_ENOUGH_DATA
    assert "199 labelled rows, 200" in few.reason
    assert direct_loss.judge(model, columns, {}, 0, performance)["estimated_mae"].verdict == NOT_ENOUGH_DATA


def test_a_constant_error_is_expected_again(random):
    frame, _ = drawn(random, 1000)
    columns = columns_of(frame)
    model = learnt(frame, np.full(1000, 2.0), columns)
    found = direct_loss.judge(model, columns, windows_of(frame), 1000, None)["estimated_mae"]
    assert (found.verdict, found.details["explained"]) == (OK, 0.0)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_many_features_leave_out_those_that_say_least(random):
    codes = {f"f{number:03}": random.integers(0, 10, 2000) for number in range(100)}
    errors = random.normal(0, 1 + codes["f007"])
    model = fit_losses(codes, dict.fromkeys(codes, 11), errors)
    assert "f007" in model.effects
    assert sum(len(counts) for counts in model.counts.values()) <= 600
    assert model.shifts.shape == (1 + DRAWS, 2)
