"""Fréchet distance: what two tables differ in by mean and covariance, and nothing past them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop.metrics import _inputs


def frechet_of(x, y):
    """Fréchet distance of the rows of ``x`` and ``y`` as they are; differentiable in ``y``."""
    (mean_x, covariance_x), (mean_y, covariance_y) = _moments(x), _moments(y)
    values, vectors = jnp.linalg.eigh(covariance_x)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0))) @ vectors.T
    # The symmetric product has the eigenvalues of S1 S2, which is not symmetric itself and no business of eigh.
    squares = jnp.linalg.eigvalsh(root @ covariance_y @ root)
    positive = squares > 0
    cross = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0).sum()
    spread = jnp.trace(covariance_x) + jnp.trace(covariance_y) - 2 * cross
    return ((mean_x - mean_y) ** 2).sum() + jnp.maximum(spread, 0)


def _moments(x):
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred.T @ centred / (x.shape[0] - 1)


@jax.jit
def _frechet(real, synthetic, reference):
    location, scale = _inputs.location_scale(reference)
    x = (real - location) / scale
    return _inputs.over_replicas(lambda y: frechet_of(x, (y - location) / scale), synthetic)


def frechet(
    real: Float[Array, "n d"], synthetic: Float[Array, "*r m d"], *, reference: Float[Array, "k d"] | None = None
) -> Float[Array, "*r"]:
    """Squared Fréchet distance of the normal laws with the two tables' means and covariances.

    norm(mu1 - mu2)^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), covariances with ddof 1, on columns standardised
    (ddof 0) by the ``reference`` rows (default: real). Negative eigenvalues of rounding are clipped at 0. It is biased
    upwards, the more the fewer rows and the more columns: compare it with its floor.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give ``[*r]``. Singular covariances (n <= d, collinear columns)
    are legal. float32 is within 1e-5 d (absolute) of float64.
    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, NaN or infinity, a constant column in
    ``reference``. Source: Dowson and Landau (1982).

    >>> import numpy as np
    >>> real = np.array([[-1.0], [1.0]])
    >>> round(float(frechet(real, 2 * real + 3)), 4)  # 3^2 + (2^1/2 - 8^1/2)^2
    11.0
    """
    return _frechet(*_inputs.triple(real, synthetic, reference))
