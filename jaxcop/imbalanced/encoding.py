"""Tables for a network: numbers to [0, 1], categories to one-hot blocks, and back. The target is the last column."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop import _checks

Levels = tuple[int, ...]
"""Per column: 0 for a number, k >= 2 for a category coded 0, 1, ..., k - 1."""


class Scaling(NamedTuple):
    """Smallest and largest value of each column over the training rows (unused where a column is a category)."""

    low: Float[Array, " d"]
    high: Float[Array, " d"]


class Block(NamedTuple):
    """The columns of the encoded table that one column became; ``level`` as in ``Levels``."""

    start: int
    stop: int
    level: int


def all_numeric(num_columns: int) -> Levels:
    """The levels of a table without categories."""
    return (0,) * num_columns


def blocks(levels: Levels) -> tuple[Block, ...]:
    """Where each column stands in the encoded table.

    >>> blocks((0, 3, 0))[1]
    Block(start=1, stop=4, level=3)
    """
    stops = np.cumsum([max(level, 1) for level in levels]).tolist()
    return tuple(Block(stop - max(level, 1), stop, level) for stop, level in zip(stops, levels, strict=True))


def check(x, levels: Levels | None) -> tuple[np.ndarray, Levels]:
    """The table and its levels, or a ValueError: NaN, a constant, or categories that are not coded 0, 1, ..., k - 1."""
    table = _checks.table(x)
    levels = all_numeric(table.shape[1]) if levels is None else levels
    if len(levels) != table.shape[1]:
        raise ValueError(f"levels: expected one number for each of {table.shape[1]} columns, got {len(levels)}")
    for column, level in enumerate(levels):
        if level == 0:
            continue
        codes = table[:, column]
        if level < 2 or (codes != np.round(codes)).any() or codes.min() < 0 or codes.max() >= level:
            raise ValueError(
                f"levels: expected column {column} to hold codes 0 to {level - 1}, got "
                f"{np.unique(codes)[:5].tolist()}; code the categories 0, 1, ..., k - 1 with k of at least 2"
            )
    return table, levels


def fit(x: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Scaling:
    """The range of each column over the rows where ``mask`` is true."""
    return Scaling(
        jnp.where(mask[:, None], x, jnp.inf).min(0),
        jnp.where(mask[:, None], x, -jnp.inf).max(0),
    )


def encode(x: Float[Array, "n d"], scaling: Scaling, levels: Levels) -> Float[Array, "n e"]:
    """Numbers on [0, 1] (of the training rows), categories as one-hot blocks."""
    scaled = (x - scaling.low) / (scaling.high - scaling.low)
    if not any(levels):
        return scaled
    parts = [
        jax.nn.one_hot(x[:, j].astype(int), level, dtype=x.dtype) if level else scaled[:, j : j + 1]
        for j, level in enumerate(levels)
    ]
    return jnp.concatenate(parts, axis=1)


def decode(encoded: Float[Array, "n e"], scaling: Scaling, levels: Levels) -> Float[Array, "n d"]:
    """Numbers in their units, of each block the category with the largest entry.

    Numbers outside the range of the training rows stay: clipping would pile the rarest targets up at its end.
    """
    if any(levels):
        parts = [
            encoded[:, block.start : block.stop].argmax(1).astype(encoded.dtype)
            if block.level
            else encoded[:, block.start]
            for block in blocks(levels)
        ]
        encoded = jnp.stack(parts, axis=1)
    numbers = encoded * (scaling.high - scaling.low) + scaling.low
    return jnp.where(np.asarray(levels, bool), encoded, numbers)
