"""The VAE as a synthesizer: training rows are scaled, learned, sampled and mapped back to their units."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks, categories, margins, mixture
from jaxcop._numerics import normal_cdf
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers._given_vae import of_vae
from jaxcop.vae import BayesianMixture, Config, Hyper, PosteriorMixture, Trained, sampling, training
from jaxcop.vae import config as vae_config

SCALINGS = ("normal_scores", "standardise")
# Any number that no split of the training key reaches.
MIXTURE_STREAM = 2**20


class Moments(NamedTuple):
    """Mean and standard deviation (ddof 0) of each column over the training rows."""

    mean: Float[Array, " d"]
    sd: Float[Array, " d"]


class FittedVAE(NamedTuple):
    """A trained network, the scaling of its training rows and, with option B, the mixture of their latent codes.

    ``latent`` is a ``mixture.Fit``, a ``bayes.MixtureFit`` with draws of its parameters, or nothing.
    """

    trained: Trained
    scaling: Any
    latent: Any = ()


def _bayes():
    """The module of posteriors of mixtures, which needs an optional extra."""
    try:
        from jaxcop.bayes import mixture as module
    except ImportError as error:
        raise ImportError(
            f"posterior_mixture: expected numpyro and arviz for a BayesianMixture, got {error}; "
            'pip install "jaxcop[bayes]"'
        ) from error
    return module


def _fit_bayesian(key, trained: Trained, config: Config, scaled, mask, options: BayesianMixture):
    key_codes, key_fit = jax.random.split(key)
    z, counts = sampling.latent_codes(key_codes, trained, config, scaled, mask, options.num_draws)
    return _bayes().fit_masked(
        key_fit,
        z,
        counts / max(1, options.num_draws),
        num_components=options.num_components,
        weights=options.weights,
        covariance=options.covariance,
        concentration=options.concentration,
        num_starts=options.num_starts,
        num_draws=options.num_parameter_draws,
        num_steps=options.num_steps,
    )


@cache
def vae(
    config: Config,
    *,
    scaling: str = "normal_scores",
    hyper: Hyper | None = None,
    posterior_mixture: PosteriorMixture | BayesianMixture | None = None,
) -> Synthesizer:
    """A VAE on scaled columns.

    ``normal_scores`` trains on normal scores of mid-ranks and maps back by empirical quantiles, so that the margins
    are those of the training rows up to the model's own margin error; ``standardise`` trains on z-scores, as the
    blast-fragmentation report does. ``posterior_mixture`` draws latent codes from a mixture fitted to those of the
    training rows instead of the prior; the same key trains the same network with and without it. With a
    ``BayesianMixture`` (extra ``bayes``) each synthetic row comes from its own draw of the mixture's parameters, so
    that what is not known about the mixture is in the rows. Columns of codes (``config.levels``) are not scaled, and
    come back as codes.
    """
    _checks.one_of(scaling, SCALINGS, "scaling")
    bayesian = isinstance(posterior_mixture, BayesianMixture)
    if bayesian:
        _bayes()
    is_code = np.array(config.levels, bool) if config.levels else False

    def check(x, hyper):
        rows, columns = categories.check(x, config.levels)[0].shape
        vae_config.check(config, hyper, rows, columns)
        if posterior_mixture is not None:
            vae_config.check_components(posterior_mixture.num_components, rows)

    def fit(key, x, mask, hyper):
        if scaling == "normal_scores":
            fitted = margins.fit(x, mask)
            scaled = margins.normal_scores(x, fitted)
        else:
            count = mask.sum()
            mean = jnp.where(mask[:, None], x, 0).sum(0) / count
            fitted = Moments(mean, jnp.sqrt(jnp.where(mask[:, None], (x - mean) ** 2, 0).sum(0) / count))
            scaled = (x - fitted.mean) / fitted.sd
        scaled = jnp.where(mask[:, None], jnp.where(is_code, x, scaled), 0)
        trained = training.fit_masked(key, scaled, mask, mask.astype(scaled.dtype), hyper, config)
        if posterior_mixture is None:
            return FittedVAE(trained, fitted)
        key_mixture = jax.random.fold_in(key, MIXTURE_STREAM)
        if isinstance(posterior_mixture, BayesianMixture):
            latent = _fit_bayesian(key_mixture, trained, config, scaled, mask, posterior_mixture)
        else:
            latent = sampling.fit_posterior_mixture(key_mixture, trained, config, scaled, mask, posterior_mixture)
        return FittedVAE(trained, fitted, latent)

    def latent(fitted: FittedVAE):
        if bayesian:
            return mixture.pooled(fitted.latent.params)
        return fitted.latent.params if fitted.latent else None

    def sample(key, fitted: FittedVAE, n: int):
        columns = fitted.scaling[0].shape[-1]
        latent_mixture = latent(fitted)
        rows = sampling.sample(key, fitted.trained, config, (n, columns), latent_mixture=latent_mixture)
        if scaling == "normal_scores":
            numbers = margins.MARGINS["empirical"].from_uniform(normal_cdf(rows), fitted.scaling)
        else:
            numbers = rows * fitted.scaling.sd + fitted.scaling.mean
        return jnp.where(is_code, rows, numbers)

    given = of_vae(config, scaling, latent)
    return Synthesizer(fit, sample, Hyper() if hyper is None else hyper, check, given)
