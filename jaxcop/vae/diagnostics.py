"""Has the posterior collapsed? Active units, KL of each latent dimension, mixture components in use."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr, logsumexp
from jaxtyping import Array, Bool, Float, Int

from jaxcop import mixture
from jaxcop.vae.config import Config
from jaxcop.vae.decoders import weighted_mean
from jaxcop.vae.networks import networks_of
from jaxcop.vae.training import Trained

# The threshold of Burda, Grosse & Salakhutdinov 2016.
ACTIVE_VARIANCE = 0.01
NUM_NODES = 40


class Diagnostics(NamedTuple):
    """What :func:`diagnose` finds, over the rows that count.

    ``kl[j]`` is the mean KL, in nats, from the posterior of latent dimension j to that dimension's margin of the prior;
    ``mean_variance[j]`` is the variance of its posterior means and ``active_units`` how many of those are above 0.01.
    With the responsibilities of the mixture's components averaged over the posterior means, ``effective_components`` is
    exp(entropy) of those and ``live_components`` counts the ones of at least one row. A normal prior has one component.
    """

    kl: Float[Array, " l"]
    mean_variance: Float[Array, " l"]
    active_units: Int[Array, ""]
    effective_components: Float[Array, ""]
    live_components: Int[Array, ""]


def _log_margins(z: Float[Array, "n l"], law: mixture.Params) -> Float[Array, "n l"]:
    """Log-density of each coordinate under its own margin of the mixture."""
    logits, means, scale = law
    sd = scale if scale.ndim == means.ndim else jnp.sqrt((scale**2).sum(-1))
    normal = -0.5 * ((z[:, None] - means) / sd) ** 2 - jnp.log(sd) - 0.5 * math.log(2 * math.pi)
    return logsumexp(normal + jax.nn.log_softmax(logits)[:, None], axis=1)


def diagnose(
    trained: Trained,
    config: Config,
    x: Float[Array, "n d"],
    mask: Bool[Array, " n"] | None = None,
    *,
    latent_mixture: mixture.Params | None = None,
) -> Diagnostics:
    r"""Collapse diagnostics of a trained VAE on (scaled) rows; rows where ``mask`` is false do not count.

    A unit is active when :math:`Var_x(E_{q(z_j|x)} z_j) > 0.01` (Burda, Grosse & Salakhutdinov 2016). The KL of a
    dimension is by Gauss-Hermite quadrature: exact for the normal prior; for a mixture the KLs of the margins do not
    add up to the joint one. ``latent_mixture`` takes the place of the prior, as in ``sample``.

    >>> import jax
    >>> import numpy as np
    >>> from jaxcop import vae
    >>> x, config = np.random.default_rng(0).normal(size=(64, 2)), vae.Config(hidden=(8,), latent_dim=3, epochs=2)
    >>> vae.diagnose(vae.fit(jax.random.key(0), x, config), config, x).kl.shape
    (3,)
    """
    nets = networks_of(trained.vector, config, x.shape[-1])
    weights = jnp.ones(len(x), bool) if mask is None else mask
    mean, log_var = nets.encode(trained.vector, jnp.where(weights[:, None], x, 0).astype(trained.vector.dtype))
    weights = weights.astype(mean.dtype)
    law = nets.prior.as_mixture(nets.prior_params(trained.vector)) if latent_mixture is None else latent_mixture
    law = jax.tree.map(lambda leaf: leaf.astype(mean.dtype), law)
    average = jax.vmap(weighted_mean, in_axes=(1, None))

    def at_node(node):
        return average(_log_margins(mean + jnp.exp(0.5 * log_var) * node, law), weights)

    nodes, node_weights = np.polynomial.hermite_e.hermegauss(NUM_NODES)
    node_weights = jnp.asarray(node_weights / node_weights.sum(), mean.dtype)
    expected = node_weights @ jax.lax.map(at_node, jnp.asarray(nodes, mean.dtype))
    negative_entropy = -0.5 * (average(log_var, weights) + 1 + math.log(2 * math.pi))
    variance = average((mean - average(mean, weights)) ** 2, weights)
    responsibilities = jax.nn.softmax(mixture.component_logpdf(mean, law) + jax.nn.log_softmax(law.logits))
    share = average(responsibilities, weights)
    return Diagnostics(
        kl=negative_entropy - expected,
        mean_variance=variance,
        active_units=(variance > ACTIVE_VARIANCE).sum(),
        effective_components=jnp.exp(entr(share).sum()),
        live_components=(share * weights.sum() >= 1).sum(),
    )
