"""Utility scores: the fixed regressor, its determinism, and the arithmetic of the scores."""

import subprocess
import sys

import numpy as np
import pytest
import xgboost
from jaxcop.metrics import utility
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error


def make(seed, n=80):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return np.c_[x[:, :1], x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=n), x[:, 1:]]  # the target is column 1


def test_equals_xgbregressor_and_scikit_learn(seed):
    train, test = make(seed), make(seed + 10)
    parameters = {
        "n_estimators": 400,
        "max_depth": 4,
        "learning_rate": 0.05,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
    }
    model = xgboost.XGBRegressor(**parameters, random_state=seed, n_jobs=1)
    predicted = model.fit(train[:, [0, 2, 3]], train[:, 1]).predict(test[:, [0, 2, 3]])
    found = utility.regress(train, test, 1, seed=seed)
    expected = (f(test[:, 1], predicted) for f in (r2_score, root_mean_squared_error, mean_absolute_error))
    np.testing.assert_allclose(found, list(expected), rtol=1e-12)
    assert found == utility.regress(train, test, -3, seed=seed)


def test_seed_decides():
    train, test = make(0), make(1)
    assert utility.regress(train, test, 1, seed=0) == utility.regress(train, test, 1, seed=0)
    assert utility.regress(train, test, 1, seed=0) != utility.regress(train, test, 1, seed=1)


def test_names_of_the_field_say_what_is_trained_and_tested():
    train, synthetic, test = make(0), make(1), make(2)
    assert utility.tstr(synthetic, test, 1, seed=0) == utility.regress(synthetic, test, 1, seed=0)
    assert utility.trtr(train, test, 1, seed=0) == utility.regress(train, test, 1, seed=0)
    assert utility.trts(train, synthetic, 1, seed=0) == utility.regress(train, synthetic, 1, seed=0)


def test_many_equals_one_by_one_whatever_the_workers():
    jobs = [utility.Job(make(seed), make(seed + 1), 1, seed) for seed in range(4)]
    alone = [utility.regress(*job[:3], seed=job.seed) for job in jobs]
    calls = []
    assert utility.utility_many(jobs, workers=2, on_done=lambda *count: calls.append(count)) == alone
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert utility.utility_many(jobs, workers=1) == alone
    assert utility.utility_many([]) == []


def test_many_refuses_before_the_first_fit():
    calls = []
    jobs = [utility.Job(make(0), make(1), 1, 0), utility.Job(make(0), make(1), 9, 0)]
    with pytest.raises(ValueError, match="target_column"):
        utility.utility_many(jobs, on_done=lambda *count: calls.append(count))
    assert calls == []


def test_scores_by_definition():
    actual, predicted = np.array([1.0, 2, 3, 6]), np.array([1.0, 2, 5, 4])
    assert utility.scores(actual, predicted) == (1 - 8 / 14, np.sqrt(2), 1.0)
    assert utility.scores(actual, -actual).r2 < 0


def test_a_column_never_broadcasts_against_a_row():
    actual = np.arange(5.0)
    for pair in ((actual[:, None], actual), (actual, actual[:, None]), (actual, actual[:4])):
        with pytest.raises(ValueError, match="expected two equal shapes"):
            utility.scores(*pair)


@pytest.mark.parametrize(
    ("train", "test", "target", "message"),
    [
        (make(0), make(1)[:, :3], 1, "test: expected as many columns as train"),
        (make(0)[:, :1], make(1)[:, :1], 0, "and at least 2"),
        (make(0), make(1), 4, "target_column: expected a position among 4 columns, got 4"),
        (make(0), make(1), -5, "target_column"),
        (make(0), make(1) * [1, 0, 1, 1], 1, "test: expected a target that varies, got a constant in column 1"),
        (make(0) * np.nan, make(1), 1, "train: expected finite values"),
        (make(0), make(1)[0], 1, r"test: expected shape \(rows, columns\)"),
        (make(0)[:1], make(1), 1, "train: expected at least 2 rows"),
    ],
)
def test_bad_input_is_refused(train, test, target, message):
    with pytest.raises(ValueError, match=message):
        utility.regress(train, test, target, seed=0)


def test_constant_target_is_refused_by_the_scores_too():
    with pytest.raises(ValueError, match="expected a target that varies"):
        utility.scores(np.ones(4), np.arange(4.0))


def test_parameters_are_frozen():
    with pytest.raises(TypeError):
        utility.XGBOOST["max_depth"] = 2  # pyright: ignore[reportIndexIssue]


def test_xgboost_comes_with_this_module_only():
    code = "import sys, jaxcop.metrics; assert 'xgboost' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
