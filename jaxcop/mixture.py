"""Gaussian mixtures: log-density, sampling and expectation-maximisation, with diagonal or full covariance."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Key

from jaxcop import _checks


class Params(NamedTuple):
    """A Gaussian mixture of K components in d dimensions.

    ``scale`` is either the standard deviations [K, d] (diagonal covariance) or lower Cholesky factors [K, d, d].
    """

    logits: Float[Array, " k"]
    means: Float[Array, "k d"]
    scale: Float[Array, "k d"] | Float[Array, "k d d"]


class Fit(NamedTuple):
    """Result of :func:`fit`: mean log-likelihood per row after each step; ``converged`` is a flag, not an exception."""

    params: Params
    loglik: Float[Array, " steps"]
    converged: Bool[Array, ""]


def component_logpdf(x: Float[Array, "*b d"], params: Params) -> Float[Array, "*b k"]:
    r"""Log-density of every component, :math:`\log N(x; \mu_k, \Sigma_k)`."""
    _, means, scale = params
    centred = x[..., None, :] - means
    if scale.ndim == means.ndim:
        standard, log_det = centred * (1 / scale), jnp.log(scale).sum(-1)  # K d divisions instead of n K d
    else:
        # K small inverses and one product: a triangular solve against every row is hundreds of times slower on a CPU
        # whose cores are shared, and the factor's conditioning enters both alike.
        identity = jnp.broadcast_to(jnp.eye(means.shape[-1], dtype=scale.dtype), scale.shape)
        whiten = solve_triangular(scale, identity, lower=True)
        standard = jnp.einsum("kij,...kj->...ki", whiten, centred)
        log_det = jnp.log(jnp.diagonal(scale, axis1=-2, axis2=-1)).sum(-1)
    return -0.5 * (standard**2).sum(-1) - log_det - 0.5 * x.shape[-1] * jnp.log(2 * jnp.pi).astype(x.dtype)


def logpdf(x: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    r"""Log-density of the mixture, :math:`\log \sum_k \pi_k N(x; \mu_k, \Sigma_k)` by log-sum-exp.

    >>> import jax.numpy as jnp
    >>> two = Params(jnp.zeros(2), jnp.array([[-1.0], [1.0]]), jnp.ones((2, 1)))
    >>> round(float(logpdf(jnp.zeros(1), two)), 4)
    -1.4189
    """
    return logsumexp(component_logpdf(x, params) + jax.nn.log_softmax(params.logits), axis=-1)


def sample(key: Key[Array, ""], params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draw rows; ``shape = (*b, d)`` as everywhere in jaxcop."""
    logits, means, scale = params
    key_component, key_noise = jax.random.split(key)
    component = jax.random.choice(key_component, logits.shape[0], shape[:-1], p=jax.nn.softmax(logits))
    noise = jax.random.normal(key_noise, shape, means.dtype)
    if scale.ndim == means.ndim:
        return means[component] + scale[component] * noise
    return means[component] + jnp.einsum("...ij,...j->...i", scale[component], noise)


def pooled(params: Params) -> Params:
    """Mixtures on one leading axis, blended in equal parts: one mixture with all their components."""
    logits = jax.nn.log_softmax(params.logits, axis=-1)
    return Params(*(leaf.reshape(-1, *leaf.shape[2:]) for leaf in (logits, *params[1:])))


def _maximise(x, responsibilities, weights, regularisation) -> Params:
    """The M step: weighted moments of each component; ``regularisation`` is added to the variances."""
    weighted = responsibilities * weights[:, None]
    total = weighted.sum(0) + jnp.finfo(x.dtype).tiny
    means = weighted.T @ x / total[:, None]
    second = jnp.einsum("nk,ni,nj->kij", weighted, x, x, optimize=True) / total[:, None, None]
    covariance = second - means[:, :, None] * means[:, None, :] + regularisation * jnp.eye(x.shape[1], dtype=x.dtype)
    return Params(jnp.log(total / weights.sum()), means, jnp.linalg.cholesky(covariance))


def fit_masked(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    *,
    num_components: int,
    regularisation: float | Float[Array, ""],
    num_steps: int,
) -> Fit:
    """:func:`fit` without checks, for compiled code: rows where ``mask`` is false do not count."""
    weights = jnp.asarray(mask, x.dtype)
    # Moments about a point far from the rows would cancel.
    centre = (jnp.asarray(x) * weights[:, None]).sum(0) / weights.sum()
    x = x - centre
    # Centres by k-means++ (Arthur & Vassilvitskii 2007): a row is drawn in proportion to its squared distance
    # to the nearest centre so far. The Gumbel trick keeps it one argmax; excluded rows have log-weight -inf.
    noise = jax.random.gumbel(key, (num_components, x.shape[0]), x.dtype)

    def add_centre(carry, inputs):
        centres, distance = carry
        index, gumbel = inputs
        row = jnp.argmax(jnp.log(distance * weights) + gumbel)
        centres = centres.at[index].set(x[row])
        return (centres, jnp.minimum(distance, ((x - x[row]) ** 2).sum(-1))), None

    start = (jnp.zeros((num_components, x.shape[1]), x.dtype), jnp.ones(x.shape[0], x.dtype))
    (centres, _), _ = jax.lax.scan(add_centre, start, (jnp.arange(num_components), noise))
    nearest = jnp.argmin(((x[:, None] - centres) ** 2).sum(-1), axis=1)
    params = _maximise(x, jax.nn.one_hot(nearest, num_components, dtype=x.dtype), weights, regularisation)

    def step(params, _):
        joint = component_logpdf(x, params) + jax.nn.log_softmax(params.logits)
        total = logsumexp(joint, axis=-1, keepdims=True)
        loglik = (total[:, 0] * weights).sum() / weights.sum()
        return _maximise(x, jnp.exp(joint - total), weights, regularisation), loglik

    params, loglik = jax.lax.scan(step, params, None, length=num_steps)
    converged = jnp.isfinite(loglik[-1]) & (jnp.abs(loglik[-1] - loglik[-2]) < 1e-3)
    return Fit(params._replace(means=params.means + centre), loglik, converged)


@partial(jax.jit, static_argnames=("num_components", "num_steps", "num_starts"))
def _fit(key, x, regularisation, num_components, num_steps, num_starts):
    mask = jnp.ones(x.shape[0], bool)
    fits = jax.vmap(
        lambda start: fit_masked(
            start, x, mask, num_components=num_components, regularisation=regularisation, num_steps=num_steps
        )
    )(jax.random.split(key, num_starts))
    best = jnp.argmax(jnp.where(jnp.isfinite(fits.loglik[:, -1]), fits.loglik[:, -1], -jnp.inf))
    return jax.tree.map(lambda leaf: leaf[best], fits)


def fit(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    *,
    num_components: int = 10,
    regularisation: float = 1e-2,
    num_steps: int = 100,
    num_starts: int = 8,
) -> Fit:
    r"""Fit a full-covariance Gaussian mixture by expectation-maximisation (Dempster, Laird & Rubin 1977).

    Starts from ``num_starts`` draws of k-means++ centres side by side and keeps the one with the highest likelihood,
    since EM stops at the nearest optimum. ``regularisation`` is added to the diagonal of every covariance at each
    step, in the units of ``x`` squared, which keeps components on few rows non-singular.

    Raises:
        ValueError: NaN, fewer rows than components, ``num_components < 1`` or ``regularisation <= 0``.

    >>> import jax
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> fit(jax.random.key(0), x, num_components=3).params.means.shape
    (3, 2)
    """
    x = jnp.asarray(_checks.table(x))
    if not 1 <= num_components <= x.shape[0]:
        raise ValueError(
            f"num_components: expected 1 to {x.shape[0]} (the number of rows), got {num_components}; choose fewer"
        )
    _checks.positive(regularisation, "regularisation")
    if num_steps < 2:
        raise ValueError(f"num_steps: expected at least 2, got {num_steps}; 100 is usual")
    return _fit(key, x, regularisation, num_components, num_steps, num_starts)
