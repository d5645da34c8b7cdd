"""Fréchet distance in the latent space of autoencoders (FAED) that have seen the real training rows only.

Two steps: ``fit_autoencoders`` once per training table, then ``faed`` for every synthetic table or batch of them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxcop import _checks
from jaxcop.metrics import _inputs, moments


class Autoencoders(NamedTuple):
    """Encoders of ``k`` independent fits, the training table's location and scale, and the fits' final errors.

    ``layers`` are (weight, bias) pairs, of which the first two encode; ``whiten`` makes the covariance of the training
    latents the identity; ``loss`` is the mean squared reconstruction error of the standardised training rows.
    """

    layers: tuple
    location: Float[Array, "d"]
    scale: Float[Array, "d"]
    whiten: Float[Array, "k q q"]
    loss: Float[Array, "k"]


class FAED(NamedTuple):
    """``value`` is the mean of ``members`` (one per autoencoder), ``ratio`` = value / floor is near 1 for real rows."""

    value: Float[Array, "*r"]
    floor: Float[Array, ""]
    ratio: Float[Array, "*r"]
    members: Float[Array, "*r k"]


def _half(layers, x):
    """Two layers with a tanh between them: the encoder, and the decoder alike."""
    (w1, b1), (w2, b2) = layers
    return jnp.tanh(x @ w1 + b1) @ w2 + b2


def _fit_one(key, x, hidden, latent_dim, steps, learning_rate):
    widths = [(x.shape[1], hidden), (hidden, latent_dim), (latent_dim, hidden), (hidden, x.shape[1])]
    # One draw for all weights: each call of a generator costs a quarter of a second to compile.
    ends = np.cumsum([fan_in * fan_out for fan_in, fan_out in widths])
    weights = jnp.split(jax.random.normal(key, (int(ends[-1]),), x.dtype), ends[:-1])
    layers = tuple(
        (weight.reshape(width) * (2 / sum(width)) ** 0.5, jnp.zeros(width[1], x.dtype))
        for weight, width in zip(weights, widths, strict=True)
    )
    optimiser = optax.adam(learning_rate)

    def error(layers):
        return ((_half(layers[2:], _half(layers[:2], x)) - x) ** 2).mean()

    def step(state, _):
        layers, moment = state
        updates, moment = optimiser.update(jax.grad(error)(layers), moment)
        return (jax.tree.map(jnp.add, layers, updates), moment), None

    (layers, _), _ = jax.lax.scan(step, (layers, optimiser.init(layers)), length=steps)
    latent = _half(layers[:2], x)
    values, vectors = jnp.linalg.eigh(jnp.cov(latent, rowvar=False).reshape(latent_dim, latent_dim))
    # A latent direction that the fit left empty has no scale of its own and is dropped, as in a pseudo-inverse.
    used = values > values[-1] * latent_dim * jnp.finfo(x.dtype).eps
    whiten = jnp.where(used, vectors * jax.lax.rsqrt(jnp.where(used, values, 1)), 0)
    return layers, whiten, error(layers)


@partial(jax.jit, static_argnames=("num", "hidden", "latent_dim", "steps"))
def _fit(key, train, num, hidden, latent_dim, steps, learning_rate):
    location, scale = _inputs.location_scale(train)
    x = (train - location) / scale
    layers, whiten, loss = jax.vmap(lambda k: _fit_one(k, x, hidden, latent_dim, steps, learning_rate))(
        jax.random.split(key, num)
    )
    return Autoencoders(layers[:2], location, scale, whiten, loss)


def _encode(autoencoders: Autoencoders, x):
    """Whitened latents ``[k, n, q]`` of the rows of ``x`` under each of the k encoders."""
    z = jax.vmap(_half, (0, None))(autoencoders.layers, (x - autoencoders.location) / autoencoders.scale)
    return z @ autoencoders.whiten


def latent_frechet(autoencoders: Autoencoders, real, synthetic):
    """Fréchet distance ``[*r, k]`` under each autoencoder, without floor and without checks."""
    latent = _encode(autoencoders, real)
    return _inputs.over_replicas(
        lambda rows: jax.vmap(moments.frechet_of)(latent, _encode(autoencoders, rows)), synthetic
    )


@partial(jax.jit, static_argnames="draws")
def _faed(key, autoencoders, real, synthetic, draws):
    latent = _encode(autoencoders, real)
    distances = jax.vmap(moments.frechet_of)
    n, m = real.shape[0], synthetic.shape[-2]

    def null(k):
        first, second = jax.random.split(k)
        rows, others = jax.random.randint(first, n, 0, n), jax.random.randint(second, m, 0, n)
        return distances(latent[:, rows], latent[:, others]).mean()

    floor = jax.lax.map(null, jax.random.split(key, draws)).mean()
    members = latent_frechet(autoencoders, real, synthetic)
    value = members.mean(axis=-1)
    return FAED(value, floor, value / jnp.where(floor > 0, floor, 1), members)


def fit_autoencoders(
    key: PRNGKeyArray,
    train: Float[Array, "n d"],
    *,
    num: int = 5,
    hidden: int = 16,
    latent_dim: int | None = None,
    steps: int = 200,
    learning_rate: float = 1e-2,
) -> Autoencoders:
    """Fit ``num`` autoencoders d - hidden - latent - hidden - d (tanh) to the real training rows, full batch, by Adam.

    Training rows are standardised by their own mean and standard deviation; ``latent_dim`` is half the columns, rounded
    up, by default. Nothing else enters: one fit serves every synthetic table of a split.

    Raises ValueError for other shapes, fewer than 3 rows, NaN or infinity, a constant column, and counts or a learning
    rate that are not above 0. Source: the architecture is a plain nonlinear autoencoder (Kramer 1991); Adam: Kingma and
    Ba (2015).

    >>> import jax
    >>> key_fit, key_data, key_floor = jax.random.split(jax.random.key(0), 3)
    >>> train, fresh = jax.random.normal(key_data, (2, 100, 4))
    >>> autoencoders = fit_autoencoders(key_fit, train, steps=100)
    >>> good, bad = faed(key_floor, autoencoders, train, jax.numpy.stack([fresh, fresh + 1])).ratio
    >>> bool(good < 2), bool(bad > 5)
    (True, True)
    """
    train = _inputs.rows(train, "train", allow_constant=False, min_rows=3)
    latent_dim = (train.shape[1] + 1) // 2 if latent_dim is None else latent_dim
    for name, value in (("num", num), ("hidden", hidden), ("latent_dim", latent_dim), ("steps", steps)):
        _checks.whole(value, name)
    _checks.positive(learning_rate, "learning_rate")
    return _fit(key, train, num, hidden, latent_dim, steps, learning_rate)


def faed(
    key: PRNGKeyArray,
    autoencoders: Autoencoders,
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    *,
    draws: int = 20,
) -> FAED:
    """Fréchet distance of whitened latents, averaged over the autoencoders, and its ratio to the noise floor.

    The floor is the mean of the same distance between two bootstrap samples of ``real``, of n and of m rows, over
    ``draws`` pairs (``key`` draws them). Read the ratio: the value depends on the sizes and on the autoencoders. It is
    below 1 for a bootstrap of the training rows, since its null compares two resamples, and larger for fresh real rows,
    since the encoders fit the training rows a little too well: print the ratio of held-out real rows beside it.

    Shapes: real ``[n, d]`` (the training rows, or held-out ones), synthetic ``[*r, m, d]`` give ``value`` and ``ratio``
    ``[*r]``, ``floor`` a scalar, ``members`` ``[*r, k]``.
    Raises ValueError for other shapes, fewer than 2 rows, columns other than those of the fit, NaN or infinity.
    Source: Heusel et al. (2017) for the Fréchet distance of learned features.
    """
    real, synthetic = _inputs.pair(real, synthetic)
    fitted = autoencoders.location.shape[0]
    if real.shape[1] != fitted:
        raise ValueError(
            f"real: expected the {fitted} columns of the fit, got {real.shape[1]}; fit autoencoders to this table"
        )
    return _faed(key, autoencoders, real, synthetic, _checks.whole(draws, "draws"))
