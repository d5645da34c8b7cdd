"""Generators over splits: tuned on an inner fold, fitted as replicas of one program, sampled and scored.

A record is a flat dict: protocol, recipe, generator, split, seed, resample, and one number per metric.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop import copulas, evaluation, sweep, tuning
from jaxcop.synthesizers import Synthesizer

# One purpose, one stream: tuning, fitting, sampling and scoring never share random numbers.
TUNE, FIT, SAMPLE, SCORE = range(4)


Which = slice | Sequence[int] | np.ndarray


class Generator(NamedTuple):
    """A synthesizer, the hyper-parameters to choose from on the inner fold, and how many times it is trained."""

    synthesizer: Synthesizer
    grid: tuple[Any, ...] = ()
    num_seeds: int = 1


class Fitted(NamedTuple):
    """One generator fitted on every split and seed: replica i belongs to ``split[i]`` and ``seed[i]``."""

    fitted: Any
    split: np.ndarray
    seed: np.ndarray


class Tuned(NamedTuple):
    """The grid, the inner-fold RMSE [splits, grid] of each choice, and the position of the best one per split."""

    grid: tuple[Any, ...]
    rmse: np.ndarray
    choice: np.ndarray


def keys(seed: Sequence[int] | np.ndarray, split: Sequence[int] | np.ndarray, purpose: int, resample: int = 0):
    """One key per replica, from what the replica is and not from where it stands."""

    def one(seed, split):
        return jax.random.fold_in(
            jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), split), purpose), resample
        )

    return jax.vmap(one)(np.asarray(seed, np.uint32), np.asarray(split, np.uint32))


def _stack_hypers(hypers: Sequence[Any]):
    return jax.tree.map(lambda *values: np.asarray(values, np.float32), *hypers)


def _replicas(*axes: Sequence[int]) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*map(np.asarray, axes), indexing="ij")]


def padded_length(tables: Sequence[np.ndarray]) -> int:
    """One length for tables of about this size, so that protocols share their programs."""
    return -(-max(map(len, tables)) // 32) * 32


def tune(
    generator: Generator,
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    target_column: int,
    num_rows: int,
    length: int,
    progress: Callable[[int, int], object] | None = None,
    store: Path | None = None,
) -> Tuned:
    """Fit every choice of the grid on the inner training part of each split and score it on the inner fold.

    ``inner`` holds (inner train, inner validation) of each outer training set: no test row is in it. The score is the
    RMSE of the regressor trained on ``num_rows`` synthetic rows; the lowest wins. Tables are padded to ``length`` rows,
    so that the program is the one that ``fit`` runs. ``store`` keeps fits as in ``sweep.replicate``, here and there.
    """
    pairs = np.zeros(len(inner)), range(len(inner))
    rmse = tuning.search(
        jnp.stack([keys(*pairs, TUNE), keys(*pairs, TUNE, 1)], 1),
        inner,
        generator.synthesizer,
        generator.grid,
        partial(tuning.tstr_rmse, target_column=target_column),
        num_rows,
        length=length,
        progress=progress,
        store=store,
    )
    return Tuned(generator.grid, rmse, rmse.argmin(1))


def fit(
    generator: Generator,
    tables: Sequence[np.ndarray],
    hypers: Sequence[Any],
    length: int,
    progress: Callable[[int, int], object] | None = None,
    store: Path | None = None,
) -> Fitted:
    """Fit one generator on every training table, ``num_seeds`` times each, with one choice of numbers per table."""
    split, seed = _replicas(range(len(tables)), range(generator.num_seeds))
    x, mask = sweep.stack([table.astype(np.float32) for table in tables], length=length)
    hyper = _stack_hypers([hypers[index] for index in split])
    fitted = sweep.replicate(
        generator.synthesizer.fit, keys(seed, split, FIT), x[split], mask[split], hyper, progress=progress, store=store
    )
    return Fitted(fitted, split, seed)


def sample(
    generator: Generator, fitted: Fitted, num_rows: int, *, which: Which = slice(None), resample: int = 0
) -> np.ndarray:
    """Rows [r, num_rows, d] of the replicas ``which``; another ``resample`` is another draw from the same fit."""
    which = which if isinstance(which, slice) else np.asarray(which)
    part = jax.tree.map(lambda leaf: leaf[which], fitted.fitted)
    draw = keys(fitted.seed[which], fitted.split[which], SAMPLE, resample)
    return np.asarray(sweep.replicate(generator.synthesizer.sample, draw, part, static=(num_rows,)))


@dataclass
class Result:
    """What one protocol gave: fits, synthetic tables per split, and the records of their scores."""

    protocol: str
    splits: list
    config: Any = None
    fitted: dict[str, Fitted] = field(default_factory=dict)
    tuned: dict[str, Tuned] = field(default_factory=dict)
    tables: dict[int, list[tuple[dict, np.ndarray]]] = field(default_factory=lambda: defaultdict(list))
    records: list[dict] = field(default_factory=list)
    ceilings: list[dict] = field(default_factory=list)
    holdout: list[dict] = field(default_factory=list)

    def add(
        self, labels: dict, fitted: Fitted, rows: np.ndarray, *, which: Which = slice(None), resample: int = 0
    ) -> None:
        """File the rows [r, m, d] of the replicas ``which`` under their splits."""
        for one, split, seed in zip(rows, fitted.split[which], fitted.seed[which], strict=True):
            self.tables[int(split)].append(({**labels, "seed": int(seed), "resample": resample}, one))

    @property
    def num_tables(self) -> int:
        return sum(map(len, self.tables.values()))


def score(
    result: Result,
    split: int,
    train: np.ndarray,
    test: np.ndarray,
    compare_rows: int,
    compare_test: int,
    target_column: int,
) -> None:
    """Score every table of one split, and the ceiling and the ``holdout`` control (real rows never seen) beside them.

    Sizes are the same on every split, since distances depend on them. A table with a value that is not finite is
    recorded as such and has no metrics.
    """
    labels, tables = [label for label, _ in result.tables[split]], np.stack([t for _, t in result.tables[split]])
    finite = np.asarray(np.isfinite(tables).all(axis=(1, 2)))
    # Kept in place, filled with training rows, so that shapes and programs stay the same.
    filled = np.where(
        finite[:, None, None], tables, train[np.arange(tables.shape[1]) % len(train)].astype(tables.dtype)
    )
    (key,) = keys([0], [split], SCORE)
    columns = evaluation.fidelity(key, train, filled, num_rows=compare_rows)
    utility, ceiling = evaluation.utility(train, test, filled, target_column, seed=split)
    columns |= utility
    common = {"protocol": result.protocol, "split": split}
    for i, label in enumerate(labels):
        values = {name: float(column[i]) for name, column in columns.items()} if finite[i] else {}
        result.records.append({**label, **common, "finite": bool(finite[i]), **values})
    result.ceilings.append({**common, **{f"trtr_{name}": value for name, value in ceiling._asdict().items()}})
    holdout = evaluation.fidelity(key, train, test[None, :compare_test], num_rows=compare_rows)
    result.holdout.append({**common, **{name: float(column[0]) for name, column in holdout.items()}})


def pool_seeds(labels: dict, fitted: Fitted, rows: np.ndarray, num_seeds: int, result: Result) -> None:
    """File, per split, a table that holds equal parts of the rows of every training seed: an ensemble.

    Averaging over training seeds is what a user does who does not know which seed is good.
    """
    part = -(-rows.shape[1] // num_seeds)
    for split in np.unique(fitted.split):
        pooled = rows[fitted.split == split, :part].reshape(-1, rows.shape[-1])[: rows.shape[1]]
        # The parts are one after another; scores take the first rows, which must hold some of each.
        mixed = np.random.default_rng(int(split)).permutation(pooled)
        result.tables[int(split)].append(({**labels, "seed": 0, "resample": 0}, mixed))


class CopulaRow(NamedTuple):
    """One family fitted to one table: per row of the table, log-likelihood and AIC."""

    family: str
    method: str
    loglik: float
    aic: float
    num_params: int
    converged: bool


def copula_table(table: np.ndarray, families: Sequence[str]) -> list[CopulaRow]:
    """Maximum pseudo-likelihood and tau inversion of each family on the ranks of ``table``."""
    u = copulas.pseudo_observations(jnp.asarray(table, np.float32))
    rows = []
    for family, method in itertools.product(families, ("mpl", "itau")):
        fit = copulas.fit(u, family, method=method)
        n = len(table)
        rows.append(
            CopulaRow(family, method, float(fit.loglik) / n, float(fit.aic) / n, fit.num_params, bool(fit.converged))
        )
    return rows


class Spread(NamedTuple):
    """Standard deviations of one metric: between splits, between training seeds of one split, between draws of one fit
    (NaN where there is only one)."""

    split: float
    seed: float
    sampling: float


def spread(records: Sequence[dict], metric: str) -> Spread:
    """What the number depends on: the split, the training seed, the draw. ``sampling`` is the spread that resampling
    one fixed checkpoint shows, and all that it shows."""

    def within(groups: dict) -> float:
        variances = [np.var(values, ddof=1) for values in groups.values() if len(values) > 1]
        return float(np.sqrt(np.mean(variances))) if variances else np.nan

    by_split, by_fit = {}, {}
    for record in records:
        if metric not in record:
            continue
        by_fit.setdefault((record["split"], record["seed"]), []).append(record[metric])
        if record["resample"] == 0:
            by_split.setdefault(record["split"], []).append(record[metric])
    means = [np.mean(values) for values in by_split.values()]
    between = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
    return Spread(between, within(by_split), within(by_fit))
