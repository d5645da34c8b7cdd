"""The Clayton copula given values and ranges, by the posterior of its frailty, a single number.

U_j = (1 + E_j / V)**(-1/theta) with V ~ Gamma(1/theta) and E_j exponential (Marshall and Olkin 1988). Given V the
coordinates are independent, so with m values and ranges [a_j, b_j] the frailty has, up to a constant, the density
V**(1/theta + m - 1) exp(-V S) prod_j (exp(-V B_j) - exp(-V A_j)), S = 1 + sum over the values of u**-theta - 1,
A_j = a_j**-theta - 1, B_j alike. In log V it is log-concave, so an envelope of a flat top between two tails, tangent
where the density is 1/e of its greatest, accepts more than half whatever the ranges are (Devroye 1984). Powers of u are
kept as logarithms, divided by theta: they overflow, and a tiny theta would cancel.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxcop._numerics import expm1_remainder, log1mexp, log1mexpexp, log1p_ratio
from jaxcop.copulas._archimedean import LOG_ZERO
from jaxcop.copulas._rejection import Draws, choose, fill

_BISECTIONS = 80
# Its exponential is a float, and a range whose other end is that far is half open.
_LARGE = 80.0


def _log_power(u: Array, theta: Array) -> Array:
    """log((u**-theta - 1) / theta), ``LOG_ZERO`` at u = 1 and its negative at u = 0."""
    inside = (u > 0) & (u < 1)
    a = -theta * jnp.log(jnp.where(inside, u, 0.5))
    value = a + log1mexp(a) - jnp.log(theta)
    return jnp.where(inside, value, jnp.where(u > 0, LOG_ZERO, -LOG_ZERO))


def _bisect(function, low: Array, high: Array) -> Array:
    """The point between where an increasing function changes sign."""

    def step(_, ends):
        low, high = ends
        middle = low + (high - low) / 2
        below = function(middle) < 0
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, step, (low, high))
    return low + (high - low) / 2


def sample(
    key: Key[Array, ""],
    theta: Float[Array, ""],
    low: Float[Array, " d"],
    high: Float[Array, " d"],
    num_rows: int,
) -> Draws:
    """``num_rows`` draws of the Clayton copula within the bounds; a coordinate with low == high has that value."""
    dtype = low.dtype
    # Independence to rounding, without its infinite shape.
    theta = jnp.maximum(theta, jnp.finfo(dtype).eps)
    is_value = low == high
    is_range: Bool[Array, " d"] = ~is_value & ((low > 0) | (high < 1))
    log_a, log_b = _log_power(low, theta), _log_power(high, theta)
    log_values = jax.nn.logsumexp(jnp.where(is_value, log_a, LOG_ZERO))
    num_values = is_value.sum().astype(dtype)
    # log((A - B) / theta).
    log_gap = jnp.where(is_range, log_a + log1mexp(jnp.where(is_range, jnp.maximum(log_a - log_b, 1e-30), 1)), 0)

    def log_density(y):
        """Of y = log(theta V), up to a constant: (y - e**y + 1) / theta + m y - ..., a function of one number."""
        gamma = -(y**2) * expm1_remainder(y) / theta
        ranges = -jnp.exp(y + log_b) + log1mexpexp(jnp.minimum(y + log_gap, _LARGE))
        return gamma + num_values * y - jnp.exp(y + log_values) + jnp.sum(jnp.where(is_range, ranges, 0))

    slope = jax.grad(log_density)
    # Between these the density rises and then falls: its slope is positive where no term but the first two counts.
    least = -jnp.maximum(log_values, jnp.max(jnp.where(is_range, log_b, LOG_ZERO)))
    floor = jnp.minimum(least, 0) - jnp.log(theta + 1) - 50
    ceiling = jnp.log1p(theta * (num_values + is_range.sum())) + 1
    mode = _bisect(lambda y: -slope(y), floor, ceiling)
    top = log_density(mode)
    # Sideways to where the density is 1/e of its greatest: to the left it falls by 1/theta at least.
    side = jnp.array([-1.0, 1.0], dtype)
    reach = _bisect(
        lambda s: top - 1 - jax.vmap(log_density)(mode + side * s), jnp.zeros(2, dtype), jnp.full(2, 40 * (1 + theta))
    )
    ends = mode + side * reach
    values, slopes = jax.vmap(jax.value_and_grad(log_density))(ends)
    # Where the tangents reach the top, and the masses of the three pieces over that of the top.
    inner = ends + (top - values) / slopes
    rates = jnp.abs(slopes)
    masses = jnp.stack([1 / rates[0], inner[1] - inner[0], 1 / rates[1]])

    def propose(uniform):
        piece, w = choose(uniform[0], jnp.log(masses)), uniform[1]
        flat = inner[0] + w * (inner[1] - inner[0])
        y = jnp.where(piece == 1, flat, jnp.where(piece == 0, *(inner - side * jnp.log(w)[:, None] / rates).T))
        excess = jnp.where(piece == 1, 0, jnp.log(w))
        log_acceptance = jax.vmap(log_density)(y) - top - excess
        return _points(uniform[2:].T, y[:, None]), log_acceptance

    def _points(w, y):
        # -log of a uniform number times the probability of the range, over V, then on top of B.
        log_share = jnp.minimum(y + jnp.where(is_range, log_gap, -LOG_ZERO), _LARGE)
        share = -jnp.expm1(-jnp.exp(jnp.maximum(log_share, -_LARGE)))
        # A share that underflows is a uniform number times its logarithm's exponential.
        log_extra = jnp.where(log_share > -_LARGE / 2, jnp.log(-jnp.log1p(-w * share)), jnp.log(w) + log_share) - y
        log_g = jnp.logaddexp(jnp.where(is_range, log_b, LOG_ZERO), log_extra)
        t = jnp.log(theta) + log_g
        small = t < 0
        g = jnp.exp(jnp.where(small, log_g, 0))
        return jnp.exp(-jnp.where(small, g * log1p_ratio(theta * g), jax.nn.softplus(t) / theta))

    return fill(key, propose, len(low) + 2, num_rows, len(low), dtype, jnp.abs(top))
