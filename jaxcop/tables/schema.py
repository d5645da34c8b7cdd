"""What the columns of a table are, and what holds between them; inferred, or written by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jaxcop import _checks
from jaxcop.tables import constraints as types
from jaxcop.tables.frames import check_frame

KINDS = ("continuous", "integer", "categorical", "boolean", "constant")
HUGE = 1e100
"""Numbers beyond this are refused: their squares would not be finite."""
EXACT = 2**53
"""Whole numbers below this are exact as floats."""
MAX_DECIMALS = 12
# With fewer distinct values a common divisor is likely to be chance: of eight random numbers it is one of 250 times.
DISTINCT_FOR_INCREMENT = 8
MAX_CATEGORIES = 50
# Zeros are a state of their own if they are this many, this share, and this many times what their neighbours explain.
LEAST_ZEROS, ZERO_SHARE, ZERO_EXCESS = 5, 0.05, 3


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as in the table.
        kind: one of ``KINDS``; a ``constant`` column takes no part in the model and is put back by ``decode``.
        dtype: that of pandas, by name; ``category[str]`` is a categorical of text.
        categories: values in the order of their codes 0, 1, ...; one (or none: all missing) of a constant.
        ordered: the order of the categories means something; of a pandas categorical, as there.
        decimals: digits after the point, None for as many as there are.
        increment: values are multiples of it, None for none beyond ``decimals``.
        lower, upper: bounds that decoded values keep.
        unit: a label, for people.
        missing: None where no value is missing, else a word; columns with the same word are missing in the same rows.
        zero_inflated: zeros are a state of their own, learned beside the values above 0; decoded values are not below.

    Raises:
        ValueError: a field that is not of its type, or fields that do not go together.
    """

    name: str
    kind: str
    dtype: str
    categories: tuple[str | bool | int | float, ...] = ()
    ordered: bool = False
    decimals: int | None = None
    increment: float | None = None
    lower: float | None = None
    upper: float | None = None
    unit: str | None = None
    missing: str | None = None
    zero_inflated: bool = False

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise ValueError(f"name: expected text, got {self.name!r}; quote it")
        where = f"column {self.name!r}"
        for name in ("kind", "dtype", "unit", "missing"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name in ("kind", "dtype")):
                raise ValueError(f"{where}, {name}: expected text, got {value!r}; quote it")
        _checks.one_of(self.kind, KINDS, f"{where}, kind")
        for name in ("ordered", "zero_inflated"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{where}, {name}: expected true or false, got {getattr(self, name)!r}; correct it")
        self._check_numbers(where)
        self._check_categories(where)
        dtype = column_dtype(self)
        if self.missing is not None and isinstance(dtype, np.dtype) and dtype.kind in "iub":
            raise ValueError(
                f"{where}, dtype: expected one that can hold missing values, got {self.dtype}; use "
                f"{'boolean' if dtype.kind == 'b' else self.dtype.replace('i', 'I').replace('uI', 'UI')}"
            )
        _check_dtype(self, dtype, where)

    def _check_numbers(self, where: str) -> None:
        numeric = self.kind in ("continuous", "integer")
        for name in ("decimals", "increment", "lower", "upper"):
            value = getattr(self, name)
            if value is None:
                continue
            if not numeric:
                raise ValueError(f"{where}, {name}: expected none in a {self.kind} column, got {value!r}; delete it")
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= HUGE:
                raise ValueError(f"{where}, {name}: expected a finite number, got {value!r}; correct it")
        if self.decimals is not None and (not isinstance(self.decimals, int) or not 0 <= self.decimals <= MAX_DECIMALS):
            raise ValueError(f"{where}, decimals: expected 0 to {MAX_DECIMALS}, got {self.decimals!r}; correct it")
        if self.increment is not None:
            units = self.increment * 10 ** (self.decimals or 0)
            if not units >= 1 or abs(units - round(units)) > 1e-6 * units:
                raise ValueError(
                    f"{where}, increment: expected a positive multiple of the last of {self.decimals or 0} decimals, "
                    f"got {self.increment!r}; add decimals"
                )
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(f"{where}: expected lower < upper, got {self.lower!r} and {self.upper!r}; correct them")
        if self.zero_inflated and not (numeric and self.lower in (0, None)):
            raise ValueError(
                f"{where}, zero_inflated: expected numbers and lower: 0, got {self.kind} and {self.lower!r}; "
                "correct one"
            )

    def _check_categories(self, where: str) -> None:
        values = self.categories
        if not isinstance(values, tuple) or not all(isinstance(value, str | bool | int | float) for value in values):
            raise ValueError(f"{where}, categories: expected a list of texts or numbers, got {values!r}; correct it")
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise ValueError(f"{where}, categories: expected finite numbers, got {values!r}; correct them")
        if len(set(values)) < len(values):
            raise ValueError(f"{where}, categories: expected each once, got {list(values)}; delete the repeated ones")
        if self.kind == "categorical" and not values:
            raise ValueError(f"{where}, categories: expected at least one, got none; list them")
        if self.kind == "constant" and len(values) > 1:
            raise ValueError(f"{where}, categories: expected one value of a constant, got {list(values)}; correct it")
        if self.kind in ("continuous", "integer", "boolean") and values:
            raise ValueError(f"{where}, categories: expected none in a {self.kind} column, got some; delete them")


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in their order, and the constraints that every synthetic row keeps."""

    columns: tuple[Column, ...]
    constraints: tuple[types.Constraint, ...] = ()

    def __post_init__(self):
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"columns: expected at least one, each name once, got {names}; correct them")
        types.check(self.columns, self.constraints)


def column_dtype(column: Column):
    """The dtype of pandas that ``column.dtype`` names; raises ValueError where there is none."""
    try:
        if column.dtype.startswith("category[") and column.dtype.endswith("]"):
            values = pd.Index(list(column.categories), dtype=column.dtype[9:-1])
            return pd.CategoricalDtype(values, ordered=column.ordered)
        return pd.api.types.pandas_dtype(column.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"column {column.name!r}, dtype: expected one of pandas that fits, got {column.dtype!r} ({error}); "
            "correct it"
        ) from None


def _check_dtype(column: Column, dtype, where: str) -> None:
    """Refuse a dtype that does not hold the values of the column."""
    if column.kind in ("continuous", "integer"):
        kinds = "f" if column.kind == "continuous" else "fiu"
        try:
            fits = np.dtype(str(dtype).lower()).kind in kinds
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"{where}, dtype: expected one of {column.kind} numbers, got {dtype}; use float64")
        return
    values = [False, True] if column.kind == "boolean" else list(column.categories)
    try:
        same = pd.Series(values, dtype=dtype).tolist() == values
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise ValueError(f"{where}, dtype: expected one that holds {values[:20]}, got {dtype}; correct one of them")


def grid(column: Column) -> tuple[int, int] | None:
    """Decoded values are whole multiples of step / power; None where there is no grid."""
    if column.kind in ("categorical", "boolean"):
        return 1, 1
    if column.kind == "continuous" and column.decimals is None and column.increment is None:
        return None
    power = 10 ** (column.decimals or 0)
    return (1 if column.increment is None else round(column.increment * power)), power


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
