"""The Joe copula, theta >= 1, in any dimension: upper tail dependence, exact from independence to theta = 1000.

For lower tail dependence see ``survival``, for negative dependence in two dimensions ``rotated``.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float

from jaxcop._numerics import (
    as_float,
    log1mexp,
    log1mexpexp,
    log_softplus,
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
    split_cube,
)


class Params(NamedTuple):
    """theta >= 1; 1 is independence."""

    theta: Float[Array, ""]


def _check(params: Params) -> Array:
    return _archimedean.check_theta(params.theta, 1)


def _log_generator(u, theta):
    """log phi(u), phi(u) = -log(1 - (1 - u)**theta)."""
    a = -theta * jnp.log1p(-u)
    return log_softplus(-a - log1mexp(a))


def _log_coefficients(theta, dim, degrees):
    """log [S2(m, k+1) Gamma(k+1-1/theta) / Gamma(2-1/theta)] for k = 1..dim-2, by rows m of ``degrees``."""
    k = jnp.arange(2, dim, dtype=theta.dtype)
    rising = jnp.concatenate([jnp.zeros(1, theta.dtype), jnp.cumsum(jnp.log(k - 1 / theta))])
    stirling = _archimedean.log_stirling(dim)[degrees, 1:]
    return jnp.asarray(stirling, theta.dtype) + rising


def _log_series(log_x, theta, log_coefficients):
    """log [1 + (1 - 1/theta) sum_{k>=1} c_k x**k]."""
    log_sum = _archimedean.log_polynomial(log_coefficients, log_x) + log_x
    return _archimedean.log1p_product((theta - 1) / theta, log_sum)


def _log_odds(log_t):
    """log(1 - h) and log(h / (1 - h)) at h = exp(-t)."""
    log_rest = log1mexpexp(log_t)
    return log_rest, -jnp.exp(log_t) - log_rest


def _log_rest(log_powers):
    """log(1 - h) and h for h = prod (1 - A_i), from the columns log A_i.

    1 - h grows column by column, times 1 - A_j, plus A_j; with the largest A taken out it never underflows.
    """
    highest = jax.lax.stop_gradient(reduce(jnp.maximum, log_powers))
    rest, h = jnp.zeros_like(highest), jnp.ones_like(highest)
    for log_power in log_powers:
        below = -jnp.expm1(log_power)
        rest, h = rest * below + jnp.exp(log_power - highest), h * below
    return jnp.log(rest) + highest, h


def _log_density_of_two(logs, theta):
    """With Q = 1 - h = A + B - A B: (theta - 1) (log(1-u) + log(1-v) - log(Q) / theta) + log(1 + (theta - 1) / Q)."""
    lowest, highest = _archimedean.in_order(*logs)
    over = jnp.exp(-theta * (highest - lowest)) * -jnp.expm1(theta * highest)
    log_q = theta * highest + jnp.log1p(over)
    # Where 1 / Q overflows theta is not near 1, and the last term log(theta - 1) - log(Q).
    bounded = jnp.maximum(log_q, 0.9 * np.log(jnp.finfo(log_q.dtype).tiny))
    series = jnp.log1p((theta - 1) * jnp.exp(-bounded)) + (bounded - log_q)
    return (theta - 1) * (sum(logs) - log_q / theta) + series


@_archimedean.with_forward_slope
def _logpdf(u, theta):
    inside, safe = split_cube(u)
    dim = u.shape[-1]
    logs = [jnp.log1p(-column) for column in jnp.unstack(safe, axis=-1)]
    if dim == 2:
        return jnp.where(inside, _log_density_of_two(logs, theta), -jnp.inf)
    log_rest, h = _log_rest([theta * log for log in logs])
    log_x = jnp.log(jnp.maximum(h, jnp.finfo(h.dtype).tiny)) - log_rest
    series = _log_series(log_x, theta, _log_coefficients(theta, dim, dim - 1))
    powers = (theta - 1) * (sum(logs) - log_rest / theta)
    return jnp.where(inside, (dim - 1) * jnp.log(theta) + powers + series, -jnp.inf)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density of the Joe copula; -inf outside the open cube.

    With h = prod (1 - (1-u_i)**theta), a = 1/theta and x = h / (1-h), log c = (d-1) log theta
    + (theta-1) sum log(1-u_i) - (1-a) log(1-h) + log sum_{k<d} S2(d, k+1) Gamma(k+1-a)/Gamma(1-a) x**k.
    Raises ValueError for theta < 1. Sources: Joe (1993); Hofert, Maechler and McNeil (2012).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(2.0)).round(4))
    -0.1958
    """
    return _logpdf(*promote(check_points(u), _check(params)))


def _generate(log_t, theta):
    """psi(t) = 1 - (1 - exp(-t))**(1/theta)."""
    return -jnp.expm1(_log_odds(log_t)[0] / theta)


@jax.jit
def _cdf(u, theta):
    return _generate(jax.scipy.special.logsumexp(_log_generator(u, theta), -1), theta)


def cdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Distribution function C(u) = 1 - (1 - prod (1 - (1-u_i)**theta))**(1/theta), u inside the open cube.

    >>> print(cdf(jnp.array([0.5, 0.5]), Params(1.0)).round(4))
    0.25
    """
    return _cdf(*promote(check_inside(u), _check(params)))


def _conditional(log_gain, log_before, theta, m, log_coefficients):
    """-log P(U_j <= u_j | before): log phi(u_j) and log t_{j-1} of the m = j - 1 coordinates before."""
    log_after = jnp.logaddexp(log_before, log_gain)
    rest_before, x_before = _log_odds(log_before)
    rest_after, x_after = _log_odds(log_after)
    change = _log_series(x_after, theta, log_coefficients) - _log_series(x_before, theta, log_coefficients)
    return jnp.exp(log_gain) + (theta - 1) / theta * (rest_after - rest_before) - change


def _all_coefficients(theta, dim):
    return _log_coefficients(theta, dim, np.arange(dim - 1))


def _solve_two(u, w, theta):
    """From A = (1-u_1)**theta, B = (1-u_2)**theta and exp(z) = 1 + B (1-A) / A, with o = A / (1-A), a = 1 - 1/theta:

    o (exp(z) - 1) + w (exp(a z) - 1) = 1 - w, where the first term is B. All terms are positive; from the smallest of
    the roots of three functions below, three steps of third order reach rounding for all u_1, theta and w.
    """
    a = (theta - 1) / theta
    log_a = theta * jnp.log1p(-u)
    # Larger odds give the same root, at a z that underflows.
    log_odds = jnp.minimum(log_a - log1mexp(-log_a), -2 * np.log(jnp.finfo(w.dtype).eps))
    odds = jnp.exp(log_odds)
    tangent, either = (1 - w) / (odds + a * w), jnp.log1p((1 - w) / odds)
    z = jnp.minimum(jnp.minimum(either, tangent), -jnp.log(w) / a)
    # o exp(z) is taken in logs, as o may underflow where B**(1/theta) does not.
    grown = jnp.exp(log_odds + z)
    first = jnp.where(z < 1, odds * jnp.expm1(jnp.minimum(z, 1)), grown - odds)
    second = jnp.expm1(a * z)
    for _ in range(3):
        slope = grown + a * w * (1 + second)
        s = _archimedean.box_cox_root(grown / slope, (1 - w - first - w * second) / slope, a)
        move = jnp.log1p(s)
        first, second = first + grown * s, second + (1 + second) * jnp.expm1(a * move)
        grown, z = grown * (1 + s), z + move
    rest = w * (1 + second)
    strong = odds < jnp.finfo(w.dtype).eps
    log_b = jnp.where(strong, log_odds + z + jnp.log(-jnp.expm1(-z)), jnp.log(first))
    # Not up to 1/2: below -0.35 log1p of XLA loses two digits in float64.
    log_b = jnp.where(rest < 0.25, jnp.log1p(-rest), log_b)
    return -jnp.expm1(log_b / theta)


_rosenblatt, _inverse_rosenblatt = _archimedean.rosenblatt_pair(
    _log_generator, _generate, _conditional, _all_coefficients, _solve_two
)


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order, ratios of derivatives of the generator 1 - (1 - exp(-t))**(1/theta).

    Source: Hofert, Maechler and McNeil (2012).

    >>> print(rosenblatt(jnp.array([0.2, 0.6]), Params(1.5)).round(4))
    [0.2    0.7235]
    """
    return _rosenblatt(*promote(check_inside(u), _check(params)))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt` by Newton's method, with exact derivatives.

    >>> print(inverse_rosenblatt(jnp.array([0.2, 0.7235]), Params(1.5)).round(3))
    [0.2 0.6]
    """
    return _inverse_rosenblatt(*promote(check_inside(w, name="w"), _check(params)))


@jax.jit(static_argnames="shape")
def _sample(key, theta, shape):
    mixing_key, key = jax.random.split(key)
    a = 1 / theta
    # V of Sibuya's law, P(V > n) = 1 / (n B(n, 1-a)): invert its tail n**-a / Gamma(1-a), then step to an integer
    # where that matters (Hofert 2011).
    v = uniforms(mixing_key, shape[:-1], theta.dtype)
    log_v = -theta * (jnp.log(v) + jax.scipy.special.gammaln(1 - a))
    whole = jnp.maximum(jnp.floor(jnp.exp(jnp.minimum(log_v, 20))), 1)
    log_tail = -jnp.log(whole) - jax.scipy.special.betaln(whole, 1 - a)
    whole = jnp.where(log_tail > jnp.log(v), whole + 1, whole)
    log_v = jnp.where(log_v > 20, log_v, jnp.log(whole))
    log_v = jnp.where(v <= 1 - a, log_v, 0)
    return _archimedean.sample_by_mixing(key, _generate, log_v, theta, shape)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``: exponentials over one Sibuya variable per point (Marshall and Olkin 1988).

    >>> print(sample(jax.random.key(0), Params(2.0), (5, 3)).shape)
    (5, 3)
    """
    return _sample(key, as_float(_check(params)), check_shape(shape))


# (digamma(1+a) - digamma(2)) / (a - 1) in powers of a - 1, which lies in [-1, 1]; zeta(n+1) - 1 halves with each term.
_DIGAMMA = [(-1.0) ** (n + 1) * float(scipy.special.zetac(n + 1)) for n in range(1, 56)]


def _tau(theta):
    a = 2 / theta
    return 1 - a * jnp.polyval(jnp.asarray(_DIGAMMA[::-1], a.dtype), a - 1)


def kendall_tau(params: Params) -> Float[Array, ""]:
    """tau = 1 + 2 (digamma(2) - digamma(2/theta + 1)) / (2 - theta), 1 - trigamma(2) at theta = 2.

    >>> print(kendall_tau(Params(2.0)).round(4))
    0.3551
    """
    return _tau(as_float(_check(params)))


def from_kendall_tau(tau: Float[Array, ""]) -> Params:
    """Inverse of :func:`kendall_tau` for tau in [0, 1), by Newton's method; ValueError elsewhere.

    >>> print(from_kendall_tau(0.3551).theta.round(3))
    2.0
    """
    tau = check_tau(tau, 0, 1, family="joe")
    # Rounding near independence may end below 1.
    theta = _archimedean.invert_tau(_tau, tau, (1 + tau) / (1 - tau))
    # Rounding below 1 is cut off, its derivative is not.
    return Params(theta + jax.lax.stop_gradient(jnp.maximum(theta, 1) - theta))


def tail_dependence(params: Params) -> TailDependence:
    """Of each pair: 0 in the lower tail, 2 - 2**(1/theta) in the upper.

    >>> print(tail_dependence(Params(2.0)).upper.round(4))
    0.5858
    """
    theta = as_float(_check(params))
    return TailDependence(jnp.zeros_like(theta), _archimedean.upper_tail(theta))


def constrain(vector: Float[Array, "1"], dim: int) -> Params:
    """theta = 1 + log(1 + exp(vector)).

    >>> print(constrain(jnp.array([0.0]), 3).theta.round(4))
    1.6931
    """
    return Params(1 + jax.nn.softplus(as_float(vector)[0]))


def unconstrain(params: Params, dim: int) -> Float[Array, "1"]:
    """Inverse of :func:`constrain`; theta = 1 is at minus infinity.

    >>> print(unconstrain(Params(2.0), 3).round(4))
    [0.5413]
    """
    return softplus_inverse(as_float(_check(params)) - 1)[None]


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """Inversion of the mean of Kendall's tau over the pairs."""
    return from_kendall_tau(_archimedean.mean_tau(u, mask, 0))


COPULA = Copula(
    "joe",
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
