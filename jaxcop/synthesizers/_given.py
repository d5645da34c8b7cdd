"""What fitted synthesizers draw under a condition on the scale of the data: pure functions, one for each kind.

Each is a ``Synthesizer.given``: ``given(key, fitted, condition, n) -> Drawn`` with bounds ``low <= high`` per column,
equal ones for a value and infinite ones for a column that is free.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Bool, Float

from jaxcop import margins
from jaxcop._numerics import normal_cdf, uniforms
from jaxcop.copulas import Copula, _tilting, conditional
from jaxcop.copulas._rejection import choose


class Drawn(NamedTuple):
    """Rows, NaN where ``filled`` is false; ``effective_size`` is how many independent draws they are worth.

    ``acceptance`` is the share of proposals that were kept, of weighted ones the effective share.
    """

    rows: Float[Array, "n d"]
    filled: Bool[Array, " n"]
    acceptance: Float[Array, ""]
    effective_size: Float[Array, ""]


def _from_uniform(draws: conditional.Draws, u, condition: conditional.Condition, fitted, margin: str) -> Drawn:
    rows = jnp.clip(margins.MARGINS[margin].from_uniform(u, fitted), *condition)
    rows = jnp.where(draws.filled[:, None] & draws.exact, rows, jnp.nan)
    filled = draws.filled & draws.exact
    return Drawn(rows, filled, draws.acceptance, filled.sum().astype(rows.dtype))


def of_copula(model: Copula, margin: str = "empirical") -> Callable | None:
    """Exact, for the families of ``copulas.conditional``; None for others.

    A value that training rows share, the smallest and the greatest are ranges of u: the model gives them a probability.
    """
    if not conditional.is_exact(model):
        return None

    def given(key, fitted, condition, n: int):
        bounds = conditional.Condition(*margins.preimage(condition.low, condition.high, fitted.margins, margin))
        draws = conditional.sample(key, model, fitted.copula.params, bounds, n)
        return _from_uniform(draws, draws.points, condition, fitted.margins, margin)

    return given


def of_smoothed(key, fitted, condition, n: int) -> Drawn:
    """Exact: the smoothed bootstrap is a Gaussian mixture of normal scores with a component at every row."""
    low, high = (ndtri(end) for end in margins.preimage(condition.low, condition.high, fitted.margins))
    rows = fitted.rows
    means = jnp.where(rows.mask[:, None], rows.x, 0)
    covariances = jnp.broadcast_to(fitted.kernel @ fitted.kernel.T, (len(means), *fitted.kernel.shape))
    log_weights = jnp.where(rows.mask, 0, -jnp.inf).astype(means.dtype)
    draws = _tilting.sample(key, _tilting.Vector(log_weights, means, covariances, low, high, None), n)
    return _from_uniform(draws, normal_cdf(draws.points), condition, fitted.margins, "empirical")


def _of_shares(rows, possible, share) -> Drawn:
    filled = jnp.broadcast_to(possible, rows.shape[:1])
    return Drawn(jnp.where(possible, rows, jnp.nan), filled, share, filled.sum().astype(rows.dtype))


def of_rows(key, fitted, condition, n: int) -> Drawn:
    """Exact: training rows that meet the condition, drawn with replacement."""
    inside = fitted.mask & ((fitted.x >= condition.low) & (fitted.x <= condition.high)).all(-1)
    log_weights = jnp.where(inside, 0.0, -jnp.inf).astype(fitted.x.dtype)
    index = choose(uniforms(key, (n,), fitted.x.dtype), jnp.where(inside.any(), log_weights, 0))
    return _of_shares(fitted.x[index], inside.any(), (inside.sum() / fitted.mask.sum()).astype(fitted.x.dtype))


def of_columns(key, fitted, condition, n: int) -> Drawn:
    """Exact: each column on its own, from the training values that meet the condition."""
    inside = fitted.mask[:, None] & (fitted.x >= condition.low) & (fitted.x <= condition.high)
    possible = inside.any(0).all()
    log_weights = jnp.where(inside | ~possible, 0.0, -jnp.inf).astype(fitted.x.dtype)
    w = uniforms(key, (n, fitted.x.shape[1]), fitted.x.dtype)
    index = jax.vmap(choose, in_axes=(1, 1), out_axes=1)(w, log_weights)
    share = jnp.prod(inside.sum(0) / fitted.mask.sum()).astype(fitted.x.dtype)
    return _of_shares(jnp.take_along_axis(fitted.x, index, axis=0), possible, share)
