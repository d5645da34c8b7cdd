"""Per-column metrics against scipy, numpy and the reference table."""

import jax
import numpy as np
import pytest
from jaxcop import metrics
from scipy import stats

from metric_cases import CASES, NULL, REFERENCE
from tolerance import assert_close

every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_inputs_are_those_of_the_reference(case):
    (real, synthetic), expected = CASES[case], REFERENCE[case]
    assert list(real.shape) == expected["real_shape"]
    assert list(synthetic.shape) == expected["synthetic_shape"]
    assert_close([real.sum(), synthetic.sum()], [expected["real_sum"], expected["synthetic_sum"]])


@every_case
def test_reference_values(case):
    (real, synthetic), expected = CASES[case], REFERENCE[case]
    darling = metrics.anderson_darling(real, synthetic)
    found = {
        "ks": metrics.ks(real, synthetic),
        "a2": darling.a2,
        "t": darling.t,
        "distance": darling.distance,
        "wasserstein_raw": metrics.wasserstein(real, synthetic) * real.std(0),
        "total_variation_quantile": metrics.total_variation(real, synthetic),
        "total_variation_width": metrics.total_variation(real, synthetic, binning="width"),
        "range_coverage": metrics.range_coverage(real, synthetic),
    }
    for name, values in found.items():
        assert_close(values, expected[name], err_msg=name)


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("sizes", [(40, 40), (25, 90), (90, 25), (5, 3)])
def test_scipy_agrees_with_and_without_ties(sizes, decimals, seed):
    rng = np.random.default_rng(seed)
    real = np.round(rng.normal(size=(sizes[0], 3)), decimals)
    synthetic = np.round(rng.normal(0.4, 1.3, size=(sizes[1], 3)), decimals)
    columns = list(zip(real.T, synthetic.T, strict=True))
    assert_close(metrics.ks(real, synthetic), [stats.ks_2samp(x, y).statistic for x, y in columns])
    # Permutation p-values draw no table warnings; two draws are enough, only the statistic is read.
    method = stats.PermutationMethod(n_resamples=2, rng=rng)
    expected = [stats.anderson_ksamp([x, y], variant="midrank", method=method).statistic for x, y in columns]
    assert_close(metrics.anderson_darling(real, synthetic).t, expected, atol=1e-12)
    expected = [stats.wasserstein_distance(x, y) / x.std() for x, y in columns]
    assert_close(metrics.wasserstein(real, synthetic), expected)


@pytest.mark.parametrize("bins", [2, 7, 20])
@pytest.mark.parametrize("decimals", [1, 9])
def test_total_variation_equals_numpy_histograms(bins, decimals, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = np.round(rng.normal(size=(61, 1)), decimals), np.round(rng.normal(0.5, 1, size=(50, 1)), decimals)
    edges = np.quantile(real, np.arange(bins + 1) / bins)
    edges[0], edges[-1] = -np.inf, np.inf
    edges = np.unique(edges)
    p, q = (np.histogram(x, edges)[0] / len(x) for x in (real, synthetic))
    assert_close(metrics.total_variation(real, synthetic, bins=bins)[0], 0.5 * np.abs(p - q).sum())


def test_total_variation_of_rounded_data_bins_as_exact_arithmetic():
    # Tenths against 20 bins of width 0.3: every edge is a possible value, in floating point a little beside it.
    tenths = np.arange(-27, 34)
    real, synthetic = tenths[:, None], tenths[::2, None]
    place = [np.minimum((x - tenths[0]) * 20 // (tenths[-1] - tenths[0]), 19).ravel() for x in (real, synthetic)]
    p, q = (np.bincount(bins, minlength=20) / len(bins) for bins in place)
    for dtype in ("float32", "float64"):
        value = metrics.total_variation((real / 10).astype(dtype), (synthetic / 10).astype(dtype), binning="width")
        assert_close(value[0], 0.5 * np.abs(p - q).sum())


def test_identical_and_disjoint_tables():
    real = np.random.default_rng(0).normal(size=(30, 2))
    far = real + 100
    for metric in (metrics.ks, metrics.total_variation, metrics.wasserstein):
        assert_close(metric(real, real), [0.0, 0.0], atol=1e-15)
    assert_close(metrics.anderson_darling(real, real).distance, [0.0, 0.0], atol=1e-9)
    assert_close(metrics.ks(real, far), [1.0, 1.0])
    assert_close(metrics.total_variation(real, far, binning="width"), [1.0, 1.0])
    assert_close(metrics.wasserstein(real, far), 100 / real.std(0))
    assert_close(metrics.range_coverage(real, far), [0.0, 0.0])


def test_rank_metrics_are_invariant_under_increasing_transforms():
    real, synthetic = CASES["B_shift_shrink_262x6"]
    for metric in (metrics.ks, metrics.anderson_darling):
        jax.tree.map(assert_close, metric(np.exp(real), np.exp(synthetic)), metric(real, synthetic))


def test_wasserstein_pads_nothing():
    # A smaller table padded with zero rows would be far from one that lives at 50.
    real = np.random.default_rng(0).normal(50, 1, size=(200, 1))
    assert metrics.wasserstein(real, real[:100])[0] < 0.3


def test_wasserstein_unit_is_the_reference_deviation():
    real, synthetic = CASES["A_same_262x6"]
    assert_close(
        metrics.wasserstein(real, synthetic, reference=real * 2), metrics.wasserstein(real, synthetic) / 2, rtol=1e-12
    )
    with pytest.raises(ValueError, match="reference: expected 6 columns"):
        metrics.wasserstein(real, synthetic, reference=real[:, :3])


@pytest.mark.parametrize("options", [{"bins": 1}, {"bins": 2.5}, {"binning": "equal"}])
def test_unknown_bins_are_refused(options):
    with pytest.raises(ValueError, match=r"expected .* got .*; "):
        metrics.total_variation(*CASES["D_ties_20_25x2"], **options)


def test_large_counts_do_not_overflow():
    # 120,000 rows each: products of the counts pass 2^31.
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(2, 120_000, 1))
    darling = metrics.anderson_darling(real, synthetic + 0.05)
    assert_close(metrics.ks(real, synthetic + 0.05)[0], stats.ks_2samp(real[:, 0], synthetic[:, 0] + 0.05).statistic)
    assert 50 < darling.a2[0] < 300


def test_noise_floors_are_the_measured_ones():
    expected, pairs = NULL["n262_m262"], 1000
    draws = jax.random.normal(jax.random.key(11), (2, 10, 262, pairs // 10))
    darling = jax.vmap(metrics.anderson_darling)(*draws)
    found = {
        "ks": jax.vmap(metrics.ks)(*draws),
        "a2": darling.a2,
        "t": darling.t,
        "distance": darling.distance,
        "wasserstein": jax.vmap(metrics.wasserstein)(*draws),
    }
    for name, values in found.items():
        mean, sd = expected[name][:2]
        error = sd * np.sqrt(1 / pairs + 1 / NULL["pairs"])
        assert abs(values.mean() - mean) < 4 * error, (name, values.mean(), mean)
        np.testing.assert_allclose(values.std(), sd, rtol=0.15, err_msg=name)
    np.testing.assert_allclose(np.quantile(found["ks"], 0.95), expected["ks"][4], rtol=0.06)
