"""Tables of several sources on one footing: units, derived columns, bands, plausibility checks.

Each function takes a frame and returns a new one with findings: what was done to, or found in, how many rows. No row
is dropped, no given value is changed but by the conversion of units that was asked for. ``summary`` shows findings as a
table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from jaxcop import _checks
from jaxcop.tables import expressions
from jaxcop.tables.frames import check_frame

Formula = str | Callable[[pd.DataFrame], Any]
SHOWN = 5
"""Rows that ``summary`` names."""


class Finding(NamedTuple):
    """What one step did to, or found in, ``count`` rows; ``rows`` are their labels in the frame's index."""

    step: str
    subject: str
    outcome: str
    count: int
    rows: tuple = ()


def summary(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings as a table to print, with the first rows of each.

    >>> findings = check(pd.DataFrame({"X50": [0.2, 40.0]}), {"X50 in m": "0.001 <= X50 <= 5"})
    >>> print(summary(findings[:2]).to_string(index=False))
     step  subject outcome  rows first
    check X50 in m   holds     1     0
    check X50 in m   fails     1     1
    """
    shown = [
        (*found[:4], ", ".join(map(str, found.rows[:SHOWN])) + (", ..." if len(found.rows) > SHOWN else ""))
        for found in findings
    ]
    return pd.DataFrame(shown, columns=["step", "subject", "outcome", "rows", "first"])


def finding(step: str, subject: str, outcome: str, frame: pd.DataFrame, where: np.ndarray) -> Finding:
    """The finding about the rows ``where``, a mask."""
    return Finding(step, subject, outcome, int(where.sum()), tuple(frame.index[where]))


@cache
def _registry():
    try:
        import pint
    except ImportError:
        raise ValueError('units: expected the package pint, got none; pip install "jaxcop[harmonise]"') from None
    return pint.UnitRegistry()


def convert_units(frame: pd.DataFrame, units: Mapping[str, tuple[str, str]]) -> tuple[pd.DataFrame, list[Finding]]:
    """Columns in other units: for each column the unit that it has and the unit that it gets, as pint writes them.

    Missing values stay missing. Where the factor is one over a whole number (mm to m), values are divided by that, so
    that 102 mm are 0.102 m to the last digit. Raises ValueError for unknown columns or units, units of other
    dimensions, and columns that are not numbers.

    >>> holes, findings = convert_units(pd.DataFrame({"D": [102.0, None]}), {"D": ("mm", "m")})
    >>> holes["D"].tolist(), findings[0].outcome
    ([0.102, nan], 'mm to m')
    """
    check_frame(frame)
    out, findings = frame.copy(), []
    for name, (old, new) in units.items():
        _checks.one_of(name, frame.columns, "units")
        values = numbers(frame, name)
        if old != new:
            out[name] = _converted(values, name, old, new)
        findings.append(finding("convert", str(name), f"{old} to {new}", frame, ~np.isnan(values)))
    return out, findings


def _converted(values: np.ndarray, name: str, old: str, new: str) -> np.ndarray:
    registry = _registry()
    try:
        start, factor = (float(registry.Quantity(x, old).to(new).magnitude) for x in (0.0, 1.0))
        if start:
            # An offset, as between temperatures.
            return registry.Quantity(values, old).to(new).magnitude
        back = float(registry.Quantity(1.0, new).to(old).magnitude)
    except Exception as error:  # pint's errors share no base class below it, and its parser has others
        raise ValueError(
            f"units, column {name!r}: expected two units of one dimension, got {old!r} and {new!r} ({error}); correct "
            "them"
        ) from None
    whole = round(back)
    return values / whole if factor < 1 and abs(back - whole) <= 1e-12 * back else values * factor


def derive(
    frame: pd.DataFrame, rules: Sequence[tuple[str, Formula]], *, tolerance: float = 1e-6, skip_absent: bool = False
) -> tuple[pd.DataFrame, list[Finding]]:
    """Fill missing values of columns from others, and compare the formula with the values that are given.

    ``rules`` are pairs of a column, which may be new, and its formula: text (see
    :func:`jaxcop.tables.expressions.evaluate`) or a function of the frame. They are applied in order: a later rule sees
    what an earlier one filled. A given value is never changed; it ``disagrees`` where it is further than ``tolerance``
    times its size from the formula's. Where the formula has no finite value the cell stays missing. With
    ``skip_absent`` rules over columns that are not there are reported and passed over, else they raise ValueError. A
    column that is filled holds floats.

    >>> sheet = pd.DataFrame({"A": [12.0, 8.0], "S/B": [3.0, 2.0], "B": [None, 2.5]})
    >>> filled, findings = derive(sheet, [("B", "sqrt(A / `S/B`)"), ("S", "`S/B` * B")])
    >>> filled[["B", "S"]].to_numpy().tolist()
    [[2.0, 6.0], [2.5, 5.0]]
    >>> [(found.outcome, found.count) for found in findings if found.count]
    [('filled', 1), ('disagrees', 1), ('filled', 2)]
    """
    check_frame(frame)
    _checks.positive(tolerance, "tolerance", allow_zero=True)
    out, findings = frame.copy(), []
    for name, formula in rules:
        subject = f"{name} = {_text(formula)}"
        absent = (
            [part for part in expressions.names(formula) if part not in out.columns] if isinstance(formula, str) else []
        )
        if absent and skip_absent:
            findings.append(Finding("derive", subject, f"passed over, no column {', '.join(absent)}", len(out)))
            continue
        found = _values(formula, out)
        given = numbers(out, name) if name in out.columns else np.full(len(out), np.nan)
        missing, known = np.isnan(given), np.isfinite(found)
        fills, compared = missing & known, ~missing & known
        near = np.abs(given - np.where(known, found, 0)) <= tolerance * np.abs(given)
        apart = compared & ~(near & np.isfinite(given))
        if fills.any() or name not in out.columns:
            out[name] = np.where(fills, found, given)
        for outcome, where in (
            ("filled", fills),
            ("agrees", compared & ~apart),
            ("disagrees", apart),
            ("stays missing", missing & ~known),
        ):
            findings.append(finding("derive", subject, outcome, out, where))
    return out, findings


def _text(formula: Formula) -> str:
    return formula if isinstance(formula, str) else getattr(formula, "__name__", "a function")


def _values(formula: Formula, frame: pd.DataFrame, read: Callable = expressions.evaluate) -> np.ndarray:
    """What the formula gives in every row, NaN where a column that its text names is missing."""
    if callable(formula):
        return numbers(pd.DataFrame({"value": formula(frame.copy())}, index=frame.index), "value")
    names = expressions.names(formula)
    for name in names:
        if name not in frame.columns:
            raise ValueError(f"{formula!r}: expected the column {name!r}, got {list(frame.columns)}; check the name")
    values = {name: numbers(frame, name) for name in names}
    found = np.broadcast_to(read(formula, values), len(frame)).astype(np.float64)
    return np.where(np.any([np.isnan(column) for column in values.values()], axis=0), np.nan, found)


def numbers(frame: pd.DataFrame, name: str) -> Float64[np.ndarray, " n"]:
    """Column ``name`` as floats, NaN where it is missing; raises ValueError where it is text or the like."""
    dtype = frame[name].dtype
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(f"column {name!r}: expected numbers, got {dtype}; convert it with pandas.to_numeric")
    return frame[name].to_numpy(np.float64, na_value=np.nan)


def add_bands(
    frame: pd.DataFrame, column: str, name: str, edges: Sequence[float], edge_in: Sequence[str]
) -> tuple[pd.DataFrame, list[Finding]]:
    """A new column ``name``: in which band ``column`` lies, an ordered categorical whose labels state the closed sides.

    ``edges`` increase; ``edge_in`` says for each, ``"above"`` or ``"below"``, to which band a value equal to it
    belongs. A missing value has no band. Raises ValueError where ``name`` is a column already.

    >>> table = pd.DataFrame({"FI": [3.9, 4.0, 8.0, 8.1, None]})
    >>> add_bands(table, "FI", "band", (4, 8), ("above", "below"))[0]["band"].tolist()
    ['FI < 4', '4 <= FI <= 8', '4 <= FI <= 8', 'FI > 8', nan]
    """
    check_frame(frame)
    _checks.one_of(column, frame.columns, "column")
    if name in frame.columns:
        raise ValueError(f"name: expected a new column, got {name!r}, which is there; choose another")
    if not len(edges) or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges: expected finite numbers that increase, got {edges!r}; correct them")
    if len(edge_in) != len(edges) or not {*edge_in} <= {"above", "below"}:
        raise ValueError(f"edge_in: expected 'above' or 'below' for each of {edges!r}, got {edge_in!r}; correct it")
    values = numbers(frame, column)
    codes = sum(
        np.where(values >= edge if side == "above" else values > edge, 1, 0)
        for edge, side in zip(edges, edge_in, strict=True)
    )
    labels = band_labels(column, edges, edge_in)
    codes = np.where(np.isnan(values), -1, codes)
    out = frame.copy()
    out[name] = pd.Categorical.from_codes(codes, categories=labels, ordered=True)
    counted = [*enumerate(labels), (-1, "no band")]
    return out, [finding("band", name, label, out, codes == code) for code, label in counted]


def band_labels(column: str, edges: Sequence[float], edge_in: Sequence[str]) -> list[str]:
    """Labels that :func:`add_bands` gives, in order."""
    first = f"{column} {'<' if edge_in[0] == 'above' else '<='} {edges[0]:g}"
    last = f"{column} {'>=' if edge_in[-1] == 'above' else '>'} {edges[-1]:g}"
    inner = [
        f"{low:g} {'<=' if low_in == 'above' else '<'} {column} {'<=' if high_in == 'below' else '<'} {high:g}"
        for low, high, low_in, high_in in zip(edges, edges[1:], edge_in, edge_in[1:], strict=False)
    ]
    return [first, *inner, last]


def check(frame: pd.DataFrame, rules: Mapping[str, Formula]) -> list[Finding]:
    """In which rows plausible ranges and relations hold, fail, or cannot be told since a value is missing.

    ``rules`` names each: text that compares (:func:`jaxcop.tables.expressions.evaluate`), or a function of the frame
    that returns true, false or missing for each row. Nothing is changed. Raises ValueError for text that compares
    nothing.

    >>> blasts = pd.DataFrame({"burden": [3.0, 4.0], "spacing": [3.5, None]})
    >>> [found[2:] for found in check(blasts, {"order": "burden <= spacing"})]
    [('holds', 1, (0,)), ('fails', 0, ()), ('unknown', 1, (1,))]
    """
    check_frame(frame)
    findings = []
    for name, rule in rules.items():
        values = _values(rule, frame, expressions.holds)
        if not (np.isnan(values) | np.isin(values, (0, 1))).all():
            raise ValueError(
                f"rule {name!r}: expected true, false or missing for each row, got other values; compare them"
            )
        for outcome, where in (("holds", values == 1), ("fails", values == 0), ("unknown", np.isnan(values))):
            findings.append(finding("check", name, outcome, frame, where))
    return findings
