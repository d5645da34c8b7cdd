"""All fidelity metrics of one real table against a batch of synthetic ones, in one compiled program."""

from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxcop.metrics import _inputs, kernel, marginal, moments


class Fidelity(NamedTuple):
    """Each field is what the function of that name returns."""

    ks: Float[Array, "*r d"]
    anderson_darling: marginal.AndersonDarling
    total_variation: Float[Array, "*r d"]
    range_coverage: Float[Array, "*r d"]
    wasserstein: Float[Array, "*r d"]
    mmd: kernel.MMD
    frechet: Float[Array, "*r"]


@partial(jax.jit, static_argnames="bins")
def _fidelity(real, synthetic, reference, bins=20):
    n, m = real.shape[0], synthetic.shape[-2]
    location, scale = _inputs.location_scale(reference)
    x = (real - location) / scale
    bandwidth = kernel.median_squared_distance(reference, scale)
    kernel_real = kernel.mean_kernel(real, real, scale, bandwidth)
    edges = marginal.inner_edges(real, bins)
    below = marginal.share_below(real, edges)

    def one(rows):
        both = marginal.pooled(real, rows)
        cross = kernel.mean_kernel(real, rows, scale, bandwidth)
        within = kernel.mean_kernel(rows, rows, scale, bandwidth)
        return Fidelity(
            ks=marginal.ks_of(both),
            anderson_darling=marginal.anderson_darling_of(both, n, m),
            total_variation=marginal.total_variation_of(below, marginal.share_below(rows, edges)),
            range_coverage=marginal.range_coverage_of(real, rows),
            wasserstein=marginal.wasserstein_of(both, scale),
            mmd=kernel.mmd_of(kernel_real, within, cross, n, m),
            frechet=moments.frechet_of(x, (rows - location) / scale),
        )

    return _inputs.over_replicas(one, synthetic)


def fidelity(
    real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> Fidelity:
    """All fidelity metrics at once, with their default options; the columns are sorted once for three of them.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r, d]`` per column and ``[*r]`` for the table, r being
    any batch of replicas. ``reference`` rows standardise (default: real).
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant column in real
    or ``reference``.

    >>> import jax
    >>> real, synthetic = jax.random.normal(jax.random.key(0), (2, 50, 3))
    >>> value = fidelity(real, synthetic[None])
    >>> value.ks.shape, value.mmd.unbiased.shape
    ((1, 3), (1,))
    """
    real = _inputs.rows(real, "real", allow_constant=False)
    return _fidelity(*_inputs.triple(real, synthetic, reference))
