"""What must hold between the columns of every row, as types and as text.

Text is read as the most special type that it fits, since a bijection keeps those without drawing a row twice (see
``jaxcop.tables.bijections``); whatever else the text says is a ``Predicate``. A comparison with a missing value is
kept.
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
