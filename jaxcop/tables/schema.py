"""What the columns of a table are, and what holds between them; inferred, or written by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jaxcop import _checks
from jaxcop.tables import consistency
from jaxcop.tables.constraints import Constraint

KINDS = ("continuous", "integer", "categorical", "boolean", "constant")
HUGE = 1e100
"""Numbers beyond this are refused: their squares would not be finite."""
EXACT = 2**53
"""Whole numbers below this are exact as floats."""
MAX_DECIMALS = 12


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
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self):
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"columns: expected at least one, each name once, got {names}; correct them")
        consistency.check(self.columns, self.constraints)


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
