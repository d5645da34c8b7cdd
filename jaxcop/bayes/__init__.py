"""Posteriors of copula parameters, from the same log-densities that ``copulas.fit`` maximises; needs numpyro and arviz.

``CopulaDistribution`` and ``SklarDistribution`` are NumPyro distributions for any model of one's own;
``copula_posterior`` is the finished job for one family, ``mixture_posterior`` that for Gaussian mixtures.
"""

from jaxcop.bayes.averaging import average, compare, predictive
from jaxcop.bayes.copula import CopulaPosterior, copula_posterior
from jaxcop.bayes.distributions import CopulaDistribution, SklarDistribution
from jaxcop.bayes.mixture import MixtureFit, MixturePosterior, mixture_logpdf, mixture_posterior, mixture_predictive

__all__ = [
    "CopulaDistribution",
    "CopulaPosterior",
    "MixtureFit",
    "MixturePosterior",
    "SklarDistribution",
    "average",
    "compare",
    "copula_posterior",
    "mixture_logpdf",
    "mixture_posterior",
    "mixture_predictive",
    "predictive",
]
