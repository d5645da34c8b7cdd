"""Formulas and relations over the columns of a table, as text: arithmetic and comparisons, nothing else runs."""

import ast
import operator
import re
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float64

FUNCTIONS = {
    "sqrt": np.sqrt, "log": np.log, "exp": np.exp, "abs": np.abs, "minimum": np.minimum, "maximum": np.maximum
}  # fmt: skip
LONGEST = 1000
"""Characters of an expression."""

_ARITHMETIC = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: np.true_divide, ast.Pow: np.power
}  # fmt: skip
_COMPARISONS = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


def evaluate(expression: str, frame: pd.DataFrame) -> Float64[np.ndarray, " n"]:
    """Values of ``expression`` in every row, NaN where a column that it names is missing.

    Numbers, columns (in backticks where the name is no Python name, as `` `S/B` ``), ``+ - * / **``, the functions of
    ``FUNCTIONS``, ``< <= > >= == !=`` (also chained), ``and``, ``or``. A relation is 1 where it holds and 0 where not.
    Raises ValueError for anything else, for columns that are not there, and for columns that are not numbers.

    >>> frame = pd.DataFrame({"A": [12.0, None], "S/B": [3.0, 1.0]})
    >>> evaluate("sqrt(A / `S/B`)", frame)
    array([ 2., nan])
    >>> evaluate("1 < `S/B` <= 3", frame)
    array([1., 0.])
    """
    tree, names = _parse(expression)

    def column(name: str) -> np.ndarray:
        name = names.get(name, name)
        if name not in frame.columns:
            raise ValueError(f"{expression!r}: expected the column {name!r}, got {list(frame.columns)}; check the name")
        return numbers(frame, name)

    try:
        with np.errstate(all="ignore"):
            values = _value(tree, column, expression)
    except RecursionError:
        raise ValueError(f"{expression[:50]!r}: expected a formula, got one nested too deeply; split it") from None
    return np.broadcast_to(np.asarray(values, np.float64), (len(frame),)).copy()


def columns_of(expression: str) -> list[str]:
    """Names of the columns in ``expression``.

    >>> columns_of("sqrt(A / `S/B`) + A")
    ['A', 'S/B']
    """
    tree, names = _parse(expression)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions]
    found.sort(key=lambda node: node.col_offset)
    return list(dict.fromkeys(names.get(node.id, node.id) for node in found))


def is_relation(expression: str) -> bool:
    """Whether ``expression`` says something that holds or not."""
    return isinstance(_parse(expression)[0], ast.Compare | ast.BoolOp)


def numbers(frame: pd.DataFrame, name: str) -> Float64[np.ndarray, " n"]:
    """Column ``name`` as floats, NaN where it is missing; raises ValueError where it is text or the like."""
    dtype = frame[name].dtype
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(f"column {name!r}: expected numbers, got {dtype}; convert it with pandas.to_numeric")
    return frame[name].to_numpy(np.float64, na_value=np.nan)


def _parse(expression: str) -> tuple[ast.expr, dict[str, str]]:
    """The tree, and the columns that stood in backticks by their stand-ins."""
    if not isinstance(expression, str) or not expression.strip() or len(expression) > LONGEST:
        raise ValueError(
            f"expression: expected text of 1 to {LONGEST} characters, got {str(expression)[:50]!r}; write a formula"
        )
    names: dict[str, str] = {}

    def stand_in(match: re.Match) -> str:
        return next((new for new, old in names.items() if old == match[1]), None) or _added(names, match[1])

    try:
        return ast.parse(re.sub(r"`([^`]+)`", stand_in, expression).strip(), mode="eval").body, names
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{expression!r}: expected a formula such as 'XB / X50', got what cannot be read ({error}); put names with "
            "signs or blanks into backticks"
        ) from None


def _added(names: dict[str, str], name: str) -> str:
    new = f"_column_{len(names)}_"
    names[new] = name
    return new


def _value(node: ast.AST, column, expression: str):
    """The value of one node of the tree; everything is a float, so that no whole number grows without end."""

    def value(inner):
        return _value(inner, column, expression)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)
        case ast.Name(id=name):
            return column(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](value(left), value(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            if len(args) == FUNCTIONS[name].nin:
                return FUNCTIONS[name](*map(value, args))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            sides = [value(side) for side in (left, *others)]
            return np.minimum.reduce(
                [_relation(_COMPARISONS[type(op)], *pair) for op, pair in zip(ops, pairwise(sides), strict=True)]
            )
        case ast.BoolOp(op=op, values=parts):
            fold = np.minimum if isinstance(op, ast.And) else np.maximum
            return fold.reduce(np.broadcast_arrays(*map(value, parts)))
    raise ValueError(
        f"{expression!r}: expected numbers, columns, + - * / **, comparisons and {sorted(FUNCTIONS)}, got "
        f"{ast.unparse(node)!r}; use a function of the table instead"
    )


def _relation(holds, left, right):
    """1 where it holds, 0 where not, NaN where a side is missing."""
    return np.where(np.isnan(left) | np.isnan(right), np.nan, holds(left, right))
