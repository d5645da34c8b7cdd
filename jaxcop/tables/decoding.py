"""From floats back to data frames: nearest codes and grid points within the bounds, in the dtypes of the schema."""

import numpy as np
import pandas as pd
from jaxtyping import Float64

from jaxcop.tables.encoding import bounds_of, checked_array, missing_flags, modelled, zero_places
from jaxcop.tables.schema import Column, Schema, column_dtype, grid


def decode(array: Float64[np.ndarray, "n d"], schema: Schema) -> pd.DataFrame:
    """The table that ``array`` stands for: nearest codes and grid points within the bounds, in the schema's dtypes.

    None in a column of dtype object comes back as NaN, and the index counts from 0. Raises ValueError for another
    number of columns, NaN or infinity.
    """
    columns = modelled(schema)
    array = checked_array(array, schema)
    flags = missing_flags(array, schema)
    places = {column.name: j for j, column in enumerate(columns)}
    zeros = {name: array[:, j] > 0.5 for name, j in zero_places(schema).items()}
    series = {}
    for column in schema.columns:
        if column.kind == "constant":
            gone = flags[column.missing] if column.categories else np.ones(len(array), bool)
            codes = np.zeros(len(array))
        else:
            gone, codes = flags[column.missing], array[:, places[column.name]]
        series[column.name] = decode_column(codes, gone, column, zeros.get(column.name))
    return pd.DataFrame(series)


def decode_column(codes: np.ndarray, gone: np.ndarray, column: Column, zero: np.ndarray | None = None) -> pd.Series:
    """Codes or numbers [n] in the column's dtype; missing where ``gone``, 0 where ``zero`` and above it elsewhere."""
    dtype = column_dtype(column)
    if column.kind in ("continuous", "integer"):
        low, high = limits(column)
        values = within(codes, low, high, column)
        if zero is not None:
            points = grid(column)
            least = 0.0 if points is None else points[0] / points[1]
            values = np.where(zero, 0.0, np.maximum(values, min(least, high)))
        return to_series(values, gone, dtype)
    allowed = (False, True) if column.kind == "boolean" else column.categories
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.clip(np.rint(codes), 0, len(allowed) - 1).astype(int)
        return pd.Series(pd.Categorical.from_codes(np.where(gone, -1, codes), dtype=dtype))
    table = np.empty(max(1, len(allowed)), dtype=object)
    table[: len(allowed)] = allowed
    return to_series(table[np.clip(np.rint(codes), 0, len(table) - 1).astype(int)], gone, dtype)


def limits(column: Column) -> tuple[float, float]:
    """The bounds of a column of numbers, within what its dtype holds."""
    low, high = bounds_of(column)
    low = max(low, 0.0) if column.zero_inflated else low
    dtype = column_dtype(column)
    if pd.api.types.is_integer_dtype(dtype):
        held = np.iinfo(str(dtype).lower())
        # The greatest float below 2**64 rather than 2**64, which no integer holds.
        low, high = max(low, float(held.min)), min(high, np.nextafter(float(held.max), 0))
    return low, high


def within(values: np.ndarray, low, high, column: Column) -> np.ndarray:
    """Within bounds (numbers, or one for each row) and on the grid: the nearest grid point inside, if there is one."""
    low, high = snapped(low, high, column)
    points = grid(column)
    if points is not None:
        step, power = points
        values = np.rint(values * power / step) * step / power
    return np.clip(values, low, np.maximum(low, high))


def snapped(low, high, column: Column, *, open_low=False, open_high=False):
    """The least and the greatest number of the column within bounds, which are not among them where they are open."""
    points = grid(column)
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if points is None:
        low = np.where(open_low, np.nextafter(low, np.inf), low)
        return low, np.where(open_high, np.nextafter(high, -np.inf), high)
    step, power = points

    def inside(bound, rounded, is_open, way):
        cells = np.where(np.isfinite(bound), bound, 0.0) * power / step
        near = np.rint(cells)
        # A bound that is a grid point but for rounding is one.
        same = np.abs(near - cells) <= 1e-9 * np.maximum(1.0, np.abs(near))
        found = np.where(same, near + np.where(is_open, way, 0), rounded(cells))
        return np.where(np.isfinite(bound), found * step / power, bound)

    return inside(low, np.ceil, open_low, 1), inside(high, np.floor, open_high, -1)


def to_series(values: np.ndarray, gone: np.ndarray, dtype) -> pd.Series:
    """Values in the dtype, missing where ``gone``."""
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
