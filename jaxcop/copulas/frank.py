"""The Frank copula: no tail dependence; any real theta in two dimensions, theta >= 0 above, exact at independence."""

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
    log1p_ratio,
    log_one_minus_exp_ratio,
    log_softplus,
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
    split_cube,
)


class Params(NamedTuple):
    """theta, any real number for d = 2 and at least 0 for more; 0 is independence."""

    theta: Float[Array, ""]


def _check(params: Params, dim: int = 2) -> Array:
    return _archimedean.check_theta(params.theta, -np.inf if dim == 2 else 0)


def _magnitude(theta):
    """abs(theta), with the derivative of theta itself at zero.

    At least eps**2, where the copula differs from independence by less than that, and quotients by theta and its square
    stay finite.
    """
    size = jnp.where(theta < 0, -theta, theta)
    return size + jax.lax.stop_gradient(jnp.maximum(size, jnp.finfo(theta.dtype).eps ** 2) - size)


def _reflect(u, theta):
    """A negative theta is the positive one at 1 - u_2."""
    last = jnp.arange(u.shape[-1]) == 1
    return jnp.where(last & (theta < 0), 1 - u, u)


def _log_generator(u, theta):
    """log phi(u), phi(u) = log[(1 - exp(-theta)) / (1 - exp(-theta u))], as log(1 + r) of the excess r of the ratio."""
    log_ratio = log_one_minus_exp_ratio(theta * (1 - u)) - log_one_minus_exp_ratio(theta * u)
    return log_softplus(jnp.log1p(-u) - jnp.log(u) + log_ratio - theta * u)


def _log_odds(log_t, theta):
    """log(1 - h) and log(h / (1 - h)) at h = (1 - exp(-theta)) exp(-t)."""
    log_g = jnp.logaddexp(log_softplus(-theta - log1mexp(theta)), log_t)
    log_rest = log1mexpexp(log_g)
    return log_rest, -jnp.exp(log_g) - log_rest


def _log_coefficients(dim, degrees):
    """log [k! S2(m, k+1)] for k = 1..dim-1, by rows m of ``degrees``."""
    return _archimedean.log_stirling(dim)[degrees, 1:] + scipy.special.gammaln(np.arange(1, dim) + 1.0)


def _log_series(log_y, log_coefficients):
    """log [1 + sum_{k>=1} c_k y**k]."""
    return jax.nn.softplus(_archimedean.log_polynomial(jnp.asarray(log_coefficients, log_y.dtype), log_y) + log_y)


def _share(x, theta, change):
    """(1 - exp(-theta x)) / (1 - exp(-theta)) from ``change`` = exp(-theta x) - 1; x at theta = 0.

    The series keeps the second derivative in theta, in which the quotient loses 1 / theta digits; its error is 1e-18.
    """
    near = theta < 1e-3
    mild, far = jnp.where(near, theta, 0), jnp.where(near, 1, theta)
    series = [jnp.polyval(jnp.array([1 / 120, -1 / 24, 1 / 6, -1 / 2, 1], x.dtype), mild * y) for y in (x, 1)]
    return jnp.where(near, x * series[0] / series[1], change / jnp.expm1(-far))


def _log_rest_of_two(u, theta):
    """log(1 - h) of two coordinates, from the smaller one and their distance or, for theta < 1, from h itself.

    With e(x) = exp(-theta x): (1 - h) (1 - e(1)) = e(low) [1 - e(1-low) + e(distance) (1 - e(low))].
    """
    first, second = u[..., 0], u[..., 1]
    weak = theta < 1
    low, high = _archimedean.in_order(first, second)
    one = jnp.expm1(-theta * jnp.where(weak, first, high - low))
    two = jnp.expm1(-theta * jnp.where(weak, second, low))
    rest = (jnp.expm1(-theta * (1 - low)) + (1 + one) * two) / jnp.expm1(-jnp.where(weak, 1, theta))
    return jnp.log1p(jnp.where(weak, one * _share(second, theta, two), rest - 1)) - jnp.where(weak, 0, theta * low)


def _log_rest(u, theta):
    """log(1 - h) and h for h = (1 - e(1))**(1-d) prod (1 - e(u_i)), e(x) = exp(-theta x).

    1 - h grows column by column from e(u_1): times (1 - e(u_j)) / (1 - e(1)), plus (e(u_j) - e(1)) / (1 - e(1)), both
    positive. With the smallest coordinate taken out it never underflows. For theta < 1 from h itself.
    """
    first, *others = jnp.unstack(u, axis=-1)
    lowest = jax.lax.stop_gradient(reduce(jnp.minimum, others, first))
    rest, h = jnp.exp(-theta * (first - lowest)), -jnp.expm1(-theta * first)
    for v in others:
        below = _share(v, theta, jnp.expm1(-theta * v))
        above = jnp.exp(-theta * (v - lowest)) * _share(1 - v, theta, jnp.expm1(-theta * (1 - v)))
        rest, h = rest * below + above, h * below
    weak = theta < 1
    return jnp.log1p(jnp.where(weak, -h, rest - 1)) - jnp.where(weak, 0, theta * lowest), h


@_archimedean.with_forward_slope
def _logpdf(u, theta):
    inside, safe = split_cube(u)
    dim = u.shape[-1]
    safe, theta = _reflect(safe, theta), _magnitude(theta)
    if dim == 2:
        log_rest = _log_rest_of_two(safe, theta)
        series = -log_rest
    else:
        log_rest, h = _log_rest(safe, theta)
        log_y = jnp.log(jnp.maximum(h, jnp.finfo(h.dtype).tiny)) - log_rest
        series = _log_series(log_y, _log_coefficients(dim, dim - 1))
    # Not one by one for many columns: rounding grows with their number, and theta magnifies it.
    total = sum(jnp.unstack(safe, axis=-1)) if dim == 2 else jnp.sum(safe, -1)
    powers = (1 - dim) * log_one_minus_exp_ratio(theta) - theta * total
    return jnp.where(inside, powers - log_rest + series, -jnp.inf)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density of the Frank copula; -inf outside the open cube.

    With 1 - exp(-theta u_i) multiplied to h = (1 - exp(-theta))**(1-d) prod (1 - exp(-theta u_i)) and y = h / (1-h),
    log c = (d-1) log(theta / (1 - exp(-theta))) - theta sum u_i - log(1-h) + log sum_{k<d} k! S2(d, k+1) y**k.
    Raises ValueError for theta < 0 in more than two dimensions. Sources: Frank (1979); Hofert, Maechler and McNeil
    (2012).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(5.0)).round(4))
    -0.5419
    """
    u = check_points(u)
    return _logpdf(*promote(u, _check(params, u.shape[-1])))


def _generate(log_t, theta):
    """psi(t) = -log(1 - (1 - exp(-theta)) exp(-t)) / theta."""
    t = jnp.exp(log_t)
    log_h = log1mexp(theta) - t
    small = log_h < -1
    near_zero = -jnp.log1p(-jnp.exp(jnp.where(small, log_h, -1)))
    log_rest = log1mexpexp(log_t)
    return jnp.where(small, near_zero, -jnp.logaddexp(log_rest, -theta - t)) / theta


@jax.jit
def _cdf(u, theta):
    size = _magnitude(theta)
    joint = _generate(jax.scipy.special.logsumexp(_log_generator(u, size), -1), size)
    # log(1 + prod (exp(s u_i) - 1) / (exp(s) - 1)) / s for s = -theta > 0
    log_product = jnp.sum(size * u + log1mexp(size * u), -1) - size - log1mexp(size)
    return jnp.where(theta < 0, jax.nn.softplus(log_product) / size, joint)


def cdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Distribution function, u inside the open cube.

    C(u) = -log(1 + (exp(-theta) - 1)**(1-d) prod (exp(-theta u_i) - 1)) / theta.

    >>> print(cdf(jnp.array([0.5, 0.5]), Params(0.0)).round(4))
    0.25
    """
    u = check_inside(u)
    return _cdf(*promote(u, _check(params, u.shape[-1])))


def _conditional(log_gain, log_before, theta, m, log_coefficients):
    """-log P(U_j <= u_j | before): log phi(u_j) and log t_{j-1} of the m = j - 1 coordinates before."""
    rest_before, y_before = _log_odds(log_before, theta)
    rest_after, y_after = _log_odds(jnp.logaddexp(log_before, log_gain), theta)
    change = _log_series(y_after, log_coefficients) - _log_series(y_before, log_coefficients)
    return jnp.exp(log_gain) + rest_after - rest_before - change


def _all_coefficients(theta, dim):
    return jnp.asarray(_log_coefficients(dim, np.arange(dim - 1)), theta.dtype)


def _solve_two(u, w, theta):
    """With e = exp(-theta u_1): 1 - exp(-theta u_2) = q = w (1 - exp(-theta)) / (e + w (1 - e))."""
    log_e = -theta * u
    log_below = jnp.logaddexp(log_e, jnp.log(w) + log1mexp(-log_e))
    log_share = jnp.log(w) - log_below + log_one_minus_exp_ratio(theta)  # of q / theta
    q = jnp.exp(log_share + jnp.log(theta))
    small = q < 0.5
    mild = jnp.where(small, q, 0.5)
    log_rest = jnp.logaddexp(log_e + jnp.log1p(-w), jnp.log(w) - theta) - log_below
    return jnp.where(small, jnp.exp(log_share) * log1p_ratio(-mild), -log_rest / theta)


_positive_rosenblatt, _positive_inverse = _archimedean.rosenblatt_pair(
    _log_generator, _generate, _conditional, _all_coefficients, _solve_two
)


@jax.jit
def _rosenblatt(u, theta):
    return _reflect(_positive_rosenblatt(_reflect(u, theta), _magnitude(theta)), theta)


@jax.jit
def _inverse_rosenblatt(w, theta):
    return open_unit(_reflect(_positive_inverse(_reflect(w, theta), _magnitude(theta)), theta))


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order, ratios of polylogarithms.

    Source: Hofert, Maechler and McNeil (2012).

    >>> print(rosenblatt(jnp.array([0.2, 0.6]), Params(5.0)).round(4))
    [0.2    0.8904]
    """
    u = check_inside(u)
    return _rosenblatt(*promote(u, _check(params, u.shape[-1])))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt`: closed in two dimensions, by Newton's method with exact derivatives above.

    >>> print(inverse_rosenblatt(jnp.array([0.2, 0.8904]), Params(5.0)).round(3))
    [0.2 0.6]
    """
    w = check_inside(w, name="w")
    return _inverse_rosenblatt(*promote(w, _check(params, w.shape[-1])))


@jax.jit(static_argnames="shape")
def _sample(key, theta, shape):
    if shape[-1] == 2:
        return _inverse_rosenblatt(uniforms(key, shape, theta.dtype), theta)
    theta = _magnitude(theta)
    first_key, second_key, key = jax.random.split(key, 3)
    # A logarithmic variable (Kemp 1981): the integer part of 1 + log(v2) / log(1 - exp(-theta v1)), in logs.
    v1 = uniforms(first_key, shape[:-1], theta.dtype)
    v2 = uniforms(second_key, shape[:-1], theta.dtype)
    log_ratio = jnp.log(-jnp.log(v2)) - log_softplus(-theta * v1 - log1mexp(theta * v1))
    log_mixing = jnp.where(log_ratio > 20, log_ratio, jnp.log(jnp.floor(1 + jnp.exp(jnp.minimum(log_ratio, 20)))))
    return _archimedean.sample_by_mixing(key, _generate, log_mixing, theta, shape)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``: by conditional inversion for d = 2, else exponentials over one logarithmic variable.

    Source: Marshall and Olkin (1988).

    >>> print(sample(jax.random.key(0), Params(5.0), (5, 3)).shape)
    (5, 3)
    """
    shape = check_shape(shape)
    return _sample(key, as_float(_check(params, shape[-1])), shape)


# tau / theta = 4 sum_k B_2k theta**(2k-2) / ((2k+1) (2k)!), whose terms fall by (theta / 2 pi)**2.
_BERNOULLI = [
    4 * float(b) / ((2 * k + 1) * float(scipy.special.factorial(2 * k)))
    for k, b in enumerate(scipy.special.bernoulli(60)[2::2], 1)
]


def _tau(theta):
    """tau for theta > 0: Bernoulli's series up to 3, above it pi**2/6 less an exponentially falling tail."""
    small = theta < 3
    mild, large = jnp.where(small, theta, 1), jnp.where(small, 3, theta)
    series = mild * jnp.polyval(jnp.asarray(_BERNOULLI[::-1], theta.dtype), mild**2)
    k = jnp.arange(1, 15, dtype=theta.dtype)
    x = large[..., None]
    tail = jnp.sum(jnp.exp(-k * x) * (x / k + 1 / k**2), -1)
    debye = (float(np.pi**2 / 6) - tail) / large
    return jnp.where(small, series, 1 - 4 / large * (1 - debye))


def kendall_tau(params: Params) -> Float[Array, ""]:
    """tau = 1 - 4 (1 - D(theta)) / theta, D(x) = int_0^x t / (exp(t) - 1) dt / x (Debye). Source: Nelsen (1986).

    >>> print(kendall_tau(Params(5.0)).round(4))
    0.4567
    """
    theta = as_float(_check(params))
    return jnp.where(theta < 0, -1, 1) * _tau(_magnitude(theta))


def from_kendall_tau(tau: Float[Array, ""]) -> Params:
    """Inverse of :func:`kendall_tau` for tau in (-1, 1), by Newton's method; ValueError elsewhere.

    >>> print(from_kendall_tau(-0.4567).theta.round(3))
    -5.0
    """
    tau = check_tau(tau, -1, 1, family="frank")
    sign = jnp.where(tau < 0, -1, 1)
    size = sign * tau
    return Params(sign * _archimedean.invert_tau(_tau, size, 9 * size / (1 - size) * (1 - 5 / 9 * size)))


def tail_dependence(params: Params) -> TailDependence:
    """Zero in both tails.

    >>> print(tail_dependence(Params(5.0)).upper)
    0.0
    """
    zero = jnp.zeros_like(as_float(_check(params)))
    return TailDependence(zero, zero)


def constrain(vector: Float[Array, "1"], dim: int) -> Params:
    """theta = vector for dim = 2, log(1 + exp(vector)) above.

    >>> print(constrain(jnp.array([0.0]), 3).theta.round(4))
    0.6931
    """
    value = as_float(vector)[0]
    return Params(value if dim == 2 else jax.nn.softplus(value))


def unconstrain(params: Params, dim: int) -> Float[Array, "1"]:
    """Inverse of :func:`constrain`; for dim > 2 theta = 0 is at minus infinity.

    >>> print(unconstrain(Params(-2.0), 2))
    [-2.]
    """
    theta = as_float(_check(params, dim))
    return (theta if dim == 2 else softplus_inverse(theta))[None]


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """Inversion of the mean of Kendall's tau over the pairs."""
    return from_kendall_tau(_archimedean.mean_tau(u, mask, -1 + 1e-6 if u.shape[1] == 2 else 0))


COPULA = Copula(
    "frank",
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
