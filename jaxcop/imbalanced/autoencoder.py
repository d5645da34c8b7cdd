"""The balanced beta-VAE: a small mirrored network on a scaled table, in which the errors of rare targets weigh more."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key

from jaxcop import _checks
from jaxcop.categories import Levels, blocks
from jaxcop.imbalanced.density import check_alpha


@dataclass(frozen=True)
class Config:
    """What is compiled. ``hidden`` and ``latent_dim`` of None are the published sizes (:func:`published_sizes`).

    An epoch visits the shuffled rows in mini-batches of ``batch_size``; rows that do not fill one are left out.
    """

    hidden: tuple[int, ...] | None = None
    latent_dim: int | None = None
    epochs: int = 2000
    batch_size: int = 64

    def __post_init__(self):
        if (self.hidden is None) != (self.latent_dim is None):
            raise ValueError("hidden, latent_dim: expected both or neither, got one; name the other as well")
        for name in ("epochs", "batch_size"):
            _checks.whole(getattr(self, name), name)
        if self.hidden is not None:
            object.__setattr__(self, "hidden", tuple(self.hidden))
            for width in (*self.hidden, self.latent_dim):
                _checks.whole(width, "hidden, latent_dim")


class Hyper(NamedTuple):
    """Numbers that may change without compiling again; each may have a replica axis.

    ``alpha`` is the exponent of the weights in the loss (0: no balance), ``draw_alpha`` that of the rows drawn.
    ``noise`` scales the draw of the latent code while training: 1 a VAE, 0 a plain autoencoder. ``balance_all`` is the
    share to which the terms other than the target's are weighted too: 0 as published, 1 all alike.
    ``multiplier`` is that of the bandwidth of the smoothed bootstrap.
    """

    learning_rate: float | Float[Array, ""] = 1e-3
    beta_x: float | Float[Array, ""] = 1.0
    beta_y: float | Float[Array, ""] = 10.0
    beta_kl: float | Float[Array, ""] = 1e-6
    alpha: float | Float[Array, ""] = 0.5
    noise: float | Float[Array, ""] = 1.0
    balance_all: float | Float[Array, ""] = 0.0
    weight_decay: float | Float[Array, ""] = 1e-4
    draw_alpha: float | Float[Array, ""] = 0.5
    multiplier: float | Float[Array, ""] = 1.0


class Trained(NamedTuple):
    """All weights as one vector, the loss per row and epoch, and whether both are finite."""

    vector: Float[Array, " p"]
    loss: Float[Array, " epochs"]
    finite: Bool[Array, ""]


class Sizes(NamedTuple):
    """Widths of the encoder's hidden layers (the decoder mirrors them) and of the latent code."""

    hidden: tuple[int, ...]
    latent_dim: int


def published_sizes(num_features: int) -> Sizes:
    """Hidden layers 2p + 1, p - q, p - 2q and latent size p - 3q, with q = p // 10 + 1, for p features.

    Raises ValueError where no latent dimension is left. Source: Stocksieker, Pommeret & Charpentier 2024.

    >>> published_sizes(6)
    Sizes(hidden=(13, 5, 4), latent_dim=3)
    """
    q = num_features // 10 + 1
    sizes = Sizes((2 * num_features + 1, num_features - q, num_features - 2 * q), num_features - 3 * q)
    if sizes.latent_dim < 1:
        raise ValueError(
            f"x: expected at least 4 features (encoded) for the published architecture, got {num_features}; name the "
            "sizes, e.g. Config(hidden=(7, 3), latent_dim=2)"
        )
    return sizes


def sizes_of(config: Config, levels: Levels) -> Sizes:
    """The sizes that the configuration names, or the published ones for the encoded features."""
    if config.hidden is None or config.latent_dim is None:
        return published_sizes(blocks(levels)[-1].start)
    return Sizes(config.hidden, config.latent_dim)


def check(config: Config, hyper: Hyper, num_rows: int, levels: Levels) -> None:
    """Refuse values that cannot work, before anything is compiled."""
    sizes_of(config, levels)
    if config.batch_size > num_rows:
        raise ValueError(
            f"batch_size: expected at most the {num_rows} rows of the table, got {config.batch_size}; lower it"
        )
    for name in ("alpha", "draw_alpha"):
        check_alpha(getattr(hyper, name), name)
    for name, value in hyper._asdict().items():
        for number in np.ravel(np.asarray(value)):
            _checks.positive(float(number), name, allow_zero=name != "learning_rate")


def _layers(config: Config, levels: Levels) -> tuple[list[tuple[int, int]], int]:
    """(fan-in, fan-out) of every layer, and how many of them are the encoder's."""
    (hidden, latent), width = sizes_of(config, levels), blocks(levels)[-1].stop
    encoder = list(pairwise((width, *hidden, 2 * latent)))
    return [*encoder, *pairwise((latent, *hidden[::-1], width))], len(encoder)


def _perceptron(vector, layers, offset: int, x):
    """Tanh layers with a linear last one on columns x[fan_in, rows]: rows last, since they are what is long."""
    for position, (fan_in, fan_out) in enumerate(layers):
        end = offset + fan_in * fan_out
        weight, bias = vector[offset:end].reshape(fan_out, fan_in), vector[end : end + fan_out]
        x = weight @ x + bias[:, None]
        x = x if position == len(layers) - 1 else jnp.tanh(x)
        offset = end + fan_out
    return x


def _num_params(layers) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in layers)


def _encode_columns(vector, x, config: Config, levels: Levels):
    layers, encoder = _layers(config, levels)
    return jnp.split(_perceptron(vector, layers[:encoder], 0, x), 2)


def _decode_columns(vector, z, config: Config, levels: Levels):
    layers, encoder = _layers(config, levels)
    return _perceptron(vector, layers[encoder:], _num_params(layers[:encoder]), z)


def encode(
    vector: Float[Array, " p"], encoded: Float[Array, "n e"], config: Config, levels: Levels
) -> tuple[Float[Array, "n l"], Float[Array, "n l"]]:
    """Mean and log-variance of the latent code of each row."""
    mean, log_var = _encode_columns(vector, encoded.T, config, levels)
    return mean.T, log_var.T


def decode(vector: Float[Array, " p"], z: Float[Array, "n l"], config: Config, levels: Levels) -> Float[Array, "n e"]:
    """The decoder's two heads side by side: features, then the target; logits where a column is a category."""
    return _decode_columns(vector, z.T, config, levels).T


def losses(outputs: Float[Array, "e n"], x: Float[Array, "e n"], levels: Levels) -> Float[Array, "d n"]:
    """Per column and row: squared error of a number, cross-entropy of a category."""
    squares = (outputs - x) ** 2
    if not any(levels):
        return squares
    return jnp.stack(
        [
            -(x[b.start : b.stop] * jax.nn.log_softmax(outputs[b.start : b.stop], axis=0)).sum(0)
            if b.level
            else squares[b.start]
            for b in blocks(levels)
        ]
    )


def loss(
    vector: Float[Array, " p"],
    x: Float[Array, "e n"],
    term_weights: Float[Array, "d n"],
    kl_weights: Float[Array, " n"],
    noise: Float[Array, "l n"],
    config: Config,
    levels: Levels,
) -> Float[Array, ""]:
    r"""Sum over a mini-batch of weighted errors and :math:`KL(q(z|x) \| N(0, I))`; the decoder's variance is fixed."""
    mean, log_var = _encode_columns(vector, x, config, levels)
    outputs = _decode_columns(vector, mean + jnp.exp(0.5 * log_var) * noise, config, levels)
    kl = 0.5 * (mean**2 + jnp.exp(log_var) - 1 - log_var).sum(0)
    return (term_weights * losses(outputs, x, levels)).sum() + (kl_weights * kl).sum()


def loss_weights(omega: Float[Array, " n"], hyper: Hyper, num_columns: int):
    """Weights [d, n] of the columns' errors and [n] of the KL: beta_x, beta_y omega and beta_kl as published."""
    others = 1 + hyper.balance_all * (omega - 1)
    features = jnp.broadcast_to(hyper.beta_x * others, (num_columns - 1, len(omega)))
    return jnp.concatenate([features, (hyper.beta_y * omega)[None]]), hyper.beta_kl * others


def train(
    key: Key[Array, ""],
    encoded: Float[Array, "n e"],
    mask: Bool[Array, " n"],
    weights: Float[Array, " n"],
    hyper: Hyper,
    config: Config,
    levels: Levels,
) -> Trained:
    r"""Minimise :func:`loss` by AdamW over shuffled mini-batches, for compiled code and ``vmap`` over replicas.

    :math:`\beta_x \sum_{ij} (\hat x_{ij} - x_{ij})^2 + \beta_y \sum_i \omega_i (\hat y_i - y_i)^2 + \beta_{kl} KL`,
    :math:`\omega_i = n w_i`, with ``weights`` w that sum to 1 over the rows where ``mask`` is true; other rows never
    enter a batch. Replicas that differ by ``hyper`` alone share the program.
    Source: Stocksieker, Pommeret & Charpentier 2024, sections 3.2 and 4.
    """
    num_rows, size = len(encoded), config.batch_size
    batches = num_rows // size
    valid = mask.sum()
    layers, _ = _layers(config, levels)
    latent = sizes_of(config, levels).latent_dim
    hyper = jax.tree.map(lambda value: jnp.asarray(value, encoded.dtype), hyper)
    omega = jnp.where(mask, valid * weights, 0).astype(encoded.dtype)
    # One array of everything that follows the rows, so that an epoch shuffles once.
    terms, kl_weights = loss_weights(omega, hyper, len(levels))
    columns = jnp.concatenate([jnp.where(mask[:, None], encoded, 0), terms.T, kl_weights[:, None]], axis=1)
    width = encoded.shape[1]
    optimiser = optax.adamw(hyper.learning_rate, weight_decay=hyper.weight_decay)
    key_init, key_epochs = jax.random.split(key)
    # Weights and biases ~ U(-1, 1) / sqrt(fan-in), which is what the released code starts from.
    bounds = np.concatenate([np.full((fan_in + 1) * fan_out, fan_in**-0.5) for fan_in, fan_out in layers])
    vector = jax.random.uniform(key_init, bounds.shape, encoded.dtype, -1, 1) * bounds.astype(encoded.dtype)

    def epoch(carry, index):
        key_order, key_noise = jax.random.split(jax.random.fold_in(key_epochs, index))
        order = jnp.argsort(jnp.where(mask, jax.random.uniform(key_order, (num_rows,)), jnp.inf))
        rows = columns[order[: batches * size]].reshape(batches, size, -1).swapaxes(1, 2)
        # The same numbers as in three axes, which compile for five times as long.
        noise = jax.random.normal(key_noise, (batches * latent, size), encoded.dtype)
        noise = hyper.noise * noise.reshape(batches, latent, size)
        used = (jnp.arange(batches) + 1) * size <= valid

        def step(state, inputs):
            rows, noise, used = inputs
            vector, moments = state
            parts = rows[:width], rows[width:-1], rows[-1], noise
            value, gradient = jax.value_and_grad(loss)(vector, *parts, config, levels)
            updates, new = optimiser.update(gradient, moments, vector)
            new = optax.apply_updates(vector, updates), new
            return jax.tree.map(lambda new, old: jnp.where(used, new, old), new, state), jnp.where(used, value, 0)

        carry, values = jax.lax.scan(step, carry, (rows, noise, used))
        return carry, values.sum() / (used.sum() * size)

    (vector, _), curve = jax.lax.scan(epoch, (vector, optimiser.init(vector)), jnp.arange(config.epochs))
    return Trained(vector, curve, jnp.isfinite(vector).all() & jnp.isfinite(curve[-1]))
