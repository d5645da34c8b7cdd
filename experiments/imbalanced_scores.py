"""Scores of tables drawn for imbalanced regression: learners trained on them, and every metric on both test sets.

A record is a flat dict: arm, seed, learner, test, and one number per metric. ``test`` is ``population`` (all test rows)
or ``inverse density`` (test rows drawn so that rare targets are common).
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import joblib
import numpy as np
from jaxcop import imbalanced
from jaxcop.categories import Levels
from jaxcop.imbalanced import ControlPoints
from jaxcop.metrics import utility
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

import imbalanced_tables
from imbalanced_study import Case, Study

POPULATION, INVERSE = "population", "inverse density"
TESTS = (POPULATION, INVERSE)


def scores(actual: np.ndarray, predicted: np.ndarray, points: ControlPoints, alpha: float | None) -> dict[str, float]:
    """Every metric of one prediction; ``alpha`` weights the squared error, None where the rows are drawn by weight."""
    plain = utility.scores(actual, predicted)
    phi = np.asarray(imbalanced.relevance(actual, points))
    found = {"r2": plain.r2, "rmse": plain.rmse, "mae": plain.mae}
    found["median_absolute_error"] = float(imbalanced.median_absolute_error(actual, predicted))
    if (actual != 0).all():
        found["mape"] = float(imbalanced.mape(actual, predicted))
    if alpha is not None:
        weights = imbalanced.density_weights(actual, alpha)
        found["weighted_mse"] = float(imbalanced.weighted_mse(actual, predicted, weights))
    if phi.max() > 0:
        found["sera"] = float(imbalanced.sera(actual, predicted, phi))
    bands = imbalanced.by_relevance(actual, predicted, phi)
    for band in range(len(bands.count)):
        found[f"rmse_band{band}"], found[f"r2_band{band}"] = float(bands.rmse[band]), float(bands.r2[band])
        found[f"rows_band{band}"] = int(bands.count[band])
    return found


def score_seed(config: Study, case: Case, tables: dict[str, np.ndarray], levels: Levels) -> list[dict]:
    """Records of one seed: every arm and learner on both test sets. A table with NaN is recorded as lost."""
    test = imbalanced_tables.features(case.test, levels)
    actual = test[:, -1].astype(np.float64)
    jobs = list(itertools.product(tables, config.learners))

    def one(arm, learner):
        rows = tables[arm]
        finite = bool(np.isfinite(rows).all())
        predicted = None
        if finite:
            train = imbalanced_tables.features(rows, levels)
            predicted = utility.predict(train, test, -1, seed=case.seed, learner=learner).astype(np.float64)
        return arm, learner, predicted

    predictions = _parallel(one, jobs)
    records = []
    for arm, learner, predicted in predictions:
        for name in TESTS:
            label = {"arm": arm, "seed": case.seed, "learner": learner, "test": name, "finite": predicted is not None}
            if predicted is None:
                records.append(label)
                continue
            rows = slice(None) if name == POPULATION else case.drawn
            alpha = config.alpha_score if name == POPULATION else None
            records.append({**label, **scores(actual[rows], predicted[rows], case.points, alpha)})
    return records


def label_of(y: np.ndarray, cut: float) -> np.ndarray:
    """1 for rare (large) targets, else 0."""
    return (y >= cut).astype(np.float32)


def score_labels(
    config: Study, case: Case, cut: float, tables: dict[str, dict[str, np.ndarray]], levels: dict[str, Levels]
) -> list[dict]:
    """Records of one seed of the classification study: is the target rare? Asked of a regressor and of a classifier."""
    truth = label_of(case.test[:, -1], cut)
    jobs = [(task, arm) for task, arms in tables.items() for arm in arms]

    def one(task, arm):
        rows = tables[task][arm]
        label = {"arm": arm, "seed": case.seed, "learner": task, "test": POPULATION}
        if not np.isfinite(rows).all() or len(np.unique(rows[:, -1])) < 2:
            return {**label, "finite": False}
        train = imbalanced_tables.features(rows, levels[task])
        test = imbalanced_tables.features(case.test, levels["regression"])
        if task == "regression":
            score, threshold = utility.predict(train, test, -1, seed=case.seed), cut
        else:
            model = utility.detector(case.seed).fit(train[:, :-1], train[:, -1])
            score, threshold = model.predict_proba(test[:, :-1])[:, 1], 0.5
        return {
            **label,
            "finite": True,
            "average_precision": float(average_precision_score(truth, score)),
            "roc_auc": float(roc_auc_score(truth, score)),
            "balanced_accuracy": float(balanced_accuracy_score(truth, score >= threshold)),
        }

    return _parallel(one, jobs)


def _parallel(function: Callable, jobs: Sequence[tuple]) -> list:
    """Every fit has one thread, so that scores do not depend on how many run at once."""
    found = joblib.Parallel(n_jobs=-1, prefer="threads")(joblib.delayed(function)(*job) for job in jobs)
    return list(cast(Iterable, found))
