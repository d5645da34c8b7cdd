"""Permutation p-values and noise floors: against scipy, uniform under the null, and the measured floors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import metrics
from jaxcop.metrics import _inputs
from scipy import stats

from metric_cases import NULL
from tolerance import assert_close

PAIR = np.random.default_rng(3).normal([[[0]], [[0.8]]], size=(2, 12, 1))


def mean_gap(real, synthetic):
    return {"gap": jnp.mean(real) - jnp.mean(synthetic)}


def distance_of_means(real, synthetic):
    return jnp.abs(jnp.mean(real) - jnp.mean(synthetic))


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_p_values_equal_scipy(alternative):
    real, synthetic = PAIR[:, :5]
    exact = stats.permutation_test(
        (real.ravel(), synthetic.ravel()), lambda x, y: x.mean() - y.mean(), alternative=alternative
    )
    found = metrics.permutation_test(jax.random.key(0), mean_gap, real, synthetic, 4000, alternative=alternative)
    assert_close(found.value["gap"], exact.statistic)
    # Four standard errors of a share of 4000, or of twice such a share.
    np.testing.assert_allclose(found.p_value["gap"], exact.pvalue, atol=4 * 2 * 0.5 / np.sqrt(4000))


def test_replicas_and_blocks_equal_a_loop(monkeypatch):
    key, real, tables = jax.random.key(0), PAIR[0], np.random.default_rng(0).normal(size=(2, 3, 9, 1))
    batch = metrics.permutation_test(key, metrics.wasserstein, real, tables, 19)
    monkeypatch.setattr(_inputs, "MAX_PAIRS", 21**2 * 3)  # three permutations at once: the last block is not full
    jax.clear_caches()
    alone = metrics.permutation_test(key, metrics.wasserstein, real, tables[1, 2], 19)
    assert batch.p_value.shape == (2, 3, 1)
    jax.tree.map(lambda a, b: assert_close(a[1, 2], b), batch, alone)
    assert_close(batch.value, metrics.wasserstein(real, tables))


def test_p_values_are_uniform_under_the_null_and_small_off_it():
    tables = jax.random.normal(jax.random.key(0), (2, 400, 20, 1)) * 2
    keys = jax.random.split(jax.random.key(1), 400)

    @jax.jit
    def p_values(shift):
        test = jax.vmap(lambda *data: metrics.permutation_test(data[0], distance_of_means, *data[1:], 39).p_value)
        return test(keys, tables[0], tables[1] + shift)

    counts = np.bincount(np.rint(np.asarray(p_values(0.0)).ravel() * 40).astype(int), minlength=41)[1:]
    assert counts.sum() == 400
    assert stats.chisquare(counts.reshape(8, 5).sum(1)).pvalue > 1e-3
    assert (p_values(2.0) <= 0.05).mean() > 0.7


def test_equal_values_up_to_rounding_count_as_equal():
    # Three tables of the same rows: no permutation differs, whatever the order of the sums.
    real = np.full((10, 1), 0.1)
    found = metrics.permutation_test(jax.random.key(0), mean_gap, real, real * 1.0, 19)
    assert found.p_value["gap"] == 1
    undefined = metrics.permutation_test(jax.random.key(0), lambda x, y: jnp.sum(x) * np.nan, real, real, 19)
    assert np.isnan(undefined.p_value)


def every(real, synthetic):
    return metrics.prdc(real, synthetic), metrics.correlation_error(real, synthetic).pearson


@pytest.mark.slow
def test_noise_floors_are_the_measured_ones():
    draws, expected = 100, NULL["n262_m262_d6"]
    real = np.random.default_rng(0).normal(size=(20_000, 6))
    floor = metrics.noise_floor(jax.random.key(0), every, real, 262, 262, draws)
    names = ("precision", "recall", "density", "coverage", "pearson_mean", "pearson_max")
    leaves = [jax.tree.leaves(field) for field in floor]
    for name, mean, sd, quantiles in zip(names, *leaves, strict=True):
        # The reference took at least 200 pairs.
        assert abs(mean - expected[name][0]) < 4 * expected[name][1] * np.sqrt(1 / draws + 1 / 200), name
        np.testing.assert_allclose(sd, expected[name][1], rtol=0.35, err_msg=name)
        np.testing.assert_allclose(quantiles[::2], expected[name][2:], atol=expected[name][1], err_msg=name)
    in_closed_form = 1 - np.prod([(262 - i) / (524 - i) for i in range(1, 6)])
    assert abs(leaves[0][3] - in_closed_form) < 4 * expected["coverage"][1] / np.sqrt(draws)


@pytest.mark.parametrize("rows", [600, 150])
def test_floors_by_split_and_by_bootstrap_in_closed_form(rows):
    # The distance of two means of 100 rows is abs(N(0, 2 s^2 / 100)); 150 rows are too few for a split.
    real = np.random.default_rng(1).normal(size=(rows, 1)).astype("float32")
    floor = metrics.noise_floor(jax.random.key(0), distance_of_means, real, 100, 100, 1000)
    assert floor.mean.dtype == "float32"
    sd = np.sqrt(2 / 100) * real.std()
    half_normal = stats.halfnorm(scale=sd)
    np.testing.assert_allclose(floor.mean, half_normal.mean(), rtol=0.1)
    np.testing.assert_allclose(floor.sd, half_normal.std(), rtol=0.15)
    np.testing.assert_allclose(floor.quantiles, half_normal.ppf([0.05, 0.5, 0.95]), rtol=0.1, atol=0.1 * sd)


def test_a_split_uses_each_row_once():
    rows = np.arange(12.0)[:, None]
    total = metrics.noise_floor(jax.random.key(0), lambda x, y: jnp.sum(x) + jnp.sum(y), rows, 5, 7, 20)
    assert_close(total.mean, 66.0)
    assert total.sd == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_permutations": 0}, "num_permutations: expected a whole number of at least 1"),
        ({"alternative": "larger"}, "alternative: expected one of"),
        ({"synthetic": PAIR[1] * np.nan}, "synthetic: expected finite values"),
    ],
)
def test_bad_tests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.permutation_test(jax.random.key(0), metrics.ks, **{"real": PAIR[0], "synthetic": PAIR[1], **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_real": 1}, "size_real: expected a whole number of at least 2"),
        ({"num_draws": 1}, "num_draws: expected a whole number of at least 2"),
        ({"levels": (5, 95)}, r"levels: expected numbers in \[0, 1\]"),
        ({"real": PAIR}, r"real: expected shape \(rows, columns\)"),
    ],
)
def test_bad_floors_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.noise_floor(
            jax.random.key(0), metrics.ks, **{"real": PAIR[0], "size_real": 5, "size_synthetic": 5, **options}
        )
