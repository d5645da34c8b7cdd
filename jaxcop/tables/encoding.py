"""Data frames as float arrays that every synthesizer takes, and back: dtypes, decimals, order and missing values kept.

Each column that varies is one column of the array: a number as it is, a category or boolean as its code 0, 1, ...
After them comes one column of zeros and ones for every word in ``missing``: which rows miss the values, and one for
every column that is zero-inflated: which rows are zero. ``decode`` rounds to the nearest code or grid point, so that
``decode(encode(frame, schema), schema)`` is the frame. ``dequantise`` spreads codes and rounded numbers over the cell
that ``decode`` rounds back, which makes them continuous, as the margins and densities of the synthesizers want (a code
is then a rank of a latent variable); it undoes nothing.
"""

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float64, Key

from jaxcop import _checks
from jaxcop.tables.frames import check_frame
from jaxcop.tables.schema import HUGE, Column, Schema, grid

# Under half a cell on each side: what float32 and scaling round is not carried into the next cell.
SPREAD = 31 / 32
# More cells than this from zero, and the spread would be lost in rounding.
MOST_CELLS = 2.0**40
# Rows that a missing value is drawn from.
DONORS = 5


def array_columns(schema: Schema) -> tuple[str, ...]:
    """Names of the columns of the array: those that vary, ``"<word> missing"`` for each word, ``"<column> zero"``.

    >>> x, site = Column("x", "continuous", "float64", missing="x"), Column("site", "constant", "str", ("p",))
    >>> rain = Column("rain", "continuous", "float64", lower=0, zero_inflated=True)
    >>> array_columns(Schema((x, site, rain)))
    ('x', 'rain', 'x missing', 'rain zero')
    """
    names = (column.name for column in modelled(schema))
    zeros = (f"{column.name} zero" for column in _inflated(schema))
    return (*names, *(f"{word} missing" for word in _words(schema)), *zeros)


def array_levels(schema: Schema) -> tuple[int, ...]:
    """Number of categories of each column of the array; 0 for numbers, and for a category that has no other.

    >>> x, site = Column("x", "continuous", "float64", missing="x"), Column("site", "categorical", "str", ("p", "q"))
    >>> array_levels(Schema((x, site, Column("wet", "boolean", "bool"))))
    (0, 2, 2, 2)
    """
    counts = [2 if column.kind == "boolean" else len(column.categories) for column in modelled(schema)]
    return (*(count if count > 1 else 0 for count in counts), *(2 for _ in (*_words(schema), *_inflated(schema))))


def nominal_columns(schema: Schema) -> tuple[int, ...]:
    """Columns of the array whose codes have no order: categories, more than two, without ``ordered`` in the schema."""
    return tuple(j for j, column in enumerate(modelled(schema)) if len(column.categories) > 2 and not column.ordered)


def modelled(schema: Schema) -> list[Column]:
    """Columns that vary, in the order of the array."""
    return [column for column in schema.columns if column.kind != "constant"]


def _words(schema: Schema) -> list[str]:
    return list(dict.fromkeys(column.missing for column in schema.columns if column.missing is not None))


def _inflated(schema: Schema) -> list[Column]:
    return [column for column in schema.columns if column.zero_inflated]


def encode(frame: pd.DataFrame, schema: Schema, *, reference: pd.DataFrame | None = None) -> Float64[np.ndarray, "n d"]:
    """The table as numbers [n, d], d = ``len(array_columns(schema))``.

    A cell that is missing holds the median of its column in ``reference`` (default: ``frame``), so that tables can be
    compared. A zero of a zero-inflated column stays one. Numbers are not rounded. Raises ValueError, naming the column,
    for columns other than those of the schema, missing values, categories or constants that it does not have, numbers
    that are none, infinite, beyond 1e100 or out of bounds.

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
    values, absent, zeros, given = [], {}, [], dict(frame.items())
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
        if column.zero_inflated:
            zeros.append((codes == 0).astype(np.float64))
    flags = [*(absent[word].astype(np.float64) for word in _words(schema)), *zeros]
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
    low, high = bounds_of(column)
    outside = ~absent & ~((values >= low) & (values <= high))
    if outside.any():
        raise ValueError(
            f"{where}: expected values from {low} to {high}, got {values[outside.argmax()]} in row "
            f"{series.index[int(outside.argmax())]}; correct it, or the bounds in the schema"
        )
    return values


def bounds_of(column: Column) -> tuple[float, float]:
    """Lower and upper bound, infinite where there is none."""
    return (-np.inf if column.lower is None else column.lower), (np.inf if column.upper is None else column.upper)


def missing_flags(array: np.ndarray, schema: Schema) -> dict[str | None, np.ndarray]:
    """Which rows miss the values of each word; None stands for columns that miss none."""
    first = len(modelled(schema))
    flags: dict[str | None, np.ndarray] = {None: np.zeros(len(array), bool)}
    return flags | {word: array[:, first + i] > 0.5 for i, word in enumerate(_words(schema))}


def zero_places(schema: Schema) -> dict[str, int]:
    """Places in the array of the flags of zero-inflated columns, by the names of those."""
    inflated = _inflated(schema)
    first = len(array_columns(schema)) - len(inflated)
    return {column.name: first + i for i, column in enumerate(inflated)}


def dequantise(key: Key[Array, ""], array: Float64[np.ndarray, "n d"], schema: Schema) -> Float64[np.ndarray, "n d"]:
    """Spread what ``encode`` returned over its cells, and fill missing cells with values of similar rows.

    Uniform over 31/32 of a cell; columns without decimals stay as they are. A missing cell gets the value of one of the
    5 rows nearest in the ranks of the other columns, and so does a zero of a zero-inflated column, whose own column
    then has values above 0 only. ``decode`` gives the same frame as before.

    >>> from jaxcop.tables import decode
    >>> schema = Schema((Column("n", "integer", "int64"),))
    >>> x = dequantise(jax.random.key(0), np.array([[1.0], [2.0]]), schema)
    >>> decode(x, schema)["n"].tolist(), bool((x != np.rint(x)).all())
    ([1, 2], True)
    """
    columns = modelled(schema)
    array = checked_array(array, schema)
    key_spread, key_donor = jax.random.split(key)
    noise = (np.asarray(jax.random.uniform(key_spread, array.shape), np.float64) - 0.5) * SPREAD
    donor = np.asarray(jax.random.uniform(key_donor, array.shape), np.float64)
    flags = missing_flags(array, schema)
    out, zeros = array.copy(), zero_places(schema)
    for j, column in enumerate(columns):
        points = grid(column)
        if points is not None:
            cell = points[0] / points[1]
            if len(array) and np.abs(array[:, j]).max() / cell < MOST_CELLS:
                out[:, j] += noise[:, j] * cell
    out[:, len(columns) :] += noise[:, len(columns) :]
    # Ranks of spread values: rows of one category are near one another in random order.
    ranks, spread = pd.DataFrame(out[:, : len(columns)]).rank().to_numpy(), out.copy()
    for j, column in enumerate(columns):
        # Columns that miss the same rows say nothing about them.
        others = ranks[:, [i for i, other in enumerate(columns) if other.missing != column.missing]]
        gone = flags[column.missing]
        if gone.any() and not gone.all():
            chosen = _donors(others, gone, donor[gone, j])
            for place in [j, zeros[column.name]] if column.name in zeros else [j]:
                out[gone, place] = spread[chosen, place]
        if column.name in zeros:
            zero = out[:, zeros[column.name]] > 0.5
            if zero.any() and not (zero | gone).all():
                others = ranks[:, [i for i in range(len(columns)) if i != j]]
                out[zero, j] = spread[_donors(others, zero, donor[zero, j], ~(zero | gone)), j]
    return out


def _donors(ranks: np.ndarray, gone: np.ndarray, u: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """For each row that is ``gone``, one of the ``DONORS`` nearest that are ``known``, by the uniform numbers ``u``.

    A hot deck (Andridge & Little 2010): it keeps the dependence that values drawn from all rows would dilute.
    """
    observed = np.flatnonzero(~gone if known is None else known)
    if not ranks.shape[1] or len(observed) <= DONORS:
        return observed[np.minimum((u * len(observed)).astype(int), len(observed) - 1)]
    found = []
    for row, position in zip(ranks[gone], np.minimum((u * DONORS).astype(int), DONORS - 1), strict=True):
        distance = ((ranks[observed] - row) ** 2).sum(axis=1)
        found.append(observed[np.argpartition(distance, DONORS)[position]])
    return np.array(found)


def checked_array(array, schema: Schema) -> np.ndarray:
    """``array`` as float64, or a ValueError for another number of columns, NaN or infinity."""
    width = len(array_columns(schema))
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(
            f"array: expected shape (rows, {width}), got {array.shape}; use the schema it was encoded with"
        )
    return _checks.table(array, "array", min_rows=0, allow_constant=True).astype(np.float64) if array.size else array
