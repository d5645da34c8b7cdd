"""Maximum mean discrepancy with a mixture of five Gaussian kernels, blocked over rows so that memory stays bounded."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks
from jaxcop._numerics import concrete
from jaxcop.metrics import _inputs

MAX_MEDIAN_ROWS = 2000  # rows whose pairs enter the median: two million distances, below 1 % error in the bandwidth


class MMD(NamedTuple):
    """``unbiased`` (U-statistic, negative for half of all perfect samples) and ``biased`` (V-statistic) MMD squared."""

    unbiased: Float[Array, "*r"]
    biased: Float[Array, "*r"]


def median_squared_distance(x, spread):
    """Median over the pairs i < j of the squared distance of the rows of ``x``; over 2,000 spread rows of a longer one.

    Columns are divided by ``spread``. A table in which more than half of the pairs coincide has median 0: then 2 d, the
    mean over the pairs of a standardised table.
    """
    if x.shape[0] > MAX_MEDIAN_ROWS:
        x = x[np.arange(MAX_MEDIAN_ROWS) * x.shape[0] // MAX_MEDIAN_ROWS]
    n = x.shape[0]
    # Every pair once, as row i and the row k further round the table, k = 1 .. n / 2; for even n the last k meets
    # itself half way, and the second half is pushed behind the others.
    row, step = jnp.arange(n), jnp.arange(1, n // 2 + 1)[:, None]
    squared = (((x[row] - x[(row + step) % n]) / spread) ** 2).sum(axis=-1)
    ordered = jnp.sort(jnp.where((2 * step == n) & (row >= n // 2), jnp.inf, squared).ravel())
    pairs = n * (n - 1) // 2
    median = (ordered[(pairs - 1) // 2] + ordered[pairs // 2]) / 2
    return jnp.where(median > 0, median, 2.0 * x.shape[1])


def mean_kernel(x, y, spread, scale):
    """Mean over pairs of rows of the mean of ``exp(-d^2 / (2 f^2 scale))``, f^2 in 1/4, 1/2, 1, 2, 4."""

    def one(block, _):
        # Halving f^2 squares the kernel, so the widest one is the only exponential.
        wide = jnp.exp(_inputs.squared_distances(block, y, spread) / (-8 * scale))
        k2 = wide**2
        k4 = k2**2
        k8 = k4**2
        return (wide + k2 + k4 + k8 + k8**2).sum(axis=1) / (5 * y.shape[0])

    return _inputs.over_rows(one, x, y.shape[0]).mean()


def mmd_of(kernel_real, kernel_synthetic, kernel_cross, n: int, m: int) -> MMD:
    """Both estimates from mean kernels over all pairs; the unbiased one takes the n (m) ones of the diagonal out."""
    within = (n * kernel_real - 1) / (n - 1) + (m * kernel_synthetic - 1) / (m - 1)
    return MMD(within - 2 * kernel_cross, kernel_real + kernel_synthetic - 2 * kernel_cross)


@jax.jit
def _mmd(real, synthetic, reference, scale):
    _, spread = _inputs.location_scale(reference)
    if scale is None:
        scale = median_squared_distance(reference, spread)
    kernel_real = mean_kernel(real, real, spread, scale)

    def one(rows):
        cross, within = mean_kernel(real, rows, spread, scale), mean_kernel(rows, rows, spread, scale)
        return mmd_of(kernel_real, within, cross, real.shape[0], rows.shape[0])

    return _inputs.over_replicas(one, synthetic)


def mmd(
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    *,
    reference: Float[Array, "k d"] | None = None,
    scale: Float[Array, ""] | float | None = None,
) -> MMD:
    """Squared maximum mean discrepancy, unbiased and biased, with the mean of five Gaussian kernels.

    k(a, b) = mean over f in (1/2, 2^-1/2, 1, 2^1/2, 2) of exp(-norm(a - b)^2 / (2 f^2 s^2)), on columns standardised
    (ddof 0) by the ``reference`` rows (default: real). s^2 = ``scale``, by default the median squared distance over the
    pairs of those standardised rows (over 2,000 evenly spread ones where there are more).

    unbiased = mean k(x, x') + mean k(y, y') over distinct rows - 2 mean k(x, y), biased = the same with i = j. The
    unbiased value is 0 on average for a perfect sample, so it is often negative, and is not clipped.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give two arrays ``[*r]``. Time n m d; memory is bounded (blocks of
    2^21 pairs). float32 is within 1e-6 (absolute) of float64.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant reference
    column, a scale not above 0. Source: Gretton et al. (2012), equations 3 and 5.

    >>> import numpy as np
    >>> real = np.linspace(-1, 1, 101)[:, None]
    >>> value = mmd(real, real + 0.5)
    >>> round(float(value.unbiased), 3), round(float(value.biased), 3)
    (0.097, 0.105)
    """
    real, synthetic, reference = _inputs.triple(real, synthetic, reference)
    if scale is not None:
        if (value := concrete(scale)) is not None:
            _checks.positive(value, "scale")
        scale = jnp.asarray(scale, real.dtype)
    return _mmd(real, synthetic, reference, scale)
