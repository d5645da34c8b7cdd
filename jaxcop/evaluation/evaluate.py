"""One call from three tables to a verdict: every metric with its noise floor, its controls and its leak check."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import stats

from jaxcop import _checks, metrics, synthesizers
from jaxcop.evaluation import suite, verdict
from jaxcop.metrics import utility as regression
from jaxcop.metrics.augmentation import SHARES, BlendCurve, blend_curve
from jaxcop.metrics.detection import c2st
from jaxcop.tables import frames, leaks

CONTROLS = ("bootstrap", "independent", "smoothed")
"""Fitted to the training rows and scored beside every generator; ``holdout``, the hold-out rows, joins them where a
metric does not depend on how many rows there are."""

MIN_ROWS = 10
DETECTION_RESAMPLES = 3
"""Classifier tests are slow: they see the first resamples only."""


DRAWN = 1024
"""Rows of the controls are drawn in multiples of this."""


class Sizes(NamedTuple):
    """Rows of the tables, and of what is compared: ``compared`` in distances, ``learned`` in TSTR."""

    train: int
    holdout: int
    compared: int
    learned: int
    resamples: int
    floor_draws: int
    permutations: int


class Score(NamedTuple):
    """One metric of one generator.

    ``value`` and ``sd`` are over resamples; ``floor``, ``floor_low``, ``floor_high`` are mean and 5 % and 95 % quantile
    between two real samples of the same sizes, and ``p_value`` is that of the permutation test against the hold-out
    rows. NaN where there is none.
    """

    generator: str
    metric: str
    value: float
    sd: float
    floor: float
    floor_low: float
    floor_high: float
    p_value: float


class Evaluation(NamedTuple):
    """What ``evaluate`` found; ``jaxcop.report.evaluation`` prints and writes it.

    ``scores`` of generators and controls; ``ceilings``: TRTR by learner; ``stacking``: TSTR of each generator by the
    stacked learner, where asked for; ``blends``, ``objectives``, ``verdicts`` by generator; ``notes``: what a reader
    must know before any number. The tables, in their own units, are kept for the figures.
    """

    columns: tuple[str, ...]
    target: str | None
    sizes: Sizes
    leaked_share: float
    notes: tuple[str, ...]
    scores: tuple[Score, ...]
    ceilings: dict[str, regression.Scores]
    stacking: dict[str, regression.Scores]
    blends: dict[str, BlendCurve]
    objectives: dict[str, list[verdict.Objective]]
    verdicts: tuple[verdict.Verdict, ...]
    settings: dict[str, Any]
    train: Float[np.ndarray, "n d"]
    holdout: Float[np.ndarray, "h d"]
    synthetic: dict[str, Float[np.ndarray, "m d"]]

    def value(self, generator: str, metric: str) -> float:
        """The mean over resamples."""
        return next(s.value for s in self.scores if (s.generator, s.metric) == (generator, metric))


def evaluate(
    key: Key[Array, ""],
    train: Any,
    holdout: Any,
    synthetic: Any,
    *,
    target: str | int | None,
    columns: tuple[str, ...] | None = None,
    resamples: int = 10,
    floor_draws: int = 100,
    permutations: int = 199,
    blend_repeats: int = 3,
    learners: tuple[str, ...] = ("xgboost",),
    workers: int = -1,
    progress: Callable[[str, int, int], object] | None = None,
) -> Evaluation:
    """Judge synthetic rows by the real rows that made them (``train``) and by real rows that did not (``holdout``).

    Tables are pandas DataFrames of equal numeric columns, or arrays [rows, d] with names in ``columns``; ``synthetic``
    is one of them or a mapping from generator names to them. ``target`` names (or counts) the column that utility
    predicts; None leaves utility out.

    Distances compare equally many rows: ``sizes.compared`` of the training rows with as many synthetic ones, drawn
    anew for each of ``resamples``. Their floor is the same distance between two such parts of all real rows, in
    ``floor_draws`` divisions. p-values compare synthetic with hold-out rows. Utility trains on as many synthetic rows
    as there are training rows. Controls are fitted to the training rows here. ``progress(stage, done, total)`` is
    called as work goes on, from two threads.

    A hold-out that shares rows (or near-duplicates) with the training rows is scored all the same, with a warning and
    a verdict that says so. Raises ValueError for other columns or another order, text, NaN or infinity, constant
    training columns, fewer than 10 rows in any table, a target that is missing or constant, repeated names.

    >>> rng = np.random.default_rng(0)
    >>> def draw(n):
    ...     x = rng.normal(size=(n, 2))
    ...     return np.c_[x, x.sum(1)]
    >>> found = evaluate(
    ...     jax.random.key(0), draw(60), draw(30), draw(300), target=2, resamples=3, floor_draws=9, permutations=19,
    ...     blend_repeats=1,
    ... )
    >>> found.value("synthetic", "ks") < 0.3, found.leaked_share
    (True, 0.0)
    """
    names, train, holdout, tables = _read(train, holdout, synthetic, columns)
    column = _target_column(target, names, holdout)
    for value, name in ((resamples, "resamples"), (floor_draws, "floor_draws")):
        _checks.whole(value, name, least=2)
    for learner in learners:
        _checks.one_of(learner, regression.LEARNERS, "learners")
    progress = progress or (lambda stage, done, total: None)

    leaked = leaks.leaked_rows(train, holdout).mean()
    notes = _notes(leaked, train, holdout, tables)
    size = suite.comparison_rows(min((len(train) + len(holdout)) // 2, len(train), *map(len, tables.values())))
    learned = min(len(train), *map(len, tables.values()))
    sizes = Sizes(len(train), len(holdout), size, learned, resamples, floor_draws, permutations)

    key_controls, key_rows, key_fit, key_test, key_detect = jax.random.split(key, 5)
    scaled = _Scaled(train)
    seed = int(jax.random.randint(key_rows, (), 0, np.iinfo(np.int32).max))
    rng = np.random.default_rng(seed)
    z_train, z_holdout = scaled(train), scaled(holdout)
    z_tables = {name: scaled(table) for name, table in tables.items()} | _controls(
        key_controls, z_train, resamples * max(size, learned)
    )
    generators = list(z_tables)
    values: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*generators, "holdout")}

    # Trees grow on the host, and need nothing of what is compiled and run meanwhile.
    with _beside(
        _utility, train, holdout, {name: scaled.back(table) for name, table in z_tables.items()}, tuple(tables),
        column, seed, sizes, learners, blend_repeats, workers, progress=progress,
    ) as trees:  # fmt: skip
        progress("distances", 0, 1)
        real = z_train[_parts(rng, len(train), size, resamples)]
        rows = {name: table[_parts(rng, len(table), size, resamples)] for name, table in z_tables.items()}
        floors = _distances(key_fit, z_train, z_holdout, real, rows, rng, floor_draws, values)
        p_values = {}
        if permutations:
            # Sizes of ``suite``, too, so that the program of a hold-out of nearly the same length serves.
            count = suite.comparison_rows(min(4 * len(holdout), learned, size))
            held_out = z_holdout[rng.permutation(len(holdout))[: suite.comparison_rows(len(holdout))]]
            p_values = suite.p_values(
                key_test, held_out, np.stack([t[:count] for t in z_tables.values()]), permutations
            )
        rows["holdout"] = z_holdout[rng.integers(0, len(holdout), (resamples, size))]
        copied = suite.memorization(z_train, z_holdout, np.concatenate(list(rows.values())))
        for metric, found in copied.items():
            for name, own in zip(rows, found.reshape(-1, resamples), strict=True):
                values[name][metric] = own
        for metric in ("dcr_share", "membership_auc"):  # the hold-out rows would be compared with themselves
            del values["holdout"][metric]
        progress("distances", 1, 1)
        _detect(key_detect, real, rows, generators, values, workers, progress)
        utility = trees.result()
    for name, own in utility.values.items():
        values[name] |= own
    ceilings, blends = utility.ceilings, utility.blends
    rmse = ceilings["xgboost"].rmse if ceilings else None
    return Evaluation(
        columns=names,
        target=None if column is None else names[column],
        sizes=sizes,
        leaked_share=float(leaked),
        notes=notes,
        scores=tuple(_scores(values, floors, p_values, generators)),
        ceilings=ceilings,
        stacking=utility.stacking,
        blends=blends,
        objectives={name: verdict.objectives(values[name], rmse, blends.get(name)) for name in tables},
        verdicts=tuple(verdict.judge(name, values, floors, float(leaked)) for name in tables),
        settings={"xgboost": dict(regression.XGBOOST), "detector": dict(regression.DETECTOR), "seed": seed}
        | ({"forest": dict(regression.FOREST)} if "stacking" in learners else {}),
        train=train,
        holdout=holdout,
        synthetic=tables,
    )


@contextmanager
def _beside(task: Callable, *arguments, progress: Callable) -> Iterator[Future]:
    """``task(*arguments, progress)`` in another thread; given up at its next step where the block ends by an error."""
    given_up = Event()

    def advance(stage, done, total):
        if given_up.is_set():
            raise CancelledError
        progress(stage, done, total)

    with ThreadPoolExecutor(1) as background:
        try:
            yield background.submit(task, *arguments, advance)
        except BaseException:
            given_up.set()
            raise


class _Scaled:
    """Columns in standard deviations of the training rows, in the default precision; and back."""

    def __init__(self, train: np.ndarray):
        self.mean, self.sd = train.mean(0), train.std(0)
        self.dtype = jnp.zeros(()).dtype

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.mean) / self.sd).astype(self.dtype)

    def back(self, z: np.ndarray) -> np.ndarray:
        return z.astype(np.float64) * self.sd + self.mean


def _read(train, holdout, synthetic, columns):
    """Names and tables as float64 arrays; rounding to float32, as generators do, is undone for the comparison."""
    tables = dict(synthetic) if isinstance(synthetic, Mapping) else {"synthetic": synthetic}
    taken = sorted({*CONTROLS, "holdout"} & set(tables))
    if taken or not tables:
        raise ValueError(f"synthetic: expected tables by names that no control has, got {taken or 'none'}; rename them")
    every = {"train": train, "holdout": holdout} | {f"synthetic {name!r}": table for name, table in tables.items()}
    names, arrays = frames.aligned_tables(every, columns)
    for name, array in arrays.items():
        _checks.table(array, name, min_rows=MIN_ROWS, allow_constant=name != "train")
    if any(array.dtype == np.float32 for array in arrays.values()):
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    train, holdout, *others = (array.astype(np.float64) for array in arrays.values())
    return names, train, holdout, dict(zip(tables, others, strict=True))


def _target_column(target, names, holdout) -> int | None:
    if target is None:
        return None
    if isinstance(target, str):
        column = names.index(_checks.one_of(target, names, "target"))
    else:
        column = range(len(names))[target] if -len(names) <= target < len(names) else None
        if column is None:
            raise ValueError(
                f"target: expected a column name or a number below {len(names)}, got {target!r}; correct it"
            )
    if np.ptp(holdout[:, column]) == 0:
        raise ValueError(f"target: expected {names[column]!r} to vary in the hold-out rows, got a constant; add rows")
    return column


def _notes(leaked: float, train, holdout, tables) -> tuple[str, ...]:
    notes = []
    if leaked:
        notes.append(
            f"{leaked:.1%} of the hold-out rows equal a training row, or nearly: utility and memorisation are "
            "flattered. Split by what makes rows alike (jaxcop.tables.group_split on near_duplicates)."
        )
        warnings.warn(f"holdout: {notes[-1]}", UserWarning, stacklevel=3)
    repeated = 1 - len(np.unique(train, axis=0)) / len(train)
    if repeated:
        notes.append(f"{repeated:.1%} of the training rows repeat another: p-values suppose independent rows.")
    short = [name for name, table in tables.items() if len(table) < 2 * len(train)]
    if short:
        notes.append(
            f"{', '.join(short)}: fewer synthetic rows than twice the training rows, so resamples overlap and their "
            "SD is too small; draw ten times as many."
        )
    return tuple(notes)


def _controls(key, z_train, num_rows: int) -> dict[str, np.ndarray]:
    """Rows of every control, by programs of a few shapes that tables of about a size share."""
    found, rows = {}, synthesizers.padded(z_train)
    drawn = -(-num_rows // DRAWN) * DRAWN
    for name in CONTROLS:
        control = getattr(synthesizers, name)()
        fitted = jax.jit(control.fit)(key, *rows, control.hyper)
        sample = jax.jit(control.sample, static_argnums=2)
        found[name] = np.asarray(sample(jax.random.fold_in(key, len(found)), fitted, drawn))[:num_rows]
    return found


def _parts(rng, num_rows: int, size: int, resamples: int) -> np.ndarray:
    """Row numbers [resamples, size], each row once in a resample, and once in all of them where there are enough."""
    if num_rows >= resamples * size:
        return rng.permutation(num_rows)[: resamples * size].reshape(resamples, size)
    return np.stack([rng.permutation(num_rows)[:size] for _ in range(resamples)])


def _distances(key, z_train, z_holdout, real, rows, rng, floor_draws, values) -> dict[str, np.ndarray]:
    """Fill in the distances of every generator, and return those between two parts of the real rows."""
    size, pool = real.shape[1], np.concatenate([z_train, z_holdout])
    autoencoders = metrics.fit_autoencoders(key, jnp.asarray(real[0]))
    halves = pool[np.stack([rng.permutation(len(pool))[: 2 * size] for _ in range(floor_draws)])]
    found = suite.pairs(
        autoencoders,
        np.concatenate([real] * len(rows) + [halves[:, :size]]),
        np.concatenate([*rows.values(), halves[:, size:]]),
    )
    for metric, column in found.items():
        for name, own in zip(rows, column[:-floor_draws].reshape(-1, len(real)), strict=True):
            values[name][metric] = own
    floors = {metric: column[-floor_draws:] for metric, column in found.items()}
    # The AUC of a classifier that knows nothing (Mann & Whitney 1947) at the sizes compared, as equally likely values.
    error = np.sqrt((2 * size + 1) / (12 * size**2))
    chance = 0.5 + error * stats.norm.ppf((np.arange(floor_draws) + 0.5) / floor_draws)
    return floors | {"c2st_logistic": chance, "c2st_xgboost": chance}


def _detect(key, real, rows, generators, values, workers, progress) -> None:
    for index in range(min(DETECTION_RESAMPLES, len(real))):
        progress("detection", index, min(DETECTION_RESAMPLES, len(real)))
        tables = np.stack([rows[name][index] for name in generators])
        found = c2st(jax.random.fold_in(key, index), real[index], jnp.asarray(tables), workers=workers)
        for metric, column in (("c2st_logistic", found.logistic), ("c2st_xgboost", found.xgboost)):
            for name, value in zip(generators, column, strict=True):
                values[name][metric] = np.append(values[name].get(metric, []), value)


class _Utility(NamedTuple):
    """What trees learned: scores by generator and metric, of the real rows, of the stacked learner, of blends."""

    values: dict[str, dict[str, np.ndarray]]
    ceilings: dict[str, regression.Scores]
    stacking: dict[str, regression.Scores]
    blends: dict[str, BlendCurve]


def _utility(
    train, holdout, tables, blended, column, seed, sizes: Sizes, learners, blend_repeats, workers, progress
) -> _Utility:
    """TSTR and TRTS of parts of every table, and the blend curves of those named in ``blended``."""
    if column is None:
        return _Utility({}, {}, {}, {})
    rng = np.random.default_rng([seed, 1])
    rows = {name: table[_parts(rng, len(table), sizes.learned, sizes.resamples)] for name, table in tables.items()}
    tests = [part for parts in rows.values() for part in parts]
    jobs = [regression.Job(table, holdout, column, seed) for table in tests]
    scores = regression.utility_many(
        jobs, workers=workers, on_done=lambda done, total: progress("utility", done, total)
    )
    # A collapsed generator has a target that does not vary: it has no R2.
    varies = [np.ptp(table[:, column]) > 0 for table in tests]
    used = [table for table, good in zip(tests, varies, strict=True) if good]
    ceiling, *reverse = regression.regress_each(train, [holdout, *used], column, seed=seed)
    found = iter(reverse)
    undefined = regression.Scores(np.nan, np.nan, np.nan)
    trts = [next(found) if good else undefined for good in varies]
    values: dict[str, dict[str, np.ndarray]] = {name: {} for name in rows}
    for half, all_scores in (("tstr", scores), ("trts", trts)):
        for field in regression.Scores._fields:
            both = np.array([getattr(score, field) for score in all_scores]).reshape(len(rows), -1)
            for name, own in zip(rows, both, strict=True):
                values[name][f"{half}_{field}"] = own
    ceilings, stacking, blends = {"xgboost": ceiling}, {}, {}
    if "stacking" in learners:
        first = {"": train} | {name: parts[0] for name, parts in rows.items()}
        jobs = [regression.Job(table, holdout, column, seed, "stacking") for table in first.values()]
        found = regression.utility_many(
            jobs, workers=workers, on_done=lambda done, total: progress("stacking", done, total)
        )
        stacking = dict(zip(first, found, strict=True))
        ceilings["stacking"] = stacking.pop("")
    for name in blended if blend_repeats else ():
        shares = [s for s in SHARES if round((1 - s) * len(train)) <= len(tables[name])]
        if shares:
            blends[name] = blend_curve(
                train, holdout, tables[name], column, seed=seed, shares=shares, repeats=blend_repeats, workers=workers,
                on_done=lambda done, total, name=name: progress(f"blends of {name}", done, total),
            )  # fmt: skip
    return _Utility(values, ceilings, stacking, blends)


def _scores(values, floors, p_values, generators):
    for name, own in values.items():
        for metric in verdict.METRICS:
            if metric not in own:
                continue
            floor = floors.get(metric, np.array([np.nan]))
            p = p_values[metric][generators.index(name)] if metric in p_values and name in generators else np.nan
            value, sd = float(np.mean(own[metric])), float(np.std(own[metric], ddof=1))
            low, high = np.quantile(floor, (0.05, 0.95))
            yield Score(name, metric, value, sd, float(floor.mean()), float(low), float(high), float(p))
