"""Student's t: distribution function, quantile and density, with exact derivatives, also in the degrees of freedom."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from jaxcop._numerics import expm1_remainder, log1p_square, power_series, promote

# Python floats, which leave float32 alone; numpy's would promote it.
_LOG_2 = math.log(2)
_LOG_2PI = math.log(2 * math.pi)


def student_t_log_peak(df: Array) -> Array:
    """Log of the Student-t density at zero plus log(2 pi)/2; tends to 0 as ``df`` grows, without cancellation.

    Differences of log-gamma lose every digit in float32 at a few hundred degrees of freedom. Here the recurrence
    c(df) / c(df + 2) = sqrt(1 - 1/(df + 1)**2) lifts df above 24, where the asymptotic series ends below 1e-16.
    """
    num_steps = 12
    odd = jnp.asarray(df)[..., None] + jnp.arange(1, 2 * num_steps, 2, dtype=jnp.asarray(df).dtype)
    lifted = 1 / (df + 2 * num_steps)
    series = power_series(lifted**2, [-1 / 4, 1 / 24, -1 / 20, 17 / 112, -31 / 36, 691 / 88])
    return jnp.sum(jnp.log1p(-1 / odd**2), -1) / 2 + lifted * series


def student_t_logpdf(x: Array, df: Array) -> Array:
    """Log-density of Student's t, free of overflow in ``x`` and of cancellation in ``df``."""
    return student_t_log_peak(df) - _LOG_2PI / 2 - (df + 1) / 2 * log1p_square(x / jnp.sqrt(df))


# Student's t in y = asinh(x / sqrt(df)): the density of y is C cosh(y)**-df, so tail and centre are integrals of one
# smooth positive function. The tail uses the double-exponential rule of Takahasi and Mori (1974) for decaying
# integrands, t = exp(z - exp(-z)); the centre Gauss-Legendre. Both have the same number of nodes, chosen per element.
def _rules(num_nodes: int, low: float, high: float):
    z, step = np.linspace(low, high, num_nodes, retstep=True)
    tail = np.exp(z - np.exp(-z))
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return tail, step * tail * (1 + np.exp(-z)), (nodes + 1) / 2, weights / 2


_COARSE = _rules(16, -2.9, 3.0)
_SINGLE = _rules(24, -2.9, 3.0)
_DOUBLE = _rules(48, -3.6, 3.75)
_FAR = 40.0


def _partial_integral(y: Array, df: Array, central: Array, rules, score=None) -> Array:
    """Integral of (cosh(s) / cosh(m))**-df over s from y to infinity (m = y), or where central from 0 to y (m = 0).

    ``score`` is a further factor, given as a function of log(cosh(s) / cosh(m)).
    """
    tail_nodes, tail_weights, centre_nodes, centre_weights = (np.asarray(rule, y.dtype) for rule in rules)
    slope = jnp.where(central, 0, jnp.tanh(y))
    # The length at which the integrand has fallen by e: cosh(t) + slope sinh(t) = exp(1 / df).
    grow = jnp.expm1(1 / df)
    length = jnp.log1p((grow - slope + jnp.sqrt(grow * (grow + 2) + slope**2)) / (1 + slope))
    central, y, df, slope, length = (a[..., None] for a in (central, y, df, slope, length))
    t = jnp.where(central, y * centre_nodes, length * tail_nodes)
    weight = jnp.where(central, y * centre_weights, length * tail_weights)
    # log(cosh(t) + slope sinh(t)); far out, where exp(t) may overflow, its leading term
    e = jnp.expm1(jnp.minimum(t, _FAR))
    inverse = e / (1 + e)
    near = jnp.log1p((e * inverse + slope * (e + inverse)) / 2)
    log_rise = jnp.where(t < _FAR, near, t + jnp.log((1 + slope) / 2))
    value = weight * jnp.exp(-df * log_rise)
    return jnp.sum(value if score is None else value * score(log_rise), -1)


def _rules_for(dtype):
    return _DOUBLE if jnp.finfo(dtype).bits > 32 else _SINGLE


def _log_cosh(y: Array) -> Array:
    """``log(cosh(y))`` for y >= 0, in full relative accuracy at both ends."""
    small = jnp.log1p(jnp.sinh(jnp.minimum(y, 1)) ** 2) / 2
    return jnp.where(y < 1, small, y - _LOG_2 + jnp.log1p(jnp.exp(-2 * y)))


def student_t_log_height(log_cosh: Array, df: Array) -> Array:
    """Log-density of y = asinh(x / sqrt(df)), from log(cosh(y)) = log(1 + x**2/df) / 2."""
    return student_t_log_peak(df) + jnp.log(df) / 2 - _LOG_2PI / 2 - df * log_cosh


def _area(y: Array, df: Array, score=None):
    """Integral of the density (times ``score``) from y on, or where ``central`` from 0 to y.

    Returns ``central``, the log-density at the lower end of integration, and the integral over that density.
    """
    central = df * _log_cosh(y) < 0.25
    base = jnp.where(central, 0, y)
    score_here = None if score is None else lambda log_rise: score(_log_cosh(base)[..., None] + log_rise)
    integral = _partial_integral(y, df, central, _rules_for(y.dtype), score_here)
    return central, student_t_log_height(_log_cosh(base), df), integral


def _asinh_of(x: Array, df: Array) -> Array:
    return jnp.arcsinh(jnp.abs(x) / jnp.sqrt(df))


def _cdf(x: Array, df: Array) -> Array:
    central, log_height, integral = _area(_asinh_of(x, df), df)
    area = jnp.exp(log_height) * integral
    upper = jnp.where(central, 0.5 - area, area)
    return jnp.where(x > 0, 1 - upper, upper)


def _drift(y: Array, df: Array) -> Array:
    """dx/d df / sqrt(df + x**2) at fixed probability, for x >= 0: the integral of the score, which does not cancel."""
    peak_slope = jax.grad(lambda v: jnp.sum(student_t_log_peak(v)))(df)[..., None]

    def score(log_cosh):
        # d log f / d df at fixed x, with x**2/df = exp(w) - 1: the terms of order 1/df are cancelled on paper.
        w = 2 * log_cosh
        curved = w**2 * expm1_remainder(-w)
        return peak_slope - curved / 2 + (w - curved) / (2 * df[..., None])

    central, log_height, integral = _area(y, df, score)
    return jnp.where(central, -jnp.exp(log_height - student_t_log_height(_log_cosh(y), df)), 1) * integral


def _acosh_of_exp(rise: Array) -> Array:
    return rise + jnp.log1p(jnp.sqrt(-jnp.expm1(-2 * rise)))


def _solve(p: Array, df: Array) -> tuple[Array, Array, Array]:
    """The quantile's terms by Halley steps on the integral, per element."""
    info = jnp.finfo(p.dtype)
    tail = jnp.clip(jnp.minimum(p, 1 - p), info.tiny, 0.5)
    central = tail > 0.25
    # Start: the normal approximation of Wallace (1959), z**2 = ((8 df + 1)/(8 df + 3))**2 df log(1 + x**2/df).
    y = _acosh_of_exp((jax.scipy.special.ndtri(tail) * (8 * df + 3) / (8 * df + 1)) ** 2 / (2 * df))

    def halley(y, rules):
        integral = _partial_integral(y, df, central, rules)
        height = student_t_log_height(_log_cosh(y), df)
        # Tail: on the log of the tail, concave in y. Centre: on the area between 0 and y.
        excess = height + jnp.log(integral) - jnp.log(tail)
        curved = 1 - excess * (df * jnp.tanh(y) * integral - 1) / 2
        tail_step = excess * integral / jnp.maximum(curved, 0.5)
        area = jnp.exp(student_t_log_height(jnp.zeros_like(y), df)) * integral
        error = (0.5 - tail - area) / jnp.exp(height)
        centre_step = error / jnp.maximum(1 - error * df * jnp.tanh(y) / 2, 0.5)
        return jnp.maximum(y + jnp.where(central, centre_step, tail_step), 0)

    y = jax.lax.fori_loop(0, 2, lambda _, y: halley(y, _COARSE), y)
    y = halley(y, _rules_for(p.dtype))
    x = jnp.sqrt(df) * jnp.minimum(jnp.sinh(y), info.max / jnp.maximum(jnp.sqrt(df), 1))
    return _signed(p, x), 2 * _log_cosh(y), jnp.where(p < 0.5, -1, 1) * jnp.tanh(y)


def _signed(p: Array, x: Array) -> Array:
    x = jnp.where(p < 0.5, -x, x)
    x = jnp.where(p == 0, -jnp.inf, jnp.where(p == 1, jnp.inf, x))
    return jnp.where((p >= 0) & (p <= 1), x, jnp.nan)


# For many points at one df everything is interpolated by Chebyshev series, in v = log(1 + depth / bend). The depth of
# the quantile is -log(4 p (1 - p)); that of the cdf is its limit in the far tail, df log(1 + x**2/df) / 2. Their ratio
# is smooth and near one: it is 1 at df = 2 and tends to 1 in the tail. So is the slope d log|x| / d df times
# df**2 / (1 + depth), up to a factor that puts a division last: xla keeps its result, but repeats a sum of products
# wherever it is used. The series down to the smallest float end below 1e-11 (1e-7 in float32) after the number of terms
# below, for df >= 0.5; for smaller df the error grows, to 1e-9 at 0.1. Clenshaw's recurrence needs no gather, which is
# slow on a CPU; one chain of it waits for itself, and four take a third of the time.
_NUM_TERMS_DOUBLE, _NUM_TERMS_SINGLE = 60, 28
_NUM_CHAINS = 4


def _num_terms(dtype) -> int:
    return _NUM_TERMS_DOUBLE if jnp.finfo(dtype).bits > 32 else _NUM_TERMS_SINGLE


def _longest(dtype) -> float:
    return -math.log(4 * float(jnp.finfo(dtype).tiny))


def _is_short(points: Array, df: Array) -> bool:
    """Whether there are several df, or too few points for a series to pay."""
    return df.ndim > 0 or points.size <= 2 * _num_terms(points.dtype)


@jax.custom_jvp
def _depth(p: Array) -> Array:
    """-log(4 p (1 - p)) in full relative accuracy: log(v) / (v - 1) does not see the rounding of v."""
    tail = jnp.clip(jnp.minimum(p, 1 - p), jnp.finfo(p.dtype).tiny, 0.5)
    v = 4 * tail * (1 - tail)
    return (2 * p - 1) ** 2 * jnp.where(v < 1, jnp.log(v), 1) / jnp.where(v < 1, v - 1, 1)


@_depth.defjvp
def _depth_jvp(primals, tangents):
    (p,), (dp,) = primals, tangents
    return _depth(p), (2 * p - 1) / (p * (1 - p)) * dp


def _tail_at(depth: Array) -> Array:
    return jnp.exp(-depth) / (2 + 2 * jnp.sqrt(-jnp.expm1(-depth)))


def _interpolate(function, depth: Array, df: Array, bend: Array) -> Array:
    """``function(depth, df)`` by a Chebyshev series from its values at a few depths; any bend gives the same curve."""
    num = _num_terms(depth.dtype)
    angles = np.pi * (np.arange(num) + 0.5) / num
    bend = jax.lax.stop_gradient(bend)
    span = jnp.log1p(_longest(depth.dtype) / bend)
    nodes = bend * jnp.expm1(span * np.asarray((1 + np.cos(angles)) / 2, depth.dtype))
    transform = 2 / num * np.cos(np.outer(np.arange(num), angles))
    transform[0] /= 2
    values = function(nodes, jnp.broadcast_to(df, nodes.shape))
    coefficients = jnp.matmul(np.asarray(transform, depth.dtype), values, precision="highest")
    return _chebyshev_sum(coefficients, 2 / span * (jnp.log(bend + depth) - jnp.log(bend)) - 1)


def _chebyshev_sum(coefficients: Array, t: Array) -> Array:
    """Clenshaw's recurrence for every fourth term, T_{k+4} = 2 T_4 T_k - T_{k-4}: four chains that run side by side."""
    polynomials = [jnp.ones_like(t), t]
    while len(polynomials) < 2 * _NUM_CHAINS:
        polynomials.append(2 * t * polynomials[-1] - polynomials[-2])
    twice, parts = 2 * polynomials[_NUM_CHAINS], []
    for first in range(_NUM_CHAINS):
        after = total = jnp.zeros_like(t)
        for coefficient in coefficients[first::_NUM_CHAINS][:0:-1]:
            total, after = coefficient + twice * total - after, total
        low, high = polynomials[first], polynomials[first + _NUM_CHAINS]
        parts.append(low * (coefficients[first] - after) + high * total)
    return sum(parts, start=jnp.zeros_like(t))


# The singularity nearest to the centre lies at a depth of order df**2 for the quantile, of df for the cdf.
def _quantile_bend(df: Array) -> Array:
    return jnp.clip(8 * df**2, 1e-6, 2)


def _cdf_bend(df: Array) -> Array:
    return jnp.clip(2 * df, 1e-6, 3)


def _look_up(p: Array, df: Array) -> tuple[Array, Array, Array]:
    depth = _depth(p)
    log_square = 2 * (depth + depth * _interpolate(_excess, depth, df, _quantile_bend(df))) / df
    half = jnp.expm1(jnp.minimum(log_square / 2, _log_largest(df)))
    sinh = jnp.sqrt(half) * jnp.sqrt(half + 2)
    return _signed(p, jnp.sqrt(df) * sinh), log_square, jnp.where(p < 0.5, -sinh, sinh) / (1 + half)


def _excess(depth: Array, df: Array) -> Array:
    tail = _tail_at(depth)
    depth = _depth(tail)
    return (df / 2 * _quantile(tail, df)[1] - depth) / depth


def _relative_slope(depth: Array, df: Array) -> Array:
    tail = _tail_at(depth)
    y, depth = _acosh_of_exp(_quantile(tail, df)[1] / 2), _depth(tail)
    return df**2 * (2 + depth) / (1 + depth) ** 2 * _drift(y, df) / jnp.tanh(y)


def _cdf_excess(depth: Array, df: Array) -> Array:
    central, log_height, integral = _area(_acosh_of_exp(depth / df), df)
    log_area = log_height + jnp.log(integral)
    area = jnp.exp(log_area)
    # -log(4 p (1 - p)) from the area between the centre and x, or from the tail p.
    exact = -jnp.where(central, jnp.log1p(-4 * area**2), 2 * _LOG_2 + log_area + jnp.log1p(-area))
    return (exact - depth) / depth


def _cdf_relative_slope(depth: Array, df: Array) -> Array:
    y = _acosh_of_exp(depth / df)
    return df**2 / (1 + depth) * _drift(y, df) / jnp.tanh(y)


def _log_largest(df: Array) -> Array:
    """Log of the largest cosh(y) whose x = sqrt(df) sinh(y) is a finite float."""
    return math.log(float(jnp.finfo(df.dtype).max)) - 0.01 - jnp.maximum(jnp.log(df) / 2, 0)


def _differentiable(value, slope_of):
    """The quantile's terms, with derivatives in closed form but for df**2 d log|x| / d df, ``slope_of``."""

    @jax.custom_jvp
    @jax.jit
    def terms(p, df):
        return value(p, df)

    def terms_jvp(primals, tangents):
        (p, df), (dp, ddf) = primals, tangents
        x, log_square, tanh = terms(p, df)
        # In y = asinh(x / sqrt(df)), where dx = sqrt(df) cosh(y) dy at a fixed df.
        log_cosh, largest = log_square / 2, _log_largest(df)
        dx, dy = jnp.zeros_like(x), jnp.zeros_like(x)
        if not isinstance(dp, SymbolicZero):
            # Bounded, so that a slope beyond the floats does not become NaN by a zero tangent.
            log_height = student_t_log_height(log_cosh, df)
            dx += jnp.sqrt(df) * jnp.exp(jnp.minimum(log_cosh - log_height, largest)) * dp
            dy += jnp.exp(jnp.minimum(-log_height, largest)) * dp
        if not isinstance(ddf, SymbolicZero):
            slope = tanh * slope_of(p, x, df) / df**2
            cosh = jnp.exp(jnp.minimum(log_cosh, largest))
            dx += jnp.sqrt(df) * jnp.clip(cosh * slope, -jnp.exp(largest), jnp.exp(largest)) * ddf
            dy += (slope - tanh / (2 * df)) * ddf
        return (x, log_square, tanh), (dx, 2 * tanh * dy, jnp.exp(-log_square) * dy)

    terms.defjvp(terms_jvp, symbolic_zeros=True)
    return terms


def _slope_from_integral(p, x, df):
    # Even in y, so that near the centre it is as good as constant.
    y = jnp.maximum(_asinh_of(x, df), jnp.finfo(x.dtype).eps ** 0.5)
    return df**2 * _drift(y, df) / jnp.tanh(y)


def _slope_from_series(p, x, df):
    depth = _depth(p)
    return _interpolate(_relative_slope, depth, df, _quantile_bend(df)) * (1 + depth) ** 2 / (2 + depth)


_quantile = _differentiable(_solve, _slope_from_integral)
_quantile_from_series = _differentiable(_look_up, _slope_from_series)


@jax.custom_jvp
@jax.jit
def _student_t_cdf(x, df):
    return _cdf(x, df)


@_student_t_cdf.defjvp
def _student_t_cdf_jvp(primals, tangents):
    (x, df), (dx, ddf) = primals, tangents
    y = _asinh_of(x, df)
    by_df = -jnp.sign(x) * jnp.exp(student_t_log_height(_log_cosh(y), df)) * _drift(y, df)
    return _student_t_cdf(x, df), jnp.exp(student_t_logpdf(x, df)) * dx + by_df * ddf


@jax.custom_jvp
@jax.jit
def _cdf_from_series(x, df):
    depth = df / 2 * log1p_square(x / jnp.sqrt(df))
    excess = _interpolate(_cdf_excess, jnp.minimum(depth, _longest(x.dtype)), df, _cdf_bend(df))
    lower = _tail_at(depth * (1 + excess))
    return jnp.where(x > 0, 1 - lower, lower)


@_cdf_from_series.defjvp
def _cdf_from_series_jvp(primals, tangents):
    (x, df), (dx, ddf) = primals, tangents
    z = x / jnp.sqrt(df)
    log_square = log1p_square(z)
    depth = df / 2 * log_square
    near = jnp.minimum(depth, _longest(x.dtype))
    relative = (1 + near) * _interpolate(_cdf_relative_slope, near, df, _cdf_bend(df)) / df**2
    log_peak = student_t_log_peak(df) - _LOG_2PI / 2
    largest = jnp.finfo(x.dtype).max
    tanh = jnp.clip(z, -largest, largest) * jnp.exp(-log_square / 2)
    by_df = -jnp.exp(log_peak + jnp.log(df) / 2 - depth) * tanh * relative
    return _cdf_from_series(x, df), jnp.exp(log_peak - depth - log_square / 2) * dx + by_df * ddf


def student_t_cdf(x: Float[Array, "..."], df: Float[Array, "..."]) -> Float[Array, "..."]:
    """Student-t distribution function, elementwise, with exact derivatives in ``x`` and ``df``.

    Relative error of the lower tail below 1e-11 in float64 for df >= 0.5.
    More than about a hundred ``x`` at one scalar ``df`` are interpolated, much faster than each for itself.

    >>> print(round(float(student_t_cdf(1.0, 1.0)), 12))
    0.75
    """
    x, df = promote(x, df)
    if _is_short(x, df):
        return _student_t_cdf(x, df)
    return _cdf_from_series(x.ravel(), df).reshape(x.shape)


def student_t_quantile(p: Float[Array, "..."], df: Float[Array, "..."]) -> Float[Array, "..."]:
    """Student-t quantile, elementwise, with exact derivatives in ``p`` and ``df`` (also at even ``df``).

    Relative error below 1e-11 in float64 and 2e-5 in float32 for p in [1e-12, 1 - 1e-12] and df in [0.5, 1e4].
    A quantile beyond the largest float saturates near it; 0 and 1 give infinities, outside [0, 1] NaN.
    More than about a hundred ``p`` at one scalar ``df`` are interpolated, much faster than each for itself.

    >>> print(round(float(student_t_quantile(0.75, 1.0)), 12))
    1.0
    """
    return student_t_quantile_terms(p, df)[0]


def student_t_quantile_terms(p: Float[Array, "..."], df: Float[Array, "..."]) -> tuple[Array, Array, Array]:
    """The quantile x, and ``log(1 + x**2 / df)`` and ``x / sqrt(df + x**2)``, which do not overflow where x does.

    >>> print(round(float(student_t_quantile_terms(0.75, 1.0)[1]), 6))
    0.693147
    """
    p, df = promote(p, df)
    if _is_short(p, df):
        return _quantile(p, df)
    # On one axis, so that loops are vectorised however few columns there are.
    x, log_square, tanh = (term.reshape(p.shape) for term in _quantile_from_series(p.ravel(), df))
    return x, log_square, tanh


def student_t_quantile_slope(p: Array, x: Array, df: Array) -> Array:
    """df**2 d log|x| / d df at a quantile x."""
    slope_of = _slope_from_integral if _is_short(p, df) else _slope_from_series
    return slope_of(p.ravel(), x.ravel(), df).reshape(p.shape)
