"""Fidelity and diversity apart: where the rows of one table lie among those of the other, by nearest neighbours.

All values are shares of rows, piecewise constant in the data: their gradient is zero.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks
from jaxcop.metrics import _inputs, marginal


class PRDC(NamedTuple):
    """``precision`` and ``density``: are synthetic rows among real ones; ``recall`` and ``coverage``: the reverse."""

    precision: Float[Array, "*r"]
    recall: Float[Array, "*r"]
    density: Float[Array, "*r"]
    coverage: Float[Array, "*r"]


class AlphaBeta(NamedTuple):
    """``alpha_precision`` is near 1 for a perfect sample, ``beta_recall`` about 0.44: compare it with its floor."""

    alpha_precision: Float[Array, "*r"]
    beta_recall: Float[Array, "*r"]


def own_neighbours(x, scale, k: int):
    """Squared distance of each row of ``x`` to its ``k``-th nearest other row."""
    x = jax.lax.stop_gradient(x)  # the distances are only compared with others
    column = jnp.arange(x.shape[0])

    def leave_out_nearest(_, squared):
        return jnp.where(column == squared.argmin(axis=1, keepdims=True), jnp.inf, squared)

    def one(block, index):
        squared = jnp.where(column == index[:, None], jnp.inf, _inputs.squared_distances(block, x, scale))
        # A few passes over the row, since a sort of it takes far longer.
        return jax.lax.fori_loop(0, k - 1, leave_out_nearest, squared).min(axis=1)

    return _inputs.over_rows(one, x, x.shape[0])


@partial(jax.jit, static_argnames="k")
def _prdc(real, synthetic, reference, k):
    _, scale = _inputs.location_scale(reference)
    dtype = real.dtype
    radius = own_neighbours(real, scale, k)

    def one(rows):
        own_radius = own_neighbours(rows, scale, k)

        def balls_around(block, _):
            return (_inputs.squared_distances(block, real, scale) < radius).sum(axis=1)

        def reached(block, _):
            squared = _inputs.squared_distances(block, rows, scale)
            return (squared < own_radius).any(axis=1), squared.min(axis=1)

        balls = _inputs.over_rows(balls_around, rows, real.shape[0])
        recalled, nearest = _inputs.over_rows(reached, real, rows.shape[0])
        return PRDC(
            precision=(balls > 0).mean(dtype=dtype),
            recall=recalled.mean(dtype=dtype),
            density=balls.mean(dtype=dtype) / k,
            coverage=(nearest < radius).mean(dtype=dtype),
        )

    return _inputs.over_replicas(one, synthetic)


def prdc(
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    *,
    k: int = 5,
    reference: Float[Array, "j d"] | None = None,
) -> PRDC:
    """Precision, recall, density and coverage with balls that reach to the ``k``-th nearest row of the same table.

    ``precision``: share of synthetic rows inside some real ball; ``recall``: share of real rows inside some synthetic
    ball; ``density``: mean number of real balls around a synthetic row, over k (may pass 1); ``coverage``: share of
    real balls with a synthetic row inside, for a perfect sample 1 - prod over i = 1 .. k of (n - i) / (n + m - i).
    Balls are open. All rise with the number of synthetic rows: compare at m = n. One outlying real row has a large ball
    and spoils precision, one outlying synthetic row spoils recall.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give four arrays ``[*r]``. Columns are standardised (ddof 0) by
    ``reference`` (default: real). Memory is bounded.
    Raises ValueError for other shapes, at most k rows, unequal columns, NaN or infinity, a constant reference column.
    Sources: Kynkäänniemi et al. (2019) for the first two; Naeem et al. (2020) for the others.

    >>> import numpy as np
    >>> real = np.arange(20.0)[:, None]
    >>> value = prdc(real, real[:10] + 0.5)
    >>> float(value.precision), float(value.recall), round(float(value.density), 2), round(float(value.coverage), 2)
    (1.0, 0.75, 1.2, 0.65)
    """
    real, synthetic, reference = _inputs.triple(real, synthetic, reference)
    rows = min(real.shape[0], synthetic.shape[-2])
    if _checks.whole(k, "k") >= rows:
        raise ValueError(f"k: expected fewer neighbours than rows, got k = {k} for {rows} rows; lower k or add rows")
    return _prdc(real, synthetic, reference, k)


def _shortfall(values, thresholds, hits=True):
    """1 - sum abs(a - p_a) / sum a over the levels a, p_a = share of ``values`` within the threshold of a (and hit)."""
    levels = np.linspace(0, 1, thresholds.shape[0], dtype=values.dtype)
    share = ((values[:, None] <= thresholds) & jnp.reshape(hits, (-1, 1))).mean(axis=0, dtype=values.dtype)
    return 1 - jnp.abs(levels - share).sum() / levels.sum()


def _quantiles(values, levels: int):
    inner = marginal.inner_edges(values[:, None], levels - 1)[:, 0]
    return jnp.concatenate([values.min()[None], inner, values.max()[None]])


@partial(jax.jit, static_argnames="levels")
def _alpha_beta(real, synthetic, reference, levels):
    _, scale = _inputs.location_scale(reference)
    real, synthetic = jax.lax.stop_gradient((real, synthetic))
    own = own_neighbours(real, scale, 1)
    centre = real.mean(axis=0, keepdims=True)

    def radius(rows, centre):
        return jnp.sqrt(_inputs.squared_distances(rows, centre, scale)[:, 0])

    thresholds = _quantiles(radius(real, centre), levels)

    def one(rows):
        def nearest(block, _):
            squared = _inputs.squared_distances(block, rows, scale)
            return squared.min(axis=1), squared.argmin(axis=1)

        distance, place = _inputs.over_rows(nearest, real, rows.shape[0])
        close = radius(rows, rows.mean(axis=0, keepdims=True))[place]
        return AlphaBeta(
            _shortfall(radius(rows, centre), thresholds), _shortfall(close, _quantiles(close, levels), distance <= own)
        )

    return _inputs.over_replicas(one, synthetic)


def alpha_beta(
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    *,
    levels: int = 30,
    reference: Float[Array, "j d"] | None = None,
) -> AlphaBeta:
    """Integrated alpha-precision and beta-recall, each 1 - sum abs(a - p_a) / sum a over ``levels`` levels in [0, 1].

    ``alpha_precision``: p_a = share of synthetic rows within the ball around the real mean that holds a share a of the
    real rows. ``beta_recall``: p_a = share of real rows whose nearest synthetic row is at least as near as the nearest
    real one and lies within the ball around the synthetic mean that holds a share a of all such nearest rows. Half of
    the rows of a perfect sample pass the first condition, hence its value of about 0.44: not a share of 1.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give two arrays ``[*r]``. Columns are standardised (ddof 0) by
    ``reference`` (default: real); there is no other embedding. Memory is bounded. Balls see one centre only: modes of a
    mixture are lost on ``alpha_precision``.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant reference
    column, fewer than 3 levels. Source: Alaa et al. (2022), as the library synthcity computes it.

    >>> import jax
    >>> real, synthetic = jax.random.normal(jax.random.key(0), (2, 200, 3))
    >>> good, shrunk = alpha_beta(real, jax.numpy.stack([synthetic, synthetic / 3])).alpha_precision
    >>> bool(good > 0.9), bool(shrunk < 0.5)
    (True, True)
    """
    _checks.whole(levels, "levels", least=3)
    return _alpha_beta(*_inputs.triple(real, synthetic, reference), levels)
