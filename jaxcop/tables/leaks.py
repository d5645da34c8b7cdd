"""Rows that are nearly the same, in one table or on both sides of a split: the commonest way that scores lie."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from jaxcop import _checks

TOLERANCE = 5e-3
"""Near-duplicates differ in every column by at most this share of n^(-1/d) standard deviations, about the distance
between nearest rows."""


def near_duplicates(x: Float[np.ndarray, "n d"], tolerance: float = TOLERANCE) -> Int[np.ndarray, " n"]:
    """Label rows so that near-duplicates share a label, counting up in order of first appearance.

    Two rows are near-duplicates if every column differs by at most ``tolerance * n ** (-1 / d)`` standard deviations of
    that column (ddof 0): with few columns unlike rows come close by chance, and the allowance shrinks as their
    distances do, so that about one row in 400 of a single column is taken for a duplicate, and practically none of
    several. Chains of near-duplicates share a label. The labels are an ``identity`` for ``leaked_share`` and
    ``groups`` for ``group_split``. Rounded re-publications of a measurement are found, rescaled ones are not.
    Raises ValueError for NaN, infinity, other shapes, a negative tolerance.

    >>> near_duplicates(np.array([[1.0, 5.0], [3.0, 7.0], [1.0001, 5.0], [2.0, 6.0]]))
    array([0, 1, 0, 2])
    """
    x = _checks.table(x, allow_constant=True, min_rows=1)
    _checks.positive(tolerance, "tolerance", allow_zero=True)
    tree = KDTree(_scaled(x, x))
    pairs = tree.query_pairs(_radius(x, tolerance), p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), tuple(pairs.T)), (len(x), len(x)))
    labels = connected_components(links, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def leaked_rows(
    train: Float[np.ndarray, "n d"], holdout: Float[np.ndarray, "h d"], tolerance: float = TOLERANCE
) -> Bool[np.ndarray, " h"]:
    """Which hold-out rows have a near-duplicate among the training rows, by the training rows' scale and distances.

    Raises ValueError as ``near_duplicates`` does, and for unequal columns.

    >>> leaked_rows(np.array([[1.0], [2.0], [4.0]]), np.array([[2.0001], [3.0]]))
    array([ True, False])
    """
    train = _checks.table(train, "train", allow_constant=True)
    holdout = _checks.table(holdout, "holdout", allow_constant=True, min_rows=1)
    if train.shape[1] != holdout.shape[1]:
        raise ValueError(f"holdout: expected {train.shape[1]} columns as in train, got {holdout.shape[1]}; align them")
    _checks.positive(tolerance, "tolerance", allow_zero=True)
    tree = KDTree(_scaled(train, train))
    distance, _ = tree.query(_scaled(holdout, train), p=np.inf)
    return distance <= _radius(train, tolerance)


def _radius(x: np.ndarray, tolerance: float) -> float:
    n, d = x.shape
    return tolerance * n ** (-1 / d)


def _scaled(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    sd = reference.std(0, dtype=np.float64)
    return x / np.where(sd > 0, sd, 1)
