"""Imbalanced regression: weights, relevance, bandwidths and scores against scipy and hand-computed cases."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import imbalanced
from jaxcop.imbalanced import bootstrap
from jaxcop.imbalanced.density import class_weights, density_weights, log_density
from jaxcop.imbalanced.relevance import automatic_points, control_points, relevance
from jaxcop.imbalanced.scores import by_relevance, mape, median_absolute_error, sera, weighted_mse
from scipy import integrate, interpolate, stats

REFERENCE = Path(__file__).parent / "reference"
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}


def skewed(seed, n=60, dtype="float64"):
    return np.random.default_rng(seed).gamma(1.5, size=n).astype(dtype)


def test_density_is_scipys(dtype):
    y = skewed(4, dtype=dtype)
    points = np.linspace(y.min() - 1, y.max() + 1, 9).astype(dtype)
    found = log_density(points, y)
    assert found.dtype == dtype
    np.testing.assert_allclose(np.exp(found), stats.gaussian_kde(y)(points), rtol=TOLERANCE[dtype], atol=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_density_weights(dtype, alpha):
    y = skewed(3, dtype=dtype)
    expected = stats.gaussian_kde(y)(y) ** -alpha
    found = np.asarray(density_weights(y, alpha))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=TOLERANCE[dtype])
    assert found.sum() == pytest.approx(1, rel=1e-5)
    mask = np.arange(len(y)) < 40
    masked = np.asarray(density_weights(y, alpha, mask))
    np.testing.assert_allclose(masked[:40], density_weights(y[:40], alpha), rtol=TOLERANCE[dtype])
    assert (masked[40:] == 0).all()


def test_class_weights_by_hand():
    found = class_weights(np.array([0, 0, 0, 1, 1]), 2, 0.5, np.array([True, True, True, True, False]))
    expected = np.array([(3 / 4) ** -0.5] * 3 + [(1 / 4) ** -0.5, 0])
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("y", "alpha", "message"),
    [
        (np.ones(30), 0.5, "constant"),
        (np.arange(30) % 3, 0.5, "continuous target"),
        (skewed(0), -0.1, "alpha"),
        (np.append(skewed(0), np.nan), 0.5, "NaN"),
        (skewed(0)[:, None], 0.5, "shape"),
    ],
)
def test_density_weights_refuse(y, alpha, message):
    with pytest.raises(ValueError, match=message):
        density_weights(y, alpha)


def test_automatic_points_by_hand():
    y = np.concatenate([[-30.0], np.arange(21.0), [50.0]])  # quartiles 4.5 and 15.5, whiskers at 0 and 20
    points = automatic_points(y)
    assert points.y.tolist() == [0, 10, 20]
    assert points.phi.tolist() == [1, 0, 1]
    assert automatic_points(y[:-1]).phi.tolist() == [1, 0, 0]
    assert automatic_points(y[1:]).y.tolist() == [0, 10.5, 20]


def test_relevance_is_scipys_hermite_spline(dtype):
    points = control_points([[1, 0.9, 0], [3, 0, 0], [6, 0.25, 0.1], [8, 1, 0]])
    y = np.linspace(1, 8, 50).astype(dtype)
    expected = interpolate.CubicHermiteSpline(points.y, points.phi, points.slope)(y)
    np.testing.assert_allclose(relevance(y, points), expected, atol=1e-6)
    np.testing.assert_allclose(relevance(np.array([-9, 99], dtype), points), [0.9, 1], rtol=1e-6)


def test_relevance_never_overshoots():
    points = control_points([[0, 0, 50], [1, 0.5, 50], [2, 1, -3]])
    phi = np.asarray(relevance(np.linspace(0, 2, 400), points))
    assert (np.diff(phi) >= -1e-12).all()
    assert phi.min() >= 0
    assert phi.max() <= 1
    assert phi[200] == pytest.approx(0.5, abs=0.02)
    gradient = jax.jit(jax.vmap(jax.grad(lambda y: relevance(y, points))))(jnp.array([0.0, 0.5, 1.0, 2.0, 7.0]))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: automatic_points(np.arange(50.0)), "0 everywhere"),
        (lambda: automatic_points(np.append(np.zeros(50), np.arange(1, 12))), "give control"),
        (lambda: control_points([(0, 0), (1, 0)]), "zero|0 at every"),
        (lambda: control_points([(1, 0), (0, 1)]), "increases"),
        (lambda: control_points([(0, 0), (1, 2)]), "between 0 and 1"),
        (lambda: sera(np.ones(3), np.ones(3), np.zeros(3)), "0 everywhere"),
        (lambda: sera(np.ones(3), np.ones((3, 1)), np.ones(3)), "equal shapes"),
        (lambda: mape(np.array([0.0, 1.0]), np.ones(2)), "other than 0"),
        (lambda: mape(np.array([np.nan, 1.0]), np.ones(2)), "NaN"),
        (lambda: weighted_mse(np.ones(2), np.ones(2), -np.ones(2)), "weights"),
        (lambda: by_relevance(np.ones(2), np.ones(2), np.ones(2), edges=(1, 0)), "edges"),
        (lambda: bootstrap.bandwidth(10, 2, "rule of thumb"), "rule"),
        (lambda: imbalanced.smoothed_bootstrap(jax.random.key(0), np.ones((4, 2)), np.ones(4), 3), "constant"),
        (lambda: imbalanced.smoothed_bootstrap(jax.random.key(0), np.eye(4), np.zeros(4), 3), "above 0"),
        (
            lambda: imbalanced.smoothed_bootstrap(jax.random.key(0), np.eye(4), np.ones(4), 3, multiplier=-1.0),
            "multiplier",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sera_is_the_integral(dtype):
    rng = np.random.default_rng(0)
    actual, predicted, phi = (rng.uniform(size=30).astype(dtype) for _ in range(3))
    phi[:3] = 0, 0.5, 1
    thresholds = np.linspace(0, 1, 1001).astype(dtype)
    curve = [((actual - predicted) ** 2)[phi >= t].sum() for t in thresholds]
    expected = integrate.trapezoid(curve, dx=0.001)
    assert float(sera(actual, predicted, phi)) == pytest.approx(expected, rel=TOLERANCE[dtype])
    # A row counts up to its relevance: the exact integral is sum phi e^2, up to one step per row.
    exact = (phi * (actual - predicted) ** 2).sum()
    assert float(jax.jit(sera)(actual, predicted, phi)) == pytest.approx(exact, rel=2e-3)


def test_errors_by_hand():
    actual, predicted = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 1.0])
    assert float(weighted_mse(actual, predicted, np.array([0.5, 0.3, 0.2]))) == pytest.approx(0.5 + 0.2 * 9)
    # Not n x n differences, which a column against a row gives, and not the mean of w e^2.
    assert float(weighted_mse(actual, predicted, np.ones(3) / 3)) == pytest.approx(10 / 3)
    # The truth divides: the swapped form is (1/2 + 0 + 3) / 3.
    assert float(mape(actual, predicted)) == pytest.approx((1 + 0 + 3 / 4) / 3)
    assert float(median_absolute_error(actual, predicted)) == 1
    bands = by_relevance(np.array([0, 1, 2, 9.0]), np.array([0, 1, 1, 7.0]), np.array([0.1, 0.2, 0.3, 1.0]))
    np.testing.assert_allclose(bands.rmse, [0, 1, np.nan, 2])
    np.testing.assert_allclose(bands.r2, [1, np.nan, np.nan, np.nan])
    assert bands.count.tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize(("rule", "scipy_rule"), [("silverman", "silverman"), ("scott", "scott")])
@pytest.mark.parametrize(("n", "dim"), [(20, 1), (300, 3), (5000, 8)])
def test_bandwidths_are_scipys(rule, scipy_rule, n, dim):
    kde = stats.gaussian_kde(np.random.default_rng(0).normal(size=(dim, n)), bw_method=scipy_rule)
    assert bootstrap.bandwidth(n, dim, rule) == pytest.approx(kde.factor, rel=1e-12)


@pytest.mark.parametrize(("n", "dim"), [(20, 1), (2100, 3)])
def test_the_released_bandwidth(n, dim):
    z = np.random.default_rng(0).normal(size=(n, dim)) @ np.diag(np.arange(1.0, dim + 1))
    h = stats.gaussian_kde(z.T, bw_method="silverman").factor
    expected = 0.1 * h**4 * np.cov(z.T)
    root = bootstrap.bandwidth(n, dim, "released") * bootstrap.covariance_root(jnp.asarray(z), jnp.ones(n, bool))
    np.testing.assert_allclose(root @ root.T, np.atleast_2d(expected), rtol=1e-6, atol=1e-12)


def test_covariance_root_of_a_repeated_column():
    z = np.random.default_rng(0).normal(size=(40, 2))
    z = np.c_[z, z[:, :1]]
    mask = np.arange(40) < 30
    root = np.asarray(bootstrap.covariance_root(jnp.asarray(z), jnp.asarray(mask)))
    np.testing.assert_allclose(root @ root.T, np.cov(z[:30].T), atol=1e-12)


def test_adaptive_factors_follow_the_density():
    z = np.random.default_rng(0).standard_t(3, size=(50, 2))
    mask = np.arange(50) < 40
    factor = bootstrap.bandwidth(40, 2)
    f = stats.gaussian_kde(z[:40].T, bw_method="silverman")(z[:40].T)
    found = bootstrap.adaptive_factors(jnp.asarray(z), jnp.asarray(mask), factor)
    np.testing.assert_allclose(found[:40], (f / stats.gmean(f)) ** -0.5, rtol=1e-8)
    assert bootstrap.adaptive_factors(jnp.asarray(z), jnp.asarray(mask), factor, sensitivity=0.0) == pytest.approx(1)


def test_smoothed_bootstrap_has_the_covariance_of_its_kernel():
    key = jax.random.key(0)
    z = np.random.default_rng(1).normal(size=(40, 2)) @ np.array([[1.0, 0.5], [0, 2.0]])
    weights = np.arange(1.0, 41)
    draws = imbalanced.smoothed_bootstrap(key, z, weights, 20_000, rule="scott", multiplier=2.0)
    mean = np.average(z, axis=0, weights=weights)
    spread = np.cov(z.T, aweights=weights, ddof=0) + (2 * 40 ** (-1 / 6)) ** 2 * np.cov(z.T)
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * np.sqrt(np.diag(spread) / 20_000).max())
    np.testing.assert_allclose(np.cov(draws.T), spread, rtol=0.05, atol=0.05)
    plain = np.asarray(imbalanced.smoothed_bootstrap(key, z, weights, 50, multiplier=0.0, adaptive=True))
    assert all((np.abs(z - row).max(1) < 1e-12).any() for row in plain)


def test_rows_are_drawn_by_their_weights():
    key = jax.random.key(0)
    weights = np.array([0.0, 1.0, 2.0, 5.0])
    index = np.asarray(bootstrap.draw_rows(key, jnp.asarray(weights), 8000))
    counts = np.bincount(index, minlength=4)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 8000 * weights[1:] / 8).pvalue > 1e-4


def test_the_mixing_rule():
    rows, index = jnp.arange(8.0).reshape(4, 2), jnp.array([2, 0, 2, 2, 3, 0])
    mixed = bootstrap.mix(index, rows, -jnp.ones((6, 2)))
    assert mixed.tolist() == [[4, 5], [0, 1], [-1, -1], [-1, -1], [6, 7], [-1, -1]]


@pytest.mark.slow
def test_the_inverse_density_draw_flattens_the_target():
    key = jax.random.key(0)
    y = np.random.default_rng(0).exponential(size=2000)
    index = np.asarray(bootstrap.inverse_density_draw(key, y, 1.0))
    assert np.median(y[index]) > 2 * np.median(y)
    assert index.shape == y.shape


@pytest.mark.parametrize(
    "case", json.loads((REFERENCE / "smogn_relevance.json").read_text())["cases"], ids=lambda c: c["name"]
)
def test_relevance_is_that_of_another_package(case):
    """Box-plot control points and relevance by smogn, an independent implementation."""
    points = automatic_points(np.array(case["y"]))
    np.testing.assert_allclose(np.column_stack(points), case["control_points"], rtol=1e-12)
    np.testing.assert_allclose(relevance(np.array(case["y"]), points), case["phi"], atol=1e-12)
