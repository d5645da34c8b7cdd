"""Training: init, step and fit, where fit is one compiled scan over epochs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcop import categories
from jaxcop.vae import config as _config
from jaxcop.vae.config import Config, Hyper
from jaxcop.vae.decoders import weighted_mean
from jaxcop.vae.elbo import Terms, elbo, penalised_kl, terms
from jaxcop.vae.networks import networks
from jaxcop.vae.schedules import beta as _beta

# Longer gradients than this are scaled down: one odd batch must not throw a run of thousands of steps.
MAX_GRADIENT_NORM = 10.0
# Of random numbers, and the one after it: far from those of the epochs, which stay as they are without held-out rows.
HELD_OUT_STREAM = 2**21


class State(NamedTuple):
    """All that a step changes: the flat parameter vector, Adam's moments and the number of steps taken."""

    vector: Float[Array, " p"]
    optimiser: optax.OptState
    step: Int[Array, ""]


class Info(NamedTuple):
    """Training curves, one value an epoch, in nats per row; ``finite`` is false where a replica diverged.

    ``validation`` is the bound of the rows that ``Config.validation_share`` holds out (NaN without them), and
    ``best_epoch`` the epoch whose parameters were kept.
    """

    elbo: Float[Array, " epochs"]
    reconstruction: Float[Array, " epochs"]
    kl: Float[Array, " epochs"]
    beta: Float[Array, " epochs"]
    finite: Bool[Array, ""]
    validation: Float[Array, " epochs"]
    best_epoch: Int[Array, ""]


class Trained(NamedTuple):
    """A trained VAE: the parameter vector, the hyper-parameters it was trained with, and its curves."""

    vector: Float[Array, " p"]
    hyper: Hyper
    info: Info


def _optimiser(learning_rate, num_steps):
    schedule = optax.cosine_decay_schedule(learning_rate, num_steps)
    return optax.chain(optax.clip_by_global_norm(MAX_GRADIENT_NORM), optax.adam(schedule))


def num_batches(config: Config, num_rows: int) -> int:
    """Batches in an epoch: the fewest of equal size, none larger than ``config.batch_size``."""
    return -(-num_rows // config.batch_size)


def init(key: Key[Array, ""], config: Config, num_columns: int, dtype) -> State:
    """Fresh weights and an optimiser at rest."""
    nets = networks(config, num_columns, jnp.dtype(dtype).name)
    vector = nets.init(jax.random.normal(key, (nets.num_noise,), dtype))
    return State(vector, _optimiser(1.0, 1).init(vector), jnp.zeros((), int))


def step(state: State, batch, weights, noise, beta, config: Config, hyper: Hyper, num_steps: int):
    """One Adam step on the weighted mean of the negative ELBO over a mini-batch; returns the state and mean terms."""
    nets = networks(config, batch.shape[-1], batch.dtype.name)

    def loss(vector):
        parts = terms(nets, vector, batch, noise, hyper.min_scale, weights)
        mean = Terms(weighted_mean(parts.reconstruction, weights), weighted_mean(parts.kl.sum(-1), weights))
        kl = penalised_kl(parts.kl, weights, hyper.free_bits, config.latent_dim)
        return beta * kl - mean.reconstruction, mean

    gradient, mean = jax.grad(loss, has_aux=True)(state.vector)
    updates, optimiser = _optimiser(hyper.learning_rate, num_steps).update(gradient, state.optimiser)
    vector = jnp.asarray(optax.apply_updates(state.vector, updates))
    return State(vector, optimiser, state.step + 1), mean


def _calibrated(key, vector, x, mask, weights, config: Config):
    """The vector with what the decoder knows in closed form at its optimum over all rows, at one draw of z a row."""
    nets = networks(config, x.shape[-1], x.dtype.name)
    if nets.decoder.optimum is None:
        return vector
    x = jnp.where(mask[:, None], x, 0)
    mean, log_var = nets.encode(vector, x)
    noise = jax.random.normal(jax.random.fold_in(key, config.epochs), mean.shape, mean.dtype)
    return nets.calibrate(vector, x, mean + jnp.exp(0.5 * log_var) * noise, weights * mask)


class _Best(NamedTuple):
    """The parameters of the epoch with the highest bound on held-out rows so far."""

    vector: Float[Array, " p"]
    bound: Float[Array, ""]
    epoch: Int[Array, ""]


def hold_out(key: Key[Array, ""], mask: Bool[Array, " n"], share: float) -> Bool[Array, " n"]:
    """A random ``share`` (at least one) of the rows where ``mask`` is true."""
    chance = jax.random.uniform(jax.random.fold_in(key, HELD_OUT_STREAM), mask.shape)
    rank = jnp.argsort(jnp.argsort(jnp.where(mask, chance, jnp.inf)))
    return mask & (rank < jnp.maximum(1, jnp.floor(share * mask.sum())))


def fit_masked(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    weights: Float[Array, " n"],
    hyper: Hyper,
    config: Config,
) -> Trained:
    """:func:`fit` without checks, for compiled code and for ``vmap`` over replicas.

    Tables of different length share one program: rows where ``mask`` is false never enter a batch, and every epoch
    cuts the remaining rows into the same number of equal batches.
    """
    x, mask, weights = jnp.asarray(x), jnp.asarray(mask), jnp.asarray(weights)
    num_rows, num_columns = x.shape
    batches = num_batches(config, num_rows)
    size = -(-num_rows // batches)
    num_steps = config.epochs * batches
    key_init, key_epochs = jax.random.split(key)
    held_out = hold_out(key, mask, config.validation_share) if config.validation_share else jnp.zeros_like(mask)
    mask = mask & ~held_out
    valid = mask.sum()
    # The position of every slot of every batch among the shuffled valid rows; slots past a batch's end weigh nothing.
    edges = (jnp.arange(batches + 1) * valid) // batches
    slots = edges[:-1, None] + jnp.arange(size)
    filled = slots < edges[1:, None]
    slots = jnp.minimum(slots, num_rows - 1)
    hyper = jax.tree.map(lambda value: jnp.asarray(value, x.dtype), hyper)

    def bound(vector):
        """Of the held-out rows, at the same noise in every epoch."""
        vector = _calibrated(key_epochs, vector, x, mask, weights, config)
        rows = jnp.where(held_out[:, None], x, 0)
        noise = jax.random.normal(jax.random.fold_in(key, HELD_OUT_STREAM + 1), (num_rows, config.latent_dim), x.dtype)
        parts = terms(networks(config, num_columns, x.dtype.name), vector, rows, noise, hyper.min_scale)
        return weighted_mean(elbo(parts), weights * held_out)

    def epoch(carry, index):
        state, best = carry
        key_order, key_noise = jax.random.split(jax.random.fold_in(key_epochs, index))
        order = jnp.argsort(jnp.where(mask, jax.random.uniform(key_order, (num_rows,)), jnp.inf))
        rows = order[slots]
        # The same numbers as in three axes, which compile for five times as long.
        noise = jax.random.normal(key_noise, (rows.size, config.latent_dim), x.dtype).reshape(*rows.shape, -1)
        progress = ((index * batches + jnp.arange(batches)) / num_steps).astype(x.dtype)
        beta = _beta(config.schedule, progress, hyper.beta_max, hyper.warmup, hyper.num_cycles)

        def one(state, inputs):
            batch, batch_weights, noise, beta = inputs
            return step(state, batch, batch_weights, noise, beta, config, hyper, num_steps)

        batch_weights = weights[rows] * filled
        state, means = jax.lax.scan(one, state, (x[rows], batch_weights, noise, beta))
        used = batch_weights.sum(1) > 0
        means = jax.tree.map(lambda part: (part * used).sum() / used.sum(), means)
        if not config.validation_share:
            return (state, None), (means, beta[-1], jnp.asarray(jnp.nan, x.dtype))
        new = _Best(state.vector, bound(state.vector), index)
        better = new.bound > best.bound
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), new, best)
        return (state, best), (means, beta[-1], new.bound)

    state = init(key_init, config, num_columns, x.dtype)
    last = jnp.asarray(config.epochs - 1)
    best = _Best(state.vector, jnp.asarray(-jnp.inf, x.dtype), last) if config.validation_share else None
    (state, best), (means, beta, validation) = jax.lax.scan(epoch, (state, best), jnp.arange(config.epochs))
    vector, kept = (state.vector, last) if best is None else (best.vector, best.epoch)
    vector = _calibrated(key_epochs, vector, x, mask, weights, config)
    finite = jnp.isfinite(vector).all() & jnp.isfinite(means.reconstruction[-1])
    curves = Info(means.reconstruction - means.kl, means.reconstruction, means.kl, beta, finite, validation, kept)
    return Trained(vector, hyper, curves)


_fit = jax.jit(fit_masked, static_argnames="config")


def fit(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    config: Config,
    hyper: Hyper | None = None,
    *,
    mask: Bool[Array, " n"] | None = None,
    weights: Float[Array, " n"] | None = None,
) -> Trained:
    r"""Train a VAE on standardised columns by Adam with a cosine-decayed learning rate.

    Maximises the weighted mean over rows of :math:`E_q \log p(x|z) - \beta_t KL(q(z|x) \| p(z))`.

    Args:
        key: typed key; the same key gives the same result.
        x: rows of columns with mean near 0 and standard deviation near 1, or codes where ``config.levels`` says so.
        config: what is compiled.
        hyper: numbers that may change without compiling; None takes the defaults.
        mask: rows that count (default all), so that padded tables share one program.
        weights: non-negative weight of each row (default 1).

    Raises:
        ValueError: NaN, a constant column, codes that are not 0, 1, ..., k - 1, more categories than rows, a mask that
            keeps too few rows, negative weights, or a configuration that does not fit the table.

    >>> import jax
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> fit(jax.random.key(0), x, Config(hidden=(8,), latent_dim=1, epochs=2)).info.elbo.shape
    (2,)
    """
    hyper = Hyper() if hyper is None else hyper
    table, _ = categories.check(x, config.levels)
    num_rows = table.shape[0]
    keep = np.ones(num_rows, bool) if mask is None else np.asarray(mask, bool)
    row_weights = np.ones(num_rows, table.dtype) if weights is None else np.asarray(weights, table.dtype)
    for name, value in (("mask", keep), ("weights", row_weights)):
        if value.shape != (num_rows,):
            raise ValueError(f"{name}: expected shape ({num_rows},), got {value.shape}; give one value a row")
    if not (np.isfinite(row_weights).all() and (row_weights >= 0).all() and (row_weights[keep] > 0).any()):
        raise ValueError("weights: expected finite values of at least 0, one above 0; check how they were computed")
    _config.check(config, hyper, int(keep.sum()), table.shape[1])
    return _fit(key, jnp.asarray(table), jnp.asarray(keep), jnp.asarray(row_weights), hyper, config=config)
