"""Held-out log-likelihood by importance sampling from the encoder."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Key

from jaxcop import _checks, categories
from jaxcop.vae.config import Config
from jaxcop.vae.decoders import normal_logpdf
from jaxcop.vae.networks import Networks, networks_of
from jaxcop.vae.training import Trained

# Rows of latent codes decoded side by side, which bounds the memory whatever the number of samples.
CHUNK_ROWS = 2**15


class LogLikelihood(NamedTuple):
    """Per row, in nats: the bound on log p(x) and its Monte Carlo standard error.

    In expectation the bound is low by about half the squared error. Near 1, its ceiling, one draw carries all the
    weight and the error itself is too low: draw more. Rows are drawn independently, so that the mean of n has the
    standard error sqrt(sum of squares) / n. With a single draw it is infinite.
    """

    value: Float[Array, " n"]
    standard_error: Float[Array, " n"]


def importance_bound(
    key: Key[Array, ""],
    networks: Networks,
    vector: Float[Array, " p"],
    x: Float[Array, "n d"],
    min_scale: float | Float[Array, ""],
    num_samples: int,
) -> LogLikelihood:
    """:func:`log_likelihood` without checks, for compiled code. Each draw has a key of its own: chunks cancel out."""
    mean, log_var = networks.encode(vector, x)

    def log_weight(index):
        noise = jax.random.normal(jax.random.fold_in(key, index), mean.shape, mean.dtype)
        z = mean + jnp.exp(0.5 * log_var) * noise
        location, scale = networks.decode(vector, z, min_scale)
        log_joint = networks.decoder.logpdf(x, location, scale, networks.decoder_params(vector))
        log_joint += networks.prior.logpdf(z, networks.prior_params(vector))
        return jnp.where(index < num_samples, log_joint - normal_logpdf(z, mean, log_var), -jnp.inf)

    def add(totals, indices):
        log_weights = jax.vmap(log_weight)(indices)
        new = logsumexp(log_weights, axis=0), logsumexp(2 * log_weights, axis=0)
        return jax.tree.map(jnp.logaddexp, totals, new), None

    size = min(num_samples, max(1, CHUNK_ROWS // len(x)))
    indices = jnp.arange(-(-num_samples // size) * size).reshape(-1, size)
    empty = jnp.full(len(x), -jnp.inf, mean.dtype)
    (total, squares), _ = jax.lax.scan(add, (empty, empty), indices)
    # Delta method: the relative variance of the mean weight.
    relative = num_samples * jnp.exp(squares - 2 * total) - 1
    error = jnp.sqrt(jnp.maximum(relative, 0) / (num_samples - 1)) if num_samples > 1 else jnp.full_like(total, jnp.inf)
    return LogLikelihood(total - math.log(num_samples), error)


@partial(jax.jit, static_argnames=("config", "num_samples"))
def _log_likelihood(key, trained, x, config, num_samples):
    nets = networks_of(trained.vector, config, x.shape[-1])
    return importance_bound(key, nets, trained.vector, x, trained.hyper.min_scale, num_samples)


def log_likelihood(
    key: Key[Array, ""], trained: Trained, config: Config, x: Float[Array, "n d"], num_samples: int = 1000
) -> LogLikelihood:
    r"""The importance-weighted bound on the log-density of each row, in the (scaled) units that the VAE was trained on.

    With categories it is the log of a density of the numbers times a probability of the codes.

    :math:`\log \frac1K \sum_k p(x|z_k) p(z_k) / q(z_k|x) \le \log p(x)` in expectation, with :math:`z_k \sim q(z|x)`.
    It rises with K to the exact value; K = 1 is the evidence lower bound. Memory does not grow with K.
    Source: Burda, Grosse & Salakhutdinov 2016, equation 8.

    Raises:
        ValueError: NaN, ``num_samples < 1``, codes that the VAE does not know, or another number of columns than it was
            trained on.

    >>> import jax
    >>> import numpy as np
    >>> from jaxcop import vae
    >>> x, config = np.random.default_rng(0).normal(size=(64, 2)), vae.Config(hidden=(8,), latent_dim=1, epochs=2)
    >>> trained = vae.fit(jax.random.key(0), x, config)
    >>> log_likelihood(jax.random.key(1), trained, config, x[:5]).value.shape
    (5,)
    """
    table = _checks.table(x, min_rows=1, allow_constant=True)
    if config.levels:
        categories.check_codes(table, config.levels)
    if num_samples < 1:
        raise ValueError(f"num_samples: expected at least 1, got {num_samples}; 1,000 is usual")
    return _log_likelihood(key, trained, jnp.asarray(table, trained.vector.dtype), config, num_samples)
