"""What ``--given`` says: ``rock=granite``, ``depth=2.5``, ``depth=1.5..2.5``, ``depth=..2``, ``charge=`` (missing)."""

import math
from collections.abc import Iterable


def conditions(texts: Iterable[str], schema) -> dict:
    """The conditions of ``synthesizers.sample_table_given``; raises ValueError for columns and values that are none."""
    known, found = {column.name: column for column in schema.columns}, {}
    for text in texts:
        # Names may hold equality signs.
        name = next((name for name in sorted(known, key=len, reverse=True) if text.startswith(f"{name}=")), None)
        if name is None:
            raise ValueError(
                f"--given {text}: expected COLUMN=VALUE with a column of {list(known)}; check the spelling"
            )
        if name in found:
            raise ValueError(f"--given {text}: expected each column once, got {name!r} twice; drop one")
        found[name] = _wanted(text[len(name) + 1 :], known[name], text)
    return found


def _wanted(value: str, column, text: str):
    if value == "":
        return None
    if column.kind in ("continuous", "integer"):
        low, between, high = value.partition("..")
        try:
            if not between:
                return float(value)
            return float(low) if low else -math.inf, float(high) if high else math.inf
        except ValueError:
            raise ValueError(f"--given {text}: expected a number, or a range as 1.5..2.5 or ..2; correct it") from None
    allowed = (False, True) if column.kind == "boolean" else column.categories
    named = {str(each).lower() if column.kind == "boolean" else str(each): each for each in allowed}
    key = value.lower() if column.kind == "boolean" else value
    if key not in named:
        raise ValueError(f"--given {text}: expected one of {list(named)[:20]}, got {value!r}; correct it")
    return named[key]
