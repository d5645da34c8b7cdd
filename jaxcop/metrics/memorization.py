"""Does a synthetic table repeat its training rows? A diagnosis of copying; no value here proves privacy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop.metrics import _inputs


class DCR(NamedTuple):
    """``median_ratio`` is about 1 for fresh rows, 0 for copies; ``exact_copies`` is a share of the synthetic rows."""

    median_ratio: Float[Array, "*r"]
    exact_copies: Float[Array, "*r"]


@jax.jit
def _dcr(train, synthetic, scale):
    n = train.shape[0]

    def to_others(block, index):
        squared = _inputs.squared_distances(block, train, scale)
        same = squared == 0
        repeated = (same & (jnp.arange(n) < index[:, None])).any(axis=1)
        return jnp.where(same, jnp.inf, squared).min(axis=1), repeated

    nearest, repeated = _inputs.over_rows(to_others, train, n)
    ordered = jnp.sort(jnp.where(repeated, jnp.inf, nearest))
    distinct = n - repeated.sum()
    own = (_root(ordered[(distinct - 1) // 2]) + _root(ordered[distinct // 2])) / 2

    def nearest_train(block, _):
        return _inputs.squared_distances(block, train, scale).min(axis=1)

    def one(rows):
        closest = _inputs.over_rows(nearest_train, rows, n)
        return DCR(jnp.median(_root(closest)) / own, (closest == 0).mean(dtype=train.dtype))

    return _inputs.over_replicas(one, synthetic)


def _root(squared):
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def dcr(
    train: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> DCR:
    """Distance to the closest record: the median over synthetic rows, against that of the training rows themselves.

    ``median_ratio`` = median over y of min over x of norm(y - x), divided by the median over **distinct** training rows
    of the distance to the nearest other distinct one. Rows that occur twice in ``train`` would make that divisor 0.
    Columns are standardised (ddof 0) by ``reference`` (default: ``train``). ``exact_copies`` is the share of synthetic
    rows equal to some training row.

    Shapes: train ``[n, d]``, synthetic ``[*r, m, d]`` give two arrays ``[*r]``. Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant training column.
    Source: Zhao et al. (2021), CTAB-GAN, for the distance.

    >>> import numpy as np
    >>> train = np.array([[0.0], [0.0], [1.0], [2.0]])
    >>> value = dcr(train, np.array([[0.0], [1.0], [2.5]]))
    >>> round(float(value.median_ratio), 2), round(float(value.exact_copies), 2)
    (0.0, 0.67)
    """
    train, synthetic, reference = _inputs.triple(train, synthetic, reference)
    return _dcr(train, synthetic, _inputs.location_scale(reference)[1])
