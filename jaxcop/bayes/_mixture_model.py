"""The model behind ``bayes.mixture``: priors, coordinates in which the posterior is nearly independent, log-density."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import betaln, gammaln
from jaxtyping import Array, Float

from jaxcop import mixture

# Of the rows scaled to identity covariance: steps and added variance of the EM that starts a restart or a chain.
EM_STEPS, EM_VARIANCE = 30, 1e-2


class Prior(NamedTuple):
    """Beta parameters of the sticks; degrees of freedom of the Wishart, by entry of the factor's diagonal."""

    a: Float[Array, " k-1"]
    b: Float[Array, " k-1"]
    freedom: Float[Array, " d"]


class Free(NamedTuple):
    """Unconstrained coordinates: logits of the broken sticks, and the rest relative to a frame, zero at its centre."""

    sticks: Float[Array, " k-1"]
    shift: Float[Array, "k d"]
    log_diagonal: Float[Array, "k d"]
    below: Float[Array, "k m"]


class Frame(NamedTuple):
    """The conditional posterior given the responsibilities of one EM run: it makes the coordinates nearly independent.

    With L the lower factor of a precision matrix (Lambda = L L'), the coordinates are A in L = root A and
    shift = L'(mu - centre), which is what mu's conditional given L is normal in.
    """

    centre: Float[Array, "k d"]
    root: Float[Array, "k d d"]
    rows: Float[Array, " k"]


def make_prior(num_components: int, dim: int, weights: str, full: bool, concentration, dtype) -> Prior:
    left = jnp.arange(num_components - 1, 0, -1, dtype=dtype)
    share = concentration / num_components
    sticks = (
        (left * 0 + 1, left * 0 + concentration) if weights == "stick_breaking" else (left * 0 + share, left * share)
    )
    return Prior(*sticks, jnp.full(dim, dim, dtype) - (jnp.arange(dim, dtype=dtype) if full else 0))


def make_frame(key, x, row_weights, num_components: int, full: bool) -> Frame:
    """The exact conjugate update (Bishop 2006, equations 10.60 to 10.63) for the components that EM finds."""
    found = mixture.fit_masked(
        key, x, row_weights > 0, num_components=num_components, regularisation=EM_VARIANCE, num_steps=EM_STEPS
    ).params
    order = jnp.argsort(-found.logits)
    means, scale = found.means[order], found.scale[order]
    rows = jax.nn.softmax(found.logits)[order] * row_weights.sum()
    dim = x.shape[1]
    identity = jnp.eye(dim, dtype=x.dtype)
    shrink = (rows / (rows + 1))[:, None]
    outer = shrink[..., None] * means[:, :, None] * means[:, None, :]
    covariance = (identity + rows[:, None, None] * (scale @ scale.mT) + outer) / (dim + rows)[:, None, None]
    if full:
        return Frame(shrink * means, inverse_factor(jnp.linalg.cholesky(covariance)), rows)
    sd = jnp.sqrt(jnp.diagonal(covariance, axis1=-2, axis2=-1))
    return Frame(shrink * means, identity / sd[..., None], rows)


def inverse_factor(factor):
    """The lower factor of the inverse of ``factor factor'``."""
    identity = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
    inverse = solve_triangular(factor, identity, lower=True)
    return jnp.linalg.cholesky(inverse.mT @ inverse)


def _zeros(num_components: int, dim: int, full: bool, dtype) -> Free:
    sizes = (dim, dim, dim * (dim - 1) // 2 if full else 0)
    shift, log_diagonal, below = (jnp.zeros((num_components, size), dtype) for size in sizes)
    return Free(jnp.zeros(num_components - 1, dtype), shift, log_diagonal, below)


def unravel(num_components: int, dim: int, full: bool, dtype):
    """The way from a flat vector to ``Free``."""
    return ravel_pytree(_zeros(num_components, dim, full, dtype))[1]


def start(frame: Frame, prior: Prior, full: bool):
    """Where to begin, and the spread that the posterior has there to first order, as flat vectors."""
    rows, dim = frame.rows[:, None], frame.centre.shape[1]
    later = jnp.cumsum(frame.rows[::-1])[::-1][1:]
    a, b = prior.a + frame.rows[:-1], prior.b + later
    mean = _zeros(len(frame.rows), dim, full, frame.centre.dtype)._replace(sticks=jnp.log(a / b))
    sd = Free(
        jnp.sqrt(1 / a + 1 / b),
        mean.shift + 1 / jnp.sqrt(rows + 1),
        mean.log_diagonal + 1 / jnp.sqrt(2 * (rows + dim)),
        mean.below + 1 / jnp.sqrt(rows + dim),
    )
    return ravel_pytree(mean)[0], ravel_pytree(sd)[0]


def _factor(free: Free, frame: Frame):
    """Lower factors L of the precision matrices."""
    dim = frame.centre.shape[1]
    inner = jnp.exp(free.log_diagonal)[..., None] * jnp.eye(dim, dtype=frame.centre.dtype)
    if free.below.shape[1]:
        # A product with ones in the right places: its slope is a product as well, where a scatter would be slow.
        places = np.zeros((free.below.shape[1], dim, dim))
        places[(np.arange(len(places)), *np.tril_indices(dim, -1))] = 1
        inner += jnp.einsum("km,mij->kij", free.below, jnp.asarray(places, inner.dtype))
    return frame.root @ inner


def log_weights(sticks):
    left = jnp.concatenate([jnp.zeros(1, sticks.dtype), jnp.cumsum(jax.nn.log_sigmoid(-sticks))])
    return left.at[:-1].add(jax.nn.log_sigmoid(sticks))


def joint_components(free: Free, x, frame: Frame):
    """Log of weight times density of every component, ``[n, k]``."""
    factor = _factor(free, frame)
    origin = free.shift + jnp.einsum("kij,ki->kj", factor, frame.centre)
    standard = jnp.einsum("ni,kij->nkj", x, factor) - origin
    log_det = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    constant = 0.5 * x.shape[1] * math.log(2 * math.pi)
    return -0.5 * (standard**2).sum(-1) + log_det - constant + log_weights(free.sticks)


def log_prior(free: Free, frame: Frame, prior: Prior):
    """Beta sticks, Wishart(d, I) precisions and N(0, Lambda^-1) means, with the Jacobians to the coordinates."""
    factor = _factor(free, frame)
    dim = frame.centre.shape[1]
    diagonal = jnp.diagonal(factor, axis1=-2, axis2=-1)
    sticks = prior.a * jax.nn.log_sigmoid(free.sticks) + prior.b * jax.nn.log_sigmoid(-free.sticks)
    sticks -= betaln(prior.a, prior.b)
    # Bartlett: the squares of the diagonal are chi-squared, what is below it is normal.
    log_chi = (prior.freedom - 1) * jnp.log(diagonal) - diagonal**2 / 2
    log_chi -= (prior.freedom / 2 - 1) * math.log(2) + gammaln(prior.freedom / 2)
    scale = jnp.log(jnp.diagonal(frame.root, axis1=-2, axis2=-1))
    below = -(jnp.tril(factor, -1) ** 2) / 2 - 0.5 * math.log(2 * math.pi) * free.below.shape[1] / dim**2
    # Row i of the root multiplies i + 1 entries of A, or one where A is diagonal.
    columns = jnp.arange(1, dim + 1) if free.below.shape[1] else 1
    # In y = L'mu the prior of the means is standard normal, and y is a shift of the coordinates.
    y = free.shift + jnp.einsum("kij,ki->kj", factor, frame.centre)
    means = -(y**2) / 2 - 0.5 * math.log(2 * math.pi)
    return sticks.sum() + log_chi.sum() + below.sum() + means.sum() + (columns * scale).sum() + free.log_diagonal.sum()


def params(free: Free, frame: Frame, location, spread, full: bool) -> mixture.Params:
    """The mixture in the units of the rows: x = location + spread (scaled x)."""
    factor = _factor(free, frame)
    # mu = centre + L'^-1 shift.
    moved = solve_triangular(factor, free.shift[..., None], trans="T", lower=True)[..., 0]
    scale = spread @ inverse_factor(factor)
    scale = scale if full else jnp.diagonal(scale, axis1=-2, axis2=-1)
    return mixture.Params(log_weights(free.sticks), location + (frame.centre + moved) @ spread.T, scale)
