"""Goodness of fit: reference values of both statistics, the size of the tests, and their power."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop.copulas import clayton, pseudo_observations
from jaxcop.copulas.goodness import cramer_von_mises, goodness_of_fit, rosenblatt_statistic
from scipy import stats

from families import BUILT, REFERENCE
from tolerance import assert_close

_CASES = REFERENCE["fit_cases"]
_DATA = np.array(_CASES["datasets"]["clayton_d3"])
_TWO = _DATA[:, :2]
_KEY = jax.random.key(0)


@pytest.mark.parametrize("case", _CASES["gof"], ids=lambda c: c["model"])
def test_cramer_von_mises_reference(case):
    family, theta = case["model"].split(" theta=")
    u = pseudo_observations(_DATA)
    model = BUILT[family]
    assert_close(cramer_von_mises(u, model.cdf(u, model.Params(float(theta)))), case["value"], rtol=1e-12)


def test_rosenblatt_statistic_is_the_star_discrepancy():
    for dim in (2, 3):
        e = _DATA[:40, :dim]
        expected = 40 * stats.qmc.discrepancy(e, method="L2-star") ** 2
        assert_close(rosenblatt_statistic(jnp.asarray(e)), expected, rtol=1e-10)


@partial(jax.jit, static_argnames=("family", "options"))
def _p_values(keys, tables, family, options):
    def one(inputs):
        test = goodness_of_fit(*inputs, family, **dict(options))
        return test.p_value, test.num_failed

    return jax.lax.map(one, (keys, tables))


def _tables(n):
    """150 Clayton samples, and 10 more turned round: their tail dependence is in the other tail."""
    keys = jax.random.split(jax.random.key(7), 160)
    tables = jax.vmap(lambda key: clayton.sample(key, clayton.Params(jnp.asarray(2.0)), (n, 2)))(keys)
    return keys, tables.at[150:].set(1 - tables[150:])


# The multiplier needs several hundred rows, and is fast.
@pytest.mark.parametrize(
    ("statistic", "method", "n", "num_resamples"),
    [
        pytest.param("cramer_von_mises", "parametric", 60, 59, marks=pytest.mark.slow),
        pytest.param("rosenblatt", "parametric", 60, 59, marks=pytest.mark.slow),
        pytest.param("cramer_von_mises", "multiplier", 400, 199, marks=pytest.mark.slow),
    ],
)
def test_size_and_power(statistic, method, n, num_resamples):
    options = (("statistic", statistic), ("method", method), ("num_resamples", num_resamples))
    p, failed = _p_values(*_tables(n), "clayton", options)
    assert (failed == 0).all()
    # Three tests at 0.01 / 3, at two levels: a true family is rejected as often as it should.
    for level in (0.1, 0.5):
        assert stats.binomtest(int(np.sum(p[:150] <= level)), 150, level).pvalue > 0.01 / 3
    assert np.mean(p[150:] <= 0.1) >= 0.8


@pytest.mark.slow
def test_monte_carlo_distribution_function():
    rng = np.random.default_rng(0)
    normal = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 100)
    test = goodness_of_fit(_KEY, normal, "gaussian", num_resamples=99)
    u, matrix = pseudo_observations(normal), np.array(test.fit.params.correlation)
    exact = stats.multivariate_normal(cov=matrix).cdf(stats.norm.ppf(u))
    # Five standard errors of the mean of 2,500 draws, on every one of the 100 places.
    noise = 5 * np.sqrt(0.25 / 2500)
    expected = float(cramer_von_mises(u, jnp.asarray(exact)))
    assert abs(np.sqrt(test.statistic) - np.sqrt(expected)) < np.sqrt(100) * noise
    assert 0.01 < test.p_value < 1
    crossed = normal[:, :1] * np.stack([np.ones(100), rng.choice([-1, 1], 100)], 1) + 0.1 * normal
    assert goodness_of_fit(_KEY, crossed, "gaussian", num_resamples=99).p_value < 0.03


def test_a_family_without_parameters():
    assert goodness_of_fit(_KEY, _TWO, "independence", method="multiplier", num_resamples=99).p_value < 0.01
    free = np.random.default_rng(1).uniform(size=(100, 2))
    assert goodness_of_fit(_KEY, free, "independence", method="multiplier", num_resamples=99).p_value > 0.01


@pytest.mark.slow
def test_p_value_counts_the_replicates_that_did_not_fail():
    def sample(key, params, shape):
        return jnp.where(jax.random.uniform(key) < 0.3, jnp.nan, clayton.sample(key, params, shape))

    broken = clayton.COPULA._replace(sample=sample)
    test = goodness_of_fit(_KEY, _TWO, broken, num_resamples=40)
    u = pseudo_observations(_TWO)
    assert test.converged
    assert_close(test.statistic, cramer_von_mises(u, clayton.cdf(u, test.fit.params)), rtol=1e-12)
    assert 3 < test.num_failed < 25
    above = np.nansum(np.array(test.replicates) >= float(test.statistic))
    assert_close(test.p_value, (above + 0.5) / (41 - int(test.num_failed)), rtol=1e-12)
    np.testing.assert_array_equal(goodness_of_fit(_KEY, _TWO, broken, num_resamples=40).replicates, test.replicates)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: goodness_of_fit(_KEY, x, "claiton"), "family"),
        (lambda x: goodness_of_fit(_KEY, x, "clayton", statistic="kolmogorov"), "statistic"),
        (lambda x: goodness_of_fit(_KEY, x, "clayton", method="jackknife"), "method"),
        (lambda x: goodness_of_fit(_KEY, x, "gaussian", method="multiplier"), "statistic='rosenblatt'"),
        (lambda x: goodness_of_fit(_KEY, x, "clayton", method="multiplier", statistic="rosenblatt"), "parametric"),
        (lambda x: goodness_of_fit(_KEY, x, "clayton", num_resamples=0), "num_resamples"),
        (lambda x: goodness_of_fit(None, x, "clayton"), "key"),
        (lambda x: goodness_of_fit(_KEY, x[:2], "clayton"), "at least 3 rows"),
        (lambda x: goodness_of_fit(_KEY, x * np.inf, "clayton"), "NaN or infinity"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(_TWO)
