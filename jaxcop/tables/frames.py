"""From a data frame to an array of numbers, or to a message that names the column at fault."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from jaxcop import _checks


def numeric_table(
    frame: pd.DataFrame, columns: Sequence[str] | None = None, target: str | None = None, *, min_rows: int | None = None
) -> tuple[Float64[np.ndarray, "n d"], tuple[str, ...]]:
    """Return the chosen columns as float64 [n, d], with their names.

    ``columns`` (default: all) are taken in their order; ``target`` must exist and is appended if it is not among
    them. ``min_rows`` defaults to the number of columns, and at least 2. Raises ValueError, naming the columns, for
    text, missing or infinite values, constants, repeated or unknown names, and too few rows.

    >>> frame = pd.DataFrame({"site": ["p", "q", "q"], "x": [1, 2, 4], "y": [0.5, 0.25, 0.75]})
    >>> numeric_table(frame, ["x"], target="y")
    (array([[1.  , 0.5 ],
            [2.  , 0.25],
            [4.  , 0.75]]), ('x', 'y'))
    """
    check_frame(frame)
    names = list(frame.columns if columns is None else columns)
    if target is not None and target not in names:
        names.append(target)
    _check_names(frame, names)
    chosen = frame[names]
    text = [name for name in names if not _is_real(chosen[name].dtype)]
    if text:
        raise ValueError(
            f"frame: expected numeric columns, got {[f'{name} ({chosen[name].dtype})' for name in text]}; leave them "
            "out of columns, encode them, or convert numbers stored as text with pandas.to_numeric"
        )
    array = chosen.to_numpy(dtype=np.float64, na_value=np.nan)
    # _checks.table knows columns by position; who brings a frame knows them by name.
    bad = ~np.isfinite(array)
    if bad.any():
        counts = {str(names[j]): int(bad[:, j].sum()) for j in np.flatnonzero(bad.any(axis=0))}
        where = frame.index[np.flatnonzero(bad.any(axis=1))][:5].tolist()
        raise ValueError(
            f"frame: expected finite values, got NaN or infinity (column: count) {counts}, first in rows {where}; "
            "drop or impute those rows"
        )
    rows = max(2, len(names)) if min_rows is None else min_rows
    _checks.table(array, f"frame of {len(names)} columns", min_rows=rows, allow_constant=True)
    constant = [str(names[j]) for j in np.flatnonzero(np.ptp(array, axis=0) == 0)]
    if constant:
        raise ValueError(f"frame: expected columns that vary, got constants {constant}; leave them out of columns")
    return array, tuple(map(str, names))


def _is_real(dtype) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)


def check_frame(frame: pd.DataFrame) -> None:
    """Refuse what is no data frame, has no column, or has a name twice."""
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"frame: expected a pandas.DataFrame, got {type(frame).__name__}; wrap it in one")
    _check_names(frame, list(frame.columns))


def concatenate(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Pieces of one table as one, its index counting from 0."""
    return pd.concat(list(frames), ignore_index=True)


def _check_names(frame: pd.DataFrame, names: list) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"frame: expected the columns {missing}, got {list(frame.columns)}; check the spelling")
    for owner, index in (("frame", pd.Index(frame.columns)), ("columns", pd.Index(names))):
        repeated = index[index.duplicated()].unique().tolist()
        if repeated:
            raise ValueError(f"{owner}: expected each name once, got {repeated} more than once; rename or drop them")
    if not names:
        raise ValueError("columns: expected at least one column, got none; name the columns to use")


def aligned_tables(
    tables: Mapping[str, Any], columns: Sequence[str] | None = None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the columns and every table as a float array [rows, d], if all have the same columns in one order.

    ``tables`` are frames, whose names must agree, or arrays, whose columns ``columns`` names (default: x0, x1, ...).
    An array or frame of float32 alone stays float32. Raises ValueError for columns that are missing, unknown, in
    another order, of another kind (text, boolean, number) or not numeric, and for a mix of frames and arrays.

    >>> frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]})
    >>> names, arrays = aligned_tables({"train": frame, "holdout": frame[:1]})
    >>> names, arrays["holdout"]
    (('a', 'b'), array([[1. , 0.5]]))
    """
    frames = {name: table for name, table in tables.items() if isinstance(table, pd.DataFrame)}
    if frames and len(frames) < len(tables):
        others = sorted(set(tables) - set(frames))
        raise ValueError(
            f"{others}: expected data frames like {sorted(frames)}, got arrays; give frames or arrays only"
        )
    if not frames:
        arrays = {name: _checks.table(x, name, min_rows=1, allow_constant=True) for name, x in tables.items()}
        width = next(iter(arrays.values())).shape[1]
        names = tuple(f"x{j}" for j in range(width)) if columns is None else tuple(map(str, columns))
        for name, array in arrays.items():
            if array.shape[1] != len(names):
                raise ValueError(
                    f"{name}: expected {len(names)} columns {list(names)}, got {array.shape[1]}; give all tables the "
                    "same columns"
                )
        if len(set(names)) < len(names):
            raise ValueError(f"columns: expected each name once, got {list(names)}; rename them")
        return names, arrays
    first, *others = frames
    names = list(frames[first].columns if columns is None else columns)
    for name, frame in frames.items():
        _check_names(frame, names)
        if columns is None and list(frame.columns) != names:
            extra = [column for column in frame.columns if column not in names]
            found = f"{extra} as well; drop them" if extra else f"{list(frame.columns)}; put them into that order"
            raise ValueError(f"{name}: expected the columns of {first}, {names}, got {found}")
        text = [f"{column} ({frame[column].dtype})" for column in names if not _is_real(frame[column].dtype)]
        if text:
            raise ValueError(f"{name}: expected numeric columns, got {text}; encode or leave them out")
    for name in others:
        odd = [
            column
            for column in names
            if pd.api.types.is_bool_dtype(frames[name][column]) != pd.api.types.is_bool_dtype(frames[first][column])
        ]
        if odd:
            raise ValueError(
                f"{name}: expected the kinds of {first}, got booleans v numbers in {odd}; convert one side"
            )
    arrays = {}
    for name, frame in frames.items():
        single = all(frame[column].dtype == np.float32 for column in names)
        arrays[name] = frame[names].to_numpy(np.float32 if single else np.float64, na_value=np.nan)
    return tuple(map(str, names)), arrays
