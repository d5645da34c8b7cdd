"""Posteriors of copula parameters, from the same log-densities that ``copulas.fit`` maximises; needs numpyro and arviz.

``CopulaDistribution`` and ``SklarDistribution`` are NumPyro distributions for any model of one's own;
``copula_posterior`` is the finished job for one family.
"""

from jaxcop.bayes.copula import CopulaPosterior, average, compare, copula_posterior, predictive
from jaxcop.bayes.distributions import CopulaDistribution, SklarDistribution

__all__ = [
    "CopulaDistribution",
    "CopulaPosterior",
    "SklarDistribution",
    "average",
    "compare",
    "copula_posterior",
    "predictive",
]
