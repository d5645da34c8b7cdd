"""The Student-t copula: the dependence of a multivariate t, with equal tail dependence at both ends."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float

from jaxcop import correlation as _correlation
from jaxcop._numerics import as_float, concrete, open_unit, promote, uniforms
from jaxcop._student_t import (
    student_t_cdf,
    student_t_log_height,
    student_t_log_peak,
    student_t_quantile,
    student_t_quantile_slope,
    student_t_quantile_terms,
)
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape
from jaxcop.copulas._elliptical import (
    colour,
    correlation_of,
    quadratic,
    solve,
    start_correlation,
    tau_of,
    to_vector,
    whiten,
)

# Where df has unconstrained coordinates: outside, no likelihood on real data tells one value from the next.
DF_BOUNDS = (0.5, 1e4)


class Params(NamedTuple):
    """A positive definite correlation matrix and degrees of freedom df > 0.

    Where a matrix is singular to the precision of its dtype the functions here return NaN: repair it first.
    """

    correlation: Float[Array, "d d"]
    df: Float[Array, ""]


def _check_df(df):
    values = concrete(df)
    if values is not None and not (values.shape == () and np.isfinite(values) and values > 0):
        raise ValueError(f"df: expected one finite number above 0, got {values}; the Gaussian copula is the limit")
    return df


def _check(params: Params) -> Params:
    return Params(*promote(_correlation.check_correlation(params.correlation), _check_df(params.df)))


@jax.jit
def _logpdf(u, correlation, df):
    # Columns first, where loops run along the points.
    return _log_density(u.reshape(-1, u.shape[-1]).T, correlation, df).reshape(u.shape[:-1])


def _log_constant(df, dim):
    # log-gamma of df/2, (df+1)/2 and (df+d)/2 as a sum of neighbouring ratios, none of which cancels.
    k = jnp.arange(dim, dtype=df.dtype)
    return jnp.sum(student_t_log_peak(df + k) - student_t_log_peak(df) + jnp.log1p(k / df) / 2)


def _terms(columns, correlation, df):
    inside = functools.reduce(jnp.logical_and, (columns > 0) & (columns < 1))
    # Points outside are moved to the centre, so that gradients stay finite, and masked at the end.
    p = jnp.where(inside, columns, 0.5)
    x, log_squares, tanh = student_t_quantile_terms(p, df)
    # Squares of x overflow for tiny df: then, and only then, take out the largest log(1 + x**2/df).
    top = functools.reduce(jnp.maximum, jax.lax.stop_gradient(log_squares))
    shift = jnp.where(top > math.log(jnp.finfo(x.dtype).max) / 2, top, 0)
    cosh = jnp.exp((log_squares - shift) / 2)
    z = tanh * cosh
    ratio, half_log_det = quadratic(z, correlation)
    rise = jnp.where(shift > 0, ratio - 1, ratio)
    return inside, p, x, log_squares, tanh, cosh, z, rise, shift + jnp.log1p(rise), half_log_det


@jax.custom_jvp
def _log_density(columns, correlation, df):
    dim = len(columns)
    inside, _, _, log_squares, *_, joint, half_log_det = _terms(columns, correlation, df)
    margins = functools.reduce(jnp.add, log_squares)
    value = _log_constant(df, dim) - half_log_det - (df + dim) / 2 * joint + (df + 1) / 2 * margins
    return jnp.where(inside, value, -jnp.inf)


def _log_density_jvp(primals, tangents):
    """Derivatives on paper, so that a gradient in R and df is a few sums over the points."""
    (columns, correlation, df), (dcolumns, dcorrelation, ddf) = primals, tangents
    dim = len(columns)
    inside, p, x, log_squares, tanh, cosh, z, rise, joint, _ = _terms(columns, correlation, df)
    weight, v = (df + dim) / (1 + rise), solve(z, correlation)
    change = jnp.zeros_like(joint)
    # By y = asinh(x / sqrt(df)) the density changes with (df + 1) tanh(y) - weight v cosh(y).
    if not isinstance(dcolumns, SymbolicZero):
        # Bounded, so that a slope beyond the floats does not become NaN by a zero tangent.
        by_p = -student_t_log_height(log_squares / 2, df)
        by_p = jnp.exp(jnp.minimum(by_p, math.log(jnp.finfo(p.dtype).max)))
        change += sum(
            jnp.where(inside, ((df + 1) * a - weight * b * c) * slope, 0) * dp
            for a, b, c, slope, dp in zip(tanh, v, cosh, by_p, dcolumns, strict=True)
        )
    if not isinstance(ddf, SymbolicZero):
        # At fixed x, where terms of order 1/df cancel on paper; then by x.
        squares, ratio = [a**2 for a in tanh], -jnp.expm1(-joint)
        by_df = sum(a - b for a, b in zip(log_squares, squares, strict=True)) - (joint - ratio)
        by_df = jax.grad(_log_constant)(df, dim) + (by_df + (dim * ratio - sum(squares)) / df) / 2
        slopes = student_t_quantile_slope(p, x, df)
        # Unless one of the sums is a product, xla takes the series apart by rows and does not vectorise it.
        by_x = (df + 1) * jnp.matmul(jnp.ones(dim, z.dtype), tanh**2 * slopes, precision="highest")
        by_x -= weight * sum(a * b * c for a, b, c in zip(v, z, slopes, strict=True))
        by_df += by_x / df**2
        change += jnp.where(inside, by_df, 0) * ddf
    if not isinstance(dcorrelation, SymbolicZero):
        if dim == 2:
            r = correlation[0, 1]
            change += jnp.where(inside, weight * v[0] * v[1] + r / ((1 - r) * (1 + r)), 0) * dcorrelation[0, 1]
        else:
            inverse = solve(jnp.eye(dim, dtype=z.dtype), correlation)
            spread = jnp.sum(v * (dcorrelation @ v), 0)
            change += jnp.where(inside, weight * spread - jnp.sum(inverse * dcorrelation), 0) / 2
    return _log_density(columns, correlation, df), change


_log_density.defjvp(_log_density_jvp, symbolic_zeros=True)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density of the t copula, the multivariate t density over its margins; -inf outside the open cube.

    log c = log G - log(det R)/2 - (df+d)/2 log(1 + x'R**-1 x/df) + (df+1)/2 sum log(1 + x_i**2/df), x = T_df**-1(u),
    G = Gamma((df+d)/2) Gamma(df/2)**(d-1) / Gamma((df+1)/2)**d. Differentiable in u, R and df.
    Raises ValueError unless R is a positive definite correlation matrix and df > 0.
    Source: Demarta and McNeil (2005).

    >>> print(logpdf(jnp.array([0.3, 0.7]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]), 4.0)).round(4))
    -0.1842
    """
    correlation, df = _check(params)
    return _logpdf(*promote(check_points(u, dim=correlation.shape[0]), correlation, df))


@jax.jit
def _rosenblatt(u, correlation, df):
    columns = u.reshape(-1, u.shape[-1]).T
    e = whiten(student_t_quantile(columns, df).T, correlation).T
    # Given j - 1 coordinates with squared norm q the next is t with df + j - 1 and scale**2 = (df + q) / (df + j - 1).
    df_j = df + jnp.arange(1, len(columns), dtype=u.dtype)
    scale = jnp.sqrt((df + jnp.cumsum(e[:-1] ** 2, 0)) / df_j[:, None])
    rest = jax.vmap(student_t_cdf)(e[1:] / scale, df_j)
    return jnp.concatenate([columns[:1], rest]).T.reshape(u.shape)


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order.

    w_j = T_{df+j-1}(e_j sqrt((df+j-1) / (df + e_1**2 + .. + e_{j-1}**2))), e = L**-1 T_df**-1(u).
    Source: Demarta and McNeil (2005).

    >>> print(rosenblatt(jnp.array([0.3, 0.7]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]), 4.0)).round(4))
    [0.3   0.831]
    """
    correlation, df = _check(params)
    return _rosenblatt(*promote(check_inside(u, dim=correlation.shape[0]), correlation, df))


@jax.jit
def _inverse_rosenblatt(w, correlation, df):
    columns = w.reshape(-1, w.shape[-1]).T
    df_j = df + jnp.arange(len(columns), dtype=w.dtype)
    t, log_squares, _ = jax.vmap(student_t_quantile_terms)(columns, df_j)
    # 1 + q_j/df = (1 + q_{j-1}/df) (1 + t_j**2/(df+j-1)): a running product, so no coordinate waits for another.
    before = jnp.cumsum(log_squares, 0) - log_squares
    e = t * jnp.exp(before / 2) * jnp.sqrt(df / df_j)[:, None]
    rest = student_t_cdf(colour(e.T, correlation).T[1:], df)
    return open_unit(jnp.concatenate([columns[:1], rest]).T.reshape(w.shape))


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt`.

    >>> print(inverse_rosenblatt(jnp.array([0.3, 0.831]), Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]), 4.0)).round(3))
    [0.3 0.7]
    """
    correlation, df = _check(params)
    return _inverse_rosenblatt(*promote(check_inside(w, dim=correlation.shape[0], name="w"), correlation, df))


@jax.jit(static_argnames="shape")
def _sample(key, correlation, df, shape):
    dim = shape[-1]
    num_pairs = (dim + 1) // 2
    # A pair of a spherical t has 1 + r**2/df = U**(-2/df) (Bailey 1994); given pairs before it with squared norm q the
    # next is t with df + 2 for each and scale**2 = (df + q) / df', so that 1 + q/df is a running product.
    radial, angular = uniforms(key, (2, num_pairs, math.prod(shape[:-1])), df.dtype)
    grow = -2 * jnp.log(radial) / (df + 2 * jnp.arange(num_pairs, dtype=df.dtype))[:, None]
    log_length = jnp.cumsum(grow, 0) / 2 + jnp.log(-jnp.expm1(-grow)) / 2 + jnp.log(df) / 2
    length = jnp.exp(jnp.minimum(log_length, math.log(jnp.finfo(df.dtype).max / (2 * dim))))
    angle = 2 * math.pi * angular
    e = jnp.stack([length * jnp.cos(angle), length * jnp.sin(angle)]).reshape(2 * num_pairs, -1)[:dim]
    return open_unit(student_t_cdf(colour(e.T, correlation).T, df)).T.reshape(shape)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``: the margin's cdf of a multivariate t, drawn pair by pair (Bailey 1994).

    >>> print(sample(jax.random.key(0), Params(jnp.eye(3), 4.0), (5, 3)).shape)
    (5, 3)
    """
    correlation, df = _check(params)
    shape = check_shape(shape, dim=correlation.shape[0])
    return _sample(key, correlation, df, shape)


def kendall_tau(params: Params) -> Float[Array, "d d"]:
    """tau = 2/pi asin(R), entry by entry, whatever df.

    >>> print(kendall_tau(Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]), 4.0)).round(4))
    [[1.     0.3333]
     [0.3333 1.    ]]
    """
    return tau_of(_check(params).correlation)


def from_kendall_tau(tau: Float[Array, "d d"], *, df: float = 4.0) -> Params:
    """R = sin(pi tau / 2), entry by entry; tau says nothing about ``df``, which is passed through.

    >>> print(from_kendall_tau(jnp.array([[1.0, 1 / 3], [1 / 3, 1.0]])).correlation.round(4))
    [[1.  0.5]
     [0.5 1. ]]
    """
    return Params(*promote(correlation_of(tau), _check_df(df)))


def tail_dependence(params: Params) -> TailDependence:
    """2 T_{df+1}(-sqrt((df+1)(1-r)/(1+r))) for every pair, the same in both tails. Source: Demarta and McNeil (2005).

    >>> print(tail_dependence(Params(jnp.array([[1.0, 0.5], [0.5, 1.0]]), 4.0)).lower.round(4))
    [[1.     0.2532]
     [0.2532 1.    ]]
    """
    r, df = _check(params)
    safe = jnp.where(jnp.abs(r) < 1, r, 0)
    both = 2 * student_t_cdf(-jnp.sqrt((df + 1) * (1 - safe) / (1 + safe)), df + 1)
    both = jnp.where(jnp.abs(r) < 1, both, r)
    return TailDependence(both, both)


def num_params(dim: int) -> int:
    """d (d - 1) / 2 + 1.

    >>> num_params(8)
    29
    """
    return dim * (dim - 1) // 2 + 1


def df_from_real(value: Float[Array, ""]) -> Float[Array, ""]:
    """df in ``DF_BOUNDS`` from a real number, logistic in log df.

    >>> print(round(float(df_from_real(0.0)), 2))
    70.71
    """
    low, high = np.log(DF_BOUNDS)
    value = as_float(value)
    return jnp.exp(float(low) + float(high - low) * jax.nn.sigmoid(value))


def df_to_real(df: Float[Array, ""]) -> Float[Array, ""]:
    """Inverse of :func:`df_from_real`; ValueError outside ``DF_BOUNDS``.

    >>> print(round(float(df_to_real(df_from_real(1.5))), 3))
    1.5
    """
    df = as_float(df)
    values = concrete(df)
    if values is not None and not ((values > DF_BOUNDS[0]) & (values < DF_BOUNDS[1])).all():
        raise ValueError(f"df: expected a value inside {DF_BOUNDS}, got {values}; the bounds have no coordinate")
    return jnp.log(jnp.log(df / DF_BOUNDS[0])) - jnp.log(jnp.log(DF_BOUNDS[1] / df))


def constrain(vector: Float[Array, "k"], dim: int) -> Params:
    """d (d-1)/2 unconstrained partial correlations, then df by :func:`df_from_real`.

    >>> print(constrain(jnp.zeros(2), 2).correlation)
    [[1. 0.]
     [0. 1.]]
    """
    vector = as_float(vector)
    return Params(_correlation.from_vector(vector[:-1], dim), df_from_real(vector[-1]))


def unconstrain(params: Params, dim: int) -> Float[Array, "k"]:
    """Inverse of :func:`constrain`; ValueError for df outside ``DF_BOUNDS``.

    >>> print(unconstrain(Params(jnp.eye(2), 30.0), 2).round(2))
    [ 0.   -0.35]
    """
    correlation, df = _check(params)
    return jnp.append(to_vector(correlation, dim), df_to_real(df))


def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
    """Inversion of Kendall's tau, repaired and shrunk; df, of which tau says nothing, is put at 8."""
    return Params(start_correlation(u, mask, shrinkage), jnp.asarray(8, u.dtype))


COPULA = Copula(
    "student_t",
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
