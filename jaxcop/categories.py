"""Columns of codes beside columns of numbers: one-hot blocks, softmax, draws, and back; without loops over columns.

``levels`` names per column 0 for a number, or k >= 2 for a category coded 0, 1, ..., k - 1. The encoded table keeps the
order of the columns: one place for a number, k places for k categories.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxcop import _checks

Levels = tuple[int, ...]


class Block(NamedTuple):
    """The columns of the encoded table that one column became; ``level`` as in ``Levels``."""

    start: int
    stop: int
    level: int


class Layout(NamedTuple):
    """Where everything stands, as constants of compiled code; k is the largest number of categories.

    ``numbers[m]`` and ``codes[c]`` are columns of the table, ``number_places[m]`` and ``code_places[l]`` places of the
    encoded table; ``owner[e]`` and ``category[e]`` say whose value a place holds and which. ``places[c, k]`` are the
    places of each category of each code column where ``valid[c, k]``, padded by the first.
    """

    numbers: np.ndarray
    codes: np.ndarray
    number_places: np.ndarray
    code_places: np.ndarray
    owner: np.ndarray
    category: np.ndarray
    places: np.ndarray
    valid: np.ndarray


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


@lru_cache(maxsize=256)
def layout(levels: Levels) -> Layout:
    """The constants of these levels."""
    level = np.array(levels, int)
    width = np.maximum(level, 1)
    owner = np.repeat(np.arange(len(levels)), width)
    start = np.cumsum(width) - width
    codes = np.flatnonzero(level)
    category = np.arange(len(owner)) - start[owner]
    valid = np.arange(level.max(initial=0)) < level[codes, None]
    return Layout(
        numbers=np.flatnonzero(level == 0),
        codes=codes,
        number_places=np.flatnonzero(level[owner] == 0),
        code_places=np.flatnonzero(level[owner]),
        owner=owner,
        category=category,
        places=start[codes, None] + np.where(valid, np.arange(valid.shape[1]), 0),
        valid=valid,
    )


def check_levels(levels, name: str = "levels") -> Levels:
    """``levels`` as a tuple of whole numbers, each 0 or at least 2."""
    found = tuple(levels)
    for level in found:
        if isinstance(level, bool) or not isinstance(level, int | np.integer) or level < 0 or level == 1:
            raise ValueError(
                f"{name}: expected for each column 0 (a number) or its number of categories, at least 2, "
                f"got {level!r}; leave out a column of one category"
            )
    return tuple(int(level) for level in found)


def check_codes(table: np.ndarray, levels: Levels, name: str = "levels") -> None:
    """Refuse a table whose columns of codes do not hold 0, 1, ..., k - 1."""
    if len(levels) != table.shape[1]:
        raise ValueError(f"{name}: expected one number for each of {table.shape[1]} columns, got {len(levels)}")
    for column in np.flatnonzero(levels):
        codes, level = table[:, column], levels[column]
        if (codes != np.round(codes)).any() or codes.min() < 0 or codes.max() >= level:
            odd = codes[(codes != np.round(codes)) | (codes < 0) | (codes >= level)]
            raise ValueError(
                f"{name}: expected column {column} to hold codes 0 to {level - 1}, got {np.unique(odd)[:5].tolist()}; "
                "code the categories 0, 1, ..., k - 1 with k of at least 2"
            )


def check(x, levels, name: str = "levels") -> tuple[np.ndarray, Levels]:
    """The training table and its levels; None and () stand for numbers only.

    Raises:
        ValueError: NaN, a constant column (one category among them), levels that are no numbers of categories or not
            one a column, codes that are not 0, 1, ..., k - 1, more categories than rows.
    """
    table = _checks.table(x)
    levels = check_levels(levels, name) if levels else all_numeric(table.shape[1])
    check_codes(table, levels, name)
    for column in np.flatnonzero(levels):
        if levels[column] > len(table):
            raise ValueError(
                f"{name}: expected at most as many categories as the {len(table)} rows, got {levels[column]} in column "
                f"{column}; join rare ones"
            )
    return table, levels


def one_hot(x: Float[Array, "*b d"], levels: Levels) -> Float[Array, "*b e"]:
    """Numbers as they are, codes as blocks of zeros and a one.

    >>> print(one_hot(jnp.array([[0.5, 2.0]]), (0, 3)))
    [[0.5 0.  0.  1. ]]
    """
    if not any(levels):
        return x
    plan = layout(levels)
    spread = x[..., plan.owner]
    return jnp.where(np.array(levels)[plan.owner] > 0, (spread == plan.category).astype(x.dtype), spread)


def join(numbers: Float[Array, "*b m"], codes: Float[Array, "*b l"], levels: Levels) -> Float[Array, "*b e"]:
    """An encoded table from its places of numbers and its places of categories."""
    plan = layout(levels)
    order = np.argsort(np.concatenate([plan.number_places, plan.code_places]))
    return jnp.concatenate([numbers, codes], axis=-1)[..., order]


def _padded(encoded, plan: Layout):
    """The blocks of categories side by side [*b, c, k], -inf where a column has fewer than k."""
    return jnp.where(plan.valid, encoded[..., plan.places], -jnp.inf)


def largest(encoded: Float[Array, "*b e"], levels: Levels) -> Float[Array, "*b d"]:
    """Back to columns: numbers as they are, of each block the category with the largest entry.

    >>> print(largest(jnp.array([[0.5, 0.1, 0.0, 0.9]]), (0, 3)))
    [[0.5 2. ]]
    """
    if not any(levels):
        return encoded
    plan = layout(levels)
    codes = _padded(encoded, plan).argmax(-1).astype(encoded.dtype)
    order = np.argsort(np.concatenate([plan.numbers, plan.codes]))
    return jnp.concatenate([encoded[..., plan.number_places], codes], axis=-1)[..., order]


def log_probability(x: Float[Array, "*b d"], logits: Float[Array, "*b e"], levels: Levels) -> Float[Array, "*b"]:
    r"""Log-probability of the codes in ``x`` under the softmax of each block, summed over the columns of codes.

    :math:`\sum_j a_{j x_j} - \log \sum_k e^{a_{jk}}`; the places of numbers are not looked at.

    >>> print(log_probability(jnp.array([0.5, 1.0]), jnp.array([9.0, 0.0, 0.0]), (0, 2)).round(4))
    -0.6931
    """
    plan = layout(levels)
    logs = jax.nn.log_softmax(_padded(logits, plan), axis=-1)
    chosen = jnp.take_along_axis(logs, x[..., plan.codes, None].astype(int), axis=-1)
    return chosen[..., 0].sum(-1)


def add_gumbel(key: Key[Array, ""], outputs: Float[Array, "*b e"], levels: Levels) -> Float[Array, "*b e"]:
    """Logits plus Gumbel noise, numbers as they are: the largest entry of a block is then a draw of its softmax."""
    if not any(levels):
        return outputs
    is_logit = np.array(levels)[layout(levels).owner] > 0
    return outputs + jnp.where(is_logit, jax.random.gumbel(key, outputs.shape, outputs.dtype), 0)
