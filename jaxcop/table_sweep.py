"""Hyper-parameters of a synthesizer of tables: training seeds x folds x choices as replicas of one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxcop import _checks, metrics, sweep, tables, tuning
from jaxcop.evaluation import comparable
from jaxcop.metrics.utility import Job, utility_many
from jaxcop.synthesizers import tables as models
from jaxcop.tables.folds import folds


class Swept(NamedTuple):
    """``hyper`` is ``grid[choice]``; ``scores`` in ``metric`` are lower for better, infinite where rows diverged."""

    synthesizer: str
    target: str | None
    metric: str
    rule: str
    grid: tuple[Any, ...]
    choice: int
    scores: Float[np.ndarray, "seeds folds choices"]

    @property
    def hyper(self) -> Any:
        """The numbers that were chosen."""
        return self.grid[self.choice]


def sweep_table(
    key: Key[Array, ""],
    frame: Any,
    schema: tables.Schema,
    synthesizer: str,
    values: Mapping[str, Sequence[float]],
    *,
    target: str | None = None,
    num_seeds: int = 1,
    num_folds: int = 5,
    groups: np.ndarray | Sequence | None = None,
    rule: str = "lowest",
    progress: Callable[[str, int, int], object] | None = None,
    store: str | Path | None = None,
) -> Swept:
    """Try all combinations of ``values``, by the names of the synthesizer's numbers, on inner folds of ``frame``.

    Each combination is trained ``num_seeds`` times on the rows outside of each fold. Its rows, decoded as a user gets
    them, are scored on the fold: by TSTR RMSE with a ``target``, else by MMD² in standard deviations of the training
    rows. Scores are averaged over seeds first, and ``rule`` of ``jaxcop.tuning`` takes a choice by its mean over folds.

    ``store`` keeps finished fits as in ``sweep.replicate``; ``progress(stage, done, total)`` is called as work goes on.

    Raises ValueError for unknown names of synthesizer or numbers, values it refuses, a target that is no column of
    numbers, more folds than rows or groups.
    """
    _checks.one_of(rule, tuning.RULES, "rule")
    _checks.whole(num_seeds, "num_seeds")
    progress = progress or (lambda stage, done, total: None)
    key_folds, key_cells, key_fit, key_rows = jax.random.split(key, 4)
    parts = folds(len(frame), num_folds, seed=int(jax.random.randint(key_folds, (), 0, 2**31 - 1)), groups=groups)
    sides = [tuple(frame.iloc[rows].reset_index(drop=True) for rows in part) for part in parts]
    # Says early what is wrong with the target.
    comparable({"frame": frame}, schema, target)
    arrays = [
        models.untrained(jax.random.fold_in(key_cells, k), train, schema, synthesizer)[0]
        for k, (train, _) in enumerate(sides)
    ]
    # One program for all folds, so one model, of as many rows as the smallest has.
    whole = models.untrained(key_cells, frame, schema, synthesizer)[1]
    model = whole._replace(num_rows=min(map(len, arrays)))
    built = models.built_for(model)
    grid = tuning.grid(built.hyper, **values)
    for array in arrays:
        for hyper in grid:
            built.check(array, hyper)

    shape = (num_seeds, len(arrays), len(grid))
    seed, fold, choice = (axis.ravel() for axis in np.indices(shape))
    length = len(models.padded(max(arrays, key=len))[1])
    x, mask = sweep.stack(arrays, length=length)
    hypers = jax.tree.map(lambda *numbers: np.asarray(numbers, x.dtype), *[grid[index] for index in choice])
    # All choices share the keys of their seed and fold, so that they differ by their numbers alone.
    stream = seed * len(arrays) + fold
    keys = jax.random.split(key_fit, num_seeds * len(arrays))[stream]
    fitted = sweep.replicate(
        built.fit, keys, x[fold], mask[fold], hypers, progress=lambda done, total: progress("fits", done, total),
        store=store,
    )  # fmt: skip
    drawn: list[Any] = []
    for place in range(len(stream)):
        one = model._replace(fitted=jax.tree.map(lambda leaf, place=place: leaf[place], fitted))
        drawn.append(_rows(jax.random.fold_in(key_rows, stream[place]), one, len(arrays[fold[place]])))
        progress("rows", place + 1, len(stream))
    scores = _scores(drawn, [sides[k] for k in fold], schema, target, fold, progress).reshape(shape)
    metric = "mmd" if target is None else "tstr_rmse"
    return Swept(synthesizer, target, metric, rule, grid, tuning.choose(scores.mean(0), rule), scores)


def _rows(key, model: models.TableModel, count: int):
    """Synthetic rows as a user gets them; None where training diverged."""
    try:
        return models.sample_table(key, model, count)
    except ValueError as error:
        if not str(error).startswith("model: "):
            raise
        return None


def _scores(drawn, sides, schema, target, fold, progress) -> np.ndarray:
    """One number for each table, on the fold of its own; infinite where there is no table."""
    scores, jobs = np.full(len(drawn), np.inf), {}
    for place, (rows, (train, held_out)) in enumerate(zip(drawn, sides, strict=True)):
        if rows is None:
            continue
        (learned, validation, synthetic), names, _ = comparable(
            {"train": train, "fold": held_out, "rows": rows}, schema, target
        )
        if target is None:
            pair = jnp.asarray(validation), jnp.asarray(synthetic)
            scores[place] = metrics.mmd(*pair, reference=jnp.asarray(learned)).unbiased
            progress("scores", place + 1, len(drawn))
        else:
            jobs[place] = Job(synthetic, validation, names.index(target), int(fold[place]))
    if jobs:
        found = utility_many(list(jobs.values()), on_done=lambda done, total: progress("scores", done, total))
        scores[list(jobs)] = [score.rmse for score in found]
    return scores
