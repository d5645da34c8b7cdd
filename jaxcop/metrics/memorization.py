"""Does a synthetic table repeat its training rows? A diagnosis of copying; no value here proves privacy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop.metrics import _inputs


class DCR(NamedTuple):
    """``median_ratio`` is about 1 for fresh rows, 0 for copies; ``exact_copies`` is a share of the synthetic rows."""

    median_ratio: Float[Array, "*r"]
    exact_copies: Float[Array, "*r"]


class NNDR(NamedTuple):
    """Over the synthetic rows; near 0 for copies, about 0.8 to 0.9 for fresh rows of several columns."""

    mean: Float[Array, "*r"]
    median: Float[Array, "*r"]


def _to_distinct(train, scale):
    """Squared distance of each training row to the nearest distinct one, and whether it repeats an earlier one."""
    n = train.shape[0]

    def to_others(block, index):
        squared = _inputs.squared_distances(block, train, scale)
        same = squared == 0
        repeated = (same & (jnp.arange(n) < index[:, None])).any(axis=1)
        return jnp.where(same, jnp.inf, squared).min(axis=1), repeated

    return _inputs.over_rows(to_others, train, n)


def _to_nearest(rows, others, scale):
    """Squared distance of each of ``rows`` to the nearest of ``others``."""

    def nearest(block, _):
        return _inputs.squared_distances(block, others, scale).min(axis=1)

    return _inputs.over_rows(nearest, rows, others.shape[0])


@jax.jit
def _dcr(train, synthetic, scale):
    nearest, repeated = _to_distinct(train, scale)
    n = train.shape[0]
    ordered = jnp.sort(jnp.where(repeated, jnp.inf, nearest))
    distinct = n - repeated.sum()
    own = (_root(ordered[(distinct - 1) // 2]) + _root(ordered[distinct // 2])) / 2

    def one(rows):
        closest = _to_nearest(rows, train, scale)
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
    return _dcr(*_scaled(train, synthetic, reference))


@jax.jit
def _nndr(train, synthetic, scale):
    def ratio(block, _):
        squared = _inputs.squared_distances(block, train, scale)
        first = jnp.arange(train.shape[0]) == squared.argmin(axis=1, keepdims=True)
        second = jnp.where(first, jnp.inf, squared).min(axis=1)
        return _root(squared.min(axis=1) / jnp.where(second > 0, second, 1))

    def one(rows):
        ratios = _inputs.over_rows(ratio, rows, train.shape[0])
        return NNDR(ratios.mean(), jnp.median(ratios))

    return _inputs.over_replicas(one, synthetic)


def nndr(
    train: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> NNDR:
    """Nearest-neighbour distance ratio, mean and median over synthetic rows of d1 / d2, in [0, 1].

    d1 and d2 are the distances to the two nearest training rows; a copy has ratio 0, also a copy of a row that occurs
    twice (d1 = d2 = 0). It rises with the number of columns: compare with that of hold-out rows.

    Shapes: train ``[n, d]``, synthetic ``[*r, m, d]`` give two arrays ``[*r]``. Columns are standardised (ddof 0) by
    ``reference`` (default: ``train``). Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant training column.
    Source: Zhao et al. (2021), CTAB-GAN.

    >>> import numpy as np
    >>> train = np.array([[0.0], [3.0], [9.0]])
    >>> value = nndr(train, np.array([[1.0], [3.0], [4.0]]))
    >>> round(float(value.mean), 4), round(float(value.median), 4)
    (0.25, 0.25)
    """
    return _nndr(*_scaled(train, synthetic, reference))


@jax.jit
def _authenticity(train, synthetic, scale):
    own, _ = _to_distinct(train, scale)

    def farther(block, _):
        squared = _inputs.squared_distances(block, train, scale)
        return squared.min(axis=1) > own[squared.argmin(axis=1)]

    def one(rows):
        return _inputs.over_rows(farther, rows, train.shape[0]).mean(dtype=train.dtype)

    return _inputs.over_replicas(one, synthetic)


def authenticity(
    train: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> Float[Array, "*r"]:
    """Share of synthetic rows that are farther from their nearest training row than that row is from its own nearest.

    About 1/2 for fresh rows, 0 for noisy copies. A training row's own nearest is the nearest **distinct** one, or rows
    that occur twice would make every noisy copy of them authentic.

    Shapes: train ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r]``. Columns are standardised (ddof 0) by ``reference``
    (default: ``train``). Piecewise constant: the gradient is zero. Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant training column.
    Source: Alaa et al. (2022).

    >>> import numpy as np
    >>> train = np.array([[0.0], [1.0], [5.0]])
    >>> float(authenticity(train, np.array([[-2.0], [0.1], [4.0], [9.5]])))
    0.5
    """
    return _authenticity(*_scaled(train, synthetic, reference))


def _missed(n: int, size: int) -> np.ndarray:
    """Probability that ``size`` of n rows, drawn without replacement, hold none of c given ones, for c = 0 .. n."""
    c = np.arange(n)
    return np.concatenate([[1.0], np.cumprod(np.maximum(n - c - size, 0) / (n - c))])


@jax.jit
def _dcr_share(train, holdout, synthetic, scale):
    swap = holdout.shape[0] > train.shape[0]
    many, few = (holdout, train) if swap else (train, holdout)
    missed = jnp.asarray(_missed(many.shape[0], few.shape[0]), train.dtype)

    def closer(block, _):
        nearest = _inputs.squared_distances(block, few, scale).min(axis=1, keepdims=True)
        squared = _inputs.squared_distances(block, many, scale)
        return 1 - (missed[(squared < nearest).sum(axis=1)] + missed[(squared <= nearest).sum(axis=1)]) / 2

    def one(rows):
        share = _inputs.over_rows(closer, rows, many.shape[0] + few.shape[0]).mean()
        return 1 - share if swap else share

    return _inputs.over_replicas(one, synthetic)


def dcr_share(
    train: Float[Array, "n d"],
    holdout: Float[Array, "h d"],
    synthetic: Float[Array, "*r m d"],
    *,
    reference: Float[Array, "k d"] | None = None,
) -> Float[Array, "*r"]:
    """Share of synthetic rows that are closer to the training rows than to as many hold-out rows; ties count half.

    1/2 for fresh rows. The larger of the two tables is brought to the size of the smaller: the value is the exact mean
    over all its subsamples of that size, P(a subsample without any of the c closer rows) being hypergeometric. With
    unequal sizes every generator would seem to copy the larger table.

    Shapes: train ``[n, d]``, holdout ``[h, d]``, synthetic ``[*r, m, d]`` give ``[*r]``. Columns are standardised
    (ddof 0) by ``reference`` (default: ``train``). Piecewise constant: the gradient is zero. Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant training column.
    Source: Platzer and Reutterer (2021), whose two tables are of one size.

    >>> import numpy as np
    >>> train, holdout = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[1.4], [2.4]])
    >>> round(float(dcr_share(train, holdout, np.array([[1.1], [2.4]]))), 4)  # 1 of 4 rows is closer: 1/2 of the pairs
    0.25
    """
    return _dcr_share(*_with_holdout(train, holdout, synthetic, reference))


@jax.jit
def _membership_auc(train, holdout, synthetic, scale):
    def one(rows):
        members = _to_nearest(train, rows, scale)
        others = _to_nearest(holdout, rows, scale)

        def beaten(block, _):
            return (others > block).sum(axis=1) + (others >= block).sum(axis=1)

        return _inputs.over_rows(beaten, members[:, None], len(others)).mean(dtype=train.dtype) / (2 * len(others))

    return _inputs.over_replicas(one, synthetic)


def membership_auc(
    train: Float[Array, "n d"],
    holdout: Float[Array, "h d"],
    synthetic: Float[Array, "*r m d"],
    *,
    reference: Float[Array, "k d"] | None = None,
) -> Float[Array, "*r"]:
    """AUC of telling training from hold-out rows by the distance to the nearest synthetic row: 1/2 if nothing leaks.

    P(d(train row) < d(hold-out row)) + P(equal) / 2. An attack by one number: a value of 1/2 is no proof of privacy.

    Shapes: train ``[n, d]``, holdout ``[h, d]``, synthetic ``[*r, m, d]`` give ``[*r]``. Columns are standardised
    (ddof 0) by ``reference`` (default: ``train``). Piecewise constant: the gradient is zero. Memory is bounded.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant training column.
    Source: Chen et al. (2020), GAN-Leaks, the attack without access to the generator.

    >>> import numpy as np
    >>> train, holdout = np.array([[0.0], [1.0], [2.0]]), np.array([[0.5], [1.5]])
    >>> round(float(membership_auc(train, holdout, np.array([[0.1], [1.0], [1.9]]))), 4)
    1.0
    """
    return _membership_auc(*_with_holdout(train, holdout, synthetic, reference))


def _scaled(train, synthetic, reference):
    train, synthetic, reference = _inputs.triple(train, synthetic, reference)
    return train, synthetic, _inputs.location_scale(reference)[1]


def _with_holdout(train, holdout, synthetic, reference):
    train, synthetic, scale = _scaled(train, synthetic, reference)
    holdout = _inputs.rows(holdout, "holdout")
    _inputs.same_columns(train, holdout, "holdout")
    return train, holdout.astype(train.dtype), synthetic, scale
