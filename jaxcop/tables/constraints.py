"""What must hold between the columns of every row, as types, as text, and what of it cannot be.

Text is read as the most special type that it fits, since a bijection keeps those without drawing a row twice (see
``jaxcop.tables.bijections``); whatever else the text says is a ``Predicate``. A comparison with a missing value is
kept.
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np

from jaxcop.tables import expressions


def _check_columns(value, least: int, where: str) -> None:
    if not isinstance(value, tuple) or len(value) < least or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{where}: expected a tuple of at least {least} names, got {value!r}; correct it")
    if len(set(value)) < len(value):
        raise ValueError(f"{where}: expected each column once, got {value!r}; drop the repeated ones")


def _check_tolerance(value, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{where}, tolerance: expected a finite number of at least 0, got {value!r}; correct it")


@dataclass(frozen=True)
class Order:
    """Each column is at most the next, ``a <= b <= c``, or below it where ``strict``."""

    columns: tuple[str, ...]
    strict: bool = False

    def __post_init__(self):
        _check_columns(self.columns, 2, "order")
        if not isinstance(self.strict, bool):
            raise ValueError(f"order, strict: expected true or false, got {self.strict!r}; correct it")


@dataclass(frozen=True)
class Sum:
    """``a + b + c = total``, a column or a number, up to rounding (half a step of what is rounded) and ``tolerance``.

    Synthetic rows keep it without the tolerance, which is for training rows.
    """

    parts: tuple[str, ...]
    total: str | float
    tolerance: float = 0.0

    def __post_init__(self):
        _check_columns(self.parts, 2, "sum")
        if isinstance(self.total, bool) or not isinstance(self.total, str | int | float) or self.total in self.parts:
            raise ValueError(f"sum, total: expected another column or a number, got {self.total!r}; correct it")
        if not isinstance(self.total, str) and not math.isfinite(self.total):
            raise ValueError(f"sum, total: expected a finite number, got {self.total!r}; correct it")
        _check_tolerance(self.tolerance, "sum")


@dataclass(frozen=True)
class Ratio:
    """``ratio = numerator / denominator``, up to rounding of the ratio and ``tolerance``; see ``Sum``."""

    ratio: str
    numerator: str
    denominator: str
    tolerance: float = 0.0

    def __post_init__(self):
        _check_columns((self.ratio, self.numerator, self.denominator), 3, "ratio")
        _check_tolerance(self.tolerance, "ratio")


@dataclass(frozen=True)
class Combinations:
    """Categorical or boolean columns take only the ``allowed`` values together; none: those of the training rows."""

    columns: tuple[str, ...]
    allowed: tuple[tuple[str | bool | int | float, ...], ...] = ()

    def __post_init__(self):
        _check_columns(self.columns, 2, "combinations")
        if not isinstance(self.allowed, tuple) or not all(
            isinstance(row, tuple) and len(row) == len(self.columns) for row in self.allowed
        ):
            raise ValueError(
                f"combinations, allowed: expected tuples of {len(self.columns)} values, got {self.allowed!r}; give "
                f"one value for each of {list(self.columns)}"
            )


@dataclass(frozen=True)
class Predicate:
    """Any condition in the words of :mod:`jaxcop.tables.expressions`, kept by rejection."""

    expression: str

    def __post_init__(self):
        expressions.parse(self.expression)


@dataclass(frozen=True)
class Custom:
    """``function(frame)`` says true or false for each row; ``name`` stands for it in messages. Not for files."""

    function: Callable[[Any], Any]
    name: str

    def __post_init__(self):
        if not callable(self.function) or not isinstance(self.name, str):
            raise ValueError(f"custom: expected a function and its name, got {self.function!r} and {self.name!r}")


Constraint = Order | Sum | Ratio | Combinations | Predicate | Custom
TYPES = {kind.__name__.lower(): kind for kind in (Order, Sum, Ratio, Combinations, Predicate, Custom)}


def text(constraint: Constraint) -> str:
    """The constraint as people write it.

    >>> text(Order(("burden", "spacing"))), text(Sum(("sand", "clay"), 100)), text(Ratio("S/B", "S", "B"))
    ('burden <= spacing', 'sand + clay == 100', '`S/B` == S / B')
    """
    name = expressions.quote
    match constraint:
        case Order(columns, strict):
            return (" < " if strict else " <= ").join(map(name, columns))
        case Sum(parts, total):
            return f"{' + '.join(map(name, parts))} == {name(total) if isinstance(total, str) else total}"
        case Ratio(ratio, numerator, denominator):
            return f"{name(ratio)} == {name(numerator)} / {name(denominator)}"
        case Combinations(columns):
            return f"combinations of {', '.join(map(name, columns))}"
        case Predicate(expression):
            return expression
        case Custom(_, title):
            return title


def constraint(expression: str) -> Constraint:
    """The constraint that a text stands for.

    >>> constraint("burden <= spacing")
    Order(columns=('burden', 'spacing'), strict=False)
    >>> constraint("X = A / B")
    Ratio(ratio='X', numerator='A', denominator='B', tolerance=0.0)
    >>> constraint("sand + silt + clay = 100")
    Sum(parts=('sand', 'silt', 'clay'), total=100, tolerance=0.0)
    >>> constraint("charge <= 3 * depth")
    Predicate(expression='charge <= 3 * depth')
    """
    parsed = expressions.parse(expression)

    def column(node):
        return parsed.column(node) if isinstance(node, ast.Name) else None

    def added(node) -> list | None:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = added(node.left), added(node.right)
            return None if left is None or right is None else left + right
        return None if column(node) is None else [column(node)]

    def number(node) -> int | float | None:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand) if (value := number(operand)) is not None:
                return -value
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return value
        return None

    def distinct(*nodes) -> tuple[str, ...]:
        """The columns that the nodes are, if they are columns, and all different."""
        found = tuple(dict.fromkeys(name for node in nodes if (name := column(node)) is not None))
        return found if len(found) == len(nodes) else ()

    if isinstance(parsed.tree, ast.Compare):
        chain, kinds = [parsed.tree.left, *parsed.tree.comparators], {type(operation) for operation in parsed.tree.ops}
        if (columns := distinct(*chain)) and len(kinds) == 1:
            if kinds <= {ast.LtE, ast.Lt}:
                return Order(columns, ast.Lt in kinds)
            if kinds <= {ast.GtE, ast.Gt}:
                return Order(columns[::-1], ast.Gt in kinds)
        if len(chain) == 2 and kinds == {ast.Eq}:
            for one, other in (chain, chain[::-1]):
                total, parts = number(other) if column(other) is None else column(other), added(one)
                if total is not None and parts is not None and len({*parts, total}) == len(parts) + 1 > 2:
                    return Sum(tuple(parts), total)
                match one:
                    case ast.BinOp(left=top, op=ast.Div(), right=bottom) if three := distinct(other, top, bottom):
                        return Ratio(three[0], three[1], three[2])
    return Predicate(expression)


def involved(constraint: Constraint) -> tuple[str, ...]:
    """Columns that the constraint names; none for ``Custom``, which may look at all."""
    match constraint:
        case Order(columns) | Combinations(columns):
            return columns
        case Sum(parts, total):
            return (*parts, total) if isinstance(total, str) else parts
        case Ratio(ratio, numerator, denominator):
            return ratio, numerator, denominator
        case Predicate(expression):
            return expressions.names(expression)
    return ()


def kind_of(column) -> str:
    """Of a ``Column``: "number", "truth" or "text" to a constraint."""
    if column.kind == "boolean" or (column.categories and isinstance(column.categories[0], bool)):
        return "truth"
    return "text" if any(isinstance(value, str) for value in column.categories) else "number"


def orders(constraints: Iterable[Constraint]) -> list[tuple[str, str, bool]]:
    """Neighbours (lower, higher, strict) of all orders."""
    chains = [each for each in constraints if isinstance(each, Order)]
    return [(low, high, each.strict) for each in chains for low, high in pairwise(each.columns)]


def total_of(constraint: Sum, columns: Mapping[str, Any]) -> str | float:
    """The total: a number too where its column is a constant."""
    total = constraint.total
    if isinstance(total, str) and columns[total].kind == "constant" and columns[total].categories:
        return columns[total].categories[0]
    return total


def check(columns: Iterable[Any], constraints: tuple[Constraint, ...]) -> None:
    """Refuse constraints that do not fit the columns or one another; ``columns`` are those of a ``Schema``."""
    if not isinstance(constraints, tuple) or not all(isinstance(each, tuple(TYPES.values())) for each in constraints):
        raise ValueError(
            f"constraints: expected a tuple of {sorted(TYPES)}, got {constraints!r}; use tables.constraint"
        )
    known = {column.name: column for column in columns}
    for each in constraints:
        where = f"constraint {text(each)!r}"
        unknown = [name for name in involved(each) if name not in known]
        if unknown:
            raise ValueError(f"{where}: expected columns of {list(known)}, got {unknown}; check the spelling")
        if isinstance(each, Order | Sum | Ratio):
            wrong = [f"{name} ({known[name].kind})" for name in involved(each) if kind_of(known[name]) != "number"]
            wrong += [f"{name} (categorical)" for name in involved(each) if known[name].kind == "categorical"]
            if wrong:
                raise ValueError(f"{where}: expected columns of numbers, got {wrong}; correct it, or their kind")
        elif isinstance(each, Combinations):
            _check_combinations(each, known, where)
        elif isinstance(each, Predicate):
            if not involved(each):
                raise ValueError(f"{where}: expected at least one column, got none; name one")
            row = {"number": np.ones(1), "truth": np.ones(1, bool), "text": np.array([""], object)}
            expressions.holds(each.expression, {name: row[kind_of(column)] for name, column in known.items()})
    texts = [text(each) for each in constraints]
    if len(set(texts)) < len(texts):
        raise ValueError(f"constraints: expected each once, got {texts}; delete the repeated ones")
    _check_orders(known, constraints)
    _check_determined(known, constraints)


def _check_combinations(each: Combinations, known: Mapping[str, Any], where: str) -> None:
    for j, name in enumerate(each.columns):
        if known[name].kind not in ("categorical", "boolean"):
            raise ValueError(
                f"{where}: expected categorical or boolean columns, got {name!r} ({known[name].kind}); leave it out"
            )
        values = (False, True) if known[name].kind == "boolean" else known[name].categories
        wrong = [row for row in each.allowed if row[j] not in values]
        if wrong:
            raise ValueError(f"{where}: expected values of {name!r} among {list(values)[:20]}, got {wrong[0][j]!r}")


def _check_orders(known: Mapping[str, Any], constraints: tuple[Constraint, ...]) -> None:
    below: dict[str, dict[str, bool]] = {}
    for low, high, strict in orders(constraints):
        below.setdefault(high, {})[low] = strict or below.get(high, {}).get(low, False)
    try:
        upwards = tuple(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise ValueError(
            f"constraints: expected an order without cycles, got {' <= '.join(error.args[1])}; drop one of them"
        ) from None
    least = {name: -math.inf if known[name].lower is None else known[name].lower for name in upwards}
    for name in upwards:
        for low, strict in below.get(name, {}).items():
            least[name] = max(least[name], least[low])
            upper = math.inf if known[name].upper is None else known[name].upper
            if least[low] > upper or (strict and least[low] == upper):
                raise ValueError(
                    f"constraints: expected {low} {'<' if strict else '<='} {name} to be possible, got values of {low} "
                    f"from {least[low]} and of {name} up to {upper}; correct the bounds or drop the order"
                )


def _check_determined(known: Mapping[str, Any], constraints: tuple[Constraint, ...]) -> None:
    by: dict[str, Constraint] = {}
    for each in constraints:
        if not isinstance(each, Sum | Ratio):
            continue
        target = each.ratio if isinstance(each, Ratio) else total_of(each, known)
        if isinstance(target, str):
            if target in by:
                raise ValueError(
                    f"column {target!r}: expected one constraint that determines it, got {text(by[target])!r} and "
                    f"{text(each)!r}; drop one, or write it as a predicate"
                )
            by[target] = each
        elif isinstance(each, Sum):
            least = sum(-math.inf if known[name].lower is None else known[name].lower for name in each.parts)
            most = sum(math.inf if known[name].upper is None else known[name].upper for name in each.parts)
            if not least <= target + each.tolerance or not target - each.tolerance <= most:
                raise ValueError(
                    f"constraint {text(each)!r}: expected a total between {least} and {most}, which the bounds of the "
                    f"parts allow, got {target}; correct the bounds or the total"
                )
    try:
        TopologicalSorter({name: set(involved(each)) - {name} for name, each in by.items()}).prepare()
    except CycleError as error:
        raise ValueError(
            f"constraints: expected columns that do not determine themselves, got a cycle {error.args[1]}; drop one"
        ) from None
