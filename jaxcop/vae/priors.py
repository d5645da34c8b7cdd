"""Latent priors: each a NamedTuple of pure functions, so that adding one is adding a function here."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxcop import mixture
from jaxcop.vae.decoders import normal_logpdf


class Prior(NamedTuple):
    """``init(noise[k, l]) -> params``, ``logpdf(z[*b, l], params) -> [*b]``, ``sample(key, params, n) -> [n, l]``
    ``as_mixture(params) -> mixture.Params`` and ``kl(mean[*b, l], log_var[*b, l], params, noise[*b, l]) -> [*b, g]``.

    The KL comes in groups that add up to it: one per latent dimension where the prior factorises, else a single one.
    ``kl`` is KL(q || p) of a diagonal Gaussian q: exact where a closed form exists (``noise`` is then unused),
    else the one-draw Monte Carlo estimate at z = mean + exp(log_var / 2) noise, the same z that the decoder sees.
    """

    num_components: int
    init: Callable
    logpdf: Callable
    sample: Callable
    as_mixture: Callable
    kl: Callable


def standard_normal(latent_dim: int) -> Prior:
    r"""The prior N(0, I), with KL :math:`\tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - \log\sigma_j^2 - 1)`.

    Source: Kingma & Welling 2014, appendix B.

    >>> import jax.numpy as jnp
    >>> prior = standard_normal(2)
    >>> prior.kl(jnp.ones(2), jnp.zeros(2), (), jnp.zeros(2)).tolist()
    [0.5, 0.5]
    """

    def kl(mean, log_var, params, noise):
        return 0.5 * (mean**2 + jnp.expm1(log_var) - log_var)

    return Prior(
        num_components=1,
        init=lambda noise: (),
        logpdf=lambda z, params: normal_logpdf(z, jnp.zeros_like(z), jnp.zeros_like(z)),
        sample=lambda key, params, n: jax.random.normal(key, (n, latent_dim)),
        as_mixture=lambda params: mixture.Params(jnp.zeros(1), jnp.zeros((1, latent_dim)), jnp.ones((1, latent_dim))),
        kl=kl,
    )


class GaussianMixtureParams(NamedTuple):
    """Unconstrained parameters of a diagonal Gaussian mixture, learned jointly with the networks."""

    logits: Float[Array, " k"]
    means: Float[Array, "k l"]
    log_scales: Float[Array, "k l"]


def as_mixture(params: GaussianMixtureParams) -> mixture.Params:
    """The same mixture with its standard deviations, for :mod:`jaxcop.mixture`."""
    return mixture.Params(params.logits, params.means, jnp.exp(params.log_scales))


def gaussian_mixture(latent_dim: int, num_components: int) -> Prior:
    """The learned prior sum_k pi_k N(mu_k, diag s_k^2); its KL is Monte Carlo by log-sum-exp."""

    def init(noise):
        return GaussianMixtureParams(jnp.zeros(num_components, noise.dtype), noise, jnp.zeros_like(noise))

    def logpdf(z, params):
        return mixture.logpdf(z, as_mixture(params))

    def kl(mean, log_var, params, noise):
        z = mean + jnp.exp(0.5 * log_var) * noise
        return (normal_logpdf(z, mean, log_var) - logpdf(z, params))[..., None]

    def sample(key: Key[Array, ""], params, n):
        return mixture.sample(key, as_mixture(params), (n, latent_dim))

    return Prior(num_components, init, logpdf, sample, as_mixture, kl)


def from_config(config) -> Prior:
    """The prior that ``config`` names."""
    if config.prior == "gmm":
        return gaussian_mixture(config.latent_dim, config.num_components)
    return standard_normal(config.latent_dim)
