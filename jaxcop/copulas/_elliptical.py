"""What the Gaussian and the Student-t copula share: everything that depends on the correlation matrix alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import correlation as _correlation
from jaxcop._numerics import concrete


def _factors(correlation: Float[Array, "d d"]) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
    """The Cholesky factor L and its inverse, which is as accurate as solving with L (Higham 2002, section 14.2).

    Points are multiplied by the inverse: on a CPU jaxlib shares a batch of long triangular solves out among the threads
    of the pool that runs them, and two such batches at a time wait for each other for ever.
    """
    factor = jnp.linalg.cholesky(correlation)
    return factor, jax.scipy.linalg.solve_triangular(factor, jnp.eye(len(factor), dtype=factor.dtype), lower=True)


def whiten(x: Float[Array, "*b d"], correlation: Float[Array, "d d"]) -> Float[Array, "*b d"]:
    """L**-1 x for the Cholesky factor L: coordinate j is x_j given x_1..x_{j-1}, standardised."""
    if x.shape[-1] == 2:
        r = correlation[0, 1]
        second = (x[..., 1] - r * x[..., 0]) / jnp.sqrt((1 - r) * (1 + r))
        return jnp.stack([x[..., 0], second], -1)
    _, inverse = _factors(correlation)
    return (x.reshape(-1, x.shape[-1]) @ inverse.T).reshape(x.shape)


def colour(e: Float[Array, "*b d"], correlation: Float[Array, "d d"]) -> Float[Array, "*b d"]:
    """L e, the inverse of :func:`whiten`."""
    if e.shape[-1] == 2:
        # A product with the factor, not with its columns: XLA would draw or transform e again for each of them.
        r = correlation[0, 1]
        factor = jnp.array([[1, 0], [r, jnp.sqrt((1 - r) * (1 + r))]], e.dtype)
    else:
        factor = jnp.linalg.cholesky(correlation)
    return e @ factor.T


def quadratic(x: Float[Array, "d n"], correlation: Float[Array, "d d"]) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """x' R**-1 x of every column, and log det R / 2.

    In two dimensions by (x1 - x2)**2 / (1 - r) and (x1 + x2)**2 / (1 + r), which stays exact for r near 1.
    """
    if len(x) == 2:
        r = correlation[0, 1]
        difference, total = x[0] - x[1], x[0] + x[1]
        return (difference**2 / (1 - r) + total**2 / (1 + r)) / 2, (jnp.log1p(-r) + jnp.log1p(r)) / 2
    factor, inverse = _factors(correlation)
    return jnp.sum((inverse @ x) ** 2, 0), jnp.sum(jnp.log(jnp.diagonal(factor)))


def solve(x: Float[Array, "d n"], correlation: Float[Array, "d d"]) -> Float[Array, "d n"]:
    """R**-1 x for points in columns; in two dimensions as exact as :func:`quadratic`."""
    if len(x) == 2:
        r = correlation[0, 1]
        difference, total = (x[0] - x[1]) / (1 - r), (x[0] + x[1]) / (1 + r)
        return jnp.stack([(total + difference) / 2, (total - difference) / 2])
    _, inverse = _factors(correlation)
    return inverse.T @ (inverse @ x)


def tau_of(correlation: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """Kendall's tau of an elliptical copula, 2/pi asin(r) (Lindskog, McNeil and Schmock 2003)."""
    open_ = jnp.abs(correlation) < 1
    inner = 2 / np.pi * jnp.arcsin(jnp.where(open_, correlation, 0))
    return jnp.where(open_, inner, jnp.sign(correlation))


def correlation_of(tau: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """sin(pi tau / 2) with a unit diagonal; not always positive definite."""
    tau = _correlation.check_correlation(tau, "tau", definite=False)
    values = concrete(tau)
    if values is not None and not ((np.abs(values) <= 1).all() and (np.diagonal(values) == 1).all()):
        raise ValueError(f"tau: expected entries in [-1, 1] and ones on the diagonal, got {values}; use kendall_tau")
    return jnp.where(np.eye(tau.shape[0], dtype=bool), 1, jnp.sin(np.pi / 2 * tau))


def to_vector(correlation: Float[Array, "d d"], dim: int) -> Float[Array, "k"]:
    """``correlation.to_vector`` of a matrix of ``dim`` rows."""
    if len(correlation) != dim:
        raise ValueError(f"dim: expected {len(correlation)}, the size of the correlation, got {dim}; pass that")
    return _correlation.to_vector(correlation)


def start_correlation(u: Float[Array, "n d"], mask, shrinkage) -> Float[Array, "d d"]:
    """sin(pi tau / 2), repaired and shrunk: tau of tied rows makes it indefinite more often than not in 8 columns."""
    repaired = _correlation.nearest_correlation(correlation_of(_correlation.masked_kendall_tau(u, mask)))
    if shrinkage is None:
        shrunk = _correlation.shrink(repaired, num_obs=mask.sum())
    else:
        shrunk = _correlation.shrink(repaired, intensity=shrinkage)
    return _correlation.raise_smallest_eigenvalue(shrunk, float(jnp.finfo(u.dtype).eps) ** 0.5)
