"""Every distance of pairs of equally long tables, each pair one row of the result, by one compiled program.

A pair is a real and a synthetic table, or two real ones for the noise floor: the program is the same, so that a value
and its floor differ in nothing but the rows.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import metrics
from jaxcop.metrics.autoencoder import Autoencoders, latent_frechet

# Pairs that one call of the program takes; the last call is filled up, so that any number of pairs is one program.
CHUNK = 32
TAIL = 0.1
# Sizes in steps of about a fifth, so that tables of nearly the same length are compared by the same program.
SIZES = tuple(2**k // 4 * step for k in range(3, 11) for step in (4, 5, 6, 7))


def comparison_rows(limit: int) -> int:
    """The largest of ``SIZES`` that does not exceed ``limit``.

    >>> comparison_rows(131), comparison_rows(9), comparison_rows(10**6)
    (128, 8, 1792)
    """
    return max(size for size in SIZES if size <= limit)


def distances(real: Float[Array, "s d"], rows: Float[Array, "s d"]) -> dict[str, Array]:
    """Distances that need nothing but the two tables, which are in units of the training rows' standard deviation."""
    value = metrics.fidelity(real, rows)
    both = {
        "ks": value.ks.mean(),
        "ks_max": value.ks.max(),
        "ad": value.anderson_darling.distance.mean(),
        "ad_max": value.anderson_darling.distance.max(),
        "a2": value.anderson_darling.a2.mean(),
        "tv": value.total_variation.mean(),
        "wasserstein": value.wasserstein.mean(),
        "range_coverage": value.range_coverage.mean(),
        "mmd": value.mmd.unbiased,
        "frechet": value.frechet,
    }
    if real.shape[1] > 1:
        error = metrics.correlation_error(real, rows)
        both |= {"pearson": error.pearson.mean, "spearman": error.spearman.mean, "kendall": error.kendall.mean}
    return both


def _one_pair(autoencoders: Autoencoders, real, rows) -> dict[str, Array]:
    found = distances(real, rows)
    found["faed"] = latent_frechet(autoencoders, real, rows).mean(axis=-1)
    if real.shape[1] > 1:
        tails = metrics.tail_dependence_error(real, rows, shares=(TAIL,))
        found |= {"tail_lower": tails.lower.mean[0], "tail_upper": tails.upper.mean[0]}
    found |= metrics.prdc(real, rows)._asdict()
    return found | metrics.alpha_beta(real, rows)._asdict()


@jax.jit
def _pairs(autoencoders, real, synthetic):
    return jax.lax.map(lambda pair: _one_pair(autoencoders, *pair), (real, synthetic))


def pairs(
    autoencoders: Autoencoders, real: Float[np.ndarray, "p s d"], synthetic: Float[np.ndarray, "p s d"]
) -> dict[str, Float[np.ndarray, " p"]]:
    """Every distance of ``synthetic[i]`` to ``real[i]``."""
    parts = []
    for start in range(0, len(real), CHUNK):
        place = np.minimum(np.arange(start, start + CHUNK), len(real) - 1)
        parts.append(jax.device_get(_pairs(autoencoders, real[place], synthetic[place])))
    return {name: np.concatenate([part[name] for part in parts])[: len(real)].astype(float) for name in parts[0]}


def p_values(
    key, holdout: Float[np.ndarray, "h d"], synthetic: Float[np.ndarray, "g m d"], num_permutations: int
) -> dict[str, Float[np.ndarray, " g"]]:
    """Permutation p-values of ``distances`` between the hold-out rows, which no generator saw, and each table."""
    tables = jnp.asarray(holdout), jnp.asarray(synthetic)
    found = metrics.permutation_test(key, _test_statistics, *tables, num_permutations).p_value
    return {name: np.asarray(value, float) for name, value in found.items()}


def _test_statistics(real, rows) -> dict[str, Array]:
    """``range_coverage`` falls where tables differ, the others rise."""
    found = distances(real, rows)
    return found | {"range_coverage": -found["range_coverage"]}


def memorization(
    train: Float[np.ndarray, "n d"], holdout: Float[np.ndarray, "h d"], synthetic: Float[np.ndarray, "r s d"]
) -> dict[str, Float[np.ndarray, " r"]]:
    """Everything that diagnoses copying, by all distinct training and hold-out rows.

    A row that occurs twice would be its own second neighbour, and would count twice as something to be close to.
    """
    real, fresh, rows = (jnp.asarray(x) for x in (np.unique(train, axis=0), np.unique(holdout, axis=0), synthetic))
    copying, ratio = metrics.dcr(real, rows), metrics.nndr(real, rows)
    found = {
        "dcr_ratio": copying.median_ratio,
        "exact_copies": copying.exact_copies,
        "nndr": ratio.median,
        "authenticity": metrics.authenticity(real, rows),
        "dcr_share": metrics.dcr_share(real, fresh, rows),
        "membership_auc": metrics.membership_auc(real, fresh, rows),
    }
    return {name: np.asarray(value, float) for name, value in found.items()}
