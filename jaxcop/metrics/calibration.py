"""What a value of a metric means: its permutation p-value, and its noise floor between two real samples.

Any ``metric(real, synthetic)`` of this package will do, or a function of that form; its value may be a pytree, and
all results then have its structure. A program is compiled per function object, so bind options by a function or
``functools.partial`` that is made once. Standard errors of the results fall with the square root of the draws.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from jaxcop import _checks
from jaxcop.metrics import _inputs

ALTERNATIVES = ("greater", "less", "two-sided")


class PermutationTest(NamedTuple):
    """The statistics of the two samples, and the p-value of each."""

    value: PyTree
    p_value: PyTree


class NoiseFloor(NamedTuple):
    """``quantiles`` has a leading axis of the levels asked for."""

    mean: PyTree
    sd: PyTree
    quantiles: PyTree


def _over_draws(one, num: int, rows: int):
    """``one(index)`` for ``num`` indices, in blocks whose vmapped tables of ``rows`` rows have ``MAX_PAIRS`` pairs."""
    blocks = -(-num // max(1, min(num, _inputs.MAX_PAIRS // rows**2)))
    index = jnp.arange(blocks * -(-num // blocks)).reshape(blocks, -1)
    values = jax.lax.map(jax.vmap(one), index)
    return jax.tree.map(lambda value: value.reshape(-1, *value.shape[2:])[:num], values)


def _p_value(values, alternative):
    """Phipson and Smyth (2010): the observed value, first of ``values``, counts among the permuted ones."""
    observed = values[0]
    # Values that agree in exact arithmetic, such as those of a rank statistic, agree to rounding only.
    slack = 100 * jnp.finfo(values.dtype).eps * jnp.abs(observed)
    greater = (values >= observed - slack).mean(axis=0, dtype=values.dtype)
    less = (values <= observed + slack).mean(axis=0, dtype=values.dtype)
    both = jnp.minimum(2 * jnp.minimum(greater, less), 1)
    p_value = {"greater": greater, "less": less, "two-sided": both}[alternative]
    return jnp.where(jnp.isnan(observed), jnp.nan, p_value)


@partial(jax.jit, static_argnames=("metric", "num_permutations", "alternative"))
def _permutation_test(key, metric, real, synthetic, num_permutations, alternative):
    n = real.shape[0]

    def test(rows):
        pool = jnp.concatenate([real, rows])
        total = pool.shape[0]

        def one(index):
            order = jax.random.permutation(jax.random.fold_in(key, index), total)
            shuffled = pool[jnp.where(index == 0, jnp.arange(total), order)]
            return metric(shuffled[:n], shuffled[n:])

        values = _over_draws(one, num_permutations + 1, total)
        p_value = jax.tree.map(lambda value: _p_value(value, alternative), values)
        return PermutationTest(jax.tree.map(lambda value: value[0], values), p_value)

    return _inputs.over_replicas(test, synthetic)


def permutation_test(
    key: Key[Array, ""],
    metric: Callable[[Array, Array], PyTree],
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    num_permutations: int = 199,
    *,
    alternative: str = "greater",
) -> PermutationTest:
    """Is the metric's value larger than between random halves of both tables put together?

    p = (1 + #(permuted values >= value)) / (num_permutations + 1), which is valid at any number of permutations. For a
    metric that falls as tables differ (coverage, precision) say ``alternative="less"``, for one that may go both ways
    ``"two-sided"`` (twice the smaller p). It supposes that rows are exchangeable: a generator that was fitted to
    ``real`` has seen them, so test it against hold-out rows where there are enough.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]``; the value and its p have the shapes of ``metric``'s value. A NaN
    has the p-value NaN. Rows that standardise are permuted too, unless the metric has them bound. Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, no permutation, an unknown
    alternative. Source: Phipson and Smyth (2010).

    >>> import jax
    >>> from jaxcop.metrics import ks
    >>> real, synthetic = jax.random.normal(jax.random.key(0), (2, 50, 1))
    >>> result = permutation_test(jax.random.key(1), ks, real, jax.numpy.stack([synthetic, synthetic + 2]), 99)
    >>> bool(result.p_value[0, 0] > 0.05), round(float(result.p_value[1, 0]), 2)
    (True, 0.01)
    """
    _checks.whole(num_permutations, "num_permutations")
    _checks.one_of(alternative, ALTERNATIVES, "alternative")
    return _permutation_test(key, metric, *_inputs.pair(real, synthetic), num_permutations, alternative)


@partial(jax.jit, static_argnames=("metric", "size_real", "size_synthetic", "num_draws"))
def _noise_floor(key, metric, real, size_real, size_synthetic, num_draws, levels):
    n, total = real.shape[0], size_real + size_synthetic

    def one(index):
        draw = jax.random.fold_in(key, index)
        chosen = jax.random.permutation(draw, n)[:total] if total <= n else jax.random.randint(draw, (total,), 0, n)
        rows = real[chosen]
        return metric(rows[:size_real], rows[size_real:])

    values = _over_draws(one, num_draws, total)
    return NoiseFloor(
        mean=jax.tree.map(lambda value: value.mean(axis=0), values),
        sd=jax.tree.map(lambda value: value.std(axis=0, ddof=1), values),
        quantiles=jax.tree.map(lambda value: jnp.quantile(value, levels, axis=0), values),
    )


def noise_floor(
    key: Key[Array, ""],
    metric: Callable[[Array, Array], PyTree],
    real: Float[Array, "n d"],
    size_real: int,
    size_synthetic: int,
    num_draws: int = 200,
    *,
    levels: Sequence[float] = (0.05, 0.5, 0.95),
) -> NoiseFloor:
    """Mean, standard deviation and quantiles of the metric between two samples of real rows, of the given sizes.

    Both are parts of a random split of ``real`` where it has ``size_real + size_synthetic`` rows, else two bootstrap
    samples of it. Rows of a bootstrap recur within and between the samples, so that metrics of nearest neighbours
    (``prdc``, ``dcr``, ``authenticity``) have no meaningful floor by it: give them rows enough, or smaller sizes.

    Shapes: real ``[n, d]``; the fields have the shapes of ``metric``'s value, ``quantiles`` with an axis of the levels
    before it. Memory is bounded; over a batch of real tables use ``jax.vmap``.
    Raises ValueError for other shapes, fewer than 2 rows, NaN or infinity, sizes or draws below 2, levels outside
    [0, 1]. Source: Efron and Tibshirani (1993) for the bootstrap.

    >>> import jax
    >>> from jaxcop.metrics import ks
    >>> real = jax.random.normal(jax.random.key(0), (100, 1))
    >>> floor = noise_floor(jax.random.key(1), ks, real, 50, 50)
    >>> floor.quantiles.shape, bool(0.1 < floor.mean[0] < 0.25)
    ((3, 1), True)
    """
    real = _inputs.rows(real, "real")
    for name, value in (("size_real", size_real), ("size_synthetic", size_synthetic), ("num_draws", num_draws)):
        _checks.whole(value, name, least=2)
    if not all(0 <= level <= 1 for level in levels):
        raise ValueError(f"levels: expected numbers in [0, 1], got {tuple(levels)}; give shares, not percent")
    return _noise_floor(
        key, metric, real, size_real, size_synthetic, num_draws, jnp.asarray(np.asarray(levels), real.dtype)
    )
