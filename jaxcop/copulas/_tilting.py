"""Normal and t vectors, and mixtures of normal ones, with some coordinates given as values and others between bounds.

Coordinates are ordered: values, then ranges, then the rest. Values are conditioned on in closed form. What remains is
F eps / r between bounds, F a Cholesky factor, eps standard normal, r = 1 or, for the t, a chi variable whose degrees of
freedom have grown by the number of values. eps is proposed coordinate by coordinate from N(mu_j, 1) between the bounds
that the ones before leave it, r from N(eta, 1) above 0, and a proposal is accepted with probability exp(psi - psi*).
psi is concave in (eps, r) and convex in (mu, eta): at its saddle point no choice of mu and eta accepts more.
A component of a mixture is proposed by its weight times exp(psi*), so that the mixture is exact too.
Sources: Botev (2017); Botev and L'Ecuyer (2015).
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float, Key

from jaxcop.copulas._rejection import Draws, choose, fill
from jaxcop.copulas._truncated import INFINITE, draw, heights, log_interval

_MAX_STEPS = 100
_HALVINGS = 12
# Larger than any bound that a float32 times a chi variable can hold.
_NO_BOUND = 1e30


class Vector(NamedTuple):
    """``k`` components in ``d`` coordinates: log-weights, means, covariances, and bounds ``low <= high`` per component.

    ``df`` is that of a t vector (one component), or None.
    """

    log_weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    covariances: Float[Array, "k d d"]
    low: Float[Array, "d"]
    high: Float[Array, "d"]
    df: Float[Array, ""] | None


class _Box(NamedTuple):
    """One component, its rows divided by the diagonal of F: ``factor`` is what is below it, and bounds of F eps / r."""

    factor: Float[Array, "d d"]
    low: Float[Array, " d"]
    high: Float[Array, " d"]
    random: Bool[Array, " d"]
    df: Float[Array, ""] | None


class _Tilt(NamedTuple):
    mu: Float[Array, " d"]
    eta: Float[Array, ""]


def _limits(low, high, offset, mu):
    """Bounds of eps_j - mu_j, where the coordinates before add ``offset``."""
    return jnp.clip(low - offset, -INFINITE, INFINITE) - mu, jnp.clip(high - offset, -INFINITE, INFINITE) - mu


def _log_ratio(eps, r, tilt: _Tilt, box: _Box):
    """psi: log of the target over the proposal, up to the constants of the target."""
    terms = tilt.mu**2 / 2 - eps * tilt.mu
    terms += log_interval(*_limits(r * box.low, r * box.high, box.factor @ eps, tilt.mu))
    return jnp.sum(jnp.where(box.random, terms, 0)) + (0 if box.df is None else _radial(r, tilt.eta, box.df))


def _radial(r, eta, df):
    """log of r**(df - 1) exp(-r**2 / 2) over the density of N(eta, 1) above 0, up to a constant."""
    return eta**2 / 2 - r * eta + (df - 1) * jnp.log(r) + log_ndtr(eta)


def _gradient(eps, r, tilt: _Tilt, box: _Box):
    """Derivatives of psi, in r by its logarithm; those of what is not random are equations that keep it where it is."""
    at_low, at_high = heights(*_limits(r * box.low, r * box.high, box.factor @ eps, tilt.mu))
    shift = jnp.where(box.random, at_low - at_high, 0)
    by_eps = jnp.where(box.random, shift @ box.factor - tilt.mu, eps)
    by_mu = jnp.where(box.random, tilt.mu - eps + shift, tilt.mu)
    by_r, by_eta = jnp.log(r), tilt.eta
    if box.df is not None:
        by_r = r * jnp.sum(jnp.where(box.random, at_high * box.high - at_low * box.low, 0))
        by_r += box.df - 1 - r * tilt.eta
        by_eta = tilt.eta - r + jnp.exp(-(tilt.eta**2) / 2 - math.log(2 * math.pi) / 2 - log_ndtr(tilt.eta))
    return jnp.concatenate([by_eps, by_r[None], by_mu, by_eta[None]])


def _saddle(box: _Box) -> tuple[_Tilt, Array, Array]:
    """The tilt, the greatest psi under it, and whether they were found; else no tilt and the bound 0."""
    dim, dtype = len(box.low), box.low.dtype

    def split(v):
        return v[:dim], jnp.exp(v[dim]), _Tilt(v[dim + 1 : -1], v[-1])

    def slope(v):
        return _gradient(*split(v), box)

    def size_of(v):
        value = jnp.linalg.norm(slope(v))
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def step(state):
        v, size, _, count = state
        value, linear = jax.linearize(slope, v)
        direction = jnp.linalg.solve(jax.vmap(linear, out_axes=1)(jnp.eye(len(v), dtype=dtype)), value)
        tried = v - 2.0 ** -jnp.arange(_HALVINGS, dtype=dtype)[:, None] * direction
        sizes = jax.vmap(size_of)(tried)
        best = jnp.argmin(sizes)
        better = sizes[best] < size
        return jnp.where(better, tried[best], v), jnp.where(better, sizes[best], size), better, count + 1

    least = 100 * float(jnp.finfo(dtype).eps)
    # r so small that no bound is far out on the scale of eps.
    depth = jnp.max(jnp.where(box.random, jnp.maximum(box.low, -box.high), 0), initial=1)
    start = jnp.zeros(2 * dim + 2, dtype).at[dim].set(0 if box.df is None else jnp.log(box.df) / 2 - jnp.log(depth))
    v, size, _, _ = jax.lax.while_loop(
        lambda state: (state[1] > least) & state[2] & (state[3] < _MAX_STEPS),
        step,
        (start, jnp.asarray(jnp.inf, dtype), jnp.array(True), 0),
    )
    eps, r, tilt = split(v)
    # By convexity the top is within about half the slope squared of here.
    top = _log_ratio(eps, r, tilt, box) + size**2
    found = (size < 1e-2) & jnp.isfinite(top)
    if box.df is not None:
        # Below 1 the density of r has a pole.
        found &= box.df >= 1
    return jax.tree.map(lambda leaf: jnp.where(found, leaf, 0), tilt), jnp.where(found, top, 0), found


def _radius(w, power, tilt: _Tilt, found, df):
    """Draws of r and their part of psi, from uniform numbers.

    Without a tilt r is a chi variable, U**(1/df) times one of df + 2, which N(eta, 1) proposes under a bound.
    """
    eta = jnp.where(found, tilt.eta, jnp.sqrt(df + 1))
    r = eta + draw(w, -eta, jnp.asarray(INFINITE, df.dtype))[0]
    shape = jnp.where(found, df, df + 2)
    value = _radial(r, eta, shape)
    top = jnp.where(found, 0, _radial((shape - 1) / eta, eta, shape))
    return jnp.where(found, r, r * power ** (1 / df)), value - top


@functools.partial(jax.jit, static_argnames="num_rows")
def sample(key: Key[Array, ""], vector: Vector, num_rows: int) -> Draws:
    """``num_rows`` draws of the vector within its bounds; a coordinate with low == high has that value."""
    low, high, df = vector.low, vector.high, vector.df
    is_value = low == high
    is_free = jnp.isinf(low) & jnp.isinf(high)
    order = jnp.argsort(jnp.where(is_value, 0, jnp.where(is_free, 2, 1)), stable=True)
    low, high, is_value = low[order], high[order], is_value[order]
    factor = jnp.linalg.cholesky(vector.covariances[:, order[:, None], order])
    means = vector.means[:, order]
    # The first coordinates of the solution are those of the values alone.
    known = jnp.where(is_value, jnp.where(is_value, low, 0) - means, 0)
    solved = solve_triangular(factor, known[..., None], lower=True)[..., 0]
    solved = jnp.where(is_value, solved, 0)
    square = jnp.sum(solved**2, -1)
    centre = means + jnp.einsum("kij,kj->ki", factor, solved)
    diagonal = jnp.diagonal(factor, axis1=1, axis2=2)
    log_weights = vector.log_weights - square / 2 - jnp.sum(jnp.where(is_value, jnp.log(diagonal), 0), -1)
    stretch = jnp.ones_like(square)
    if df is not None:
        stretch, df = jnp.sqrt(df + square), df + is_value.sum()

    def bound(edge, side):
        scale = stretch[:, None] * diagonal
        edge = jnp.where(is_value | jnp.isinf(edge), side * _NO_BOUND, (edge - centre) / scale)
        return jnp.clip(edge, -_NO_BOUND, _NO_BOUND)

    unit = jnp.tril(factor, -1) / diagonal[..., None]
    box = _Box(unit, bound(low, -1), bound(high, 1), ~is_value, df)
    tilt, top, found = jax.vmap(lambda f, a, b: _saddle(_Box(f, a, b, ~is_value, df)))(box.factor, box.low, box.high)
    # A component without weight counts for nothing, whatever its numbers are.
    log_weights = jnp.where(jnp.isnan(log_weights + top), -jnp.inf, log_weights + top)

    def propose(w):
        k = choose(w[0], log_weights)
        r, log_ratio = jnp.ones_like(w[0]), jnp.zeros_like(w[0])
        if df is not None:
            r, log_ratio = _radius(w[1], w[2], _Tilt(tilt.mu[0], tilt.eta[0]), found[0], df)

        def coordinate(carry, inputs):
            eps, log_ratio = carry
            j, w = inputs
            mu = tilt.mu[k, j]
            offset = jnp.sum(unit[k, j] * eps, -1)
            value, log_mass = draw(w, *_limits(r * box.low[k, j], r * box.high[k, j], offset, mu))
            value = jnp.where(box.random[j], mu + value, 0)
            log_ratio += jnp.where(box.random[j], mu**2 / 2 - value * mu + log_mass, 0)
            return (eps.at[:, j].set(value), log_ratio), None

        start = jnp.zeros((len(k), len(low)), low.dtype), log_ratio
        (eps, log_ratio), _ = jax.lax.scan(coordinate, start, (jnp.arange(len(low)), w[3:]))
        x = centre[k] + (stretch[k] / r)[:, None] * jnp.einsum("nij,nj->ni", factor[k], eps)
        return x[:, jnp.argsort(order)], log_ratio - top[k]

    return fill(
        key, propose, len(low) + 3, num_rows, len(low), low.dtype, jnp.max(jnp.abs(tilt.mu)) ** 2 + jnp.max(tilt.eta**2)
    )
