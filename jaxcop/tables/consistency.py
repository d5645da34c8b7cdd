"""Constraints that cannot be: on columns that are not there or of another kind, in circles, against the bounds."""

import math
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from jaxcop.tables import expressions
from jaxcop.tables.constraints import (
    TYPES,
    Combinations,
    Constraint,
    Order,
    Predicate,
    Ratio,
    Sum,
    involved,
    kind_of,
    orders,
    text,
    total_of,
)  # fmt: skip


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
