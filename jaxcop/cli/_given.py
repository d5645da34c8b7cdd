"""``--given`` of ``jaxcop sample``: what stands on the command line as values, ranges and categories."""

import math
from collections.abc import Sequence
from typing import Any


def read_given(texts: Sequence[str], schema) -> dict[str, Any]:
    """``name=value``, ``name=low..high``, ``name=category`` or ``name=`` (missing) by the kinds of the columns.

    An end of a range may be left out. Raises ValueError for a name that is no column or comes twice, and for text that
    is no number, no range and none of the categories.
    """
    columns = {column.name: column for column in schema.columns}
    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in columns:
            raise ValueError(
                f"--given: expected NAME=VALUE with a name among {list(columns)}, got {text!r}; correct it"
            )
        if name in given:
            raise ValueError(f"--given: expected each column once, got {name!r} again; give one range")
        given[name] = _value(columns[name], value)
    return given


def _value(column, text: str) -> Any:
    if text == "":
        return None
    if column.kind in ("continuous", "integer"):
        low, dots, high = text.partition("..")
        try:
            if dots:
                return (float(low) if low else -math.inf, float(high) if high else math.inf)
            return float(text)
        except ValueError:
            raise ValueError(
                f"--given: expected a number or low..high for {column.name!r}, got {text!r}; correct it"
            ) from None
    values = (False, True) if column.kind == "boolean" else column.categories
    found = [value for value in values if str(value).lower() == text.lower()]
    exact = [value for value in found if str(value) == text]
    if not found or (len(found) > 1 and not exact):
        raise ValueError(f"--given: expected one of {list(values)} for {column.name!r}, got {text!r}; correct it")
    return (exact or found)[0]
