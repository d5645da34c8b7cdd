"""Classifier two-sample test: how well a classifier tells real from synthetic rows it has not been trained on.

It works on the host and brings scikit-learn and, through ``jaxcop.metrics.utility``, xgboost.
"""

from typing import NamedTuple

import jax
import joblib
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from jaxcop.metrics import _inputs
from jaxcop.metrics.utility import detector

FOLDS = 5


class C2ST(NamedTuple):
    """AUC of two classifiers, 1/2 for a perfect sample; ``below_chance`` flags rows repeated across the folds."""

    logistic: Float[np.ndarray, "*r"]
    xgboost: Float[np.ndarray, "*r"]
    below_chance: Bool[np.ndarray, "*r"]


def out_of_fold_auc(classifier, x: Float[np.ndarray, "N d"], label: Float[np.ndarray, "N"], seed: int) -> float:
    """AUC of the probabilities that the classifier gives each row when trained on the other four stratified folds."""
    probability = np.empty(len(x))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, label):
        probability[test] = classifier.fit(x[train], label[train]).predict_proba(x[test])[:, 1]
    return float(roc_auc_score(label, probability))


def _aucs(real, synthetic, seed):
    size = min(len(real), len(synthetic))
    rng = np.random.default_rng(seed)
    # Equal sizes keep their order.
    tables = [x if len(x) == size else x[rng.permutation(len(x))[:size]] for x in (real, synthetic)]
    x, label = np.concatenate(tables), np.repeat([0, 1], size)
    logistic = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8)
    return [out_of_fold_auc(classifier, x, label, seed) for classifier in (logistic, detector(seed))]


def c2st(
    key: Key[Array, ""],
    real: Float[Array, "n d"],
    synthetic: Float[Array, "*r m d"],
    *,
    reference: Float[Array, "k d"] | None = None,
    workers: int = -1,
) -> C2ST:
    """AUC of telling real from synthetic rows, pooled over the folds of a 5-fold stratified cross-validation.

    Two classifiers: logistic regression (C = 1), blind to all but the means of the columns, and XGBoost with the
    parameters ``utility.DETECTOR``. The larger table is subsampled to the size of the smaller. The ``key`` decides
    subsample and folds, the same for each table, so that the same key gives the same value.
    An AUC of the trees below 1/2 by 3 standard errors, sqrt((2 s + 1) / (12 s^2)) for s rows each, is flagged
    ``below_chance``: copies of a row in another fold mislead them, so the tables share rows and the value means
    nothing. Pooled logistic probabilities fall that low by chance and see no copies.

    Shapes: real ``[n, d]``, synthetic ``[*r, m, d]`` give three numpy arrays ``[*r]``; tables are spread over
    ``workers`` threads (-1: one per core). Columns are standardised (ddof 0) by ``reference`` (default: real).
    Raises ValueError for other shapes, fewer than 5 rows, unequal columns, NaN or infinity, a constant reference
    column.
    Source: Lopez-Paz and Oquab (2017).

    >>> real, synthetic = jax.random.normal(jax.random.key(0), (2, 100, 2))
    >>> value = c2st(jax.random.key(1), real, np.stack([synthetic, synthetic + np.array([2, 0])]))
    >>> (value.xgboost > 0.8).tolist(), (value.logistic > 0.8).tolist()
    ([False, True], [False, True])
    """
    tables = [np.asarray(x, np.float64) for x in _inputs.triple(real, synthetic, reference)]
    location, scale = tables[2].mean(axis=0), tables[2].std(axis=0)
    real, synthetic = ((x - location) / scale for x in tables[:2])
    size = min(len(real), synthetic.shape[-2])
    if size < FOLDS:
        raise ValueError(f"real, synthetic: expected at least {FOLDS} rows each, got {size}; add rows")
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))
    jobs = (joblib.delayed(_aucs)(real, table, seed) for table in synthetic.reshape(-1, *synthetic.shape[-2:]))
    aucs = np.array(joblib.Parallel(n_jobs=workers, prefer="threads")(jobs)).T.reshape(2, *synthetic.shape[:-2])
    below = aucs[1] < 0.5 - 3 * np.sqrt((2 * size + 1) / (12 * size**2))
    return C2ST(aucs[0], aucs[1], below)
