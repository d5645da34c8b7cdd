"""Pure metrics of a real and a synthetic table: ``name(real, synthetic, **options)``, real ``[n, d]`` first.

The synthetic table may carry any leading replica axes, ``[*r, m, d]``; per-column metrics return ``[*r, d]``, others
``[*r]``, compound ones a NamedTuple of such arrays. Random metrics take a key first. The real side is one table: to
pair a batch of real tables with a batch of synthetic ones use ``jax.vmap``. The dtype of the tables is kept. Utility
by gradient-boosted trees lives in ``jaxcop.metrics.utility``, the classifier test in ``jaxcop.metrics.detection``: not
imported here because they bring xgboost.
"""

from jaxcop.metrics.autoencoder import FAED, Autoencoders, faed, fit_autoencoders
from jaxcop.metrics.calibration import NoiseFloor, PermutationTest, noise_floor, permutation_test
from jaxcop.metrics.dependence import (
    CorrelationError,
    Difference,
    TailDependenceError,
    correlation_error,
    tail_dependence_error,
)
from jaxcop.metrics.kernel import MMD, mmd
from jaxcop.metrics.marginal import (
    AndersonDarling,
    anderson_darling,
    category_coverage,
    ks,
    range_coverage,
    total_variation,
    wasserstein,
)
from jaxcop.metrics.memorization import DCR, NNDR, authenticity, dcr, dcr_share, membership_auc, nndr
from jaxcop.metrics.moments import frechet
from jaxcop.metrics.neighbours import PRDC, AlphaBeta, alpha_beta, prdc
from jaxcop.metrics.summary import Fidelity, fidelity

__all__ = [
    "DCR",
    "FAED",
    "MMD",
    "NNDR",
    "PRDC",
    "AlphaBeta",
    "AndersonDarling",
    "Autoencoders",
    "CorrelationError",
    "Difference",
    "Fidelity",
    "NoiseFloor",
    "PermutationTest",
    "TailDependenceError",
    "alpha_beta",
    "anderson_darling",
    "authenticity",
    "category_coverage",
    "correlation_error",
    "dcr",
    "dcr_share",
    "faed",
    "fidelity",
    "fit_autoencoders",
    "frechet",
    "ks",
    "membership_auc",
    "mmd",
    "nndr",
    "noise_floor",
    "permutation_test",
    "prdc",
    "range_coverage",
    "tail_dependence_error",
    "total_variation",
    "wasserstein",
]
