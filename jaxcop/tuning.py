"""Numbers chosen on inner folds: every choice on every fold, fitted as replicas of one compiled program."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxcop import _checks, metrics, sweep
from jaxcop.metrics.utility import Job, utility_many
from jaxcop.synthesizers import Synthesizer
from jaxcop.tables.folds import folds

RULES = ("lowest", "one_standard_error")
# score(rows[r, m, d], validation tables, fold[r]) -> [r], lower is better.
Score = Callable[[np.ndarray, Sequence[np.ndarray], np.ndarray], Sequence[float] | np.ndarray]


class Tuned(NamedTuple):
    """``hyper`` is ``grid[choice]``; ``scores`` are lower for better, infinite where a fit or its rows diverged."""

    hyper: Any
    choice: int
    grid: tuple[Any, ...]
    scores: Float[np.ndarray, "folds choices"]
    rule: str


def grid(hyper: Any, **values: Sequence[float]) -> tuple[Any, ...]:
    """All combinations of the named numbers, the others as in ``hyper``; the first name varies slowest.

    >>> from jaxcop.vae import Hyper
    >>> [(h.beta_max, h.learning_rate) for h in grid(Hyper(), beta_max=(0.1, 0.5), learning_rate=(0.001, 0.003))]
    [(0.1, 0.001), (0.1, 0.003), (0.5, 0.001), (0.5, 0.003)]
    """
    unknown = sorted(set(values) - set(getattr(hyper, "_fields", ())))
    if unknown:
        raise ValueError(
            f"grid: expected names among {getattr(hyper, '_fields', ())}, got {unknown}; see the synthesizer's hyper"
        )
    return tuple(hyper._replace(**dict(zip(values, row, strict=True))) for row in itertools.product(*values.values()))


def tstr_rmse(rows: np.ndarray, validation: Sequence[np.ndarray], fold: np.ndarray, *, target_column: int):
    """Root mean squared error on the fold of XGBoost trained on the synthetic rows."""
    jobs = [Job(table, validation[i], target_column, int(i)) for table, i in zip(rows, fold, strict=True)]
    return [score.rmse for score in utility_many(jobs)]


def mmd(rows: np.ndarray, validation: Sequence[np.ndarray], fold: np.ndarray):
    """Unbiased squared maximum mean discrepancy from the fold."""
    scores = np.empty(len(rows))
    for i in np.unique(fold):
        scores[fold == i] = metrics.mmd(jnp.asarray(validation[i]), jnp.asarray(rows[fold == i])).unbiased
    return scores


def search(
    keys: Key[Array, "f 2"],
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    synthesizer: Synthesizer,
    grid: Sequence[Any],
    score: Score,
    num_rows: int,
    *,
    length: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    store: str | Path | None = None,
) -> Float[np.ndarray, "f choices"]:
    """Score of every choice on every pair (rows to fit, rows to score on), one program for all of them.

    The two keys of a pair fit and sample; all choices share them, so that they differ by their numbers alone.
    ``length`` pads the tables as in ``sweep.stack``, ``progress`` and ``store`` are those of ``sweep.replicate``.
    A choice whose rows are not finite scores infinity.
    """
    pair, choice = (axis.ravel() for axis in np.indices((len(inner), len(grid))))
    x, mask = sweep.stack([np.asarray(train, np.float32) for train, _ in inner], length=length)
    hyper = jax.tree.map(lambda *values: np.asarray(values, np.float32), *[grid[int(index)] for index in choice])
    fitted = sweep.replicate(synthesizer.fit, keys[pair, 0], x[pair], mask[pair], hyper, progress=progress, store=store)
    rows = np.asarray(sweep.replicate(synthesizer.sample, keys[pair, 1], fitted, static=(num_rows,)))
    usable = np.flatnonzero(np.isfinite(rows).all((1, 2)))
    scores = np.full(len(pair), np.inf)
    scores[usable] = score(rows[usable], [np.asarray(validation) for _, validation in inner], pair[usable])
    return scores.reshape(len(inner), len(grid))


def tune(
    key: Key[Array, ""],
    x: Float[Array | np.ndarray, "n d"],
    synthesizer: Synthesizer,
    grid: Sequence[Any],
    *,
    target_column: int | None = None,
    groups: Int[np.ndarray, "n"] | Sequence | None = None,
    num_folds: int = 5,
    num_rows: int | None = None,
    score: Score | None = None,
    rule: str = "lowest",
    progress: Callable[[int, int], object] | None = None,
    store: str | Path | None = None,
) -> Tuned:
    """Choose among ``grid`` by cross-validation inside ``x``, which holds training rows only.

    Every choice is fitted on the rows outside of each fold and draws ``num_rows`` rows (default: as many as ``x`` has).
    They are scored on the fold: by the error of a regressor trained on them (``tstr_rmse``) if ``target_column`` is
    given, else by ``mmd``, or by a ``score`` of yours. Rows of one of the ``groups`` stay in one fold.

    ``rule="lowest"`` takes the lowest mean score; ``"one_standard_error"`` the first choice of the grid, so put the
    simplest first, whose mean is within one standard error (over folds) of the lowest (Breiman et al. 1984).

    Raises ValueError for an empty grid, values the synthesizer refuses, fewer than 2 folds or more than groups or rows
    allow, a column that is not there, no choice with a finite score.

    >>> from jaxcop import synthesizers
    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> smoothed = synthesizers.smoothed()
    >>> found = tune(jax.random.key(0), x, smoothed, grid(smoothed.hyper, bandwidth=(0.1, 5.0)), num_folds=3)
    >>> found.hyper.bandwidth, found.scores.shape
    (0.1, (3, 2))
    """
    x = _checks.table(x)
    _checks.one_of(rule, RULES, "rule")
    if not len(grid):
        raise ValueError("grid: expected at least one choice, got none; see tuning.grid")
    if target_column is not None and not 0 <= target_column < x.shape[1]:
        raise ValueError(f"target_column: expected 0 to {x.shape[1] - 1}, got {target_column}; count columns from 0")
    key_folds, key = jax.random.split(key)
    seed = int(jax.random.randint(key_folds, (), 0, 2**31 - 1))
    inner = [(x[rest], x[fold]) for rest, fold in folds(len(x), num_folds, seed=seed, groups=groups)]
    for train, _ in inner:
        for hyper in grid:
            synthesizer.check(train, hyper)
    if score is None:
        score = mmd if target_column is None else partial(tstr_rmse, target_column=target_column)
    keys = jax.random.split(key, (num_folds, 2))
    scores = search(keys, inner, synthesizer, grid, score, num_rows or len(x), progress=progress, store=store)
    choice = choose(scores, rule)
    return Tuned(grid[choice], choice, tuple(grid), scores, rule)


def choose(scores: Float[np.ndarray, "folds choices"], rule: str) -> int:
    """Position of the choice that ``rule`` takes by its mean over folds.

    >>> scores = np.array([[1.0, 0.9, 3.0], [1.2, 1.3, 3.0]])
    >>> choose(scores, "lowest"), choose(scores, "one_standard_error")
    (0, 0)
    """
    mean = scores.mean(0)
    if not np.isfinite(mean).any():
        raise ValueError("grid: expected a choice that works on every fold, got none; lower the learning rates")
    choice = int(mean.argmin())
    if rule == "one_standard_error":
        limit = mean[choice] + scores[:, choice].std(ddof=1) / np.sqrt(len(scores))
        choice = int(np.flatnonzero(mean <= limit)[0])
    return choice
