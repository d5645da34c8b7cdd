"""Data frames as float arrays that every synthesizer takes, and back: dtypes, decimals, order and missing values kept.

Each column that varies is one column of the array: a number as it is, a category or boolean as its code 0, 1, ...
After them comes one column of zeros and ones for every word in ``missing``: which rows miss the values. ``decode``
rounds to the nearest code or grid point, so that ``decode(encode(frame, schema), schema)`` is the frame. ``dequantise``
spreads codes and rounded numbers over the cell that ``decode`` rounds back, which makes them continuous, as the
margins and densities of the synthesizers want (a code is then a rank of a latent variable); it undoes nothing.
"""

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float64, Key

from jaxcop import _checks
from jaxcop.tables.frames import check_frame
from jaxcop.tables.schema import HUGE, Column, Schema, column_dtype

# Under half a cell on each side: what float32 and scaling round is not carried into the next cell.
SPREAD = 31 / 32
# More cells than this from zero, and the spread would be lost in rounding.
MOST_CELLS = 2.0**40
# Rows that a missing value is drawn from.
DONORS = 5


def array_columns(schema: Schema) -> tuple[str, ...]:
    """Names of the columns of the array: those that vary, then ``"<word> missing"`` for each word.

    >>> x, site = Column("x", "continuous", "float64", missing="x"), Column("site", "constant", "str", ("p",))
    >>> array_columns(Schema((x, site)))
    ('x', 'x missing')
    """
    return (*(column.name for column in _modelled(schema)), *(f"{word} missing" for word in _words(schema)))


def _modelled(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.kind != "constant"]


def _words(schema: Schema) -> list[str]:
    return list(dict.fromkeys(column.missing for column in schema.columns if column.missing is not None))


def encode(frame: pd.DataFrame, schema: Schema, *, reference: pd.DataFrame | None = None) -> Float64[np.ndarray, "n d"]:
    """The table as numbers [n, d], d = ``len(array_columns(schema))``.

    A cell that is missing holds the median of its column in ``reference`` (default: ``frame``), so that tables can be
    compared. Numbers are not rounded. Raises ValueError, naming the column, for columns other than those of the schema,
    missing values, categories or constants that it does not have, numbers that are none, infinite, beyond 1e100 or out
    of bounds.

    >>> frame = pd.DataFrame({"site": ["q", "p", "q"], "x": [0.25, None, 1.5]})
    >>> from jaxcop.tables import infer_schema
    >>> encode(frame, infer_schema(frame)).tolist()
    [[1.0, 0.25, 0.0], [0.0, 0.25, 1.0], [1.0, 1.5, 0.0]]
    """
    check_frame(frame)
    names = [column.name for column in schema.columns]
    if set(names) != set(frame.columns):
        raise ValueError(
            f"frame: expected the columns {names}, got {list(frame.columns)}; add or drop columns, or edit the schema"
        )
    values, absent, given = [], {}, dict(frame.items())
    for column in schema.columns:
        codes = _encode_column(given[column.name], column)
        gone = np.isnan(codes)
        if column.missing is not None and not np.array_equal(absent.setdefault(column.missing, gone), gone):
            raise ValueError(
                f"column {column.name!r}: expected missing values in the same rows as the others of "
                f"{column.missing!r}, got other rows; give it a word of its own in the schema"
            )
        if column.kind != "constant":
            known = codes if reference is None else _encode_column(dict(reference.items())[column.name], column)
            values.append(np.where(gone, _middle(known[~np.isnan(known)]), codes))
    flags = [absent[word].astype(np.float64) for word in _words(schema)]
    return np.stack([*values, *flags], axis=1) if values or flags else np.empty((len(frame), 0))


def _middle(values: np.ndarray) -> float:
    """The lower median, which is a value of the column; 0 of none."""
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else 0.0


def _encode_column(series: pd.Series, column: Column) -> np.ndarray:
    """Numbers or codes [n], NaN where the value is missing."""
    where, absent = f"column {column.name!r}", series.isna().to_numpy()
    if absent.any() and column.missing is None and (column.kind != "constant" or column.categories):
        raise ValueError(
            f"{where}: expected no missing values, got {absent.sum()}, first in row "
            f"{series.index[int(absent.argmax())]}; drop those rows, or name a word in missing"
        )
    if column.kind in ("continuous", "integer"):
        return _numbers(series, column, absent)
    allowed = (False, True) if column.kind == "boolean" else column.categories
    codes = pd.Index(list(allowed), dtype=object).get_indexer(pd.Index(series.astype(object)))
    unknown = (codes < 0) & ~absent
    if unknown.any():
        raise ValueError(
            f"{where}: expected one of {list(allowed)[:20]}, got {series.iloc[unknown.argmax()]!r} in row "
            f"{series.index[int(unknown.argmax())]}; correct it, or add it to the schema"
        )
    return np.where(absent, np.nan, codes)


def _numbers(series: pd.Series, column: Column, absent: np.ndarray) -> np.ndarray:
    where = f"column {column.name!r}"
    try:
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected numbers, got {series.dtype} ({error}); correct them") from None
    wrong = ~absent & ~(np.abs(values) <= HUGE)
    if wrong.any():
        raise ValueError(f"{where}: expected finite numbers up to {HUGE:g}, got {values[wrong.argmax()]}; correct them")
    low, high = _bounds(column)
    outside = ~absent & ~((values >= low) & (values <= high))
    if outside.any():
        raise ValueError(
            f"{where}: expected values from {low} to {high}, got {values[outside.argmax()]} in row "
            f"{series.index[int(outside.argmax())]}; correct it, or the bounds in the schema"
        )
    return values


def _bounds(column: Column) -> tuple[float, float]:
    return (-np.inf if column.lower is None else column.lower), (np.inf if column.upper is None else column.upper)


def _grid(column: Column) -> tuple[int, int] | None:
    """Grid points are whole multiples of ``step / power``; None without a grid."""
    if column.kind in ("categorical", "boolean"):
        return 1, 1
    if column.kind == "continuous" and column.decimals is None and column.increment is None:
        return None
    power = 10 ** (column.decimals or 0)
    return (1 if column.increment is None else round(column.increment * power)), power


def _flags(array: np.ndarray, schema: Schema) -> dict[str | None, np.ndarray]:
    """Which rows miss the values of each word; None stands for columns that miss none."""
    first = len(_modelled(schema))
    flags: dict[str | None, np.ndarray] = {None: np.zeros(len(array), bool)}
    return flags | {word: array[:, first + i] > 0.5 for i, word in enumerate(_words(schema))}


def dequantise(key: Key[Array, ""], array: Float64[np.ndarray, "n d"], schema: Schema) -> Float64[np.ndarray, "n d"]:
    """Spread what ``encode`` returned over its cells, and fill missing cells with values of similar rows.

    Uniform over 31/32 of a cell; columns without decimals stay as they are. A missing cell gets the value of one of the
    5 rows nearest in the ranks of the other columns. ``decode`` gives the same frame as before.

    >>> schema = Schema((Column("n", "integer", "int64"),))
    >>> x = dequantise(jax.random.key(0), np.array([[1.0], [2.0]]), schema)
    >>> decode(x, schema)["n"].tolist(), bool((x != np.rint(x)).all())
    ([1, 2], True)
    """
    columns = _modelled(schema)
    array = _array(array, schema)
    key_spread, key_donor = jax.random.split(key)
    noise = (np.asarray(jax.random.uniform(key_spread, array.shape), np.float64) - 0.5) * SPREAD
    donor = np.asarray(jax.random.uniform(key_donor, array.shape), np.float64)
    flags = _flags(array, schema)
    out = array.copy()
    for j, column in enumerate(columns):
        grid = _grid(column)
        if grid is not None:
            cell = grid[0] / grid[1]
            if len(array) and np.abs(array[:, j]).max() / cell < MOST_CELLS:
                out[:, j] += noise[:, j] * cell
    out[:, len(columns) :] += noise[:, len(columns) :]
    # Ranks of spread values: rows of one category are near one another in random order.
    ranks, spread = pd.DataFrame(out[:, : len(columns)]).rank().to_numpy(), out.copy()
    for j, column in enumerate(columns):
        gone = flags[column.missing]
        if gone.any() and not gone.all():
            # Columns that miss the same rows say nothing about them.
            others = [i for i, other in enumerate(columns) if other.missing != column.missing]
            out[gone, j] = spread[_donors(ranks[:, others], gone, donor[gone, j]), j]
    return out


def _donors(ranks: np.ndarray, gone: np.ndarray, u: np.ndarray) -> np.ndarray:
    """For each row that is ``gone``, one of the ``DONORS`` nearest that are not, by the uniform numbers ``u``.

    A hot deck (Andridge & Little 2010): it keeps the dependence that values drawn from all rows would dilute.
    """
    observed = np.flatnonzero(~gone)
    if not ranks.shape[1] or len(observed) <= DONORS:
        return observed[np.minimum((u * len(observed)).astype(int), len(observed) - 1)]
    found = []
    for row, position in zip(ranks[gone], np.minimum((u * DONORS).astype(int), DONORS - 1), strict=True):
        distance = ((ranks[observed] - row) ** 2).sum(axis=1)
        found.append(observed[np.argpartition(distance, DONORS)[position]])
    return np.array(found)


def decode(array: Float64[np.ndarray, "n d"], schema: Schema) -> pd.DataFrame:
    """The table that ``array`` stands for: nearest codes and grid points within the bounds, in the schema's dtypes.

    None in a column of dtype object comes back as NaN, and the index counts from 0. Raises ValueError for another
    number of columns, NaN or infinity.
    """
    columns = _modelled(schema)
    array = _array(array, schema)
    flags = _flags(array, schema)
    places = {column.name: j for j, column in enumerate(columns)}
    series = {}
    for column in schema.columns:
        if column.kind == "constant":
            gone = flags[column.missing] if column.categories else np.ones(len(array), bool)
            codes = np.zeros(len(array))
        else:
            gone, codes = flags[column.missing], array[:, places[column.name]]
        series[column.name] = _decode_column(codes, gone, column)
    return pd.DataFrame(series)


def _array(array, schema: Schema) -> np.ndarray:
    width = len(array_columns(schema))
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(
            f"array: expected shape (rows, {width}), got {array.shape}; use the schema it was encoded with"
        )
    return _checks.table(array, "array", min_rows=0, allow_constant=True).astype(np.float64) if array.size else array


def _decode_column(codes: np.ndarray, gone: np.ndarray, column: Column) -> pd.Series:
    dtype = column_dtype(column)
    if column.kind in ("continuous", "integer"):
        return _series(_within(codes, column, dtype), gone, dtype)
    allowed = (False, True) if column.kind == "boolean" else column.categories
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.clip(np.rint(codes), 0, len(allowed) - 1).astype(int)
        return pd.Series(pd.Categorical.from_codes(np.where(gone, -1, codes), dtype=dtype))
    table = np.empty(max(1, len(allowed)), dtype=object)
    table[: len(allowed)] = allowed
    return _series(table[np.clip(np.rint(codes), 0, len(table) - 1).astype(int)], gone, dtype)


def _within(values: np.ndarray, column: Column, dtype) -> np.ndarray:
    """Within the bounds and on the grid: the nearest grid point inside, if there is one."""
    low, high = _bounds(column)
    if pd.api.types.is_integer_dtype(dtype):
        limits = np.iinfo(str(dtype).lower())
        # The greatest float below 2**64 rather than 2**64, which no integer holds.
        low, high = max(low, float(limits.min)), min(high, np.nextafter(float(limits.max), 0))
    grid = _grid(column)
    if grid is None:
        return np.clip(values, low, high)
    step, power = grid
    scale = power / step

    def inside(bound, rounded):
        # A bound that is a grid point but for rounding is one.
        near = np.rint(bound * scale)
        return near if abs(near - bound * scale) <= 1e-9 * max(1.0, abs(near)) else rounded(bound * scale)

    low = inside(low, np.ceil) if np.isfinite(low) else low
    high = inside(high, np.floor) if np.isfinite(high) else high
    return np.clip(np.rint(values * power / step), low, max(low, high)) * step / power


def _series(values: np.ndarray, gone: np.ndarray, dtype) -> pd.Series:
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        if dtype.kind == "f":
            values = np.where(gone, np.nan, values.astype(np.float64))
        return pd.Series(values.astype(dtype))
    values = values.astype(object)
    if pd.api.types.is_integer_dtype(dtype):
        values = np.array([int(value) for value in values], dtype=object)
    is_object = pd.api.types.is_object_dtype(dtype)
    values[gone] = np.nan if is_object else None
    return pd.Series(values, dtype=dtype)
