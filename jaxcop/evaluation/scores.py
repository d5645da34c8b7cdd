"""Scores of synthetic tables for one split: fidelity, utility and memorisation, by one call for many tables."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxcop import _checks, metrics
from jaxcop.metrics.utility import Job, Scores, regress_each, utility_many

CHUNK = 16
"""Tables that are compared in one call of the compiled metrics."""
# Training tables are looked through for copies at a multiple of this many rows.
PADDING = 64


def _mean_of_columns(values) -> np.ndarray:
    return np.asarray(values, np.float64).mean(-1)


def fidelity(
    key: Key[Array, ""],
    train: Float[np.ndarray, "n d"],
    synthetic: Float[np.ndarray, "r m d"],
    *,
    num_rows: int | None = None,
) -> dict[str, np.ndarray]:
    """Every distance of ``synthetic`` [r, m, d] to the real training rows [n, d], as columns of length r.

    Distances depend on the sizes of what they compare. So ``num_rows`` rows (default: all training rows) are drawn
    from the training rows, and the first ``num_rows`` of each synthetic table, which are exchangeable, are compared
    with them; a table with fewer rows is compared whole. Columns are standardised by those training rows. Copies are
    looked for among all training rows. Per-column metrics come as their mean over the columns (``ks_max``: the worst).
    """
    train = _checks.table(train, "train")
    if np.ndim(synthetic) != 3 or not len(synthetic) or np.shape(synthetic)[2] != train.shape[1]:
        raise ValueError(
            f"synthetic: expected shape (tables, rows, {train.shape[1]}), got {np.shape(synthetic)}; "
            "put one table into a list"
        )
    num_rows = len(train) if num_rows is None else num_rows
    if not 2 <= num_rows <= len(train):
        raise ValueError(f"num_rows: expected 2 to {len(train)} (the training rows), got {num_rows}; lower it")
    key_rows, key_fit, key_floor = jax.random.split(key, 3)
    chosen = jax.random.permutation(key_rows, len(train))[:num_rows]
    real = jnp.asarray(train, np.float32)[chosen]
    rows = jnp.asarray(synthetic, np.float32)[:, :num_rows]
    # Repeats change neither the nearest rows nor the distances among distinct ones, and spare a program per length.
    length = -(-len(train) // PADDING) * PADDING
    every = jnp.asarray(train[np.arange(length) % len(train)], np.float32)
    autoencoders = metrics.fit_autoencoders(key_fit, real)
    # Chunks of one shape, the last one filled up, so that any number of tables runs through the same programs.
    parts = []
    for start in range(0, len(rows), CHUNK):
        part = rows[np.minimum(np.arange(start, start + CHUNK), len(rows) - 1)]
        faed = metrics.faed(key_floor, autoencoders, real, part)
        parts.append(_columns(metrics.fidelity(real, part), faed, metrics.dcr(every, part, reference=real)))
    return {name: np.concatenate([part[name] for part in parts])[: len(rows)] for name in parts[0]}


def _columns(distance: metrics.Fidelity, faed: metrics.FAED, copying: metrics.DCR) -> dict[str, np.ndarray]:
    """One column of numbers a metric; per-column metrics as their mean, the worst column of ``ks`` beside it."""
    columns = {
        "ks": _mean_of_columns(distance.ks),
        "ks_max": np.asarray(distance.ks).max(-1),
        "ad": _mean_of_columns(distance.anderson_darling.distance),
        "tv": _mean_of_columns(distance.total_variation),
        "range_coverage": _mean_of_columns(distance.range_coverage),
        "wasserstein": _mean_of_columns(distance.wasserstein),
        "mmd": distance.mmd.unbiased,
        "mmd_biased": distance.mmd.biased,
        "frechet": distance.frechet,
        "faed": faed.value,
        "faed_ratio": faed.ratio,
        "dcr_ratio": copying.median_ratio,
        "exact_copies": copying.exact_copies,
    }
    return {name: np.asarray(values, np.float64) for name, values in columns.items()}


def utility(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "k d"],
    synthetic: Float[np.ndarray, "r m d"],
    target_column: int,
    *,
    seed: int,
    on_done: Callable[[int, int], object] | None = None,
) -> tuple[dict[str, np.ndarray], Scores]:
    """TSTR and TRTS of every table as columns of length r, and the TRTR ceiling of the split."""
    jobs = [Job(table, test, target_column, seed) for table in synthetic]
    tstr = utility_many(jobs, on_done=on_done)
    ceiling, *trts = regress_each(train, [test, *synthetic], target_column, seed=seed)
    halves = {"tstr": tstr, "trts": trts}
    columns = {
        f"{name}_{field}": np.array([getattr(score, field) for score in half])
        for name, half in halves.items()
        for field in Scores._fields
    }
    return columns, ceiling
