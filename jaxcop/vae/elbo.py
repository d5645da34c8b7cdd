"""The evidence lower bound with a weighted KL term, and the parts it is made of."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop.vae.networks import Networks
from jaxcop.vae.priors import normal_logpdf


class Terms(NamedTuple):
    """Per row, in nats: ``reconstruction`` is E_q log p(x|z) (one draw of z), ``kl`` is KL(q(z|x) || p(z))."""

    reconstruction: Float[Array, "*b"]
    kl: Float[Array, "*b"]


def terms(
    networks: Networks,
    vector: Float[Array, " p"],
    x: Float[Array, "*b d"],
    noise: Float[Array, "*b l"],
    min_scale: float | Float[Array, ""],
) -> Terms:
    r"""Reconstruction and KL of every row at z = mu(x) + sigma(x) noise (Kingma & Welling 2014, equation 10)."""
    mean, log_var = networks.encode(vector, x)
    z = mean + jnp.exp(0.5 * log_var) * noise
    x_mean, x_scale = networks.decode(vector, z, min_scale)
    kl = networks.prior.kl(mean, log_var, networks.prior_params(vector), noise)
    return Terms(normal_logpdf(x, x_mean, 2 * jnp.log(x_scale)), kl)


def elbo(terms: Terms, beta: float | Float[Array, ""] = 1.0) -> Float[Array, "*b"]:
    r""":math:`E_q \log p(x|z) - \beta\, KL(q(z|x) \| p(z))`, per row (Higgins et al. 2017; beta = 1 is the bound)."""
    return terms.reconstruction - beta * terms.kl
