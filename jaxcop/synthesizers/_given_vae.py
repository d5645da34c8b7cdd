"""A VAE under a condition: latent codes of the prior, resampled by the likelihood of what is given (Rubin 1988).

The decoder's columns are independent given z, so a weight is the product of the densities of the values and the
probabilities of the ranges; given z the other columns are drawn as always, and those in ranges truncated to them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, ndtri
from jaxtyping import Array

from jaxcop import margins, mixture
from jaxcop._numerics import normal_cdf, uniforms
from jaxcop._student_t import student_t_cdf, student_t_logpdf, student_t_quantile
from jaxcop.copulas import _truncated
from jaxcop.copulas._rejection import choose
from jaxcop.synthesizers._given import Drawn
from jaxcop.vae import Config, Trained
from jaxcop.vae.decoders import MIN_DF
from jaxcop.vae.networks import networks_of

# Latent codes that are weighted: the first number, and the second for every row that is wanted.
NUM_PROPOSALS = 20_000
PROPOSALS_PER_ROW = 4


def _noise(config: Config, params) -> tuple[Callable, Callable, Callable]:
    """Standard noise of the decoder: log-density, log-probability of an interval, draws from one at ``w``."""
    if config.decoder != "student_t":
        limit = _truncated.INFINITE

        def clipped(low, high):
            return jnp.clip(low, -limit, limit), jnp.clip(high, -limit, limit)

        return (
            lambda x: -(x**2) / 2,
            lambda low, high: _truncated.log_interval(*clipped(low, high)),
            lambda w, low, high: _truncated.draw(w, *clipped(low, high))[0],
        )
    df = MIN_DF + jnp.exp(params)

    def ends(low, high) -> tuple[Array, Array, Array]:
        # From the side where both tails are small, or a range far above is 1 - 1.
        turned = low + high > 0
        low, high = jnp.where(turned, -high, low), jnp.where(turned, -low, high)
        return student_t_cdf(low, df), student_t_cdf(high, df), turned

    def log_interval(low, high):
        p_low, p_high, _ = ends(low, high)
        return jnp.log(p_high - p_low)

    def draw(w, low, high):
        p_low, p_high, turned = ends(low, high)
        w = jnp.where(turned, 1 - w, w)
        x = student_t_quantile(p_low + w * (p_high - p_low), df)
        return jnp.where(turned, -x, x)

    return lambda x: student_t_logpdf(x, df), log_interval, draw


def of_vae(config: Config, scaling: str, latent: Callable) -> Callable | None:
    """By importance resampling; ``latent(fitted)`` is the mixture in the place of the prior, or None."""
    if any(getattr(config, "levels", ())):
        return None

    def given(key, fitted, condition, n: int):
        trained: Trained = fitted.trained
        dtype, columns = trained.vector.dtype, fitted.scaling[0].shape[-1]
        if scaling == "normal_scores":
            low, high = (ndtri(end) for end in margins.preimage(condition.low, condition.high, fitted.scaling))
        else:
            low, high = ((end - fitted.scaling.mean) / fitted.scaling.sd for end in condition)
        low, high = low.astype(dtype), high.astype(dtype)
        is_value, is_free = low == high, jnp.isinf(low) & jnp.isinf(high)
        key_latent, key_draw = jax.random.split(key)
        nets = networks_of(trained.vector, config, columns)
        num, codes = NUM_PROPOSALS + PROPOSALS_PER_ROW * n, latent(fitted)
        if codes is None:
            z = nets.prior.sample(key_latent, nets.prior_params(trained.vector), num)
        else:
            z = mixture.sample(key_latent, codes, (num, config.latent_dim))
        location, scale = nets.decode(trained.vector, z.astype(dtype), trained.hyper.min_scale)
        logpdf, log_interval, draw = _noise(config, nets.decoder_params(trained.vector))

        a, b = (low - location) / scale, (high - location) / scale
        value = logpdf(jnp.where(is_value, a, 0)) - jnp.log(scale)
        terms = jnp.where(is_value, value, jnp.where(is_free, 0, log_interval(jnp.where(is_value, -1, a), b)))
        log_weights = jnp.sum(terms, -1)
        log_weights = jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)
        possible = jnp.isfinite(jnp.max(log_weights))
        log_weights = jnp.where(possible, log_weights, 0)
        effective = jnp.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))
        w = uniforms(key_draw, (n, columns + 1), dtype)
        index = choose(w[:, 0], log_weights)
        location, scale, a, b = location[index], scale[index], a[index], b[index]
        x = location + scale * draw(w[:, 1:], jnp.where(is_value, a - 1, a), jnp.where(is_value, b + 1, b))
        x = jnp.where(is_value, low, jnp.clip(x, low, high))
        if scaling == "normal_scores":
            x = margins.MARGINS["empirical"].from_uniform(normal_cdf(x), fitted.scaling)
        else:
            x = x * fitted.scaling.sd + fitted.scaling.mean
        rows = jnp.where(possible, jnp.clip(x, *condition), jnp.nan)
        filled = jnp.broadcast_to(possible, (n,))
        return Drawn(rows, filled, effective / num, jnp.where(possible, jnp.minimum(effective, n), 0))

    return given
