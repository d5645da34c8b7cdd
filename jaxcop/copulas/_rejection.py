"""Exact draws by rejection in rounds of fixed size, so that shapes stay static under ``jit`` and ``vmap``."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxcop._numerics import uniforms

MAX_ROUNDS = 1000
"""Rounds of as many proposals as rows are wanted, before the rest is given up."""


class Draws(NamedTuple):
    """Points, and whether each was drawn: a row that was not is NaN. ``acceptance`` is the share of accepted proposals.

    ``exact`` is false where an accepted proposal was above its bound, which numerical failure alone can bring about.
    """

    points: Float[Array, "n d"]
    filled: Bool[Array, " n"]
    acceptance: Float[Array, ""]
    exact: Bool[Array, ""]


def fill(
    key: Key[Array, ""], propose: Callable, num_uniforms: int, num_rows: int, dim: int, dtype, size: Array
) -> Draws:
    """The first ``num_rows`` accepted of the draws of ``propose(w[m, n]) -> (points[n, d], log_acceptance[n])``.

    w holds m = ``num_uniforms`` uniform numbers for every proposal. It is accepted with probability
    exp(log_acceptance), at most 1 but for the rounding of numbers of ``size``, and never if it is NaN.
    """
    slack = float(jnp.finfo(dtype).eps) * (1e4 + 10 * size)

    def step(state):
        points, count, rounds, accepted, exact = state
        w = uniforms(jax.random.fold_in(key, rounds), (num_uniforms + 1, num_rows), dtype)
        new, log_acceptance = propose(w[1:])
        keep = (jnp.log(w[0]) < log_acceptance) & jnp.isfinite(new).all(-1)
        place = jnp.where(keep, count + jnp.cumsum(keep) - 1, num_rows)
        points = points.at[place].set(new, mode="drop")
        total = keep.sum()
        exact &= jnp.all(jnp.where(keep, log_acceptance, 0) <= slack)
        return points, jnp.minimum(count + total, num_rows), rounds + 1, accepted + total, exact

    start = (jnp.full((num_rows, dim), jnp.nan, dtype), 0, 0, 0, jnp.array(True))
    points, count, rounds, accepted, exact = jax.lax.while_loop(
        lambda state: (state[1] < num_rows) & (state[2] < MAX_ROUNDS), step, start
    )
    # A product of floats: one of integers overflows at 2**31.
    acceptance = jnp.asarray(accepted, dtype) / (jnp.asarray(rounds, dtype) * num_rows)
    return Draws(points, jnp.arange(num_rows) < count, acceptance, exact)


def choose(w: Float[Array, " n"], log_weights: Float[Array, " k"]) -> Array:
    """Which of k outcomes the uniform numbers ``w`` stand for, by its weight."""
    total = jnp.cumsum(jax.nn.softmax(log_weights))
    return jnp.minimum(jnp.searchsorted(total, w * total[-1]), len(log_weights) - 1)
