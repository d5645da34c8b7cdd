"""Several synthesizers of one table by cross-validation: every score on rows that no fit has seen."""

import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxcop import _checks, synthesizers, tables
from jaxcop.checkpoint import write_whole
from jaxcop.evaluation.comparable import comparable
from jaxcop.evaluation.evaluate import CONTROLS, MIN_ROWS, Evaluation, evaluate
from jaxcop.tables.folds import folds, group_labels

SYNTHESIZERS = ("gaussian_mixture_copula", "copula_gaussian", "vae_gmm")
"""What is compared unless told; the controls always are."""

RESAMPLES, FLOOR_DRAWS = 3, 40
"""Of ``evaluate`` on each fold: the spread that matters here is that over folds."""


class Fold(NamedTuple):
    """One fold: rows, leaks, scores by generator and metric (``holdout`` among the generators), noise floors
    (mean, 5 %, 95 %), TRTR by score, names of columns left out, and why a synthesizer gave no rows."""

    train: int
    holdout: int
    leaked_share: float
    scores: dict[str, dict[str, float]]
    floors: dict[str, list[float]]
    ceiling: dict[str, float]
    dropped: list[str]
    failures: dict[str, str]


class Compared(NamedTuple):
    """What ``compare`` found; ``evaluation.recommend`` reads it and ``jaxcop.report.comparison`` writes it."""

    synthesizers: tuple[str, ...]
    target: str | None
    group: str | None
    num_rows: int
    seed: int
    folds: tuple[Fold, ...]

    def values(self, generator: str, metric: str) -> np.ndarray:
        """One number a fold, NaN where there is none."""
        return np.array([fold.scores.get(generator, {}).get(metric, np.nan) for fold in self.folds])


def compare(
    key: Key[Array, ""],
    frame: Any,
    *,
    target: str | None,
    names: Sequence[str] = SYNTHESIZERS,
    schema: tables.Schema | None = None,
    num_folds: int = 5,
    group: str | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    store: str | Path | None = None,
) -> Compared:
    """Fit the synthesizers ``names`` of ``synthesizers.NAMED`` on all folds but one and score their rows on that one.

    The controls of ``evaluate`` are scored beside them. ``group`` names a column whose values stay in one fold (a
    site, a patient); it takes no part in the models. Without ``schema`` each fit infers its own from its training
    rows. Each fold's rows are drawn ``RESAMPLES`` times as many as its training rows. A synthesizer that refuses a
    fold, or trains to rows that are not finite, is recorded with its message among the ``failures``.

    With ``store`` every finished fold is kept there, and the same call finds it again after a kill.
    ``progress(stage, done, total)`` is called after every fit and every evaluation.

    Raises ValueError for unknown names, a target or group that is no column, folds of fewer than 10 rows, and where
    no synthesizer works on a fold.
    """
    names = tuple(dict.fromkeys(name for name in names if name not in CONTROLS))
    for name in names:
        _checks.one_of(name, synthesizers.NAMED, "synthesizer")
    if not names:
        raise ValueError(f"synthesizer: expected one besides the controls {list(CONTROLS)}, got none; name one")
    if target is not None:
        _checks.one_of(target, tuple(map(str, frame.columns)), "target")
    key_folds, key = jax.random.split(key)
    seed = int(jax.random.randint(key_folds, (), 0, 2**31 - 1))
    groups = None if group is None else group_labels(frame, group)
    table = frame if group is None else frame.drop(columns=group)
    parts = folds(len(table), num_folds, seed=seed, groups=groups)
    smallest = min(len(fold) for _, fold in parts)
    if smallest < MIN_ROWS:
        raise ValueError(
            f"folds: expected at least {MIN_ROWS} rows in each, got {smallest}; take fewer folds or other groups"
        )
    if schema is not None and group is not None:
        schema = replace(schema, columns=tuple(column for column in schema.columns if column.name != group))
    kept = None if store is None else Path(store) / _digest(frame, names, target, group, schema, num_folds, key)
    progress = progress or (lambda stage, done, total: None)
    total, found = len(parts) * (len(names) + 1), []
    for number, (rest, fold) in enumerate(parts):
        path = None if kept is None else kept / f"fold_{number}.json"
        if path is not None and path.exists():
            found.append(Fold(**json.loads(path.read_text(encoding="utf-8"))))
        else:
            start = number * (len(names) + 1)
            progress("fits and scores", start, total)
            sides = (table.iloc[rest].reset_index(drop=True), table.iloc[fold].reset_index(drop=True))
            one = _fold(
                jax.random.fold_in(key, number), *sides, names, schema, target,
                lambda done, start=start: progress("fits and scores", start + done, total),
            )  # fmt: skip
            found.append(one)
            if path is not None:
                write_whole(path, lambda temporary, one=one: _write(temporary, one))
        progress("fits and scores", (number + 1) * (len(names) + 1), total)
    return Compared(names, target, group, len(table), seed, tuple(found))


def _fold(key, train, holdout, names, schema, target, on_fit) -> Fold:
    drawn, failures = {}, {}
    known = tables.infer_schema(train) if schema is None else schema
    for done, name in enumerate(names, 1):
        # A name's stream does not depend on the others.
        key_fit, key_rows = jax.random.split(jax.random.fold_in(key, zlib.crc32(name.encode())))
        try:
            model = synthesizers.fit_table(key_fit, train, known, name)
            drawn[name] = synthesizers.sample_table(key_rows, model, RESAMPLES * len(train))
        except ValueError as error:
            failures[name] = str(error)
        on_fit(done)
    if not drawn:
        raise ValueError(f"synthesizer: expected one that works on every fold, got {failures}; correct the table")
    arrays, columns, dropped = comparable({"train": train, "holdout": holdout, **drawn}, schema, target)
    with warnings.catch_warnings():
        # Leaks are in the result.
        warnings.simplefilter("ignore", UserWarning)
        found = evaluate(
            key, arrays[0], arrays[1], dict(zip(drawn, arrays[2:], strict=True)), target=target, columns=columns,
            resamples=RESAMPLES, floor_draws=FLOOR_DRAWS, permutations=0, blend_repeats=0,
        )  # fmt: skip
    return _summary(found, len(train), len(holdout), dropped, failures)


def _summary(found: Evaluation, train: int, holdout: int, dropped: list[str], failures: dict[str, str]) -> Fold:
    scores: dict[str, dict[str, float]] = {}
    floors = {}
    for score in found.scores:
        scores.setdefault(score.generator, {})[score.metric] = score.value
        if np.isfinite(score.floor):
            floors[score.metric] = [score.floor, score.floor_low, score.floor_high]
    ceiling = found.ceilings["xgboost"]._asdict() if found.ceilings else {}
    return Fold(train, holdout, found.leaked_share, scores, floors, ceiling, dropped, failures)


def _digest(frame, *settings) -> str:
    """A name for all that a fold's scores depend on."""
    *plain, key = settings
    text = frame.to_csv(index=False) + repr([str(setting) for setting in plain]) + jax.__version__
    return hashlib.sha256(text.encode() + np.asarray(jax.random.key_data(key)).tobytes()).hexdigest()[:32]


def _write(path: str, fold: Fold) -> None:
    Path(path).write_text(json.dumps(fold._asdict()), encoding="utf-8")
