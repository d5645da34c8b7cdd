"""Encoder and decoder. The only flax import: parameters enter and leave as one flat vector."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxcop.vae import priors
from jaxcop.vae.config import Config


class Networks(NamedTuple):
    """Pure functions of one flat parameter vector, which makes the optimiser a handful of large operations.

    ``init(noise[num_noise]) -> vector``; ``encode(vector, x) -> (mean, log_var)``;
    ``decode(vector, z, min_scale) -> (mean, scale)``; ``prior_params(vector)`` is what ``prior`` takes.
    """

    num_noise: int
    prior: priors.Prior
    init: Callable
    encode: Callable
    decode: Callable
    prior_params: Callable


class _Perceptron(nnx.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, widths: tuple[int, ...], dtype, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, param_dtype=dtype, rngs=rngs) for a, b in pairwise(widths)])

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


def _initial(noise):
    """Weights ~ N(0, 1 / fan-in), biases zero."""
    return noise * noise.shape[0] ** -0.5 if noise.ndim == 2 else jnp.zeros_like(noise)


@lru_cache(maxsize=64)
def networks(config: Config, num_columns: int, dtype: str) -> Networks:
    """The functions of one architecture.

    All initial weights are cut from one normal draw: a draw per layer compiles for longer than the training loop.
    """
    prior = priors.from_config(config)
    encoder_widths = (num_columns, *config.hidden, 2 * config.latent_dim)
    decoder_widths = (config.latent_dim, *config.hidden[::-1], 2 * num_columns)

    def layout(widths):
        graph, state = nnx.split(nnx.eval_shape(lambda: _Perceptron(widths, dtype, nnx.Rngs(0))))
        return graph, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)

    encoder, encoder_zeros = layout(encoder_widths)
    decoder, decoder_zeros = layout(decoder_widths)
    prior_zeros = np.zeros((prior.num_components, config.latent_dim), dtype)
    flat_noise, split_noise = ravel_pytree((encoder_zeros, decoder_zeros, prior_zeros))
    _, split = ravel_pytree((encoder_zeros, decoder_zeros, prior.init(prior_zeros)))

    def init(noise):
        encoder_noise, decoder_noise, prior_noise = split_noise(noise)
        layers = jax.tree.map(_initial, (encoder_noise, decoder_noise))
        return ravel_pytree((*layers, prior.init(prior_noise)))[0]

    def encode(vector: Float[Array, " p"], x: Float[Array, "*b d"]):
        return jnp.split(nnx.merge(encoder, split(vector)[0])(x), 2, axis=-1)

    def decode(vector: Float[Array, " p"], z: Float[Array, "*b l"], min_scale):
        mean, raw = jnp.split(nnx.merge(decoder, split(vector)[1])(z), 2, axis=-1)
        return mean, min_scale + jax.nn.softplus(raw)

    return Networks(flat_noise.size, prior, init, encode, decode, lambda vector: split(vector)[2])
