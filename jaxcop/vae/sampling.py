"""What a trained VAE gives back: new rows, reconstructions and latent codes."""

import jax
from jaxtyping import Array, Float, Key

from jaxcop.vae.config import Config
from jaxcop.vae.networks import networks
from jaxcop.vae.training import Trained


def _networks(trained: Trained, config: Config, num_columns: int):
    return networks(config, num_columns, trained.vector.dtype.name)


def sample(
    key: Key[Array, ""],
    trained: Trained,
    config: Config,
    shape: tuple[int, int],
) -> Float[Array, "m d"]:
    """Draw ``shape = (m, d)`` rows: z from the prior, then x from the decoder's distribution given z."""
    nets = _networks(trained, config, shape[-1])
    key_latent, key_noise = jax.random.split(key)
    z = nets.prior.sample(key_latent, nets.prior_params(trained.vector), shape[0])
    location, scale = nets.decode(trained.vector, z.astype(trained.vector.dtype), trained.hyper.min_scale)
    params = nets.decoder_params(trained.vector)
    return location + scale * nets.decoder.noise(key_noise, shape, params, location.dtype)


def encode(trained: Trained, config: Config, x: Float[Array, "*b d"]) -> tuple[Array, Array]:
    """Posterior mean and log-variance of the latent code of each row."""
    return _networks(trained, config, x.shape[-1]).encode(trained.vector, x)


def reconstruct(trained: Trained, config: Config, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Decoder mean at the posterior mean of each row."""
    nets = _networks(trained, config, x.shape[-1])
    mean, _ = nets.encode(trained.vector, x)
    return nets.decode(trained.vector, mean, trained.hyper.min_scale)[0]
