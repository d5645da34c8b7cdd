"""Tables for a network: numbers to [0, 1], categories to one-hot blocks, and back. The target is the last column."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop.categories import Levels, largest, one_hot


class Scaling(NamedTuple):
    """Smallest and largest value of each column over the training rows (unused where a column is a category)."""

    low: Float[Array, " d"]
    high: Float[Array, " d"]


def fit(x: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Scaling:
    """The range of each column over the rows where ``mask`` is true."""
    return Scaling(
        jnp.where(mask[:, None], x, jnp.inf).min(0),
        jnp.where(mask[:, None], x, -jnp.inf).max(0),
    )


def encode(x: Float[Array, "n d"], scaling: Scaling, levels: Levels) -> Float[Array, "n e"]:
    """Numbers on [0, 1] (of the training rows), categories as one-hot blocks."""
    scaled = (x - scaling.low) / (scaling.high - scaling.low)
    return one_hot(jnp.where(np.asarray(levels, bool), x, scaled), levels)


def decode(encoded: Float[Array, "n e"], scaling: Scaling, levels: Levels) -> Float[Array, "n d"]:
    """Numbers in their units, of each block the category with the largest entry.

    Numbers outside the range of the training rows stay: clipping would pile the rarest targets up at its end.
    """
    columns = largest(encoded, levels)
    numbers = columns * (scaling.high - scaling.low) + scaling.low
    return jnp.where(np.asarray(levels, bool), columns, numbers)
