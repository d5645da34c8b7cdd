"""Distances between the columns of a real and a synthetic table, one number per column.

All but the histogram distance and the range read off one sort of the pooled column: the two empirical distribution
functions at every pooled value, with ties taken to the right (``real``, ``synthetic``) or to the middle (``mid_*``).
They are piecewise constant in the data (gradient zero, never NaN), except the Wasserstein distance and the range.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks
from jaxcop.metrics import _inputs

BINNINGS = ("quantile", "width")


class AndersonDarling(NamedTuple):
    """``a2`` and ``t`` grow with the sizes and are compared at equal sizes only; ``distance`` may be compared."""

    a2: Float[Array, "*r d"]
    t: Float[Array, "*r d"]
    distance: Float[Array, "*r d"]


class Pooled(NamedTuple):
    """Distribution functions of both samples at the sorted pooled values, and how many values tie there."""

    values: Float[Array, "N d"]
    real: Float[Array, "N d"]
    synthetic: Float[Array, "N d"]
    mid_real: Float[Array, "N d"]
    mid_synthetic: Float[Array, "N d"]
    ties: Float[Array, "N d"]


def pooled(real, synthetic) -> Pooled:
    n, m = real.shape[0], synthetic.shape[0]
    label = jnp.concatenate([jnp.ones(real.shape, jnp.int32), jnp.zeros(synthetic.shape, jnp.int32)])
    values, label = jax.lax.sort((jnp.concatenate([real, synthetic]), label), dimension=0, num_keys=1)
    position = jnp.arange(n + m, dtype=jnp.int32)[:, None]
    count = jnp.cumsum(label, axis=0, dtype=jnp.int32)
    new = values[1:] != values[:-1]
    edge = jnp.ones_like(new[:1])
    first, last = jnp.concatenate([edge, new]), jnp.concatenate([new, edge])
    # Counts never fall along the column, so a running extreme carries those of a tie's end over the whole tie.
    carry = partial(jax.lax.cummin, axis=0, reverse=True)
    right, right_real = carry(jnp.where(last, position + 1, n + m)), carry(jnp.where(last, count, n))
    left = jax.lax.cummax(jnp.where(first, position, 0), axis=0)
    left_real = jax.lax.cummax(jnp.where(first, count - label, 0), axis=0)
    share = partial(jnp.asarray, dtype=real.dtype)
    return Pooled(
        values=values,
        real=share(right_real) / n,
        synthetic=share(right - right_real) / m,
        mid_real=share(left_real + right_real) / (2 * n),
        mid_synthetic=share(left + right - left_real - right_real) / (2 * m),
        ties=share(right - left),
    )


def ks_of(both: Pooled):
    return jnp.abs(both.real - both.synthetic).max(axis=0)


def wasserstein_of(both: Pooled, scale):
    gap = jnp.abs(both.real - both.synthetic)[:-1]
    return (gap * jnp.diff(both.values, axis=0)).sum(axis=0) / scale


def anderson_darling_of(both: Pooled, n: int, m: int) -> AndersonDarling:
    # Each pooled value of a tie of l carries 1/l of the tie's term, hence the plain sum. The numerator N M - B n of the
    # source is n m (F - G) for two samples, which does not cancel in float32.
    total = n + m
    share = (n * both.mid_real + m * both.mid_synthetic) / total
    spread = share * (1 - share) - both.ties / (4 * total)
    varies = both.ties < total
    terms = jnp.where(varies, (both.mid_real - both.mid_synthetic) ** 2 / jnp.where(varies, spread, 1), 0)
    a2 = (total - 1) / total * (n * m / total**2) * terms.sum(axis=0)
    t = (a2 - 1) / _anderson_darling_sd(n, m)
    positive = a2 > 0
    distance = jnp.where(positive, jnp.sqrt(jnp.where(positive, a2, 1) * (total / (n * m))), 0)
    return AndersonDarling(a2, t, distance)


def _anderson_darling_sd(n: int, m: int) -> float:
    """Null standard deviation of A2 for two samples (Scholz & Stephens 1987, equation 4 with k = 2)."""
    total = n + m
    inverse = 1 / np.arange(1, total)
    small, h = 1 / n + 1 / m, inverse.sum()
    g = (np.cumsum(inverse[:0:-1]) * inverse[1:]).sum()
    a = (4 * g - 6) + (10 - 6 * g) * small
    b = 4 * (2 * g - 4) + 16 * h + (2 * g - 14 * h - 4) * small - 8 * h + 4 * g - 6
    c = 4 * (6 * h + 2 * g - 2) + 2 * (4 * h - 4 * g + 6) + (2 * h - 6) * small + 4 * h
    d = 4 * (2 * h + 6) - 8 * h
    variance = (a * total**3 + b * total**2 + c * total + d) / ((total - 1.0) * (total - 2.0) * (total - 3.0))
    return float(np.sqrt(variance))


def inner_edges(real, bins: int):
    """The ``bins - 1`` inner bin edges ``[bins - 1, d]`` at the real quantiles (linear interpolation)."""
    # Positions in whole numbers: a quantile that falls on a row is that row's value, whatever the rounding of k / bins.
    place = np.arange(1, bins) * (real.shape[0] - 1)
    below, fraction = place // bins, (place % bins / bins)[:, None]
    ordered = jnp.sort(real, axis=0)
    low = ordered[below]
    return low + (ordered[np.minimum(below + 1, real.shape[0] - 1)] - low) * jnp.asarray(fraction, real.dtype)


def share_below(x, edges):
    return (x[:, None, :] < edges[None]).mean(axis=0, dtype=x.dtype)


def total_variation_of(below_real, below_synthetic):
    """Half the L1 distance of two histograms, from the shares below their inner edges."""
    difference = jnp.pad(below_real - below_synthetic, ((1, 1), (0, 0)))
    return jnp.abs(jnp.diff(difference, axis=0)).sum(axis=0) / 2


def range_coverage_of(real, synthetic):
    low, high = real.min(axis=0), real.max(axis=0)
    width = jnp.where(high > low, high - low, 1)
    missed = jnp.maximum(synthetic.min(axis=0) - low, 0) + jnp.maximum(high - synthetic.max(axis=0), 0)
    return jnp.maximum(1 - missed / width, 0)


@jax.jit
def _ks(real, synthetic):
    return _inputs.over_replicas(lambda y: ks_of(pooled(real, y)), synthetic)


@jax.jit
def _anderson_darling(real, synthetic):
    n, m = real.shape[0], synthetic.shape[-2]
    return _inputs.over_replicas(lambda y: anderson_darling_of(pooled(real, y), n, m), synthetic)


@jax.jit
def _wasserstein(real, synthetic, reference):
    _, scale = _inputs.location_scale(reference)
    return _inputs.over_replicas(lambda y: wasserstein_of(pooled(real, y), scale), synthetic)


@partial(jax.jit, static_argnames=("bins", "binning"))
def _total_variation(real, synthetic, bins, binning):
    def one(y):
        if binning == "quantile":
            edges = quantiles
        else:
            low = jnp.minimum(real.min(axis=0), y.min(axis=0))
            high = jnp.maximum(real.max(axis=0), y.max(axis=0))
            edges = low + jnp.arange(1, bins, dtype=real.dtype)[:, None] * ((high - low) / bins)
            # Rounded data lie on the edges themselves. Lowering these by their own rounding error (below 4 eps of the
            # largest value) puts such values into the upper bin always, as exact arithmetic would.
            edges -= 4 * jnp.finfo(real.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
        return total_variation_of(share_below(real, edges), share_below(y, edges))

    quantiles = inner_edges(real, bins) if binning == "quantile" else None
    return _inputs.over_replicas(one, synthetic)


@jax.jit
def _range_coverage(real, synthetic):
    return _inputs.over_replicas(lambda y: range_coverage_of(real, y), synthetic)


@jax.jit
def _category_coverage(real, synthetic):
    def column(x, y):
        x, y = jnp.sort(x), jnp.sort(y)
        category = jnp.pad(x[1:] != x[:-1], (1, 0), constant_values=True)
        reached = y[jnp.minimum(jnp.searchsorted(y, x), y.shape[0] - 1)] == x
        return (category & reached).sum().astype(x.dtype) / category.sum()

    return _inputs.over_replicas(partial(jax.vmap(column, (1, 1)), real), synthetic)


def ks(real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"]) -> Float[Array, "*r d"]:
    """Kolmogorov-Smirnov distance per column, sup over z of abs(F(z) - G(z)).

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]``, in [0, 1]. It is weak in the tails, and its mean
    over columns hides one bad column: look at the maximum too.

    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity. Source: Smirnov (1948).

    >>> import numpy as np
    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> ks(real, real + 1).tolist()
    [0.25]
    """
    return _ks(*_inputs.pair(real, synthetic))


def anderson_darling(real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"]) -> AndersonDarling:
    """Two-sample Anderson-Darling statistic per column, in its midrank form for ties.

    With N = n + m and H the pooled distribution function, ``a2`` = (n m / N) integral (F - G)^2 / (H (1 - H)) dH,
    ``t`` = (a2 - 1) / sigma_N, ``distance`` = sqrt(a2 N / (n m)). Only the distance may be compared between sizes.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give three arrays ``[*r, d]``. A column whose pooled values all
    equal each other has ``a2`` 0. float32 is within 1e-5 (relative) of float64.

    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity.
    Source: Scholz and Stephens (1987), equations 4 and 7.

    >>> import numpy as np
    >>> real = np.linspace(0, 1, 50)[:, None]
    >>> value = anderson_darling(real, real + 0.2)
    >>> round(float(value.a2[0]), 3), round(float(value.distance[0]), 3)
    (5.111, 0.452)
    """
    return _anderson_darling(*_inputs.pair(real, synthetic))


def wasserstein(
    real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> Float[Array, "*r d"]:
    """First Wasserstein distance per column, integral of abs(F(z) - G(z)) dz, in standard deviations.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]``. The unit is the standard deviation (ddof 0) of
    the ``reference`` rows (default: real). The sizes may differ: no rows are padded.

    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant column in
    ``reference``. Source: Vallender (1974).

    >>> import numpy as np
    >>> real = np.array([[-1.0], [1.0]])
    >>> wasserstein(real, real + 0.5).tolist()
    [0.5]
    """
    return _wasserstein(*_inputs.triple(real, synthetic, reference))


def total_variation(
    real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, bins: int = 20, binning: str = "quantile"
) -> Float[Array, "*r d"]:
    """Total variation distance of two histograms per column, half the sum of abs(p - q).

    ``binning="quantile"`` puts the edges at the real quantiles (outer bins open, equal edges of a tied column merge);
    ``"width"`` cuts the pooled range into equal parts. Bins are closed on the left. The value depends on ``bins``, and
    where an interpolated quantile of coarsely rounded data meets a value, on the last bit of that edge.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]``, in [0, 1].
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, fewer than 2 bins, an
    unknown binning. Source: Levin, Peres and Wilmer (2009), proposition 4.2.

    >>> import numpy as np
    >>> real = np.arange(40.0)[:, None]
    >>> both = total_variation(real, real + 20), total_variation(real, real + 20, binning="width")
    >>> [round(float(value[0]), 2) for value in both]
    [0.5, 0.5]
    """
    _checks.whole(bins, "bins", least=2)
    return _total_variation(*_inputs.pair(real, synthetic), bins, _checks.one_of(binning, BINNINGS, "binning"))


def range_coverage(real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"]) -> Float[Array, "*r d"]:
    """Share of the real range that the synthetic rows reach, per column.

    max(0, 1 - (max(0, min y - min x) + max(0, max x - max y)) / (max x - min x)). One outlying row reaches everything:
    never read it alone.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]``, in [0, 1].
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant real column.
    Source: the metric of that name in SDMetrics.

    >>> import numpy as np
    >>> real = np.arange(5.0)[:, None]
    >>> range_coverage(real, real / 2).tolist()
    [0.5]
    """
    return _range_coverage(*_inputs.pair(real, synthetic, allow_constant=False))


def category_coverage(real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"]) -> Float[Array, "*r d"]:
    """Share of the distinct real values that occur among the synthetic rows, per column: for categories as numbers.

    How often each occurs does not matter (``total_variation`` sees that). For a continuous column it is 0, or counts
    copies.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]``, in [0, 1].
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity.
    Source: the metric of that name in SDMetrics.

    >>> import numpy as np
    >>> real = np.array([[0.0], [1.0], [1.0], [2.0], [3.0]])
    >>> category_coverage(real, np.array([[1.0], [3.0], [4.0]])).tolist()
    [0.5]
    """
    return _category_coverage(*_inputs.pair(real, synthetic))
