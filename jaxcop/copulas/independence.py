"""The independence copula C(u) = prod u_i, the baseline of every comparison."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop._numerics import uniforms
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape, split_cube


class Params(NamedTuple):
    """No parameters."""


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density, 0 inside the open cube and -inf outside.

    >>> print(logpdf(jnp.array([[0.2, 0.7], [0.0, 0.5]]), Params()))
    [  0. -inf]
    """
    inside, safe = split_cube(check_points(u))
    return jnp.where(inside, jnp.zeros(safe.shape[:-1], safe.dtype), -jnp.inf)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Independent uniforms of shape ``(*b, d)``.

    >>> import jax
    >>> print(sample(jax.random.key(0), Params(), (5, 3)).shape)
    (5, 3)
    """
    return uniforms(key, check_shape(shape))


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """The identity.

    >>> print(rosenblatt(jnp.array([0.2, 0.7]), Params()))
    [0.2 0.7]
    """
    return check_inside(u)


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """The identity.

    >>> print(inverse_rosenblatt(jnp.array([0.2, 0.7]), Params()))
    [0.2 0.7]
    """
    return check_inside(w, name="w")


def cdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """The product of the coordinates.

    >>> print(cdf(jnp.array([0.5, 0.5]), Params()))
    0.25
    """
    return jnp.prod(check_points(u), -1)


def kendall_tau(params: Params) -> Float[Array, ""]:
    """Zero.

    >>> print(kendall_tau(Params()))
    0.0
    """
    return jnp.zeros(())


def from_kendall_tau(tau: Float[Array, "..."]) -> Params:
    """The parameters, which do not depend on tau.

    >>> from_kendall_tau(0.3)
    Params()
    """
    return Params()


def tail_dependence(params: Params) -> TailDependence:
    """Zero in both tails.

    >>> print(tail_dependence(Params()).lower)
    0.0
    """
    return TailDependence(jnp.zeros(()), jnp.zeros(()))


def num_params(dim: int) -> int:
    """Zero.

    >>> num_params(8)
    0
    """
    return 0


def constrain(vector: Float[Array, "0"], dim: int) -> Params:
    """The parameters, from an empty vector.

    >>> constrain(jnp.zeros(0), 3)
    Params()
    """
    return Params()


def unconstrain(params: Params, dim: int) -> Float[Array, "0"]:
    """An empty vector.

    >>> print(unconstrain(Params(), 3).shape)
    (0,)
    """
    return jnp.zeros(0)


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """The parameters, which do not depend on the rows."""
    return Params()


COPULA = Copula(
    "independence",
    logpdf,
    sample,
    rosenblatt,
    inverse_rosenblatt,
    cdf,
    kendall_tau,
    from_kendall_tau,
    tail_dependence,
    num_params,
    constrain,
    unconstrain,
    start,
)
