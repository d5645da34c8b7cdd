"""The Gumbel copula, theta >= 1, in any dimension: upper tail dependence, exact from independence to theta = 1000.

For lower tail dependence see ``survival``, for negative dependence in two dimensions ``rotated``.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop._numerics import as_float, promote, softplus_inverse, uniforms
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
    """theta >= 1; 1 is independence, tau = 1 - 1 / theta."""

    theta: Float[Array, ""]


def _check(params: Params) -> Array:
    return _archimedean.check_theta(params.theta, 1)


def _log_coefficients(theta, dim):
    """log c_{m,k}, rows m = 2..dim and columns j = m - k - 1 = 0..dim - 2; ``LOG_ZERO`` where j > m - 2.

    The m-th derivative of the generator is (-1)**m psi(t) (x/t)**m theta**-m [1 + (theta - 1) sum_k c_{m,k} x**(k-m)],
    c_{m,m-1} = (m-1) + c_{m-1,m-2} and c_{m+1,k} = ((m-k) theta + k (theta-1)) c_{m,k} + c_{m,k-1}: no minus sign.
    """
    j = jnp.arange(dim - 1, dtype=theta.dtype)
    first = jnp.where(j == 0, 0.0, _archimedean.LOG_ZERO).astype(theta.dtype)

    def step(row, m):
        # From m to m + 1: column j = m - k of the new row comes from j - 1 (same k) and from j (k - 1) of the old one.
        factor = jnp.maximum(j * theta + (m - j) * (theta - 1), 1)
        carried = jnp.concatenate([jnp.log(m)[None], (jnp.log(factor)[1:] + row[:-1])])
        new = jnp.logaddexp(carried, row)
        new = jnp.where(j <= m - 1, new, _archimedean.LOG_ZERO)
        return new, new

    if dim == 2:
        return first[None]
    _, rows = jax.lax.scan(step, first, jnp.arange(2, dim, dtype=theta.dtype))
    return jnp.concatenate([first[None], rows])


def _log_series(log_x, theta, log_coefficients):
    """log [1 + (theta - 1) sum_j c_j x**-(j+1)]."""
    log_r = _archimedean.log_polynomial(log_coefficients, -log_x) - log_x
    return _archimedean.log1p_product(theta - 1, log_r)


@_archimedean.with_forward_slope
def _logpdf(u, theta):
    inside, safe = split_cube(u)
    dim = u.shape[-1]
    columns = [-jnp.log(column) for column in jnp.unstack(safe, axis=-1)]
    if dim == 2:  # the larger share is 1
        smallest, largest = _archimedean.in_order(*columns)
        others, first = [smallest], 1.0
    else:
        largest, others, first = reduce(jnp.maximum, columns), columns, 0.0
    shares = [column / largest for column in others]
    logs = [jnp.log(share) for share in shares]
    # x / sum(l_i) and its log from shares**theta - shares, so that a theta near 1 keeps its digits.
    total = first + sum(shares)
    drop = sum(share * jnp.expm1((theta - 1) * log) for share, log in zip(shares, logs, strict=True))
    log_total = jnp.log(total)
    log_ratio = -(jnp.log1p(-drop / (total + drop)) + (theta - 1) * log_total) / theta
    excess = largest * total * jnp.expm1(log_ratio)
    if dim == 2:
        series = jnp.log1p((theta - 1) / (largest * total + excess))
    else:
        log_x = jnp.log(largest) + log_total + log_ratio
        series = _log_series(log_x, theta, _log_coefficients(theta, dim)[-1])
    value = (theta - 1) * (sum(logs) - dim * (log_total + log_ratio)) - excess + series
    return jnp.where(inside, value, -jnp.inf)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density of the Gumbel copula; -inf outside the open cube.

    With l_i = -log u_i and x = (sum l_i**theta)**(1/theta),
    log c = sum l_i - x + (theta - 1) sum log(l_i / x) + log [1 + (theta - 1) sum_{k<d} c_{d,k} x**(k-d)], where the
    c_{d,k} > 0 follow a two-term recursion. Raises ValueError for theta < 1.
    Sources: Gumbel (1960); Hofert, Maechler and McNeil (2012).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(1.5)).round(4))
    -0.1583
    """
    return _logpdf(*promote(check_points(u), _check(params)))


def _log_generator(u, theta):
    """log phi(u), phi(u) = (-log u)**theta."""
    return theta * jnp.log(-jnp.log(u))


def _generate(log_t, theta):
    """psi(t) = exp(-t**(1/theta))."""
    return jnp.exp(-jnp.exp(log_t / theta))


@jax.jit
def _cdf(u, theta):
    return _generate(jax.scipy.special.logsumexp(_log_generator(u, theta), -1), theta)


def cdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Distribution function C(u) = exp(-(sum (-log u_i)**theta)**(1/theta)), u inside the open cube.

    >>> print(cdf(jnp.array([0.5, 0.5]), Params(1.0)).round(4))
    0.25
    """
    return _cdf(*promote(check_inside(u), _check(params)))


def _all_coefficients(theta, dim):
    """One row per m = 1..dim-1; the first derivative of the generator has no series."""
    empty = jnp.full((1, dim - 1), _archimedean.LOG_ZERO, theta.dtype)
    return jnp.concatenate([empty, _log_coefficients(theta, dim)[:-1]])


def _conditional(log_gain, log_before, theta, m, log_coefficients):
    """-log P(U_j <= u_j | before) for m = j - 1 coordinates before: log phi(u_j) and log t_{j-1} in.

    With s = log(t_j / t_{j-1}) it is x_{j-1} expm1(s / theta) + m (1 - 1/theta) s - the change of the log-series.
    """
    s = jax.nn.softplus(log_gain - log_before)
    log_x = log_before / theta
    rest = jnp.exp(log_x) * jnp.expm1(s / theta) + m * (1 - 1 / theta) * s
    after = _log_series(log_x + s / theta, theta, log_coefficients)
    return rest - (after - _log_series(log_x, theta, log_coefficients))


def _solve_two(u, w, theta):
    """From x = -log u_1 and y = (x**theta + l_2**theta)**(1/theta): y - x + (theta - 1) log(y / x) = -log w.

    In s = y / x - 1 four steps of third order reach rounding for all x, theta and w, from the smaller of the roots
    of two functions below.
    """
    x, target = -jnp.log(u), -jnp.log(w)
    s = jnp.minimum(jnp.expm1(jnp.minimum(target / (x + theta - 1), 80)), target / x)
    for _ in range(4):
        slope = x * (1 + s) + theta - 1
        left = target - x * s - (theta - 1) * jnp.log1p(s)
        s = s + (1 + s) * _archimedean.box_cox_root(x * (1 + s) / slope, left / slope, 0)
    return jnp.exp(-x * (1 + s) * jnp.exp(jnp.log(-jnp.expm1(-theta * jnp.log1p(s))) / theta))


_rosenblatt, _inverse_rosenblatt = _archimedean.rosenblatt_pair(
    _log_generator, _generate, _conditional, _all_coefficients, _solve_two
)


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order, ratios of derivatives of the generator exp(-t**(1/theta)).

    Source: Hofert, Maechler and McNeil (2012).

    >>> print(rosenblatt(jnp.array([0.2, 0.6]), Params(1.5)).round(4))
    [0.2    0.7855]
    """
    return _rosenblatt(*promote(check_inside(u), _check(params)))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt` by Newton's and Halley's method, with exact derivatives.

    >>> print(inverse_rosenblatt(jnp.array([0.2, 0.7855]), Params(1.5)).round(3))
    [0.2 0.6]
    """
    return _inverse_rosenblatt(*promote(check_inside(w, name="w"), _check(params)))


@jax.jit(static_argnames="shape")
def _sample(key, theta, shape):
    angle_key, mixing_key, key = jax.random.split(key, 3)
    a = 1 / theta
    # log of a positive stable variable (Kanter 1975)
    angle = jnp.pi * uniforms(angle_key, shape[:-1], theta.dtype)
    log_exponential = _archimedean.log_exponentials(mixing_key, shape[:-1], theta.dtype)

    def log_sine(x):
        return jnp.log(jnp.maximum(jnp.sin(x), jnp.finfo(x.dtype).tiny))

    log_kernel = (a * log_sine(a * angle) + (1 - a) * log_sine((1 - a) * angle) - log_sine(angle)) * theta
    log_stable = log_kernel - (theta - 1) * log_exponential
    return _archimedean.sample_by_mixing(key, _generate, log_stable, theta, shape)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``: exponentials over one positive stable variable per point (Marshall and Olkin 1988).

    >>> print(sample(jax.random.key(0), Params(2.0), (5, 3)).shape)
    (5, 3)
    """
    return _sample(key, as_float(_check(params)), check_shape(shape))


def kendall_tau(params: Params) -> Float[Array, ""]:
    """tau = 1 - 1 / theta.

    >>> print(kendall_tau(Params(2.0)))
    0.5
    """
    theta = as_float(_check(params))
    return (theta - 1) / theta


def from_kendall_tau(tau: Float[Array, ""]) -> Params:
    """theta = 1 / (1 - tau) for tau in [0, 1); ValueError elsewhere.

    >>> print(from_kendall_tau(0.5).theta)
    2.0
    """
    return Params(1 / (1 - check_tau(tau, 0, 1, family="gumbel")))


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
    "gumbel",
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
