"""Conditions on the columns of a data frame: as bounds of the encoded columns, and as a check of decoded rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jaxcop.tables.encoding import array_columns, bounds_of
from jaxcop.tables.schema import Column, Schema, grid

Wanted = str | bool | int | float | tuple[float, float] | None


def array_bounds(schema: Schema, given: Mapping[str, Wanted]) -> dict[str, tuple[float, float]] | None:
    """Bounds of the columns of ``encode`` that say the same as ``given``; None where no bounds do.

    A category, a whole number or a decimal is the cell that decodes to it; what decodes to a bound reaches beyond it.
    None in ``given`` asks for a missing value, anything else for one that is not. Columns under the constraints of a
    schema, and ranges that hold the zero of a zero-inflated column, have no bounds. Raises ValueError, naming the
    column, for one that the table does not have, an empty range, a value outside the bounds, not among the categories
    or not on the grid of its column, and missing values where there are none.

    >>> site = Column("site", "categorical", "str", ("p", "q", "r"))
    >>> x = Column("x", "continuous", "float64", decimals=1, lower=0)
    >>> array_bounds(Schema((site, x)), {"site": "q", "x": (0.0, 0.52)})
    {'site': (0.5, 1.5), 'x': (-inf, 0.55)}
    """
    columns = {column.name: column for column in schema.columns}
    places, bounds, direct = set(array_columns(schema)), {}, not getattr(schema, "constraints", ())
    for name, wanted in given.items():
        if name not in columns:
            raise ValueError(f"given: expected one of the columns {list(columns)}, got {name!r}; check the spelling")
        column = columns[name]
        found = None if wanted is None else _ends(column, wanted)
        if column.missing is None:
            if wanted is None:
                raise ValueError(f"column {name!r}: expected a value, got None, but it misses none; give a value")
        else:
            flag = f"{column.missing} missing"
            now = (0.5, np.inf) if wanted is None else (-np.inf, 0.5)
            if bounds.setdefault(flag, now) != now:
                raise ValueError(f"column {name!r}: expected what {column.missing!r} allows, got {wanted!r}; drop one")
            direct &= flag in places
        if found is None or column.kind == "constant":
            continue
        if getattr(column, "zero_inflated", False):
            zero = found[0] <= 0 <= found[1]
            direct &= not zero or wanted == 0
            bounds[f"{name} zero"] = (0.5, np.inf) if zero else (-np.inf, 0.5)
            if zero:
                continue
        direct &= name in places
        bounds[name] = found
    return bounds if direct else None


def _ends(column: Column, wanted: Wanted) -> tuple[float, float]:
    """The interval of numbers that decode to what is wanted."""
    where = f"column {column.name!r}"
    if column.kind in ("continuous", "integer"):
        return _interval(column, wanted, where)
    allowed = (False, True) if column.kind == "boolean" else column.categories
    if isinstance(wanted, tuple) or wanted not in allowed:
        raise ValueError(f"{where}: expected one of {list(allowed)[:20]}, got {wanted!r}; check the spelling")
    code = allowed.index(wanted)
    return (code - 0.5 if code else -np.inf), (code + 0.5 if code + 1 < len(allowed) else np.inf)


def _interval(column: Column, wanted: Wanted, where: str) -> tuple[float, float]:
    try:
        if isinstance(wanted, tuple):
            low, high = map(float, wanted)
        else:
            low = high = float(wanted)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise ValueError(f"{where}: expected a number or (low, high), got {wanted!r}; correct it") from None
    least, most = bounds_of(column)
    if not (low < high or (low == high and np.isfinite(low))):
        raise ValueError(f"{where}: expected a number or (low, high) with low < high, got {wanted!r}; correct it")
    if low > most or high < least or (low == high and not least <= low <= most):
        raise ValueError(f"{where}: expected values from {least} to {most}, got {wanted!r}; correct it")
    points = grid(column)
    if points is None:
        return (-np.inf if low <= least else low), (np.inf if high >= most else high)
    cell = points[0] / points[1]
    first, last = _nearest(max(low, least) / cell, np.ceil), _nearest(min(high, most) / cell, np.floor)
    if first > last:
        raise ValueError(f"{where}: expected a multiple of {cell:g}, got {wanted!r}; round it")
    return (
        -np.inf if low <= least or not np.isfinite(first) else (first - 0.5) * cell,
        np.inf if high >= most or not np.isfinite(last) else (last + 0.5) * cell,
    )


def _nearest(cells: float, rounded) -> float:
    """The whole number that ``cells`` is but for rounding, else the next one inside."""
    near = np.rint(cells)
    if not np.isfinite(cells):
        return cells
    return float(near if abs(near - cells) <= 1e-9 * max(1.0, abs(near)) else rounded(cells))


def meets(frame: pd.DataFrame, given: Mapping[str, Wanted]) -> np.ndarray:
    """Which rows of ``frame`` meet ``given``.

    >>> meets(pd.DataFrame({"site": ["p", "q", "q"], "x": [1.0, None, 3.0]}), {"site": "q", "x": (2, 4)}).tolist()
    [False, False, True]
    """
    kept = np.ones(len(frame), bool)
    for name, wanted in given.items():
        series = frame[name]
        gone = series.isna().to_numpy()
        if wanted is None:
            kept &= gone
        elif isinstance(wanted, tuple):
            values = series.to_numpy(np.float64, na_value=np.nan)
            kept &= ~gone & (values >= wanted[0]) & (values <= wanted[1])
        else:
            # A number is the one of its grid point; text and booleans are themselves.
            same = series.map(lambda value, wanted=wanted: _same(value, wanted)).to_numpy(object)
            kept &= ~gone & (same == True)  # noqa: E712
    return kept


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str | bool) or isinstance(value, str | bool | np.bool_):
        return bool(value == wanted)
    return bool(abs(value - wanted) <= 1e-9 * max(1.0, abs(wanted)))
