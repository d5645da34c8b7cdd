"""Machine-learning utility: what a fixed gradient-boosted regressor learns from one table about another.

The only module that imports xgboost. It works on the host: trees do not compile to XLA.
"""

import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import joblib
import numpy as np
import xgboost
from jaxtyping import Float
from joblib.parallel import get_active_backend
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxcop import _checks

XGBOOST = MappingProxyType(
    {
        "n_estimators": 400,
        "max_depth": 4,
        "learning_rate": 0.05,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "tree_method": "hist",
        "n_jobs": 1,
    }
)
"""The parameters of every fit, printed beside every score; the seed comes with each call."""

FOREST: MappingProxyType[str, Any] = MappingProxyType({"n_estimators": 200, "min_samples_leaf": 2, "n_jobs": 1})
"""The random forest that ``stacking`` joins with the trees of ``XGBOOST``."""

STACKING_FOLDS = 5

DETECTOR = MappingProxyType({"n_estimators": 100, "max_depth": 3, "tree_method": "hist", "n_jobs": 1})
"""The parameters of the classifier that tells real from synthetic rows; the seed comes with each call."""


class Scores(NamedTuple):
    """``r2`` = 1 - SSE / SST on the test rows (negative where their mean predicts better), ``rmse`` and ``mae``."""

    r2: float
    rmse: float
    mae: float


class Job(NamedTuple):
    """The arguments of one ``regress`` call."""

    train: np.ndarray
    test: np.ndarray
    target_column: int
    seed: int
    learner: str = "xgboost"


def _boosted_trees(seed: int):
    return xgboost.XGBRegressor(**XGBOOST, random_state=seed)


def _stacked(seed: int):
    """Cross-validated predictions of forest and boosted trees, joined by ridge regression (Wolpert 1992)."""
    base = [("forest", _forest(seed)), ("xgboost", _boosted_trees(seed))]
    return StackingRegressor(base, cv=STACKING_FOLDS, n_jobs=1)


def _forest(seed: int):
    return RandomForestRegressor(**FOREST, random_state=seed)


def _ridge(seed: int):
    """Ridge regression on standardised features; nothing in it is random."""
    return make_pipeline(StandardScaler(), Ridge())


LEARNERS = MappingProxyType({"xgboost": _boosted_trees, "stacking": _stacked, "forest": _forest, "ridge": _ridge})
"""What ``regress`` may train, by name."""


def scores(actual: Float[np.ndarray, "n"], predicted: Float[np.ndarray, "n"]) -> Scores:
    """R2 = 1 - SSE / SST, root mean squared error and mean absolute error of one prediction.

    Raises ValueError for arrays that are not one-dimensional and equally long (a column against a row would broadcast
    into a square), and for a constant ``actual``, whose R2 is undefined.

    >>> scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    Scores(r2=0.5, rmse=0.5773502691896257, mae=0.3333333333333333)
    """
    actual, predicted = np.asarray(actual, np.float64), np.asarray(predicted, np.float64)
    if actual.ndim != 1 or actual.shape != predicted.shape:
        raise ValueError(
            f"predicted: expected two equal shapes (n,), got {actual.shape} and {predicted.shape}; flatten both"
        )
    error = actual - predicted
    total = ((actual - actual.mean()) ** 2).sum()
    if not total > 0:
        raise ValueError(f"actual: expected a target that varies, got {actual.size} equal values; use more test rows")
    return Scores(
        r2=float(1 - (error**2).sum() / total),
        rmse=float(np.sqrt((error**2).mean())),
        mae=float(np.abs(error).mean()),
    )


def _checked(job: Job) -> Job:
    train = _checks.table(job.train, "train", allow_constant=True)
    test = _checks.table(job.test, "test", allow_constant=True)
    columns = train.shape[1]
    if test.shape[1] != columns or columns < 2:
        raise ValueError(
            f"test: expected as many columns as train and at least 2, got {columns} and {test.shape[1]}; give both the "
            "same features and the target"
        )
    if not -columns <= job.target_column < columns:
        raise ValueError(
            f"target_column: expected a position among {columns} columns, got {job.target_column}; count from 0"
        )
    if np.ptp(test[:, job.target_column]) == 0:
        raise ValueError(
            f"test: expected a target that varies, got a constant in column {job.target_column}; use more test rows"
        )
    _checks.one_of(job.learner, LEARNERS, "learner")
    if job.learner == "stacking" and len(train) < 2 * STACKING_FOLDS:
        raise ValueError(
            f"train: expected at least {2 * STACKING_FOLDS} rows for {STACKING_FOLDS} folds, got {len(train)}; add "
            "rows or take the learner 'xgboost'"
        )
    return job._replace(train=train, test=test)


def _fit_and_predict(job: Job, *more_tests: np.ndarray) -> list[np.ndarray]:
    """Predictions of one fit for its own test table and for each further one."""
    column = job.target_column
    model = LEARNERS[job.learner](job.seed)
    model.fit(np.delete(job.train, column, axis=1), job.train[:, column])
    return [np.asarray(model.predict(np.delete(test, column, axis=1))) for test in (job.test, *more_tests)]


def _fit_and_score(job: Job, *more_tests: np.ndarray) -> list[Scores]:
    """Scores of one fit on its own test table and on each further one."""
    predictions = _fit_and_predict(job, *more_tests)
    tests = (job.test, *more_tests)
    return [scores(test[:, job.target_column], found) for test, found in zip(tests, predictions, strict=True)]


def regress(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "m d"],
    target_column: int,
    *,
    seed: int,
    learner: str = "xgboost",
) -> Scores:
    """Train a learner of ``LEARNERS`` on one table, score it on another.

    ``"xgboost"`` is an ``XGBRegressor`` with the parameters ``XGBOOST``, ``"forest"`` a random forest with those of
    ``FOREST``; ``"stacking"`` joins the two; ``"ridge"`` is ridge regression on standardised features.

    The target is the column at position ``target_column``, all others are features; columns are in the same order in
    both tables. The same seed gives the same scores.

    Raises ValueError for other shapes, fewer than 2 rows, unequal columns, a target column out of range, NaN or
    infinity, a target that is constant in ``test``, an unknown learner. Sources: Chen and Guestrin (2016); Breiman
    (2001); Wolpert (1992).

    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> table = np.c_[x, x[:, 0] - x[:, 1]]
    >>> regress(table[:40], table[40:], 2, seed=0).r2 > 0.8
    True
    """
    return _fit_and_score(_checked(Job(train, test, target_column, seed, learner)))[0]


def predict(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "m d"],
    target_column: int,
    *,
    seed: int,
    learner: str = "xgboost",
) -> Float[np.ndarray, " m"]:
    """What the learner of ``regress`` predicts for the rows of ``test``, for scores that are not among ``Scores``.

    >>> table = np.c_[np.arange(20.0), 3 * np.arange(20.0)]
    >>> predict(table, table[:2], 1, seed=0, learner="ridge").shape
    (2,)
    """
    return _fit_and_predict(_checked(Job(train, test, target_column, seed, learner)))[0]


def tstr(synthetic, test, target_column: int, *, seed: int) -> Scores:
    """Train on synthetic rows, test on real rows that no generator has seen; ``regress`` by its name in the field."""
    return regress(synthetic, test, target_column, seed=seed)


def trtr(train, test, target_column: int, *, seed: int) -> Scores:
    """Train on real rows, test on real rows held out: the ceiling of ``tstr`` on the same split."""
    return regress(train, test, target_column, seed=seed)


def trts(train, synthetic, target_column: int, *, seed: int) -> Scores:
    """Train on real rows, test on synthetic ones. It rewards data that are easy to predict: never read it alone."""
    return regress(train, synthetic, target_column, seed=seed)


def regress_each(
    train: Float[np.ndarray, "n d"],
    tests: Sequence[Float[np.ndarray, "m d"]],
    target_column: int,
    *,
    seed: int,
    learner: str = "xgboost",
) -> list[Scores]:
    """``regress(train, test, ...)`` for each of several tests, by one fit.

    >>> table = np.random.default_rng(0).normal(size=(30, 2))
    >>> regress_each(table, [table[:9], table[9:]], 1, seed=0)[1] == regress(table, table[9:], 1, seed=0)
    True
    """
    first, *others = [_checked(Job(train, test, target_column, seed, learner)) for test in tests]
    return _fit_and_score(first, *(job.test for job in others))


def detector(seed: int) -> xgboost.XGBClassifier:
    """The unfitted tree classifier of ``jaxcop.metrics.detection``."""
    return xgboost.XGBClassifier(**DETECTOR, random_state=seed)


def utility_many(
    jobs: Sequence[Job], *, workers: int = -1, on_done: Callable[[int, int], object] | None = None
) -> list[Scores]:
    """``regress`` for many jobs at once, on ``workers`` threads (-1: one per core), in the order of the jobs.

    Each fit has one thread of its own, so the scores do not depend on ``workers``. ``on_done(finished, total)`` is
    called in the calling thread as the results come in. Another joblib backend set by ``joblib.parallel_config``
    (Dask, Ray) carries the same jobs to other machines; one that returns all results at once is watched in vain.

    Raises ValueError as ``regress`` does, for any of the jobs, before the first fit.

    >>> table = np.random.default_rng(0).normal(size=(20, 2))
    >>> jobs = [Job(table[:10], table[10:], 1, seed) for seed in (0, 1)]
    >>> utility_many(jobs) == [regress(*job[:3], seed=job.seed) for job in jobs]
    True
    """
    checked = [_checked(Job(*job)) for job in jobs]
    backend, _ = get_active_backend(prefer="threads")
    gather = "generator" if getattr(backend, "supports_return_generator", False) else "list"
    parallel = joblib.Parallel(n_jobs=workers, prefer="threads", return_as=gather)
    finished = []
    results = parallel(joblib.delayed(_fit_and_score)(job) for job in checked)
    try:
        for result in cast(Iterable[list[Scores]], results):
            finished += result
            if on_done is not None:
                on_done(len(finished), len(checked))
    except BaseException:
        if isinstance(results, Generator):
            with warnings.catch_warnings():
                # joblib tells that the jobs under way were for nothing.
                warnings.simplefilter("ignore")
                results.close()
        raise
    return finished
