"""Which rows of a table keep the bounds and constraints of its schema."""

from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool

from jaxcop.tables import conditions
from jaxcop.tables import constraints as types
from jaxcop.tables.frames import check_frame
from jaxcop.tables.schema import Column, Schema, column_dtype, grid

# What adding and dividing a handful of floats rounds, in the last place.
ROUNDING = 64


def kept(frame: pd.DataFrame, schema: Schema) -> dict[str, Bool[np.ndarray, " n"]]:
    """Which rows keep each bound (``0 <= x <= 5``) and each constraint, by its text.

    A comparison with a missing value is kept. Numbers are compared in the lowest precision among the
    columns involved. Raises ValueError for columns that ``frame`` does not have, or that are not of their kind.
    """
    check_frame(frame)
    known = {column.name: column for column in schema.columns}
    absent = [name for name in known if name not in frame.columns]
    if absent:
        raise ValueError(f"frame: expected the columns {absent}, got {list(frame.columns)}; add them")
    found = {}
    for column in schema.columns:
        if column.lower is not None or column.upper is not None:
            values = _numbers(frame, [column])[0]
            outside = (values < _or(column.lower, -np.inf)) | (values > _or(column.upper, np.inf))
            found[_bounds_text(column)] = ~outside
    for each in schema.constraints:
        holds = _holds(frame, each, known)
        # One constraint may say what the bounds say.
        found[types.text(each)] = holds & found.get(types.text(each), True)
    return found


def violations(frame: pd.DataFrame, schema: Schema) -> dict[str, int]:
    """How many rows break each bound and each constraint, by its text; see :func:`kept`.

    >>> from jaxcop.tables import constraint
    >>> columns = (Column("burden", "continuous", "float64", lower=0), Column("spacing", "continuous", "float64"))
    >>> frame = pd.DataFrame({"burden": [2.0, -1.0, 3.0], "spacing": [2.5, 3.0, 2.0]})
    >>> violations(frame, Schema(columns, (constraint("burden <= spacing"),)))
    {'0 <= burden': 1, 'burden <= spacing': 1}
    """
    return {name: int((~rows).sum()) for name, rows in kept(frame, schema).items()}


def check_rows(frame: pd.DataFrame, schema: Schema) -> None:
    """Raise ValueError where a row breaks a constraint: how many do, and the first."""
    known = {column.name: column for column in schema.columns}
    for each in schema.constraints:
        broken = ~_holds(frame, each, known)
        if broken.any():
            first = int(broken.argmax())
            names = types.involved(each) or list(frame.columns)
            row = {name: frame[name].iloc[first] for name in names}
            shown = ", ".join(f"{name} = {value}" for name, value in row.items())
            raise ValueError(
                f"constraint {types.text(each)!r}: expected to hold in every row, got {broken.sum()} of {len(frame)} "
                f"rows where it does not, first row {frame.index[first]} ({shown}); correct or drop those rows, or "
                "loosen the constraint"
            )


def _or(value, other: float) -> float:
    return other if value is None else value


def _bounds_text(column: Column) -> str:
    name = conditions.quote(column.name)
    lower = "" if column.lower is None else f"{column.lower} <= "
    return lower + name + ("" if column.upper is None else f" <= {column.upper}")


def _numbers(frame: pd.DataFrame, columns: list[Column]) -> list[np.ndarray]:
    """Numbers, NaN where missing, all rounded to the lowest precision among them: 0.1 as float32 is 0.1."""
    single = any(str(column_dtype(column)).lower() == "float32" for column in columns)
    try:
        found = [frame[column.name].to_numpy(dtype=np.float64, na_value=np.nan) for column in columns]
    except (TypeError, ValueError) as error:
        names = [column.name for column in columns]
        raise ValueError(f"frame: expected numbers in {names}, got others ({error}); correct them") from None
    return [values.astype(np.float32).astype(np.float64) if single else values for values in found]


def _missing(frame: pd.DataFrame, names) -> np.ndarray:
    return np.logical_or.reduce([frame[name].isna().to_numpy() for name in names])


def _holds(frame: pd.DataFrame, each: types.Constraint, known: dict[str, Column]) -> np.ndarray:
    names = types.involved(each)
    columns = [known[name] for name in names]
    with np.errstate(all="ignore"):
        match each:
            case types.Order(_, strict):
                values = _numbers(frame, columns)
                broken = [one >= other if strict else one > other for one, other in pairwise(values)]
                return ~np.any(np.stack(broken), axis=0)
            case types.Sum(parts):
                values, total = _numbers(frame, columns), types.total_of(each, known)
                wanted = np.float64(total) if not isinstance(total, str) else values[-1]
                # Of parts of a number, the finest is the one that makes up for the others.
                rounded = known[total] if isinstance(total, str) else min((known[name] for name in parts), key=step_of)
                off = np.abs(np.sum(values[: len(parts)], axis=0) - wanted)
                size = np.sum(np.abs(values[: len(parts)]), axis=0)
                return (off <= each.tolerance + _slack(rounded, columns, size)) | _missing(frame, names)
            case types.Ratio():
                ratio, numerator, denominator = _numbers(frame, columns)
                quotient = numerator / denominator
                off = np.abs(ratio - quotient)
                close = off <= each.tolerance + _slack(columns[0], columns, np.abs(quotient))
                return (close & np.isfinite(quotient)) | _missing(frame, names)
            case types.Combinations(_, allowed):
                if not allowed:
                    return np.ones(len(frame), bool)
                rows = list(zip(*(frame[name].astype(object) for name in names), strict=True))
                among = set(allowed)
                return np.array([row in among for row in rows], bool) | _missing(frame, names)
            case types.Predicate(expression):
                values = {name: _values(frame, known[name], columns) for name in names}
                return np.broadcast_to(conditions.evaluate(expression, values), len(frame)) | _missing(frame, names)
            case types.Custom(function, name):
                holds = np.asarray(function(frame))
                if holds.shape != (len(frame),) or holds.dtype != bool:
                    raise ValueError(
                        f"constraint {name!r}: expected true or false for each of {len(frame)} rows, got shape "
                        f"{holds.shape} of {holds.dtype}; return a boolean column"
                    )
                return holds


def step_of(column: Column) -> float:
    """Between neighbouring grid points; 0 without a grid, and of a constant, which is not rounded."""
    points = None if column.kind == "constant" else grid(column)
    return 0.0 if points is None else points[0] / points[1]


def _slack(rounded: Column, columns: list[Column], size: np.ndarray) -> np.ndarray:
    """Half a step of the ``rounded`` column, and what arithmetic rounds in numbers of that ``size``."""
    single = any(str(column_dtype(column)).lower() == "float32" for column in columns)
    # Half a step as a float may be a little less than half a step.
    return step_of(rounded) / 2 * (1 + 1e-9) + ROUNDING * np.finfo(np.float32 if single else np.float64).eps * size


def _values(frame: pd.DataFrame, column: Column, columns: list[Column]) -> np.ndarray:
    kind = types.kind_of(column)
    if kind == "number":
        numbers = [other for other in columns if types.kind_of(other) == "number"]
        return _numbers(frame, numbers)[numbers.index(column)]
    series = frame[column.name]
    if kind == "truth":
        return series.astype(object).where(series.notna(), False).astype(bool).to_numpy()
    return series.astype(object).where(series.notna(), "").to_numpy(object)
