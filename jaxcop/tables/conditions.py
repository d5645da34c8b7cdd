"""Conditions on columns as text, as ``charge <= 3 * depth``: read by a list of what is allowed, never run as code."""

import ast
import keyword
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

LONGEST = 1000
"""Letters of an expression: nesting beyond this is no condition that a person wrote."""
ALLOWED = (
    "names of columns, numbers, quoted texts, + - * / **, < <= > >= == != in, and or not, abs sqrt log exp min max"
)
_ARITHMETIC = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power}
_COMPARISONS = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal, ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}  # fmt: skip
_FUNCTIONS = {
    "abs": (np.abs, 1), "sqrt": (np.sqrt, 1), "log": (np.log, 1), "exp": (np.exp, 1), "min": (np.minimum, 2),
    "max": (np.maximum, 2), "minimum": (np.minimum, 2), "maximum": (np.maximum, 2),
}  # fmt: skip
_KINDS = {"f": "a number", "O": "a text", "b": "true or false"}
# Quoted texts and names in backticks are left alone where "=" is read as "==".
_QUOTED = re.compile(r"""(`[^`]+`|'[^']*'|"[^"]*")""")
_NAME = "column_{}_"


class Parsed(NamedTuple):
    """The tree of an expression, and the names of columns that its placeholders stand for."""

    tree: Any
    quoted: dict[str, str]

    def column(self, node: ast.Name) -> str:
        """The column that ``node`` names."""
        return self.quoted.get(node.id, node.id)


@lru_cache(maxsize=256)
def parse(text: str) -> Parsed:
    """Read an expression; a name that is no Python name goes into backticks, ``=`` means ``==``.

    Raises ValueError for what is no expression.

    >>> sorted(names("`S/B` >= 1 and charge = 3 * depth"))
    ['S/B', 'charge', 'depth']
    """
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        raise ValueError(f"constraint: expected a text of up to {LONGEST} letters, got {str(text)[:80]!r}; split it")
    pieces, quoted = _QUOTED.split(text), {}
    for i, piece in enumerate(pieces):
        if piece.startswith("`"):
            name = _NAME.format(len(quoted))
            quoted[name], pieces[i] = piece[1:-1], f" {name} "
        elif i % 2 == 0:
            pieces[i] = re.sub(r"(?<![<>=!])=(?!=)", "==", piece)
    try:
        return Parsed(ast.parse("".join(pieces).strip(), mode="eval").body, quoted)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or type(error).__name__
        raise ValueError(
            f"constraint: expected a condition such as 'a <= b', got {text!r} ({reason}); put names of columns that "
            "hold spaces or signs into backticks"
        ) from None


def names(text: str) -> tuple[str, ...]:
    """Columns that the expression names, in their order."""
    parsed = parse(text)
    called = {id(node.func) for node in ast.walk(parsed.tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(parsed.tree) if isinstance(node, ast.Name) and id(node) not in called]
    return tuple(dict.fromkeys(parsed.column(node) for node in sorted(found, key=lambda node: node.col_offset)))


def quote(name: str) -> str:
    """``name`` as an expression has it."""
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"`{name}`"


def evaluate(text: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where the condition holds; ``values`` are arrays of floats, of bools, or of texts (dtype object).

    Raises ValueError for columns that are not there, what is not in ``ALLOWED``, and kinds that do not go together.

    >>> evaluate("x > 1 or rock == 'marl'", {"x": np.array([0.0, 2.0]), "rock": np.array(["marl", "x"], object)})
    array([ True,  True])
    """
    parsed = parse(text)

    def refuse(reason: str):
        return ValueError(f"constraint {text!r}: {reason}")

    def expect(kind: str, *values) -> None:
        for value in values:
            found = np.asarray(value).dtype.kind
            if found != kind:
                raise refuse(
                    f"expected {_KINDS[kind]}, got {_KINDS[found]}; compare texts with == and numbers with numbers"
                )

    def compared(operation, left, right):
        if isinstance(operation, ast.Eq | ast.NotEq):
            expect(np.asarray(left).dtype.kind, right)
        else:
            expect("f", left, right)
        return np.asarray(_COMPARISONS[type(operation)](left, right), bool)

    def visit(node):
        match node:
            case ast.Constant(value=bool(value)):
                return np.asarray(value)
            case ast.Constant(value=int(value) | float(value)):
                return np.float64(value)
            case ast.Constant(value=str(value)):
                return np.asarray(value, object)
            case ast.Name():
                name = parsed.column(node)
                if name not in values:
                    raise refuse(f"expected columns of {list(values)}, got {name!r}; check the spelling")
                return values[name]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                value = visit(operand)
                expect("b", value)
                return ~value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = visit(operand)
                expect("f", value)
                return -value
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
                pair = visit(left), visit(right)
                expect("f", *pair)
                return _ARITHMETIC[type(operation)](*pair)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                function, count = _FUNCTIONS[name]
                if len(arguments) != count:
                    raise refuse(f"expected {count} numbers in {name}(), got {len(arguments)}; correct it")
                parts = [visit(part) for part in arguments]
                expect("f", *parts)
                return function(*parts)
            case ast.BoolOp(op=operation, values=parts):
                found = [visit(part) for part in parts]
                expect("b", *found)
                return (np.logical_and if isinstance(operation, ast.And) else np.logical_or).reduce(
                    np.broadcast_arrays(*found)
                )
            case ast.Compare(left=left, ops=operations, comparators=others):
                chain, holds = [left, *others], np.asarray(True)
                for operation, one, other in zip(operations, chain[:-1], chain[1:], strict=True):
                    match operation, other:
                        case ast.In() | ast.NotIn(), ast.Tuple(elts=listed) | ast.List(elts=listed):
                            same = [compared(ast.Eq(), visit(one), visit(value)) for value in listed]
                            among = np.logical_or.reduce(np.broadcast_arrays(np.asarray(False), *same))
                            holds = holds & (among if isinstance(operation, ast.In) else ~among)
                        case _ if type(operation) in _COMPARISONS:
                            holds = holds & compared(operation, visit(one), visit(other))
                        case _:
                            raise refuse(f"expected {ALLOWED}, got {ast.unparse(node)!r}; write it with those")
                return holds
        raise refuse(f"expected {ALLOWED}, got {ast.unparse(node)!r}; write it with those")

    with np.errstate(all="ignore"):
        try:
            holds = visit(parsed.tree)
        except (RecursionError, OverflowError) as error:
            raise refuse(f"expected numbers that a float holds and little nesting, got {error}; simplify it") from None
    expect("b", holds)
    return holds
