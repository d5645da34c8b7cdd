"""What two tables differ in by the dependence of their columns: correlations, and joint extremes."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop.correlation import masked_kendall_tau, mean_ranks
from jaxcop.metrics import _inputs


class Difference(NamedTuple):
    """Mean and maximum over the pairs of columns of an absolute difference."""

    mean: Float[Array, "*r"]
    max: Float[Array, "*r"]


class CorrelationError(NamedTuple):
    """How far the correlation matrices differ, by each of three coefficients."""

    pearson: Difference
    spearman: Difference
    kendall: Difference


class TailDependenceError(NamedTuple):
    """Fields of shape ``[*r, q]``: the last axis is that of the tail shares."""

    lower: Difference
    upper: Difference


def _difference(real, synthetic):
    """``Difference`` of two stacks of matrices ``[..., d, d]`` over the pairs of columns."""
    pairs = np.triu_indices(real.shape[-1], 1)
    gap = jnp.abs(real - synthetic)[..., pairs[0], pairs[1]]
    return Difference(gap.mean(axis=-1), gap.max(axis=-1))


def _pearson(x):
    """Pearson's correlations within each table of ``[..., n, d]``; 0 for a column that is constant."""
    low, high = x.min(axis=-2, keepdims=True), x.max(axis=-2, keepdims=True)
    # Rounding of the mean of a constant is no variation.
    centred = jnp.where(low == high, 0, x - x.mean(axis=-2, keepdims=True))
    squares = (centred**2).sum(axis=-2, keepdims=True)
    centred /= jnp.sqrt(jnp.where(squares == 0, 1, squares))
    return jnp.swapaxes(centred, -1, -2) @ centred


def _kendall(x):
    tau = masked_kendall_tau(x, jnp.ones(x.shape[0], bool))
    constant = x.max(axis=0) == x.min(axis=0)
    return jnp.where(constant | constant[:, None], 0, tau)


def _checked(real, synthetic):
    real, synthetic = _inputs.pair(real, synthetic, allow_constant=False)
    if real.shape[1] < 2:
        raise ValueError("real: expected at least 2 columns, got 1; dependence is a matter of pairs")
    return real, synthetic


@jax.jit
def _correlation_error(real, synthetic):
    def correlations(rows):
        steps = jax.lax.stop_gradient(rows)
        return jnp.concatenate([_pearson(jnp.stack([rows, mean_ranks(steps)])), _kendall(steps)[None]])

    of_real = correlations(real)

    def one(rows):
        return CorrelationError(*map(Difference, *_difference(of_real, correlations(rows))))

    return _inputs.over_replicas(one, synthetic)


def correlation_error(real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"]) -> CorrelationError:
    """Mean and maximum absolute difference of the Pearson, Spearman and Kendall (tau-b) correlation matrices.

    Taken over the d (d - 1) / 2 pairs of columns. A column that is constant in ``synthetic`` has correlation 0 with the
    others. The value of a perfect sample is not 0: compare it with its floor.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give six arrays ``[*r]``.
    Raises ValueError for other shapes, fewer than 2 rows or columns, unequal columns, NaN or infinity, a constant real
    column. Sources: Spearman (1904), Kendall (1945).

    >>> import numpy as np
    >>> real = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 4.0]])
    >>> value = correlation_error(real, real * [1, -1])
    >>> round(float(value.pearson.mean), 4), round(float(value.spearman.max), 4), round(float(value.kendall.max), 4)
    (1.964, 2.0, 2.0)
    """
    return _correlation_error(*_checked(real, synthetic))


def _joint_tails(x, shares):
    """Empirical lower and upper tail dependence ``[q, d, d]`` of every pair of columns."""
    n = x.shape[0]
    ranks = mean_ranks(jax.lax.stop_gradient(x))
    size = [max(1, round(share * n)) for share in shares]

    def joint(ranks):
        inside = (ranks <= jnp.asarray(size)[:, None, None]).astype(x.dtype)
        return jnp.einsum("qna,qnb->qab", inside, inside) / jnp.asarray(size, x.dtype)[:, None, None]

    return joint(ranks), joint(n + 1 - ranks)


@partial(jax.jit, static_argnames="shares")
def _tail_dependence_error(real, synthetic, shares):
    of_real = _joint_tails(real, shares)

    def one(rows):
        return TailDependenceError(*map(_difference, of_real, _joint_tails(rows, shares)))

    return _inputs.over_replicas(one, synthetic)


def tail_dependence_error(
    real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, shares: tuple[float, ...] = (0.05, 0.1)
) -> TailDependenceError:
    """Mean and maximum absolute difference over pairs of columns of the empirical tail dependence, lower and upper.

    lower(q) = #(rows with both ranks <= k) / k, k = round(q n), at least 1; upper(q) the same of the ranks counted from
    above; q in ``shares``. Tied values have their mean rank. A tail of few rows is noisy: compare with the floor.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give four arrays ``[*r, q]``.
    Raises ValueError for other shapes, fewer than 2 rows or columns, unequal columns, NaN or infinity, a constant real
    column, shares outside (0, 1/2]. Source: Schmidt and Stadtmüller (2006), the estimator by the empirical copula.

    >>> import numpy as np
    >>> real = np.arange(20.0)[:, None] * [1, 1]
    >>> value = tail_dependence_error(real, real * [1, -1], shares=(0.1,))
    >>> value.lower.mean.tolist(), value.upper.max.tolist()
    ([1.0], [1.0])
    """
    shares = tuple(shares)
    if not shares or not all(0 < share <= 0.5 for share in shares):
        raise ValueError(f"shares: expected numbers above 0 and at most 1/2, got {shares}; name the tails' shares")
    return _tail_dependence_error(*_checked(real, synthetic), shares)
