"""The Clayton copula, theta >= 0, in any dimension: lower tail dependence, exact from independence to theta = 1000.

For negative dependence in two dimensions rotate another family: below theta = 0 the density has holes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop._numerics import (
    as_float,
    expm1_remainder,
    log1p_ratio,
    log1p_remainder,
    open_unit,
    promote,
    softplus_inverse,
    uniforms,
)
from jaxcop.copulas import _archimedean
from jaxcop.copulas._archimedean import num_params
from jaxcop.copulas._contract import (
    Copula,
    TailDependence,
    check_inside,
    check_points,
    check_shape,
    check_tau,
    split_columns,
)


class Params(NamedTuple):
    """theta >= 0; 0 is independence, tau = theta / (theta + 2)."""

    theta: Float[Array, ""]


def _check(params: Params) -> Array:
    return _archimedean.check_theta(params.theta, 0)


def _power_sum_small(log_u, theta):
    """X with S = 1 + theta X, S = sum u**-theta - d + 1, where no theta |log u| exceeds 1."""
    a = -theta * log_u
    return jnp.sum(-log_u * (1 + a * expm1_remainder(a)), -1)


def _log_scaled_sum(u, theta):
    """log(S u_min**theta), and log(u_min / u), where some theta |log u| exceeds 1.

    Every term is positive and nothing overflows; ratios of coordinates keep the digits that large logs would lose.
    """
    lowest = jnp.min(u, -1, keepdims=True)
    # The value from the ratio, the derivative from the logs: that of the ratio squares u, which underflows.
    plain = jnp.log(lowest) - jnp.log(u)
    log_ratio = plain + jax.lax.stop_gradient(jnp.log(lowest / u) - plain)
    power = theta[..., None]
    terms = jnp.exp(power * log_ratio) * -jnp.expm1(power * jnp.log(u))
    return jnp.log(jnp.sum(terms, -1) + jnp.exp(theta * jnp.log(lowest[..., 0]))), log_ratio


def _branches(log_u, theta):
    """Whether theta max|log u| < 1, and the logs made harmless for the branch that is not taken."""
    small = -theta * jnp.min(log_u, -1) < 1
    mild = jnp.where(small[..., None], log_u, -jnp.ones_like(log_u) / jnp.maximum(theta, 1))
    return small, mild


def _weak(columns, theta):
    """The log-density less its constant for theta |log u| < 2, free of cancellation: a tiny theta keeps its digits.

    log S / theta = X (1 - theta X R(theta X)) with X = sum |log u| + theta sum log(u)**2 E(-theta log u), R and E the
    remainders; the leading terms of the density cancel on paper.
    """
    log_u = jnp.log(columns)
    total = -sum(log_u)
    second = sum(log_u**2 * expm1_remainder(-theta * log_u))
    x = total + theta * second
    scaled_log = x * log1p_ratio(theta * x)
    return theta * (total - len(columns) * scaled_log + x**2 * log1p_remainder(theta * x) - second)


def _strong(columns, theta):
    """The log-density less its constant, with the powers of the smallest coordinate taken out: nothing overflows."""
    lowest = functools.reduce(jnp.minimum, columns)
    log_u, low_log = jnp.log(columns), jnp.log(lowest)
    # The value from the ratio, which keeps its digits, the derivative from the logs: the ratio's squares u.
    plain = low_log - log_u
    log_ratio = plain + jax.lax.stop_gradient(jnp.log(lowest / columns) - plain)
    # log(S u_min**theta); the term of the smallest coordinate is taken off again, as it is exp(theta low_log)
    excess = -sum(jnp.exp(theta * log_ratio) * jnp.expm1(theta * log_u)) + jnp.expm1(theta * low_log)
    powers = theta * sum(log_ratio) + low_log - sum(log_u)
    return powers - (len(columns) + 1 / theta) * jnp.log1p(excess)


@_archimedean.with_forward_slope
def _logpdf(u, theta):
    inside, columns = split_columns(u)
    # Small enough that theta |log u| < 2 for every float u, large enough that 1 / theta costs few digits.
    weak = theta < jnp.finfo(u.dtype).eps ** 0.25
    value = jax.lax.cond(
        weak,
        lambda: _weak(columns, jnp.where(weak, theta, 0)),
        lambda: _strong(columns, jnp.where(weak, 1, theta)),
    )
    constant = jnp.sum(jnp.log1p(theta * jnp.arange(u.shape[-1], dtype=u.dtype)))
    return jnp.where(inside, constant + value, -jnp.inf).reshape(u.shape[:-1])


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density of the Clayton copula.

    log c = sum_{k<d} log(1 + k theta) - (1 + theta) sum log u_i - (d + 1/theta) log S, S = sum u_i**-theta - d + 1;
    -inf outside the open cube. Raises ValueError for theta < 0. Sources: Clayton (1978); Hofert, Mächler and
    McNeil (2012).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(2.0)).round(4))
    -0.4632
    """
    return _logpdf(*promote(check_points(u), _check(params)))


@jax.jit
def _log_cdf(u, theta):
    log_u = jnp.log(u)
    small, mild = _branches(log_u, theta)
    x = _power_sum_small(mild, theta)
    big_theta = jnp.where(small, 1, theta)
    log_sum, _ = _log_scaled_sum(u, big_theta)
    return jnp.where(small, -x * log1p_ratio(theta * x), jnp.min(log_u, -1) - log_sum / big_theta)


def cdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Distribution function C(u) = (sum u_i**-theta - d + 1)**(-1/theta), u inside the open cube.

    >>> print(round(float(cdf(jnp.array([0.5, 0.5]), Params(1.0))), 4))
    0.3333
    """
    return jnp.exp(_log_cdf(*promote(check_inside(u), _check(params))))


def _scaled_log1p(small, value, log_value, theta):
    """log(1 + Y) / theta from ``value`` = Y / theta where small, else from ``log_value`` = log Y."""
    value, log_value = jnp.where(small, value, 0), jnp.where(small, 0, log_value)
    return jnp.where(small, value * log1p_ratio(theta * value), jax.nn.softplus(log_value) / jnp.where(small, 1, theta))


@jax.jit
def _rosenblatt(u, theta):
    dim = u.shape[-1]
    log_u = jnp.log(u)
    # Prefix sums S_j = 1 + sum_{k<=j} (u_k**-theta - 1); w_j = (S_j / S_{j-1})**-(1/theta + j - 1).
    small, mild = _branches(log_u, theta)
    small = small[..., None]
    a = -theta * mild
    term = -mild * (1 + a * expm1_remainder(a))
    before = 1 + theta * (jnp.cumsum(term, -1) - term)
    big_theta = jnp.where(small, 1, theta)
    log_term = softplus_inverse(-big_theta * log_u)
    prefix = jax.lax.cumlogsumexp(log_term, axis=log_term.ndim - 1)
    log_before = jnp.concatenate([jnp.zeros_like(prefix[..., :1]), jax.nn.softplus(prefix[..., :-1])], -1)
    scaled = _scaled_log1p(small, term / before, log_term - log_before, theta)
    return jnp.exp(-(1 + jnp.arange(dim, dtype=u.dtype) * theta) * scaled)


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order; independent uniforms if u follows the copula.

    w_j = (S_j / S_{j-1})**-(1/theta + j - 1), S_j = 1 + sum_{k<=j} (u_k**-theta - 1). Source: Rosenblatt (1952).

    >>> print(rosenblatt(jnp.array([0.2, 0.6]), Params(0.5)).round(4))
    [0.2    0.6928]
    """
    return _rosenblatt(*promote(check_inside(u), _check(params)))


@jax.jit
def _inverse_rosenblatt(w, theta):
    dim = w.shape[-1]
    # log S_j is a running sum of -theta log w_j / (1 + (j-1) theta), so no coordinate waits for the one before.
    gain = -jnp.log(w) / (1 + jnp.arange(dim, dtype=w.dtype) * theta)
    before = jnp.cumsum(gain, -1) - gain
    small = theta * (before + gain) < 1
    mild = jnp.where(small, gain, 0)
    value = jnp.exp(theta * jnp.where(small, before, 0)) * mild * (1 + theta * mild * expm1_remainder(theta * mild))
    big_gain = jnp.where(small, 1, theta * gain)
    log_value = theta * before + softplus_inverse(big_gain)
    return open_unit(jnp.exp(-_scaled_log1p(small, value, log_value, theta)))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt`: u_j = (1 + S_{j-1} (w_j**(-theta/(1 + (j-1) theta)) - 1))**(-1/theta).

    >>> print(inverse_rosenblatt(jnp.array([0.2, 0.692799]), Params(0.5)).round(4))
    [0.2 0.6]
    """
    return _inverse_rosenblatt(*promote(check_inside(w, name="w"), _check(params)))


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)`` by conditional inversion, differentiable in theta.

    >>> print(sample(jax.random.key(0), Params(2.0), (5, 3)).shape)
    (5, 3)
    """
    theta = as_float(_check(params))
    return _inverse_rosenblatt(uniforms(key, check_shape(shape), theta.dtype), theta)


def kendall_tau(params: Params) -> Float[Array, ""]:
    """tau = theta / (theta + 2).

    >>> print(kendall_tau(Params(2.0)))
    0.5
    """
    theta = as_float(_check(params))
    return theta / (theta + 2)


def from_kendall_tau(tau: Float[Array, ""]) -> Params:
    """theta = 2 tau / (1 - tau) for tau in [0, 1); ValueError elsewhere.

    >>> print(from_kendall_tau(0.5).theta)
    2.0
    """
    tau = check_tau(tau, 0, 1, family="clayton")
    return Params(2 * tau / (1 - tau))


def tail_dependence(params: Params) -> TailDependence:
    """Of each pair: 2**(-1/theta) in the lower tail, 0 in the upper.

    >>> print(tail_dependence(Params(1.0)).lower)
    0.5
    """
    theta = as_float(_check(params))
    positive = jnp.where(theta > 0, theta, 1)
    return TailDependence(jnp.where(theta > 0, jnp.exp2(-1 / positive), 0), jnp.zeros_like(theta))


def constrain(vector: Float[Array, "1"], dim: int) -> Params:
    """theta = log(1 + exp(vector)), which reaches independence at one end and is linear at the other.

    >>> print(constrain(jnp.array([0.0]), 3).theta.round(4))
    0.6931
    """
    return Params(jax.nn.softplus(as_float(vector)[0]))


def unconstrain(params: Params, dim: int) -> Float[Array, "1"]:
    """Inverse of :func:`constrain`; theta = 0 is at minus infinity.

    >>> print(unconstrain(Params(1.0), 3).round(4))
    [0.5413]
    """
    return softplus_inverse(as_float(_check(params)))[None]


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """Inversion of the mean of Kendall's tau over the pairs."""
    return from_kendall_tau(_archimedean.mean_tau(u, mask, 0))


COPULA = Copula(
    "clayton",
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
