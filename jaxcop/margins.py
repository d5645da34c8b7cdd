"""Margins: each column to the open unit interval and back, fitted on training rows only.

A margin is a NamedTuple of pure functions, chosen by name from ``MARGINS``:

- ``empirical``: mid-ranks over n + 1; back by linear interpolation between the order statistics.
- ``quantile``: the map of scikit-learn's ``QuantileTransformer`` (all n quantiles, uniform output), clipped to
  [0.001, 0.999], as the blast-fragmentation report has it. Clipping piles the extreme ranks up on the boundary, which
  costs log-likelihood: it is offered to reproduce, not to recommend.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from jaxcop._numerics import as_float

QUANTILE_CLIP = 1e-3


class Params(NamedTuple):
    """The order statistics of every column; ``count`` of them are real, the rest is +inf padding."""

    sorted: Float[Array, "n d"]
    count: Float[Array, ""]


class Margin(NamedTuple):
    """``to_uniform(x, params)`` and ``from_uniform(u, params)`` act on [*b, d] column by column."""

    to_uniform: Callable[[Array, Params], Array]
    from_uniform: Callable[[Array, Params], Array]


def fit(x: Float[Array, "n d"], mask=None) -> Params:
    """Keep the order statistics of each column of the training rows (of those where ``mask`` is true).

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0], [2.0], [2.0], [5.0]])
    >>> MARGINS["empirical"].to_uniform(x, fit(x))[:, 0].round(3).tolist()
    [0.2, 0.5, 0.5, 0.8]
    """
    x = as_float(x)
    if mask is None:
        return Params(jnp.sort(x, axis=0), jnp.asarray(x.shape[0], x.dtype))
    return Params(jnp.sort(jnp.where(mask[:, None], x, jnp.inf), axis=0), mask.sum().astype(x.dtype))


def _columns(function):
    """Apply ``function(values[m], sorted[n], count)`` to every column of [*b, d]."""

    def apply(values, params):
        values = as_float(values)
        flat = values.reshape(-1, values.shape[-1])
        return jax.vmap(function, in_axes=(1, 1, None), out_axes=1)(flat, *params).reshape(values.shape)

    return apply


def _empirical_to_uniform(x, ordered, count):
    below, up_to = jnp.searchsorted(ordered, x, side="left"), jnp.searchsorted(ordered, x, side="right")
    return ((below + up_to + 1) / (2 * (count + 1))).astype(x.dtype)


def _interpolate(position, ordered, count):
    """The order statistic at a fractional 0-based ``position``, linear in between, constant outside."""
    position = jnp.clip(position, 0, count - 1)
    low = jnp.floor(position).astype(int)
    high = jnp.minimum(low + 1, (count - 1).astype(int))
    fraction = position - low
    return (ordered[low] * (1 - fraction) + ordered[high] * fraction).astype(ordered.dtype)


def _empirical_from_uniform(u, ordered, count):
    return _interpolate(u * (count + 1) - 1, ordered, count)


def _quantile_to_uniform(x, ordered, count):
    # Halfway between the first and the last position of a tie, as the average of the transformer's two interpolations.
    def position(side):
        right = jnp.clip(jnp.searchsorted(ordered, x, side=side), 1, (count - 1).astype(int))
        low, high = ordered[right - 1], ordered[right]
        step = jnp.where(high > low, high - low, 1)
        return right - 1 + jnp.clip(jnp.where(high > low, (x - low) / step, side == "right"), 0, 1)

    u = (position("left") + position("right")) / (2 * (count - 1))
    # The transformer sends the extremes to 0 and 1 even where they are tied.
    last = ordered[(count - 1).astype(int)]
    u = jnp.where(x <= ordered[0], 0, jnp.where(x >= last, 1, u))
    return jnp.clip(u, QUANTILE_CLIP, 1 - QUANTILE_CLIP).astype(x.dtype)


def _quantile_from_uniform(u, ordered, count):
    return _interpolate(u * (count - 1), ordered, count)


MARGINS = {
    "empirical": Margin(_columns(_empirical_to_uniform), _columns(_empirical_from_uniform)),
    "quantile": Margin(_columns(_quantile_to_uniform), _columns(_quantile_from_uniform)),
}


def preimage(
    low: Float[Array, " d"], high: Float[Array, " d"], params: Params, margin: str = "empirical"
) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
    """The u for which ``from_uniform(u)`` lies from ``low`` to ``high``, column by column, as an interval.

    A value between two order statistics has one u; a tied value, the smallest and the greatest have an interval.

    >>> ends = preimage(jnp.array([2.0]), jnp.array([3.5]), fit(jnp.array([[1.0], [2.0], [2.0], [5.0]])))
    >>> [round(float(end[0]), 3) for end in ends]
    [0.4, 0.7]
    """
    low, high = as_float(low).astype(params.sorted.dtype), as_float(high).astype(params.sorted.dtype)
    count = params.count

    def position(x, ordered, side):
        above = jnp.searchsorted(ordered, x, side=side)
        right = jnp.clip(above, 1, (count - 1).astype(int))
        left = ordered[right - 1]
        step = ordered[right] - left
        place = right - 1 + jnp.where(step > 0, (x - left) / jnp.where(step > 0, step, 1), 0)
        return jnp.where(above == 0, -jnp.inf, jnp.where(above >= count, jnp.inf, place))

    def uniform(x, side):
        place = jax.vmap(position, in_axes=(0, 1, None))(x, params.sorted, side)
        u = (place + 1) / (count + 1) if margin == "empirical" else place / (count - 1)
        return jnp.clip(u, 0, 1).astype(x.dtype)

    return uniform(low, "left"), uniform(high, "right")


def normal_scores(x: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    r"""Normal scores :math:`\Phi^{-1}(\hat F_j(x_j))` under the empirical margins."""
    return ndtri(MARGINS["empirical"].to_uniform(x, params))
