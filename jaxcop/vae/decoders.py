"""What the outputs of the decoder network mean: each a NamedTuple of pure functions, so that one more is a function."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop import categories
from jaxcop._student_t import student_t_logpdf

# The Student-t decoder keeps a finite variance, and its location is its mean.
MIN_DF = 2.0
INITIAL_DF = 10.0


def _unchanged(rows):
    return rows


class Decoder(NamedTuple):
    """A factorised location-scale distribution of the columns given z.

    The network has ``outputs_per_column`` outputs a column; ``init(num_columns, dtype) -> params`` are learned beside
    it; ``decode(outputs[*b, o d], params, min_scale) -> (location[*b, d], scale[*b, d])``;
    ``logpdf(x, location, scale, params) -> [*b]``; ``noise(key, shape, params, dtype)`` is standard noise, so that
    location + scale noise is a draw. ``optimum(x, location, weights) -> params`` is None where gradients find params.
    ``columns`` takes locations and draws to the columns of the table (categories: see :func:`with_categories`).
    """

    outputs_per_column: int
    init: Callable
    decode: Callable
    logpdf: Callable
    noise: Callable
    optimum: Callable | None = None
    columns: Callable = _unchanged


def weighted_mean(rows: Float[Array, " b"], weights: Float[Array, " b"]) -> Float[Array, ""]:
    """The mean over rows; a batch without weight counts for nothing."""
    total = weights.sum()
    return (rows * weights).sum() / jnp.where(total > 0, total, 1)


def normal_logpdf(x, mean, log_var):
    """Log-density of a factorised Gaussian, summed over the last axis."""
    return -0.5 * (((x - mean) ** 2) * jnp.exp(-log_var) + log_var + jnp.log(2 * jnp.pi).astype(x.dtype)).sum(-1)


def _gaussian_logpdf(x, location, scale, params):
    return normal_logpdf(x, location, 2 * jnp.log(scale))


def _gaussian_noise(key, shape, params, dtype):
    return jax.random.normal(key, shape, dtype)


def _scale_of_z(outputs, params, min_scale):
    location, raw = jnp.split(outputs, 2, axis=-1)
    return location, min_scale + jax.nn.softplus(raw)


_normal = partial(Decoder, logpdf=_gaussian_logpdf, noise=_gaussian_noise)


def gaussian() -> Decoder:
    r"""N(mu_j(z), sigma_j(z)^2) with :math:`\sigma_j(z)` = min_scale + softplus(r_j(z))."""
    return _normal(2, lambda num_columns, dtype: (), _scale_of_z)


def homoscedastic() -> Decoder:
    r"""N(mu_j(z), sigma_j^2): one learned scale per column, min_scale + softplus(r_j), the same for every z."""

    def decode(outputs, params, min_scale):
        return outputs, jnp.broadcast_to(min_scale + jax.nn.softplus(params), outputs.shape)

    return _normal(1, jnp.zeros, decode)


def sigma_vae() -> Decoder:
    r"""N(mu_j(z), sigma^2): one scale for all columns, at its optimum, never below min_scale.

    :math:`\sigma^2 = \frac{1}{d} \overline{\lVert x - \mu(z) \rVert^2}` over a mini-batch while training, then over all
    training rows. Source: Rybkin, Daniilidis & Levine 2021 ("optimal sigma-VAE").

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0, 2.0], [0.0, 2.0], [9.0, 9.0]])
    >>> float(sigma_vae().optimum(x, jnp.zeros_like(x), jnp.array([1.0, 1.0, 0.0])) ** 2)
    2.25
    """

    def decode(outputs, params, min_scale):
        return outputs, jnp.broadcast_to(jnp.maximum(params, min_scale), outputs.shape)

    def optimum(x, location, weights):
        return jnp.sqrt(weighted_mean(((x - location) ** 2).mean(-1), weights))

    return _normal(1, lambda num_columns, dtype: jnp.ones((), dtype), decode, optimum=optimum)


def student_t() -> Decoder:
    r"""mu_j(z) + sigma_j(z) t with :math:`\nu_j` degrees of freedom, learned: one per column, above 2, from 10."""

    def df(params):
        return MIN_DF + jnp.exp(params)

    def logpdf(x, location, scale, params):
        return (student_t_logpdf((x - location) / scale, df(params)) - jnp.log(scale)).sum(-1)

    return Decoder(
        outputs_per_column=2,
        init=lambda num_columns, dtype: jnp.full(num_columns, jnp.log(INITIAL_DF - MIN_DF), dtype),
        decode=_scale_of_z,
        logpdf=logpdf,
        noise=lambda key, shape, params, dtype: jax.random.t(key, df(params), shape, dtype),
    )


DECODERS = {"gaussian": gaussian, "student_t": student_t, "homoscedastic": homoscedastic, "sigma_vae": sigma_vae}


def _optimum_of_numbers(optimum: Callable, plan: categories.Layout, x, location, weights):
    return optimum(x[..., plan.numbers], location[..., plan.number_places], weights)


def with_categories(decoder: Decoder, levels: categories.Levels) -> Decoder:
    r"""``decoder`` for the columns of numbers, a softmax head for the columns of codes, independent given z.

    :math:`\log p(x|z) = \log p_{num}(x|z) + \sum_j a_{j x_j}(z) - \log \sum_k e^{a_{jk}(z)}` over columns j of codes.
    The network's outputs are those of the numbers, then the logits a. Locations are encoded rows with logits in the
    blocks: with scale 1 and Gumbel noise their largest entry is a draw of the softmax (Gumbel 1954), without its mode.

    >>> import jax.numpy as jnp
    >>> mixed = with_categories(gaussian(), (0, 2))
    >>> location, scale = mixed.decode(jnp.array([0.0, 0.0, 1.0, 3.0]), (), 0.01)  # location, raw scale, two logits
    >>> location.tolist(), mixed.columns(location).tolist()
    ([0.0, 1.0, 3.0], [0.0, 1.0])
    """
    plan = categories.layout(levels)
    count, places = len(plan.numbers), plan.number_places

    def decode(outputs, params, min_scale):
        cut = decoder.outputs_per_column * count
        location, scale = decoder.decode(outputs[..., :cut], params, min_scale)
        logits = outputs[..., cut:]
        return categories.join(location, logits, levels), categories.join(scale, jnp.ones_like(logits), levels)

    def logpdf(x, location, scale, params):
        numbers = decoder.logpdf(x[..., plan.numbers], location[..., places], scale[..., places], params)
        return numbers + categories.log_probability(x, location, levels)

    def noise(key, shape, params, dtype):
        key_numbers, key_codes = jax.random.split(key)
        numbers = decoder.noise(key_numbers, (*shape[:-1], count), params, dtype)
        codes = jax.random.gumbel(key_codes, (*shape[:-1], len(plan.code_places)), dtype)
        return categories.join(numbers, codes, levels)

    return Decoder(
        decoder.outputs_per_column,
        lambda num_columns, dtype: decoder.init(count, dtype),
        decode,
        logpdf,
        noise,
        # Of no numbers there is no optimum.
        None if decoder.optimum is None or not count else partial(_optimum_of_numbers, decoder.optimum, plan),
        lambda rows: categories.largest(rows, levels),
    )
