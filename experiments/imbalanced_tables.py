"""Tables with rare target values: the simulation of the source, tables by path, and the blast table."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxcop import tables
from jaxcop.imbalanced.encoding import Levels

import blasts

SIMULATION_SEED = 102
SIMULATED = ("X0", "X3", "X4", "X5", "X8", "X9", "Y")
BLAST_FEATURES = ("S/B", "H/B", "B/D", "T/B", "PF", "XB", "E")
BLAST_TARGET = "X50"
# (X50 in m, relevance): declared, since many training tables of this size hold no outlier of a box plot.
BLAST_POINTS = ((0.25, 0.0), (0.75, 1.0))


class Data(NamedTuple):
    """A table with its target last; ``levels`` as in ``jaxcop.imbalanced.encoding``."""

    name: str
    table: np.ndarray
    columns: tuple[str, ...]
    levels: Levels


def simulate(seed: int = SIMULATION_SEED, num_rows: int = 3000) -> Data:
    """The simulated table: six features, and a target whose large values are rare and far out.

    With a, b, c the min-max scaled X5 ~ N(X0^3, 1), X8 ~ N((X3 - 10)^2, 1), X9 ~ N(X4^2, 1) and t the 95 % quantile of
    b: PL = 10 + 5a + 4b + 2b[b > t] + 5c + 3c[c > t], Y ~ N(PL^2, sd 10). Source: Stocksieker, Pommeret & Charpentier
    2024, section 4.1; numpy's legacy generator, so that a seed gives the table that it gives there.
    """
    rng = np.random.RandomState(seed)
    x0, x3, x4 = (rng.normal(mean, sd, num_rows) for mean, sd in ((0, 2), (10, 2), (0, 5)))
    x5, x8, x9 = (rng.normal(mean, 1) for mean in (x0**3, (x3 - 10) ** 2, x4**2))
    a, b, c = ((x - x.min()) / np.ptp(x) for x in (x5, x8, x9))
    t = np.quantile(b, 0.95)
    level = 10 + 5 * a + 4 * b + 2 * b * (b > t) + 5 * c + 3 * c * (c > t)
    table = np.column_stack([x0, x3, x4, x5, x8, x9, rng.normal(level**2, 10)])
    return Data("simulation", table, SIMULATED, (0,) * len(SIMULATED))


def read(
    path: Path, target: str, columns: Sequence[str] | None = None, categorical: Sequence[str] = (), name: str = ""
) -> Data:
    """A CSV file with a header as numbers, the target last; categories are coded in the order of their names.

    ``columns`` are the features (default: all but the target); text columns must be named in ``categorical``. Raises
    ValueError for unknown names, text that is not declared, missing values and constants; OSError for the path.
    """
    frame = pd.read_csv(path, skipinitialspace=True, encoding="utf-8-sig")
    features = [str(column) for column in frame.columns if column != target] if columns is None else list(columns)
    if target in features:
        raise ValueError(f"columns: expected features only, got the target {target!r} among them; leave it out")
    unknown = sorted({target, *features, *categorical} - set(frame.columns))
    if unknown:
        raise ValueError(f"{path}: expected the columns {unknown}, got {list(frame.columns)}; check the spelling")
    stray = sorted(set(categorical) - set(features))
    if stray:
        raise ValueError(f"categorical: expected names among the features, got {stray}; add them to --columns")
    frame = pd.DataFrame(frame, columns=pd.Index([*features, target]))
    levels = []
    for column in frame.columns:
        if column not in categorical:
            levels.append(0)
            continue
        values = pd.Series(frame[column])
        if values.isna().any():
            raise ValueError(
                f"{path}: expected no missing value in {column!r}, got {int(values.isna().sum())}; drop them"
            )
        codes, categories = pd.factorize(values, sort=True)
        frame[column] = codes
        levels.append(len(categories))
    table, names = tables.numeric_table(frame, target=target)
    return Data(name or Path(path).stem, table, names, tuple(levels))


def blast() -> Data:
    """The distinct blasts, target X50; FI is left out of the features since it is XB / X50."""
    pool = blasts.load_pool()
    distinct = pool.drop_duplicates(blasts.IDENTITY)
    table, names = tables.numeric_table(distinct, BLAST_FEATURES, target=BLAST_TARGET)
    return Data("blast", table, names, (0,) * len(names))


def features(table: np.ndarray, levels: Levels) -> np.ndarray:
    """The table for a learner: every category a column of its own of zeros and ones; the target stays last.

    Resamplers that interpolate know no categories: what they made of a code is rounded to the nearest one.
    """
    parts = []
    for j, level in enumerate(levels[:-1]):
        codes = np.clip(np.rint(table[:, j]), 0, level - 1).astype(int) if level else None
        parts.append(table[:, j : j + 1] if codes is None else np.eye(level)[codes])
    return np.concatenate([*parts, table[:, -1:]], axis=1)
