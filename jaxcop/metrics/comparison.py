"""Is one method better than another on the same splits? Paired differences with intervals."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from jaxcop import _checks


class Difference(NamedTuple):
    """Mean paired difference and its intervals; NaN where there is one pair only.

    ``low, high`` treat the splits as independent. ``corrected_low, corrected_high`` allow for the rows that training
    sets share. Which end is good depends on the score.
    """

    mean: float
    low: float
    high: float
    corrected_low: float
    corrected_high: float
    num_splits: int


def paired_difference(
    scores: Float[np.ndarray, " k"], baseline: Float[np.ndarray, " k"], test_ratio: float, *, level: float = 0.95
) -> Difference:
    """``scores - baseline`` per split, with Student's interval and the corrected one of Nadeau and Bengio (2003).

    The corrected variance of the mean is s^2 (1 / k + ``test_ratio``), ``test_ratio`` = n_test / n_train: splits of one
    table share rows, and s^2 / k alone would make any difference significant by adding splits.

    Raises ValueError for shapes that are not (k,) twice, values that are not finite, a negative ratio.

    >>> found = paired_difference(np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.0, 2.0]), 0.25)
    >>> round(found.mean, 3), round(found.low, 3), round(found.corrected_low, 3)
    (1.333, -0.101, -0.564)
    """
    difference = _paired(scores, baseline)
    _checks.positive(test_ratio, "test_ratio", allow_zero=True)
    count = len(difference)
    mean = float(difference.mean())
    if count < 2:
        return Difference(mean, np.nan, np.nan, np.nan, np.nan, count)
    spread, quantile = difference.std(ddof=1), stats.t.ppf(0.5 + level / 2, count - 1)
    half, corrected = (float(quantile * spread * np.sqrt(1 / count + extra)) for extra in (0.0, test_ratio))
    return Difference(mean, mean - half, mean + half, mean - corrected, mean + corrected, count)


def paired_bootstrap(
    scores: Float[np.ndarray, " k"],
    baseline: Float[np.ndarray, " k"],
    *,
    seed: int,
    level: float = 0.95,
    num_resamples: int = 9999,
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean of ``scores - baseline`` over splits.

    Like ``Difference.low, high`` it treats splits as independent, and needs no normal differences; with fewer than
    about 10 splits it is too short. Equal differences give an interval without width.
    Raises ValueError for other shapes, values that are not finite, fewer than 2 splits.
    Source: Efron (1987), by ``scipy.stats.bootstrap``.

    >>> low, high = paired_bootstrap(np.array([1.0, 2.0, 4.0, 3.0]), np.zeros(4), seed=0)
    >>> 1 < low < 2 < high < 4
    True
    """
    difference = _paired(scores, baseline)
    if len(difference) < 2:
        raise ValueError("scores: expected at least 2 splits, got 1; add splits")
    if np.ptp(difference) == 0:
        return float(difference[0]), float(difference[0])
    found = stats.bootstrap(
        (difference,), np.mean, confidence_level=level, n_resamples=num_resamples, rng=np.random.default_rng(seed)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _paired(scores, baseline) -> np.ndarray:
    scores, baseline = (np.asarray(x, np.float64) for x in (scores, baseline))
    if scores.ndim != 1 or scores.shape != baseline.shape or not scores.size:
        raise ValueError(
            f"scores, baseline: expected two equal shapes (splits,), got {scores.shape} and {baseline.shape}; give one "
            "number per split to each"
        )
    if not np.isfinite([scores, baseline]).all():
        raise ValueError(
            "scores, baseline: expected finite values, got NaN or infinity; leave those splits out of both"
        )
    return scores - baseline
