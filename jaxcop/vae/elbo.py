"""The evidence lower bound with a weighted KL term, and the parts it is made of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop.vae.decoders import weighted_mean
from jaxcop.vae.networks import Networks


class Terms(NamedTuple):
    """Per row, in nats: ``reconstruction`` is E_q log p(x|z) (one draw of z), ``kl`` is KL(q(z|x) || p(z)) by group."""

    reconstruction: Float[Array, "*b"]
    kl: Float[Array, "*b g"]


def terms(
    networks: Networks,
    vector: Float[Array, " p"],
    x: Float[Array, "*b d"],
    noise: Float[Array, "*b l"],
    min_scale: float | Float[Array, ""],
    weights: Float[Array, "*b"] | None = None,
) -> Terms:
    r"""Reconstruction and KL of every row at z = mu(x) + sigma(x) noise (Kingma & Welling 2014, equation 10).

    Training hands over the ``weights`` of the rows: a decoder with an analytic optimum then takes that of these rows.
    """
    mean, log_var = networks.encode(vector, x)
    z = mean + jnp.exp(0.5 * log_var) * noise
    if weights is not None:
        vector = networks.calibrate(vector, x, z, weights)
    location, scale = networks.decode(vector, z, min_scale)
    kl = networks.prior.kl(mean, log_var, networks.prior_params(vector), noise)
    return Terms(networks.decoder.logpdf(x, location, scale, networks.decoder_params(vector)), kl)


def elbo(terms: Terms, beta: float | Float[Array, ""] = 1.0) -> Float[Array, "*b"]:
    r""":math:`E_q \log p(x|z) - \beta\, KL(q(z|x) \| p(z))`, per row (Higgins et al. 2017; beta = 1 is the bound)."""
    return terms.reconstruction - beta * terms.kl.sum(-1)


def penalised_kl(
    kl: Float[Array, "b g"], weights: Float[Array, " b"], free_bits: float | Float[Array, ""], latent_dim: int
) -> Float[Array, ""]:
    r""":math:`\sum_g \max(\lambda_g, \overline{KL}_g)`, the mean KL of a mini-batch with its free nats.

    A group of m latent dimensions has :math:`\lambda_g` = m ``free_bits``: the optimiser gains nothing by pushing its
    KL below that. Source: Kingma et al. 2016 ("free bits", but in nats). Zero turns it off.

    >>> import jax.numpy as jnp
    >>> kl = jnp.array([[0.0, 2.0], [0.2, 4.0]])
    >>> round(float(penalised_kl(kl, jnp.ones(2), 0.5, latent_dim=2)), 3)
    3.5
    """
    total = weighted_mean(kl.sum(-1), weights)
    groups = jax.vmap(weighted_mean, in_axes=(1, None))(kl, weights)
    floored = jnp.maximum(groups, free_bits * (latent_dim / kl.shape[-1])).sum()
    # A Monte Carlo KL can be negative: max(0, KL) would not be "off".
    return jnp.where(free_bits > 0, floored, total)
