"""Blends of real and synthetic rows, paired differences, and the second learner."""

import joblib
import numpy as np
import pytest
from jaxcop.metrics import augmentation, utility
from jaxcop.metrics.comparison import paired_bootstrap, paired_difference
from jaxcop.metrics.utility import Job, regress
from scipy import stats


def table(rows, seed):
    x = np.random.default_rng(seed).normal(size=(rows, 3))
    return np.c_[x, x @ [1.0, -2.0, 0.5]]


TRAIN, TEST = table(80, 0), table(50, 1)


def test_a_blend_holds_the_promised_rows(monkeypatch):
    """Real and synthetic rows are told apart by their first column."""
    real, fake = TRAIN.copy(), table(400, 2)
    real[:, 0], fake[:, 0] = np.arange(80), 1000 + np.arange(400)
    seen = []
    original = augmentation.utility_many
    monkeypatch.setattr(
        augmentation, "utility_many", lambda jobs, **rest: (seen.extend(jobs), original(jobs, **rest))[1]
    )
    curve = augmentation.blend_curve(real, TEST, fake, 3, seed=5, shares=(0.75, 0.5, 0.1), repeats=2)
    assert len(seen) == 2 * (1 + 2 * 3 - 1)
    for jobs in (seen[:6], seen[6:]):
        counts = [((job.train[:, 0] < 1000).sum(), (job.train[:, 0] >= 1000).sum()) for job in jobs]
        assert counts == [(80, 0), (60, 20), (80, 27), (40, 40), (80, 80), (8, 72)]
        assert len({job.seed for job in jobs}) == 1
        assert all(len(np.unique(job.train[:, 0])) == len(job.train) for job in jobs)
    assert seen[0].seed != seen[6].seed
    assert np.isnan(curve.added.r2[:, 2]).all()  # 720 rows are not there
    assert curve.fixed.r2[0, 1] == regress(seen[3].train, TEST, 3, seed=seen[3].seed).r2
    assert curve.ceiling.rmse[1] == regress(seen[6].train, TEST, 3, seed=seen[6].seed).rmse


def test_benefit_is_where_the_interval_lies_above_the_ceiling():
    rng = np.random.default_rng(0)
    ceiling = rng.normal(0.5, 0.2, 12)
    gains = np.array([0.2, 0.0, -0.2]) + 0.05 * rng.normal(size=(12, 3))
    differences, shares = augmentation.benefit(np.array([0.9, 0.5, 0.1]), ceiling[:, None] + gains, ceiling, 0.25)
    assert shares == [0.9]
    expected = paired_difference(ceiling + gains[:, 2], ceiling, 0.25, level=1 - 0.05 / 3)
    np.testing.assert_allclose(differences[2], expected)
    wide = 0.05 * rng.normal(size=(12, 3)) + 0.03
    assert augmentation.benefit(np.array([0.9, 0.5, 0.1]), ceiling[:, None] + wide, ceiling, 4.0)[1] == []


def test_paired_difference_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 12), rng.normal(0, 1, 12)
    found = paired_difference(a, b, 0.25)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-10)
    wider = (found.corrected_high - found.mean) / (found.high - found.mean)
    np.testing.assert_allclose(wider, np.sqrt((1 / 12 + 0.25) / (1 / 12)), rtol=1e-10)
    assert np.isnan(paired_difference(a[:1], b[:1], 0.25).low)


def test_the_bootstrap_interval_covers():
    rng = np.random.default_rng(0)
    held = 0
    for draw in range(200):
        low, high = paired_bootstrap(rng.exponential(size=20) + 1, np.ones(20), seed=draw, num_resamples=999)
        held += low <= 1 <= high
    assert 170 <= held <= 198  # 20 skewed differences: nominal 190, a little less is known to come
    assert paired_bootstrap(np.ones(3), np.zeros(3), seed=0) == (1.0, 1.0)


def test_stacking_is_the_named_ensemble_and_learns_a_line_better_than_its_mean():
    model = utility.LEARNERS["stacking"](3)
    assert [name for name, _ in model.estimators] == ["forest", "xgboost"]
    assert model.estimators[1][1].get_params()["n_estimators"] == utility.XGBOOST["n_estimators"]
    first, second = (regress(TRAIN, TEST, 3, seed=3, learner="stacking") for _ in range(2))
    assert first == second
    assert first.r2 > 0.5
    assert first != regress(TRAIN, TEST, 3, seed=3)


def test_the_jobs_run_on_another_backend():
    """What carries them to Dask or Ray: processes that share nothing but the pickled jobs."""
    jobs = [Job(TRAIN, TEST, 3, seed) for seed in (0, 1)]
    with joblib.parallel_config("loky", n_jobs=2):
        found = utility.utility_many(jobs, workers=2)
    assert found == utility.utility_many(jobs, workers=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: augmentation.blend_curve(TRAIN, TEST, table(60, 2), 3, seed=0), "at least 72 rows"),
        (lambda: augmentation.blend_curve(TRAIN, TEST, TRAIN, 3, seed=0, shares=(1.0,)), "real shares between"),
        (lambda: augmentation.blend_curve(TRAIN, TEST, TRAIN, 3, seed=0, repeats=0), "repeats: expected"),
        (lambda: augmentation.blend_curve(TRAIN, TEST, TRAIN[:, 1:], 3, seed=0), "expected 4 columns"),
        (lambda: augmentation.benefit([0.5], np.ones((1, 2)), np.ones(2), 0.0), r"expected shape \(2, 1\)"),
        (lambda: paired_difference([1.0, np.nan], [0.0, 0.0], 0.1), "expected finite values"),
        (lambda: paired_difference([1.0], [0.0, 0.0], 0.1), "two equal shapes"),
        (lambda: paired_bootstrap([1.0], [0.0], seed=0), "at least 2 splits"),
        (lambda: regress(TRAIN, TEST, 3, seed=0, learner="oak"), "learner: expected one of"),
        (lambda: regress(TRAIN[:9], TEST, 3, seed=0, learner="stacking"), "at least 10 rows for 5 folds"),
    ],
    ids=range(10),
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
