"""Normal variables between bounds: log-probability of an interval and draws from it, hundreds of deviations out too.

With the interval turned to the side where the nearer bound b is negative, distances s below b take the place of
coordinates in the tail: Phi(b - s) / Phi(b) = exp(-s |b| - s**2/2) M(b - s) / M(b), with Mills' ratio M = Phi / phi,
neither underflows nor cancels.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from jaxcop._numerics import log1mexp, normal_cdf, power_series

INFINITE = 1e6
"""Stands for an infinite bound: its density is 0 as a float, and no derivative is 0 * infinity."""
# From here on log M is a series in 1 / x**2.
_FAR = -4.0
_DEGREE = 14
_NUM_STEPS = 6
_LOG_SQRT_2PI = math.log(2 * math.pi) / 2


def _mills_series() -> list[float]:
    """Coefficients of log(|x| M(x)) in 16 / x**2 for x <= -4, from Laplace's continued fraction; error below 1e-10."""
    nodes = (1 + np.cos(np.pi * (np.arange(64) + 0.5) / 64)) / 2
    x = 4 / np.sqrt(nodes)
    tail = x
    for k in range(200, 0, -1):
        tail = x + k / tail
    series = np.polynomial.Chebyshev.fit(nodes, np.log(x / tail), _DEGREE, domain=[0, 1])
    return [float(c) for c in series.convert(kind=np.polynomial.Polynomial).coef]


_MILLS = _mills_series()


def _log_mills(x: Array) -> Array:
    """log(Phi(x) / phi(x)) for x <= -4."""
    return power_series((4 / x) ** 2, _MILLS) - jnp.log(-x)


def _sides(low: Array, high: Array) -> tuple[Array, Array, Array]:
    """The interval reflected so that its middle is at most 0, and whether it was."""
    turned = low + high > 0
    return jnp.where(turned, -high, low), jnp.where(turned, -low, high), turned


def _split(low: Array, high: Array):
    """Both tails of the interval: as probabilities near the centre, by distances from ``b`` far from it."""
    a, b, turned = _sides(low, high)
    far = b < _FAR
    b_far, width = jnp.where(far, b, _FAR), jnp.where(far, b - a, 1)
    log_mills = _log_mills(b_far)
    # log(Phi(b) / Phi(a)).
    fall = width * (width / 2 - b_far) + log_mills - _log_mills(b_far - width)
    p_low, p_high = normal_cdf(jnp.where(far, -1, a)), normal_cdf(jnp.where(far, 0, b))
    log_mass = jnp.where(far, log_mills - b_far**2 / 2 - _LOG_SQRT_2PI + log1mexp(fall), jnp.log(p_high - p_low))
    return log_mass, (a, b, turned, far, b_far, log_mills, fall, p_low, p_high)


def log_interval(low: Float[Array, "*b"], high: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """log(Phi(high) - Phi(low)) for low < high, elementwise; infinite bounds are +-``INFINITE``."""
    return _split(low, high)[0]


def _heights(low, high):
    """``heights`` of the interval turned to the left, and the height at its right end b plus b without cancellation."""
    log_mass, (a, b, turned, far, b_far, log_mills, fall, _, _) = _split(low, high)
    width = b - a
    inverse = jnp.exp(-log_mills)
    beyond = inverse / jnp.expm1(fall)
    # 1 / M + b for b <= -4.
    excess = -b_far * jnp.expm1(-power_series((4 / b_far) ** 2, _MILLS))
    height = jnp.exp(-(jnp.where(far, 0, b) ** 2) / 2 - _LOG_SQRT_2PI - jnp.where(far, 0, log_mass))
    right = jnp.where(far, inverse + beyond, height)
    left = right * jnp.exp(-width * (width / 2 - b))
    # An infinite bound beside one on the other side: no difference of squares.
    left = jnp.where(a <= -INFINITE / 2, 0, left)
    return turned, a, b, left, right, jnp.where(far, excess + beyond, height + b)


@jax.custom_jvp
def heights(low: Float[Array, "*b"], high: Float[Array, "*b"]) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """The density of the normal between ``low`` and ``high`` at both ends: derivatives of -+ ``log_interval``."""
    turned, _, _, left, right, _ = _heights(low, high)
    return jnp.where(turned, right, left), jnp.where(turned, left, right)


@heights.defjvp
def _heights_jvp(primals, tangents):
    turned, a, b, left, right, excess = _heights(*primals)
    dlow, dhigh = tangents
    da, db = jnp.where(turned, -dhigh, dlow), jnp.where(turned, -dlow, dhigh)
    # The height h at an end x changes with h (left da - right db - x dx).
    by_left = left * ((left + b - a) * da - excess * db - b * (da - db))
    by_right = right * (left * da - excess * db)
    value = jnp.where(turned, right, left), jnp.where(turned, left, right)
    return value, (jnp.where(turned, by_right, by_left), jnp.where(turned, by_left, by_right))


def draw(
    w: Float[Array, "*b"], low: Float[Array, "*b"], high: Float[Array, "*b"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """The quantile at ``w`` in (0, 1) of a standard normal between the bounds, elementwise, and ``log_interval``."""
    log_mass, (a, b, turned, far, b_far, log_mills, fall, p_low, p_high) = _split(low, high)
    w = jnp.where(turned, 1 - w, w)
    near = ndtri(p_low + w * (p_high - p_low))
    # How far log Phi falls from b to the draw; Newton's method in the distance, nearly an exponential variable.
    goal = -jnp.log1p((1 - w) * jnp.expm1(-fall))

    def newton(_, s):
        log_ratio = _log_mills(b_far - s)
        return jnp.maximum(s - (s * (s / 2 - b_far) + log_mills - log_ratio - goal) * jnp.exp(log_ratio), 0)

    start = 2 * goal / (jnp.sqrt(b_far**2 + 2 * goal) - b_far)
    far_out = b_far - jax.lax.fori_loop(0, _NUM_STEPS, newton, start)
    x = jnp.clip(jnp.where(far, far_out, near), a, b)
    return jnp.where(turned, -x, x), log_mass
