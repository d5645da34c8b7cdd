"""No NaN in log-density or gradient on random points up to 1e-7 from the border, over the whole range of parameters.

The short version runs by default; `pytest -m slow tests/test_copula_extremes.py` takes a million points per case.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import correlation
from jaxcop.copulas import FAMILIES, gaussian, student_t
from scipy import stats

from families import ARCHIMEDEAN
from tolerance import assert_close


def _points(rng, num: int, dim: int) -> np.ndarray:
    """Logistic in both tails; a third of the points near the diagonal, where strong dependence puts its mass."""
    logits = rng.uniform(-16.1, 16.1, (num, dim))
    near = rng.uniform(-16.1, 16.1, (num, 1)) + rng.normal(0, 0.01, (num, dim))
    logits = np.where(rng.uniform(size=(num, 1)) < 1 / 3, near, logits)
    return np.clip(1 / (1 + np.exp(-logits)), 1e-7, 1 - 1e-7)


def _parameters(rng, family: str, dim: int, num: int):
    """A batch of parameters: tau over [0, 1) with both ends, theta up to 1000, df over four decades."""
    if family == "independence":
        return FAMILIES[family].from_kendall_tau(0.0)
    if family in ARCHIMEDEAN:
        tau = np.concatenate([[0, 1e-12, 1e-6, 0.5], rng.uniform(0, 0.99, num - 4)])
        params = jax.vmap(FAMILIES[family].from_kendall_tau)(jnp.asarray(tau))
        strong = jnp.asarray(10 ** rng.uniform(0, 3, num))
        return params._replace(theta=jnp.where(np.arange(num) % 4 == 3, strong, params.theta))
    vectors = jnp.asarray(rng.normal(0, rng.choice([0.1, 1.0, 3.0], (num, 1)), (num, dim * (dim - 1) // 2)))
    matrices = jax.vmap(lambda v: correlation.from_vector(v, dim))(vectors)
    if family == "gaussian":
        return gaussian.Params(matrices)
    return student_t.Params(matrices, jnp.asarray(10 ** rng.uniform(np.log10(0.5), 4, num)))


def _check(family: str, dim: int, dtype: str, num_params: int, num_points: int) -> None:
    rng = np.random.default_rng(dim)
    copula = FAMILIES[family]
    u = jnp.asarray(_points(rng, num_points, dim), dtype)
    # float32 rounds the nearest points onto the border; the last float inside stands for them.
    u = jnp.clip(u, 1e-7, 1 - jnp.finfo(dtype).epsneg)
    batch = jax.tree.map(lambda leaf: leaf.astype(dtype), _parameters(rng, family, dim, num_params))

    def evaluate(params):
        def total(u, params):
            value = copula.logpdf(u, params)
            return jnp.sum(value), value

        return jax.grad(total, (0, 1), has_aux=True)(u, params)

    if family == "independence":
        gradients, values = evaluate(batch)
        assert jnp.isfinite(values).all()
        return
    if family in ("gaussian", "student_t"):
        # what is singular to the digits of its dtype is no correlation matrix
        keep = np.linalg.eigvalsh(np.asarray(batch.correlation, "float64"))[:, 0] > 100 * jnp.finfo(dtype).eps
        batch = jax.tree.map(lambda leaf: leaf[keep], batch)
        assert keep.sum() >= num_params // 3
    gradients, values = jax.jit(lambda b: jax.lax.map(evaluate, b))(batch)
    assert jnp.isfinite(values).all()
    assert all(not bool(jnp.isnan(leaf).any()) for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("family", ["clayton", "gumbel", "joe", "student_t"])
def test_no_nan(family):
    _check(family, 3, "float32", 24, 500)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [2, 3, 8, 32])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_nan_on_a_million_points(family, dim, dtype):
    _check(family, dim, dtype, 100, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dim", [8, 32])
@pytest.mark.parametrize("family", FAMILIES)
def test_transforms_and_samplers_in_many_columns(family, dim, dtype):
    """There and back; and what the sampler draws becomes uniform and independent, column by column."""
    copula, tau = FAMILIES[family], jnp.asarray(0.4, dtype)
    if family in ("gaussian", "student_t"):
        params = copula.from_kendall_tau(jnp.where(np.eye(dim, dtype=bool), 1, tau))
    else:
        params = copula.from_kendall_tau(tau) if family in ARCHIMEDEAN else copula.from_kendall_tau(0.0)
    key_uniform, key_sample = jax.random.split(jax.random.key(dim))
    w = jax.random.uniform(key_uniform, (500, dim), dtype, 1e-3, 1 - 1e-3)
    back = copula.rosenblatt(copula.inverse_rosenblatt(w, params), params)
    assert back.dtype == dtype
    # One unit in the last place of u is up to a thousand of w where the columns before leave little room.
    assert_close(back, w, atol=2000 * jnp.finfo(dtype).eps)
    u = copula.sample(key_sample, params, (4000, dim)).astype(dtype)
    moved = np.asarray(copula.rosenblatt(u, params), float)
    lowest = min(stats.kstest(column, "uniform").pvalue for column in moved.T)
    assert lowest > 0.001 / dim
    correlations = np.corrcoef(stats.norm.ppf(moved), rowvar=False)[np.triu_indices(dim, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(moved))
