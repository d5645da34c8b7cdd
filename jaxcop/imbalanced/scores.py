"""Errors of a prediction where rare target values count: SERA, weighted squared error, scores per relevance band."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxcop._numerics import concrete, promote
from jaxcop.imbalanced.relevance import check_relevance

SERA_STEPS = 1000
BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _pair(actual, predicted, *more):
    """One-dimensional arrays of one length and dtype; a column against a row would broadcast into a square."""
    shapes = [np.shape(part) for part in (actual, predicted, *more)]
    if len(shapes[0]) != 1 or len(set(shapes)) > 1 or not shapes[0][0]:
        raise ValueError(f"predicted: expected equal shapes (n,), got {shapes}; flatten them")
    values = concrete(actual), concrete(predicted)
    for name, part in zip(("actual", "predicted"), values, strict=True):
        if part is not None and not np.isfinite(part).all():
            raise ValueError(f"{name}: expected finite values, got NaN or infinity; leave those rows out of both")
    return promote(actual, predicted, *more)


def weighted_mse(
    actual: Float[ArrayLike, " n"], predicted: Float[ArrayLike, " n"], weights: Float[ArrayLike, " n"]
) -> Float[Array, ""]:
    r""":math:`\sum_i w_i (y_i - \hat y_i)^2 / \sum_i w_i`, in squared units of the target.

    Raises ValueError for unequal shapes, NaN, weights that are negative or all zero.

    >>> import jax.numpy as jnp
    >>> float(weighted_mse(jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0]), jnp.array([0.75, 0.25])))
    3.0
    """
    actual, predicted, weights = _pair(actual, predicted, weights)
    values = concrete(weights)
    if values is not None and not (np.isfinite(values).all() and values.min() >= 0 and values.sum() > 0):
        raise ValueError("weights: expected finite values of at least 0, one above 0; check how they were computed")
    return (weights * (actual - predicted) ** 2).sum() / weights.sum()


def mape(actual: Float[ArrayLike, " n"], predicted: Float[ArrayLike, " n"]) -> Float[Array, ""]:
    r""":math:`\frac1n \sum_i |y_i - \hat y_i| / |y_i|`, as a share: the truth divides.

    Raises ValueError for unequal shapes, NaN, and a true value of 0, where it is undefined.

    >>> import jax.numpy as jnp
    >>> float(mape(jnp.array([1.0, 4.0]), jnp.array([2.0, 2.0])))
    0.75
    """
    actual, predicted = _pair(actual, predicted)
    values = concrete(actual)
    if values is not None and (values == 0).any():
        raise ValueError("actual: expected values other than 0, got 0; use median_absolute_error or shift the target")
    return jnp.abs((actual - predicted) / actual).mean()


def median_absolute_error(actual: Float[ArrayLike, " n"], predicted: Float[ArrayLike, " n"]) -> Float[Array, ""]:
    r"""The median of :math:`|y_i - \hat y_i|`, in units of the target.

    >>> import jax.numpy as jnp
    >>> float(median_absolute_error(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 9.0])))
    1.0
    """
    actual, predicted = _pair(actual, predicted)
    return jnp.median(jnp.abs(actual - predicted))


def sera(
    actual: Float[ArrayLike, " n"],
    predicted: Float[ArrayLike, " n"],
    phi: Float[ArrayLike, " n"],
    *,
    num_steps: int = SERA_STEPS,
) -> Float[Array, ""]:
    r"""Squared error-relevance area: :math:`\int_0^1 \sum_{\phi_i \ge t} (y_i - \hat y_i)^2 dt`, trapezoids of 1/1000.

    A sum over rows and not a mean: it grows with the number of rows. In squared units of the target.

    Raises ValueError for unequal shapes, NaN, relevance outside [0, 1] or zero everywhere.

    Source: Ribeiro & Moniz 2020, equation 10.

    >>> import jax.numpy as jnp
    >>> round(float(sera(jnp.array([0.0, 0.0]), jnp.array([1.0, 2.0]), jnp.array([0.25, 1.0]))), 3)
    4.25
    """
    actual, predicted, phi = _pair(actual, predicted, phi)
    check_relevance(phi)
    return _sera(actual, predicted, phi, num_steps)


@partial(jax.jit, static_argnames="num_steps")
def _sera(actual, predicted, phi, num_steps):
    thresholds = jnp.linspace(0, 1, num_steps + 1, dtype=phi.dtype)
    # Sorted once instead of n rows against 1,001 thresholds.
    order = jnp.argsort(phi)
    error = ((actual - predicted) ** 2)[order]
    total = jnp.concatenate([jnp.cumsum(error[::-1])[::-1], jnp.zeros(1, error.dtype)])
    at_least = total[jnp.searchsorted(phi[order], thresholds, side="left")]
    return (at_least[:-1] + at_least[1:]).sum() / (2 * num_steps)


class Bands(NamedTuple):
    """Scores of the rows in each band of relevance; NaN where a band is empty, R2 also where its target is constant."""

    r2: Float[Array, " b"]
    rmse: Float[Array, " b"]
    count: Int[Array, " b"]


def by_relevance(
    actual: Float[ArrayLike, " n"], predicted: Float[ArrayLike, " n"], phi: Float[ArrayLike, " n"], *, edges=BANDS
) -> Bands:
    """R2 and root mean squared error of the rows with ``edges[k] <= phi < edges[k + 1]``; the last band holds phi = 1.

    R2 compares with the mean of the band itself, which is a hard opponent in a narrow band.

    >>> import jax.numpy as jnp
    >>> found = by_relevance(jnp.array([0.0, 1.0, 9.0]), jnp.array([0.0, 1.0, 7.0]), jnp.array([0.0, 0.1, 1.0]))
    >>> found.rmse.tolist(), found.count.tolist()
    ([0.0, nan, nan, 2.0], [2, 0, 0, 1])
    """
    edges = np.asarray(edges, float)
    if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges: expected at least two numbers that increase, got {edges.tolist()}; sort them")
    actual, predicted, phi = _pair(actual, predicted, phi)
    low, high = edges[:-1, None], edges[1:, None]
    high = np.where(np.arange(len(high))[:, None] == len(high) - 1, np.inf, high)
    return _bands(actual, predicted, phi, low, high)


@jax.jit
def _bands(actual, predicted, phi, low, high):
    inside = (phi >= low) & (phi < high)
    count = inside.sum(1)
    some = jnp.where(count > 0, count, 1)
    squares = (inside * (actual - predicted) ** 2).sum(1)
    mean = (inside * actual).sum(1) / some
    total = (inside * (actual - mean[:, None]) ** 2).sum(1)
    # A single row or a constant leaves only rounding in the total.
    varies = total > jnp.finfo(actual.dtype).eps * (inside * actual**2).sum(1)
    r2 = jnp.where(varies, 1 - squares / jnp.where(varies, total, 1), jnp.nan)
    return Bands(r2, jnp.where(count > 0, jnp.sqrt(squares / some), jnp.nan), count)
