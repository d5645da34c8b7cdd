"""The Gaussian copula: the dependence of a multivariate normal, without tail dependence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Bool, Float

from jaxcop import correlation as _correlation
from jaxcop._numerics import as_float, normal_cdf, open_unit, promote
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape, split_cube
from jaxcop.copulas._elliptical import colour, correlation_of, quadratic, start_correlation, tau_of, to_vector, whiten


class Params(NamedTuple):
    """A positive definite correlation matrix.

    Where a matrix is singular to the precision of its dtype the functions here return NaN: repair it first.
    """

    correlation: Float[Array, "d d"]


def _check(params: Params) -> Array:
    return _correlation.check_correlation(params.correlation)


@jax.jit
def _logpdf(u, correlation):
    inside, safe = split_cube(u)
    x = ndtri(safe)
    q, half_log_det = quadratic(x.reshape(-1, u.shape[-1]).T, correlation)
    return jnp.where(inside, (jnp.sum(x**2, -1) - q.reshape(inside.shape)) / 2 - half_log_det, -jnp.inf)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density log c = -log(det R)/2 - x'(R**-1 - I)x/2 at x = Phi**-1(u); -inf outside the open cube.

    Raises ValueError unless R is a positive definite correlation matrix. Source: Song (2000).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]))).round(4))
    -0.1312
    """
    correlation = _check(params)
    return _logpdf(*promote(check_points(u, dim=correlation.shape[0]), correlation))


@jax.jit
def _rosenblatt(u, correlation):
    return normal_cdf(whiten(ndtri(u), correlation))


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order, Phi(L**-1 Phi**-1(u)). Source: Rosenblatt (1952).

    >>> print(rosenblatt(jnp.array([0.3, 0.7]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]))).round(4))
    [0.3    0.8181]
    """
    correlation = _check(params)
    return _rosenblatt(*promote(check_inside(u, dim=correlation.shape[0]), correlation))


@jax.jit
def _inverse_rosenblatt(w, correlation):
    return open_unit(normal_cdf(colour(ndtri(w), correlation)))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt`, Phi(L Phi**-1(w)).

    >>> print(inverse_rosenblatt(jnp.array([0.3, 0.8181]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]))).round(3))
    [0.3 0.7]
    """
    correlation = _check(params)
    return _inverse_rosenblatt(*promote(check_inside(w, dim=correlation.shape[0], name="w"), correlation))


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``.

    >>> print(sample(jax.random.key(0), Params(jnp.eye(3)), (5, 3)).shape)
    (5, 3)
    """
    correlation = _check(params)
    shape = check_shape(shape, dim=correlation.shape[0])
    return open_unit(normal_cdf(colour(jax.random.normal(key, shape, correlation.dtype), correlation)))


def kendall_tau(params: Params) -> Float[Array, "d d"]:
    """tau = 2/pi asin(R), entry by entry.

    >>> print(kendall_tau(Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]))).round(4))
    [[1.     0.3333]
     [0.3333 1.    ]]
    """
    return tau_of(_check(params))


def from_kendall_tau(tau: Float[Array, "d d"]) -> Params:
    """R = sin(pi tau / 2), entry by entry.

    A matrix of estimated taus need not give a positive definite R: see ``correlation.nearest_correlation``.

    >>> print(from_kendall_tau(jnp.array([[1.0, 1 / 3], [1 / 3, 1.0]])).correlation.round(4))
    [[1.  0.5]
     [0.5 1. ]]
    """
    return Params(correlation_of(tau))


def tail_dependence(params: Params) -> TailDependence:
    """Zero in both tails of every pair with R < 1.

    >>> print(tail_dependence(Params(jnp.eye(2))).upper)
    [[1. 0.]
     [0. 1.]]
    """
    both = jnp.where(_check(params) < 1, 0.0, 1.0)
    return TailDependence(both, both)


def num_params(dim: int) -> int:
    """d (d - 1) / 2.

    >>> num_params(8)
    28
    """
    return dim * (dim - 1) // 2


def constrain(vector: Float[Array, "k"], dim: int) -> Params:
    """Correlation matrix from d (d-1)/2 unconstrained partial correlations (``correlation.from_vector``).

    >>> print(constrain(jnp.zeros(3), 3).correlation)
    [[1. 0. 0.]
     [0. 1. 0.]
     [0. 0. 1.]]
    """
    return Params(_correlation.from_vector(as_float(vector), dim))


def unconstrain(params: Params, dim: int) -> Float[Array, "k"]:
    """Inverse of :func:`constrain`.

    >>> print(unconstrain(Params(jnp.eye(3)), 3))
    [0. 0. 0.]
    """
    return to_vector(_check(params), dim)


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """Inversion of Kendall's tau, repaired and shrunk (``copulas.fit``)."""
    return Params(start_correlation(u, mask, shrinkage))


COPULA = Copula(
    "gaussian",
    logpdf,
    sample,
    rosenblatt,
    inverse_rosenblatt,
    None,
    kendall_tau,
    from_kendall_tau,
    tail_dependence,
    num_params,
    constrain,
    unconstrain,
    start,
)
