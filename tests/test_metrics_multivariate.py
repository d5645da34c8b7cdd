"""MMD, Fréchet distance, memorisation and the joint program against scikit-learn, scipy and the reference table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import metrics
from jaxcop.metrics import _inputs, kernel, moments
from scipy import linalg
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel

from metric_cases import CASES, NULL, REFERENCE
from tolerance import assert_close

every_case = pytest.mark.parametrize("case", CASES)


def standardised(real, *tables):
    return [(table - real.mean(0)) / real.std(0) for table in (real, *tables)]


@every_case
def test_reference_values(case):
    (real, synthetic), expected = CASES[case], REFERENCE[case]
    discrepancy = metrics.mmd(real, synthetic, scale=expected["mmd"]["scale"])
    # Differences of means of order 1: absolute.
    assert_close(discrepancy.unbiased, expected["mmd"]["unbiased"], rtol=0, atol=1e-12)
    assert_close(discrepancy.biased, expected["mmd"]["biased"], rtol=0, atol=1e-12)
    assert_close(metrics.frechet(real, synthetic), expected["frechet_standardised"])
    assert_close(moments.frechet_of(real, synthetic), expected["frechet_raw"])
    assert_close(metrics.dcr(real, synthetic).median_ratio, expected["dcr_median_ratio"])


@pytest.mark.parametrize("case", ["B_shift_shrink_262x6", "C_lognormal_vs_normal_210_840x4"])
def test_mmd_equals_scikit_learn_with_the_median_of_real_pairs(case):
    real, synthetic = CASES[case]
    x, y = standardised(real, synthetic)
    n, m, scale = len(x), len(y), np.median(pdist(x, "sqeuclidean"))
    unbiased = biased = 0.0
    for factor in (0.5, 2**-0.5, 1, 2**0.5, 2):
        gamma = 1 / (2 * factor**2 * scale)
        kxx, kyy, kxy = rbf_kernel(x, x, gamma), rbf_kernel(y, y, gamma), rbf_kernel(x, y, gamma)
        biased += (kxx.mean() + kyy.mean() - 2 * kxy.mean()) / 5
        unbiased += (kxx.sum() - n) / (n * (n - 1)) / 5 + (kyy.sum() - m) / (m * (m - 1)) / 5 - 2 * kxy.mean() / 5
    found = metrics.mmd(real, synthetic)
    assert_close(found.unbiased, unbiased, rtol=0, atol=1e-12)
    assert_close(found.biased, biased, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 20, 21])
def test_median_distance_counts_every_pair_once(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, 2))
    assert_close(kernel.median_squared_distance(x, jnp.ones(2)), np.median(pdist(x, "sqeuclidean")), rtol=1e-12)


def test_median_distance_of_a_long_table_is_close_to_that_of_all_pairs():
    x = np.random.default_rng(0).normal(size=(5000, 3))
    exact = np.median(pdist(x, "sqeuclidean"))
    np.testing.assert_allclose(kernel.median_squared_distance(x, jnp.ones(3)), exact, rtol=0.02)
    np.testing.assert_allclose(kernel.median_squared_distance(np.sort(x, 0)[:, :1], jnp.ones(1)), 0.91, rtol=0.05)


def test_median_distance_zero_falls_back_to_the_mean():
    real = np.zeros((40, 2))
    real[:3] = 1
    value = metrics.mmd(real, real + 0.5)
    assert np.isfinite(value.unbiased)
    assert_close(value.biased, metrics.mmd(real, real + 0.5, scale=4.0).biased)


def test_mmd_does_not_depend_on_units():
    # A bandwidth fixed in raw units would.
    real, synthetic = CASES["B_shift_shrink_262x6"]
    units = np.array([1e-4, 1e-2, 1, 10, 1e3, 1e6])
    assert_close(metrics.mmd(real * units + 5, synthetic * units + 5).biased, metrics.mmd(real, synthetic).biased)


def test_unbiased_mmd_is_not_clipped():
    real, synthetic = np.random.default_rng(3).normal(size=(2, 20, 60, 3))
    values = np.array([metrics.mmd(x, y).unbiased for x, y in zip(real, synthetic, strict=True)])
    assert (values < 0).any()
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(20)


def test_reference_rows_standardise():
    (real, synthetic), train = CASES["B_shift_shrink_262x6"], np.random.default_rng(0).normal(2, 3, size=(50, 6))
    x, y = ((table - train.mean(0)) / train.std(0) for table in (real, synthetic))
    scale = np.median(pdist(train / train.std(0), "sqeuclidean"))
    assert_close(metrics.frechet(real, synthetic, reference=train), moments.frechet_of(x, y))
    found = metrics.mmd(real, synthetic, reference=train)
    gammas = [1 / (2 * f2 * scale) for f2 in (0.25, 0.5, 1, 2, 4)]
    expected = np.mean([(rbf_kernel(x, x, g) + rbf_kernel(y, y, g) - 2 * rbf_kernel(x, y, g)).mean() for g in gammas])
    assert_close(found.biased, expected)
    joint = metrics.fidelity(real, synthetic, reference=train)
    assert_close(joint.mmd.biased, expected)
    assert_close(joint.frechet, metrics.frechet(real, synthetic, reference=train))
    assert_close(joint.wasserstein, metrics.wasserstein(real, synthetic, reference=train))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale: expected a finite number above 0"):
        metrics.mmd(*CASES["D_ties_20_25x2"], scale=scale)


def test_scale_may_be_traced():
    real, synthetic = CASES["D_ties_20_25x2"]
    values = jax.vmap(lambda scale: metrics.mmd(real, synthetic, scale=scale).biased)(jnp.array([1.0, 2.0]))
    assert_close(values[1], metrics.mmd(real, synthetic, scale=2.0).biased)


@pytest.mark.parametrize("budget", [1, 333])
def test_blocks_of_rows_change_nothing(budget, monkeypatch):
    real, synthetic = CASES["C_lognormal_vs_normal_210_840x4"]
    real = np.concatenate([real[:20], real[:3]])
    synthetic = np.concatenate([synthetic[:15], real[:2]])
    whole = metrics.mmd(real, synthetic), metrics.dcr(real, synthetic)
    monkeypatch.setattr(_inputs, "MAX_PAIRS", budget)
    jax.clear_caches()
    jax.tree.map(assert_close, (metrics.mmd(real, synthetic), metrics.dcr(real, synthetic)), whole)
    jax.clear_caches()


@pytest.mark.parametrize("d", [1, 2, 5])
def test_frechet_equals_scipy_sqrtm(d, seed):
    # Strong correlations of opposite sign: the product of the covariances is far from symmetric.
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(50, d)) @ rng.normal(size=(d, d)), rng.normal(1, 1, size=(70, d)) @ rng.normal(size=(d, d))
    s1, s2 = (np.atleast_2d(np.cov(table.T)) for table in (x, y))
    root = linalg.sqrtm(s1 @ s2).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root)
    assert_close(moments.frechet_of(x, y), expected)
    if d > 1:
        wrong = np.sqrt(np.maximum(np.linalg.eigvalsh(s1 @ s2), 0)).sum()
        assert abs(wrong - np.trace(root)) > 1e-3


def test_frechet_of_diagonal_covariances_in_closed_form():
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3 / 4)  # covariance I with ddof 1
    x, y = corners * [1, 2], corners * [2, 3] + [1, 0]
    assert_close(moments.frechet_of(x, y), 3.0)


def test_frechet_of_singular_covariances():
    real = np.random.default_rng(0).normal(size=(4, 6))
    assert_close(metrics.frechet(real, real), 0.0, atol=1e-7)
    collinear = np.c_[real[:, 0], 2 * real[:, 0]]
    assert_close(metrics.frechet(collinear, collinear + collinear.std(0)), 2.0, rtol=1e-7)


@pytest.mark.parametrize("case", ["C_lognormal_vs_normal_210_840x4", "E_memoriser_100x3"])
def test_dcr_equals_scipy(case):
    real, synthetic = CASES[case]
    x, y = standardised(real, synthetic)
    own = cdist(x, x) + np.diag(np.full(len(x), np.inf))
    expected = np.median(cdist(y, x).min(1)) / np.median(own.min(1))
    assert_close(metrics.dcr(real, synthetic).median_ratio, expected)


def test_dcr_divides_by_distinct_training_rows():
    rng = np.random.default_rng(0)
    distinct, synthetic = rng.normal(size=(31, 3)), rng.normal(size=(50, 3))
    train = np.concatenate([distinct, distinct, distinct[:20]])
    x, rows, y = standardised(train, distinct, synthetic)
    own = cdist(rows, rows) + np.diag(np.full(31, np.inf))
    assert_close(metrics.dcr(train, synthetic).median_ratio, np.median(cdist(y, x).min(1)) / np.median(own.min(1)))


def test_exact_copies_are_counted_exactly(dtype):
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(200, 4)) * [1, 1e4, 1e-3, 7] + [0, 1e5, 3, -2]).astype(dtype)
    fresh = (rng.normal(size=(90, 4)) * [1, 1e4, 1e-3, 7] + [0, 1e5, 3, -2]).astype(dtype)
    value = metrics.dcr(train, np.concatenate([train[:10], fresh]))
    assert_close(value.exact_copies, np.asarray(0.1, dtype))
    assert metrics.dcr(train, train).median_ratio == 0
    nearly = train[:10].copy()
    nearly[:, 0] = np.nextafter(nearly[:, 0], np.inf)
    assert metrics.dcr(train, nearly).exact_copies == 0
    assert 0.6 < metrics.dcr(train, fresh).median_ratio < 1.6


def test_fidelity_equals_each_metric_alone():
    real, synthetic = CASES["C_lognormal_vs_normal_210_840x4"]
    joint = metrics.fidelity(real, synthetic.reshape(3, 280, 4))
    for name, value in joint._asdict().items():
        alone = getattr(metrics, name)(real, synthetic.reshape(3, 280, 4))
        jax.tree.map(lambda a, b, name=name: assert_close(a, b, atol=1e-14, err_msg=name), value, alone)


@pytest.mark.slow
def test_noise_floors_are_the_measured_ones():
    expected, pairs = NULL["n262_m262_d6"], 150
    draws = jax.random.normal(jax.random.key(5), (2, pairs, 262, 6))
    found = jax.lax.map(lambda pair: (metrics.mmd(*pair), metrics.frechet(*pair)), tuple(draws))
    for name, values in zip(("mmd_unbiased", "mmd_biased", "frechet"), (*found[0], found[1]), strict=True):
        mean, sd = expected[name][:2]
        # The reference took at least 200 pairs; it read its bandwidth from the pooled table, equal in law here.
        assert abs(values.mean() - mean) < 4 * sd * np.sqrt(1 / pairs + 1 / 200), (name, values.mean(), mean)
