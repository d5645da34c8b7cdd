"""Normal variables between bounds: log-probability of an interval and draws from it, also hundreds of deviations out.

With the bounds turned to the side where the nearer one, b, is at most 0 in the tail, distances below b take the place of
coordinates: Phi(b - s) / Phi(b) = exp(-s |b| - s**2/2) M(b - s) / M(b) with Mills' ratio M = Phi / phi, which does not
underflow and does not cancel.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from jaxcop._numerics import log1mexp, normal_cdf

# From here on Mills' ratio is a continued fraction, which 20 terms give to 1e-10.
_FAR = -4.0
_NUM_TERMS = 20
_NUM_STEPS = 6
INFINITE = 1e6
"""Stands for an infinite bound: its density is 0 as a float, and no derivative is 0 * infinity."""


def _log_mills(x: Array) -> Array:
    """log(Phi(x) / phi(x)) for x <= -4, by Laplace's continued fraction."""
    far = jnp.minimum(x, _FAR)
    tail = -far
    for k in range(_NUM_TERMS, 0, -1):
        tail = -far + k / tail
    return -jnp.log(tail)


def _sides(low: Array, high: Array) -> tuple[Array, Array, Array]:
    """The interval reflected so that its middle is at most 0, and whether it was."""
    turned = low + high > 0
    return jnp.where(turned, -high, low), jnp.where(turned, -low, high), turned


def _log_fall(b: Array, s: Array) -> Array:
    """log(Phi(b) / Phi(b - s)) for b <= -4 and s >= 0."""
    return s * (-b) + s**2 / 2 + _log_mills(b) - _log_mills(b - s)


@jax.custom_jvp
def log_interval(low: Float[Array, "*b"], high: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """log(Phi(high) - Phi(low)) for low < high, elementwise; infinite bounds are +-``INFINITE``."""
    a, b, _ = _sides(low, high)
    far = b < _FAR
    b_far = jnp.where(far, b, _FAR)
    width = jnp.where(far, b - a, 1)
    deep = -(b_far**2) / 2 - math.log(2 * math.pi) / 2 + _log_mills(b_far) + log1mexp(_log_fall(b_far, width))
    near = normal_cdf(jnp.where(far, 0, b)) - normal_cdf(jnp.where(far, -1, a))
    return jnp.where(far, deep, jnp.log(near))


@log_interval.defjvp
def _log_interval_jvp(primals, tangents):
    (low, high), (dlow, dhigh) = primals, tangents
    value = log_interval(low, high)

    def height(x):
        return jnp.exp(-(x**2) / 2 - math.log(2 * math.pi) / 2 - value)

    return value, height(high) * dhigh - height(low) * dlow


def draw(w: Float[Array, "*b"], low: Float[Array, "*b"], high: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """The quantile at ``w`` in (0, 1) of a standard normal between ``low`` and ``high``, elementwise."""
    a, b, turned = _sides(low, high)
    w = jnp.where(turned, 1 - w, w)
    far = b < _FAR
    p_low, p_high = normal_cdf(jnp.where(far, -1, a)), normal_cdf(jnp.where(far, 0, b))
    near = ndtri(p_low + w * (p_high - p_low))
    b_far, width = jnp.where(far, b, _FAR), jnp.where(far, b - a, 1)
    # The fall of log Phi from b to the draw; Newton's method in the distance, which is nearly an exponential variable.
    fall = -jnp.log1p((1 - w) * jnp.expm1(-_log_fall(b_far, width)))

    def newton(_, s):
        x = b_far - s
        return jnp.maximum(s - (_log_fall(b_far, s) - fall) * jnp.exp(_log_mills(x)), 0)

    root = 2 * fall / (-b_far + jnp.sqrt(b_far**2 + 2 * fall))
    deep = b_far - jax.lax.fori_loop(0, _NUM_STEPS, newton, root)
    x = jnp.clip(jnp.where(far, deep, near), a, b)
    return jnp.where(turned, -x, x)
