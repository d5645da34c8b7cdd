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
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float, Key

from jaxcop._numerics import uniforms
from jaxcop.copulas._rejection import Draws, fill
from jaxcop.copulas._truncated import INFINITE, draw, log_interval

_MAX_STEPS = 60
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
    """One component: bounds of F eps / r, and which coordinates are still random."""

    factor: Float[Array, "d d"]
    low: Float[Array, " d"]
    high: Float[Array, " d"]
    random: Bool[Array, " d"]
    df: Float[Array, ""] | None


class _Tilt(NamedTuple):
    mu: Float[Array, " d"]
    eta: Float[Array, ""]


def _limits(low, high, offset, diagonal, mu):
    """Bounds of eps_j - mu_j, given what the coordinates before add to the j-th of F eps."""
    low, high = (low - offset) / diagonal, (high - offset) / diagonal
    return jnp.clip(low, -INFINITE, INFINITE) - mu, jnp.clip(high, -INFINITE, INFINITE) - mu


def _log_ratio(eps, r, tilt: _Tilt, box: _Box):
    """psi: log of the target over the proposal, up to the constants of the target."""
    offset = jnp.sum(jnp.tril(box.factor, -1) * eps, -1)
    limits = _limits(r * box.low, r * box.high, offset, jnp.diagonal(box.factor), tilt.mu)
    terms = tilt.mu**2 / 2 - eps * tilt.mu + log_interval(*limits)
    return jnp.sum(jnp.where(box.random, terms, 0)) + _radial(r, tilt.eta, box.df)


def _radial(r, eta, df):
    return 0.0 if df is None else eta**2 / 2 - r * eta + (df - 1) * jnp.log(r) + log_ndtr(eta)


def _saddle(box: _Box) -> tuple[_Tilt, Array, Array]:
    """The tilt, the greatest psi under it, and whether they were found; else no tilt and the bound 0."""
    dim, dtype = len(box.low), box.low.dtype
    zeros = jnp.zeros(dim, dtype)
    start = jnp.ones((), dtype) if box.df is None else jnp.sqrt(box.df)

    def split(v):
        return v[:dim], v[dim], _Tilt(v[dim + 1 : -1], v[-1])

    def slope(v):
        gradient = jax.grad(lambda v: _log_ratio(v[:dim], v[dim], split(v)[2], box))(v)
        eps, r, tilt = split(v)
        # What is not random stays where it is, by equations of its own.
        fixed = jnp.concatenate([eps, (r - 1)[None], tilt.mu, tilt.eta[None]])
        radial = jnp.full(1, box.df is not None)
        return jnp.where(jnp.concatenate([box.random, radial, box.random, radial]), gradient, fixed)

    steps = 2.0 ** -jnp.arange(_HALVINGS, dtype=dtype)

    def norm(v):
        value = jnp.linalg.norm(slope(v))
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def step(state):
        v, size, _, count = state
        direction = jnp.linalg.solve(jax.jacfwd(slope)(v), slope(v))
        tried = v - steps[:, None] * direction
        sizes = jax.vmap(norm)(tried)
        best = jnp.argmin(sizes)
        better = sizes[best] < size
        return jnp.where(better, tried[best], v), jnp.where(better, sizes[best], size), better, count + 1

    least = 100 * float(jnp.finfo(dtype).eps)
    first = jnp.concatenate([zeros, start[None], zeros, (0 * start if box.df is None else start)[None]])
    v, size, _, _ = jax.lax.while_loop(
        lambda state: (state[1] > least) & state[2] & (state[3] < _MAX_STEPS),
        step,
        (first, norm(first), jnp.array(True), 0),
    )
    eps, r, tilt = split(v)
    # By convexity the top is within about half the slope squared of here.
    top = _log_ratio(eps, r, tilt, box) + size**2
    found = (size < 1e-2) & jnp.isfinite(top)
    if box.df is not None:
        found &= box.df >= 1
    tilt = jax.tree.map(lambda leaf: jnp.where(found, leaf, 0), tilt)
    return tilt, jnp.where(found, top, 0), found


def _radius(key, num_rows: int, tilt: _Tilt, found, df):
    """Draws of r and their part of psi; without a tilt r is chi, which is its own proposal."""

    def tilted(key):
        r = tilt.eta + draw(uniforms(key, (num_rows,), df.dtype), -tilt.eta, jnp.asarray(INFINITE, df.dtype))
        return r, _radial(r, tilt.eta, df)

    def plain(key):
        return jnp.sqrt(2 * jax.random.gamma(key, df / 2, (num_rows,), df.dtype)), jnp.zeros(num_rows, df.dtype)

    return jax.lax.cond(found, tilted, plain, key)


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
        edge = jnp.where(is_value | jnp.isinf(edge), side * _NO_BOUND, (edge - centre) / stretch[:, None])
        return jnp.clip(edge, -_NO_BOUND, _NO_BOUND)

    box = _Box(factor, bound(low, -1), bound(high, 1), ~is_value, df)
    tilt, top, found = jax.vmap(_saddle, in_axes=(_Box(0, 0, 0, None, None),))(box)
    log_weights = log_weights + top

    def propose(key, n):
        key_component, key_radius, key_eps = jax.random.split(key, 3)
        k = jax.random.categorical(key_component, log_weights, shape=(n,))
        r, log_ratio = jnp.ones(n, low.dtype), jnp.zeros(n, low.dtype)
        if df is not None:
            r, log_ratio = _radius(key_radius, n, _Tilt(tilt.mu[0], tilt.eta[0]), found[0], df)

        def coordinate(carry, inputs):
            eps, log_ratio = carry
            j, w = inputs
            mu = tilt.mu[k, j]
            offset = jnp.sum(factor[k, j] * eps, -1)
            limits = _limits(r * box.low[k, j], r * box.high[k, j], offset, diagonal[k, j], mu)
            value = jnp.where(box.random[j], mu + draw(w, *limits), 0)
            term = mu**2 / 2 - value * mu + log_interval(*limits)
            return (eps.at[:, j].set(value), log_ratio + jnp.where(box.random[j], term, 0)), None

        w = uniforms(key_eps, (len(low), n), low.dtype)
        start = jnp.zeros((n, len(low)), low.dtype), log_ratio
        (eps, log_ratio), _ = jax.lax.scan(coordinate, start, (jnp.arange(len(low)), w))
        x = centre[k] + (stretch[k] / r)[:, None] * jnp.einsum("nij,nj->ni", factor[k], eps)
        return x[:, jnp.argsort(order)], log_ratio - top[k]

    return fill(key, propose, num_rows, len(low), low.dtype)
