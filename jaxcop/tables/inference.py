"""What the columns of a data frame are, from their values."""

import numpy as np
import pandas as pd

from jaxcop.tables.frames import check_frame
from jaxcop.tables.schema import EXACT, HUGE, MAX_DECIMALS, Column, Schema

# With fewer distinct values a common divisor is likely to be chance: of eight random numbers it is one of 250 times.
DISTINCT_FOR_INCREMENT = 8
MAX_CATEGORIES = 50
# Zeros are a state of their own if they are this many, this share, and this many times what their neighbours explain.
LEAST_ZEROS, ZERO_SHARE, ZERO_EXCESS = 5, 0.05, 3


def infer_schema(frame: pd.DataFrame) -> Schema:
    """Say what the columns of ``frame`` are, such that encoding and decoding give the frame back.

    Whole numbers are integers whatever their dtype, text is categorical (in alphabetical order; the order is that of
    the codes, and can be edited), decimals are those that all values need, a column without negative values gets the
    lower bound 0. Columns that miss values in the same rows share one word in ``missing``. Zeros are ``zero_inflated``
    if there are at least 5, they make up at least 5 % of the values, and they are more than 3 times as many as a
    line through the logarithms of the counts at the next two grid points foretells.

    Raises:
        ValueError: fewer than 2 rows, names that are not text or repeat, infinity, numbers beyond 1e100, whole numbers
            beyond 2**53, dates and complex numbers, mixed types, text that looks like an identifier (over 50 distinct
            values that make up over half of the rows: keeping them would publish them).

    >>> frame = pd.DataFrame({"site": ["p", "q", "q"], "x": [0.25, None, 1.5]})
    >>> [(c.name, c.kind, c.decimals, c.missing) for c in infer_schema(frame).columns]
    [('site', 'categorical', None, None), ('x', 'continuous', 2, 'x')]
    """
    check_frame(frame)
    if len(frame) < 2:
        raise ValueError(f"frame: expected at least 2 rows, got {len(frame)}; add rows")
    groups: dict[bytes, str] = {}
    columns = []
    for name, series in frame.items():
        if not isinstance(name, str):
            raise ValueError(f"frame: expected names that are text, got {name!r}; frame.columns = map(str, ...)")
        absent = series.isna().to_numpy()
        group = groups.setdefault(np.packbits(absent).tobytes(), name) if absent.any() else None
        columns.append(_infer_column(name, series, group))
    return Schema(tuple(columns))


def _infer_column(name: str, series: pd.Series, group: str | None) -> Column:
    dtype, observed, where = series.dtype, series.dropna(), f"column {name!r}"
    if isinstance(dtype, pd.CategoricalDtype):
        values = dtype.categories
        if not all(isinstance(value, str | bool | int | float | np.number) for value in values):
            raise ValueError(f"{where}: expected categories that are text or numbers, got {values[0]!r}; convert them")
        if observed.empty:
            raise ValueError(f"{where}: expected a value in some row, got none; drop the column")
        kind = f"category[{values.dtype}]"
        return Column(name, "categorical", kind, _plain(values), ordered=bool(dtype.ordered), missing=group)
    types = set(observed.map(type))
    if len(types) > 1 or (types and next(iter(types)) not in (str, bool, int, float)):
        found = sorted(kind.__name__ for kind in types)
        raise ValueError(
            f"{where}: expected numbers, true and false, or text, got {found} ({dtype}); convert it to one of them "
            "(dates: to a number, such as days since the first)"
        )
    kind, numeric = next(iter(types), None), pd.api.types.is_numeric_dtype(dtype)
    if kind in (int, float):
        if not numeric:
            raise ValueError(f"{where}: expected a dtype of numbers, got {dtype}; use pandas.to_numeric")
        _check_magnitude(where, observed)
    if observed.nunique() <= 1:
        # All missing needs no word: there is nothing to model.
        return Column(name, "constant", str(dtype), _plain(observed[:1]), missing=None if observed.empty else group)
    if kind is bool:
        return Column(name, "boolean", str(dtype), missing=group)
    if kind is str:
        values = sorted(set(observed))
        if len(values) > MAX_CATEGORIES and len(values) > len(series) / 2:
            raise ValueError(
                f"{where}: expected at most {MAX_CATEGORIES} categories, got {len(values)} distinct texts in "
                f"{len(series)} rows, as {values[0]!r}; drop identifiers and free text, convert dates to numbers"
            )
        return Column(name, "categorical", str(dtype), tuple(values), missing=group)
    numbers = observed.to_numpy(np.float64)
    decimals, increment = _grid_of(numbers, np.dtype(str(dtype).lower()))
    return Column(
        name,
        "integer" if decimals == 0 else "continuous",
        str(dtype),
        decimals=decimals or None,
        increment=increment,
        lower=0 if observed.min() >= 0 else None,
        missing=group,
        zero_inflated=_many_zeros(numbers, increment or (None if decimals is None else 10.0**-decimals)),
    )


def _many_zeros(values: np.ndarray, step: float | None) -> bool:
    """Whether zeros are more than a distribution without a state of its own for them explains."""
    zeros, above = int((values == 0).sum()), values[values > 0]
    if (
        zeros < max(LEAST_ZEROS, ZERO_SHARE * len(values))
        or len(np.unique(above)) < 3
        or len(above) + zeros < len(values)
    ):
        return False
    if step is None:
        return True
    first, second = (int((np.abs(above - i * step) < step / 2).sum()) for i in (1, 2))
    # The counts of Poisson, binomial and geometric numbers are below this line, at or near it.
    return zeros > ZERO_EXCESS * first * max(1.0, first / max(second, 1))


def _plain(values) -> tuple:
    """numpy scalars as Python's, which JSON knows."""
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)


def _check_magnitude(where: str, observed: pd.Series) -> None:
    try:
        np.dtype(str(observed.dtype).lower())
    except TypeError:
        raise ValueError(f"{where}: expected a dtype of numpy or pandas, got {observed.dtype}; convert it") from None
    largest = max(abs(float(observed.min())), abs(float(observed.max())))
    if pd.api.types.is_integer_dtype(observed.dtype):
        if largest >= EXACT:
            raise ValueError(
                f"{where}: expected whole numbers below 2**53, got {largest:.0f}; drop identifiers, or make them text"
            )
    elif not largest <= HUGE:
        raise ValueError(f"{where}: expected finite numbers up to {HUGE:g}, got {largest}; correct or drop those rows")


def _grid_of(values: np.ndarray, dtype: np.dtype) -> tuple[int | None, float | None]:
    """Decimals that all values need, and the increment they are multiples of; None where there is none."""
    for decimals in range(MAX_DECIMALS + 1):
        power = 10**decimals
        with np.errstate(over="ignore"):
            whole = np.rint(values * power)
            exact = (whole / power).astype(dtype) == values
        # Scaling there and back is off by two roundings: an eighth of what is exact leaves them under half a cell.
        if np.abs(whole).max() < (EXACT / 8 if decimals else EXACT) and exact.all():
            break
    else:
        return None, None
    distinct = np.unique(np.abs(whole[whole != 0]))
    divisor = int(np.gcd.reduce(distinct.astype(np.int64)))
    if divisor == 1 or len(distinct) < DISTINCT_FOR_INCREMENT:
        return decimals, None
    return decimals, divisor / power if decimals else divisor
