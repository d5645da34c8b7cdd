"""Constraints without rejection: columns in whose terms every value gives a row that keeps them, and back.

``a <= b`` holds for every ``b = a + d`` with d >= 0: the synthesizer learns d in the place of b. A column between two
bounds becomes its share of the way from one to the other; a total or ratio is left out and computed; parts of a fixed
total are shares of what the earlier parts leave (stick-breaking, Connor & Mosimann 1969); columns whose
combinations are fixed become one categorical. Restored numbers are on the grid of their column, so that rounding breaks
nothing.

A logarithm of the difference would change nothing: the synthesizers learn ranks. Constraints that no step here keeps
(predicates, columns determined twice, anchors that miss other rows) are left to rejection.
"""

from functools import lru_cache
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxcop.tables import constraints as types
from jaxcop.tables.checks import step_of
from jaxcop.tables.decoding import decode_column, limits, snapped, to_series, within
from jaxcop.tables.schema import HUGE, Column, Schema, column_dtype


class Bound(NamedTuple):
    """``constant + sum of factor * column``; not itself allowed where ``is_open``."""

    constant: float
    terms: tuple[tuple[float, str], ...]
    is_open: bool = False


class Between(NamedTuple):
    """A column between the greatest of ``lows`` and the least of ``highs``, learned as ``free``."""

    column: Column
    lows: tuple[Bound, ...]
    highs: tuple[Bound, ...]
    free: Column


class Exactly(NamedTuple):
    """A column that others determine: ``value``, or its terms' quotient."""

    column: Column
    value: Bound
    quotient: bool = False


class Joint(NamedTuple):
    """Columns that take only the ``allowed`` values together, learned as the place ``free`` among those."""

    columns: tuple[Column, ...]
    allowed: tuple[tuple, ...]
    free: Column


class Plan(NamedTuple):
    """What a synthesizer learns, and the steps from there to the columns of the table, in their order."""

    free: Schema
    steps: tuple[Between | Exactly | Joint, ...]


@lru_cache(maxsize=64)
def plan(schema: Schema) -> Plan:
    """Choose a step for every column that a constraint leaves less than free; the same for the same schema.

    >>> columns = [Column(name, "continuous", "float64", lower=0) for name in ("burden", "spacing", "ratio")]
    >>> rules = types.constraint("burden <= spacing"), types.constraint("ratio = spacing / burden")
    >>> [column.name for column in plan(Schema(tuple(columns), rules)).free.columns]
    ['burden', 'spacing above burden']
    """
    known = {column.name: column for column in schema.columns}
    exact: dict[str, Exactly] = {}
    lows: dict[str, list[Bound]] = {}
    highs: dict[str, list[Bound]] = {}
    needs: dict[str, set[str]] = {}

    def depends(name: str, on: str) -> bool:
        return name == on or any(depends(other, on) for other in needs.get(name, ()))

    def free(name: str, others) -> bool:
        """Whether ``name`` can still be computed from ``others``: they are there where it is, and not made from it."""
        words = {known[other].missing for other in others}
        there = words <= {None, known[name].missing} and all(_is_number(known[other]) for other in others)
        return (
            there
            and known[name].kind != "constant"
            and name not in exact
            and not any(depends(other, name) for other in others)
        )

    def determine(name: str, others, step: Exactly) -> None:
        # Its own missing rows must be those of another column, which stays.
        if free(name, others) and name not in needs and known[name].missing in {known[o].missing for o in others}:
            exact[name], needs[name] = step, set(others)

    sums = [each for each in schema.constraints if isinstance(each, types.Sum)]
    for each in schema.constraints:
        if isinstance(each, types.Sum) and isinstance(total := types.total_of(each, known), str):
            step = Exactly(known[total], Bound(0.0, tuple((1.0, part) for part in each.parts)))
            determine(total, each.parts, step)
        elif isinstance(each, types.Ratio):
            pair = (each.numerator, each.denominator)
            determine(each.ratio, pair, Exactly(known[each.ratio], Bound(0.0, tuple((1.0, x) for x in pair)), True))
    for each in sums:
        total = types.total_of(each, known)
        candidates = [part for part in each.parts if part not in needs and known[part].kind != "constant"]
        if isinstance(total, str) or not candidates:
            continue
        # The finest can make up for the rounding of the others.
        last = min(reversed(candidates), key=lambda part: step_of(known[part]))
        others = [part for part in each.parts if part != last]
        determine(last, others, Exactly(known[last], Bound(float(total), tuple((-1.0, part) for part in others))))
        if last not in exact or len(candidates) < len(each.parts):
            continue
        for i, part in enumerate(others):
            rest = [known[other] for other in (*others[i + 1 :], last)]
            before = tuple((-1.0, other) for other in others[:i])
            for bounds, ends in ((highs, [c.lower for c in rest]), (lows, [c.upper for c in rest])):
                known_ends = [end for end in ends if end is not None]
                if len(known_ends) == len(rest) and free(part, others[:i]):
                    bounds.setdefault(part, []).append(Bound(float(total) - float(sum(known_ends)), before))
                    needs.setdefault(part, set()).update(others[:i])
    for low, high, strict in types.orders(schema.constraints):
        for name, anchor, bounds in ((high, low, lows), (low, high, highs)):
            if free(name, [anchor]):
                bounds.setdefault(name, []).append(Bound(0.0, ((1.0, anchor),), strict))
                needs.setdefault(name, set()).add(anchor)
                break

    steps: dict[str, Between | Exactly | Joint] = dict(exact)
    for name in {**lows, **highs}:
        steps[name] = _between(known[name], tuple(lows.get(name, ())), tuple(highs.get(name, ())))
    joint: dict[str, Joint] = {}
    for each in schema.constraints:
        if isinstance(each, types.Combinations) and each.allowed and not set(each.columns) & set(joint):
            together = tuple(known[name] for name in each.columns)
            if len({column.missing for column in together}) == 1:
                joint |= dict.fromkeys(each.columns, _joint(together, each.allowed))
    columns = []
    for column in schema.columns:
        if (step := steps.get(column.name)) is None:
            pair = joint.get(column.name)
            columns += [column] if pair is None else [pair.free] if pair.columns[0] == column else []
        elif isinstance(step, Between):
            columns.append(step.free)
    upwards = [
        name for name in TopologicalSorter({n: needs.get(n, set()) for n in steps}).static_order() if name in steps
    ]
    return Plan(Schema(tuple(columns)), (*(steps[name] for name in upwards), *dict.fromkeys(joint.values())))


def _between(column: Column, lows: tuple[Bound, ...], highs: tuple[Bound, ...]) -> Between:
    def said(word: str, bounds: tuple[Bound, ...]) -> str:
        names = dict.fromkeys(name for bound in bounds for _, name in bound.terms)
        return f" {word} {', '.join(names)}" if names else ""

    name = column.name + said("above", lows) + said("below", highs)
    below = lows or column.lower is not None
    above = highs or column.upper is not None
    if below and above:
        share = Column(f"share of {name}", "continuous", "float64", lower=0, upper=1, missing=column.missing)
        return Between(column, lows, highs, share)
    kind, dtype = column.kind, "float64"
    return Between(
        column,
        lows,
        highs,
        Column(
            name, kind, dtype, decimals=column.decimals, increment=column.increment, lower=0, missing=column.missing
        ),
    )


def _joint(columns: tuple[Column, ...], allowed: tuple[tuple, ...]) -> Joint:
    missing = columns[0].missing
    names = ", ".join(column.name for column in columns)
    dtype = "int64" if missing is None else "Int64"
    return Joint(columns, allowed, Column(names, "categorical", dtype, tuple(range(len(allowed))), missing=missing))


def complete(schema: Schema, frame: pd.DataFrame) -> Schema:
    """``schema`` with the combinations that ``frame`` has wherever none are listed, in the order of their codes."""
    return Schema(schema.columns, tuple(_seen(each, schema, frame) for each in schema.constraints))


def _seen(each: types.Constraint, schema: Schema, frame: pd.DataFrame) -> types.Constraint:
    if not isinstance(each, types.Combinations) or each.allowed:
        return each
    known = {column.name: column for column in schema.columns}
    values = [(False, True) if known[name].kind == "boolean" else known[name].categories for name in each.columns]
    rows = frame[list(each.columns)].dropna().drop_duplicates().astype(object).itertuples(index=False, name=None)
    codes = sorted(tuple(options.index(value) for options, value in zip(values, row, strict=True)) for row in rows)
    return types.Combinations(
        each.columns, tuple(tuple(o[c] for o, c in zip(values, row, strict=True)) for row in codes)
    )


def to_free(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The columns of ``plan(schema).free``, from rows that keep the constraints."""
    free, steps = plan(schema)
    if not steps:
        return frame
    series = dict(frame.items())
    values = _numbers(frame, schema.columns)
    for step in steps:
        if isinstance(step, Between):
            low, high, cell = _edges(step, values)
            x, kind = values[step.column.name], _form(step)
            with np.errstate(all="ignore"):
                width = high - low + cell
                share = np.clip(np.where(width > 0, (x - low + cell / 2) / width, 0.5), 0, 1)
                share = np.where(np.isnan(x), np.nan, share)
                found = {"share": share, "above": np.maximum(x - low, 0), "below": np.maximum(high - x, 0)}[kind]
            series[step.free.name] = pd.Series(found, index=frame.index)
        elif isinstance(step, Joint):
            among = {row: float(i) for i, row in enumerate(step.allowed)}
            rows = zip(*(frame[column.name].astype(object) for column in step.columns), strict=True)
            found = np.array([among.get(row, np.nan) for row in rows], np.float64)
            series[step.free.name] = pd.Series(found, index=frame.index)
    return pd.DataFrame({column.name: series[column.name] for column in free.columns})


def restore(frame: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, np.ndarray]:
    """The table that the columns of ``plan(schema).free`` stand for, and which of its rows can be: bounds do not cross.

    ``restore(to_free(table, schema), schema)`` is the table, numbers without decimals up to rounding of the last place.
    Rows that cannot be hold numbers of no meaning.
    """
    free, steps = plan(schema)
    series, possible = dict(frame.items()), np.ones(len(frame), bool)
    if not steps:
        return frame, possible
    values = _numbers(frame, free.columns)
    for step in steps:
        if isinstance(step, Joint):
            codes = frame[step.free.name].to_numpy(dtype=np.float64, na_value=np.nan)
            gone = np.isnan(codes)
            places = np.where(gone, 0, codes).astype(int)
            for j, column in enumerate(step.columns):
                options = (False, True) if column.kind == "boolean" else column.categories
                table = np.array([options.index(row[j]) for row in step.allowed])
                series[column.name] = decode_column(table[places].astype(np.float64), gone, column)
            continue
        with np.errstate(all="ignore"):
            if isinstance(step, Between):
                low, high, cell = _edges(step, values)
                x = values[step.free.name]
                drawn = {"share": low - cell / 2 + x * (high - low + cell), "above": low + x, "below": high - x}
                gone, x = np.isnan(x), within(drawn[_form(step)], low, high, step.column)
                possible &= gone | (low <= high)
            else:
                terms = [factor * values[name] for factor, name in step.value.terms]
                gone = np.isnan(np.sum(terms, axis=0))
                x = terms[0] / terms[1] if step.quotient else step.value.constant + np.sum(terms, axis=0)
                x = within(x, -np.inf, np.inf, step.column)
        least, most = limits(Column(step.column.name, step.column.kind, step.column.dtype))
        fits = (np.abs(x) <= HUGE) & (x >= least) & (x <= most)
        possible &= gone | fits
        x = np.where(fits, x, np.clip(0.0, least, most))
        values[step.column.name] = np.where(gone, np.nan, x)
        series[step.column.name] = to_series(x, gone, column_dtype(step.column))
    return pd.DataFrame({column.name: series[column.name] for column in schema.columns}), possible


def _numbers(frame: pd.DataFrame, columns: tuple[Column, ...]) -> dict[str, np.ndarray]:
    return {
        column.name: frame[column.name].to_numpy(dtype=np.float64, na_value=np.nan)
        for column in columns
        if _is_number(column)
    }


def _is_number(column: Column) -> bool:
    if column.kind == "constant":
        return bool(column.categories) and types.kind_of(column) == "number"
    return column.kind in ("continuous", "integer")


def _form(step: Between) -> str:
    if step.free.upper is not None:
        return "share"
    return "above" if step.lows or step.column.lower is not None else "below"


def _edges(step: Between, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
    """The least and the greatest value of the column in each row, and the cell that each value takes of the way."""
    column = step.column
    count = len(next(iter(values.values())))
    low, high = (np.full(count, limit) for limit in limits(column))
    for bounds, way in ((step.lows, 1), (step.highs, -1)):
        for bound in bounds:
            edge = np.full(count, bound.constant) + sum(factor * values[name] for factor, name in bound.terms)
            if way == 1:
                low = np.fmax(low, snapped(edge, np.inf, column, open_low=bound.is_open)[0])
            else:
                high = np.fmin(high, snapped(-np.inf, edge, column, open_high=bound.is_open)[1])
    low, high = snapped(low, high, column)
    return low, high, step_of(column)
