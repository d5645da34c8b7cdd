"""Margins against scipy ranks and scikit-learn's QuantileTransformer; padding, round trip, dtypes."""

import jax
import numpy as np
import pytest
from jaxcop import margins
from scipy import stats
from sklearn.preprocessing import QuantileTransformer

from tolerance import assert_close

EMPIRICAL, QUANTILE = margins.MARGINS["empirical"], margins.MARGINS["quantile"]


@pytest.fixture
def x(seed, dtype):
    """Continuous, tied and skewed columns, as the blast table has them."""
    rng = np.random.default_rng(seed)
    columns = [rng.normal(size=60), rng.integers(0, 7, 60) / 4, np.exp(rng.normal(size=60))]
    return np.stack(columns, axis=1).astype(dtype)


def test_empirical_is_average_rank_over_n_plus_one(x):
    expected = stats.rankdata(x, axis=0) / (len(x) + 1)
    assert_close(EMPIRICAL.to_uniform(x, margins.fit(x)), expected.astype(x.dtype))


def test_quantile_matches_scikit_learn_at_training_rows_and_between(x, seed):
    reference = QuantileTransformer(n_quantiles=len(x), subsample=None).fit(x)
    fitted = margins.fit(x)
    new = np.random.default_rng(seed + 10).normal(size=(40, 3)).astype(x.dtype)
    for rows in (x, new):
        expected = np.clip(reference.transform(rows), margins.QUANTILE_CLIP, 1 - margins.QUANTILE_CLIP)
        # float32 inputs: the interpolation weight of close neighbours loses digits.
        assert_close(
            QUANTILE.to_uniform(rows, fitted), expected.astype(x.dtype), rtol=1e-4 if x.dtype == "f4" else 1e-9
        )
    u = np.random.default_rng(seed + 20).uniform(0.01, 0.99, (40, 3)).astype(x.dtype)
    assert_close(
        QUANTILE.from_uniform(u, fitted),
        reference.inverse_transform(u).astype(x.dtype),
        rtol=3e-5 if x.dtype == "f4" else 1e-9,
    )


@pytest.mark.parametrize("name", margins.MARGINS)
def test_training_rows_come_back(x, name):
    margin, fitted = margins.MARGINS[name], margins.fit(x)
    back = np.asarray(margin.from_uniform(margin.to_uniform(x, fitted), fitted))
    inner = (x > x.min(0)) & (x < x.max(0))  # the report's margin clips the extremes
    assert_close(back[inner], x[inner], rtol=1e-4 if x.dtype == "f4" else 1e-9, atol=1e-6 if x.dtype == "f4" else 0)


@pytest.mark.parametrize("name", margins.MARGINS)
def test_padding_changes_nothing(x, name):
    margin = margins.MARGINS[name]
    padded = np.concatenate([x[:40], np.full((20, 3), 1e6, x.dtype)])
    mask = np.arange(60) < 40
    short, masked = margins.fit(x[:40]), jax.jit(margins.fit)(padded, mask)
    u = np.random.default_rng(0).uniform(size=(50, 3)).astype(x.dtype)
    assert_close(margin.to_uniform(x, masked), margin.to_uniform(x, short))
    assert_close(margin.from_uniform(u, masked), margin.from_uniform(u, short))


def test_empirical_stays_inside_the_open_interval_and_the_range(x):
    fitted = margins.fit(x)
    u = np.asarray(EMPIRICAL.to_uniform(np.array([[-1e9] * 3, [1e9] * 3], x.dtype), fitted))
    assert (u > 0).all()
    assert (u < 1).all()
    ends = np.asarray(EMPIRICAL.from_uniform(np.array([[0.0] * 3, [1.0] * 3], x.dtype), fitted))
    assert_close(ends, np.stack([x.min(0), x.max(0)]))


def test_normal_scores(x):
    expected = stats.norm.ppf(stats.rankdata(x, axis=0) / (len(x) + 1))
    # Scores of middle ranks pass through 0.
    assert_close(
        margins.normal_scores(x, margins.fit(x)), expected.astype(x.dtype), atol=1e-6 if x.dtype == "f4" else 1e-12
    )
