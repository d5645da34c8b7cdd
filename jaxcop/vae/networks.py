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

from jaxcop import categories
from jaxcop.vae import decoders, priors
from jaxcop.vae.config import Config


class Networks(NamedTuple):
    """Pure functions of one flat parameter vector, which makes the optimiser a handful of large operations.

    ``init(noise[num_noise]) -> vector``; ``encode(vector, x) -> (mean, log_var)``;
    ``decode(vector, z, min_scale) -> (location, scale)``; ``calibrate(vector, x, z, weights) -> vector`` sets what the
    decoder knows in closed form; ``prior_params(vector)`` and ``decoder_params(vector)`` are what ``prior`` and
    ``decoder`` take.
    """

    num_noise: int
    num_params: int
    prior: priors.Prior
    decoder: decoders.Decoder
    init: Callable
    encode: Callable
    decode: Callable
    calibrate: Callable
    prior_params: Callable
    decoder_params: Callable


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
    levels = config.levels or categories.all_numeric(num_columns)
    if len(levels) != num_columns:
        raise ValueError(f"levels: expected one number for each of {num_columns} columns, got {len(levels)}")
    plan = categories.layout(levels)
    encoder_widths = (len(plan.owner), *config.hidden, 2 * config.latent_dim)
    likelihood = decoders.DECODERS[config.decoder]()
    if any(levels):
        likelihood = decoders.with_categories(likelihood, levels)
    num_outputs = likelihood.outputs_per_column * len(plan.numbers) + len(plan.code_places)
    decoder_widths = (config.latent_dim, *config.hidden[::-1], num_outputs)

    def layout(widths):
        graph, state = nnx.split(nnx.eval_shape(lambda: _Perceptron(widths, dtype, nnx.Rngs(0))))
        return graph, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)

    encoder, encoder_zeros = layout(encoder_widths)
    decoder, decoder_zeros = layout(decoder_widths)
    prior_zeros = np.zeros((prior.num_components, config.latent_dim), dtype)
    flat_noise, split_noise = ravel_pytree((encoder_zeros, decoder_zeros, prior_zeros))
    decoder_params = likelihood.init(num_columns, dtype)
    flat, split = ravel_pytree((encoder_zeros, decoder_zeros, prior.init(prior_zeros), decoder_params))

    def init(noise):
        encoder_noise, decoder_noise, prior_noise = split_noise(noise)
        layers = jax.tree.map(_initial, (encoder_noise, decoder_noise))
        return ravel_pytree((*layers, prior.init(prior_noise), likelihood.init(num_columns, dtype)))[0]

    def encode(vector: Float[Array, " p"], x: Float[Array, "*b d"]):
        return jnp.split(nnx.merge(encoder, split(vector)[0])(categories.one_hot(x, levels)), 2, axis=-1)

    def decode(vector: Float[Array, " p"], z: Float[Array, "*b l"], min_scale):
        _, state, _, params = split(vector)
        return likelihood.decode(nnx.merge(decoder, state)(z), params, min_scale)

    def calibrate(vector: Float[Array, " p"], x: Float[Array, "b d"], z: Float[Array, "b l"], weights):
        if likelihood.optimum is None:
            return vector
        # No gradient through the optimum: there the derivative of the likelihood by these parameters is zero.
        constant = jax.lax.stop_gradient(vector)
        params = likelihood.optimum(x, decode(constant, jax.lax.stop_gradient(z), 0)[0], weights)
        return jnp.concatenate([vector[: -params.size], params.ravel()])

    return Networks(
        num_noise=flat_noise.size,
        num_params=flat.size,
        prior=prior,
        decoder=likelihood,
        init=init,
        encode=encode,
        decode=decode,
        calibrate=calibrate,
        prior_params=lambda vector: split(vector)[2],
        decoder_params=lambda vector: split(vector)[3],
    )


def networks_of(vector: Float[Array, " p"], config: Config, num_columns: int) -> Networks:
    """The functions that ``vector`` was trained with; refuses another architecture."""
    nets = networks(config, num_columns, vector.dtype.name)
    if vector.shape != (nets.num_params,):
        raise ValueError(
            f"trained: expected {nets.num_params} parameters for {config} and {num_columns} columns, got shape "
            f"{vector.shape}; use the configuration and columns of the training, one replica at a time"
        )
    return nets
