"""What a trained VAE gives back: new rows, reconstructions, latent codes and a mixture fitted to those."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxcop import mixture
from jaxcop.vae.config import Config, PosteriorMixture
from jaxcop.vae.networks import networks_of
from jaxcop.vae.training import Trained


def sample(
    key: Key[Array, ""],
    trained: Trained,
    config: Config,
    shape: tuple[int, int],
    *,
    latent_mixture: mixture.Params | None = None,
) -> Float[Array, "m d"]:
    """Draw ``shape = (m, d)`` rows: z from the prior, then x from the decoder's distribution given z.

    Categories come as codes, drawn from their softmax.
    ``latent_mixture``, from :func:`fit_posterior_mixture` for one, takes the place of the prior.
    """
    nets = networks_of(trained.vector, config, shape[-1])
    key_latent, key_noise = jax.random.split(key)
    if latent_mixture is None:
        z = nets.prior.sample(key_latent, nets.prior_params(trained.vector), shape[0])
    else:
        z = mixture.sample(key_latent, latent_mixture, (shape[0], config.latent_dim))
    location, scale = nets.decode(trained.vector, z.astype(trained.vector.dtype), trained.hyper.min_scale)
    params = nets.decoder_params(trained.vector)
    return nets.decoder.columns(location + scale * nets.decoder.noise(key_noise, shape, params, location.dtype))


def encode(trained: Trained, config: Config, x: Float[Array, "*b d"]) -> tuple[Array, Array]:
    """Posterior mean and log-variance of the latent code of each row."""
    return networks_of(trained.vector, config, x.shape[-1]).encode(trained.vector, x)


def reconstruct(trained: Trained, config: Config, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Decoder location at the posterior mean of each row; of a category the most probable."""
    nets = networks_of(trained.vector, config, x.shape[-1])
    mean, _ = nets.encode(trained.vector, x)
    return nets.decoder.columns(nets.decode(trained.vector, mean, trained.hyper.min_scale)[0])


def latent_codes(
    key: Key[Array, ""],
    trained: Trained,
    config: Config,
    x: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    num_draws: int,
) -> tuple[Float[Array, "m l"], Bool[Array, " m"]]:
    """``num_draws`` posterior samples of the latent code of each row (0: its mean) and the mask of those that count."""
    z, log_var = encode(trained, config, jnp.where(mask[:, None], x, 0))
    if num_draws:
        z, sd = (jnp.tile(part, (num_draws, 1)) for part in (z, jnp.exp(0.5 * log_var)))
        z = z + sd * jax.random.normal(key, z.shape, z.dtype)
        mask = jnp.tile(mask, num_draws)
    return z, mask


def fit_posterior_mixture(
    key: Key[Array, ""],
    trained: Trained,
    config: Config,
    x: Float[Array, "n d"],
    mask: Bool[Array, " n"] | None = None,
    options: PosteriorMixture | None = None,
) -> mixture.Fit:
    """A full-covariance Gaussian mixture of the latent codes of ``x``, to sample from instead of the prior.

    It closes the gap between the prior and the average posterior that the decoder was trained on. Fitted by EM from one
    start; the source fits the same model by variational Bayes, as ``bayes.mixture_posterior`` does. Runs under ``jit``
    and ``vmap``; rows where ``mask`` is false do not count. Source: Apellaniz, Parras & Zazo 2024 (VAE-BGM).

    >>> import jax
    >>> import numpy as np
    >>> from jaxcop import vae
    >>> x, config = np.random.default_rng(0).normal(size=(64, 2)), vae.Config(hidden=(8,), latent_dim=3, epochs=2)
    >>> trained = vae.fit(jax.random.key(0), x, config)
    >>> fitted = vae.fit_posterior_mixture(jax.random.key(1), trained, config, x)
    >>> vae.sample(jax.random.key(2), trained, config, (10, 2), latent_mixture=fitted.params).shape
    (10, 2)
    """
    options = PosteriorMixture() if options is None else options
    x = jnp.asarray(x, trained.vector.dtype)
    mask = jnp.ones(len(x), bool) if mask is None else jnp.asarray(mask)
    key_draws, key_fit = jax.random.split(key)
    z, mask = latent_codes(key_draws, trained, config, x, mask, options.num_draws)
    return mixture.fit_masked(
        key_fit,
        z,
        mask,
        num_components=options.num_components,
        regularisation=options.regularisation,
        num_steps=options.num_steps,
    )
