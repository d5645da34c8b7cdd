"""Results as Markdown: one table per protocol, each number with its spread and its caption."""

from collections.abc import Mapping, Sequence

import numpy as np


def mean_sd(values: Sequence[float], decimals: int = 3) -> str:
    """``mean (sd)`` of the finite values, with the number of those that are not.

    >>> mean_sd([1.0, 2.0, float("nan")], 1)
    '1.5 (0.7), 1 lost'
    """
    array = np.asarray(values, float)
    finite = array[np.isfinite(array)]
    if finite.size == 0:
        return "–"
    sd = f" ({finite.std(ddof=1):.{decimals}f})" if finite.size > 1 else ""
    lost = f", {array.size - finite.size} lost" if finite.size < array.size else ""
    return f"{finite.mean():.{decimals}f}{sd}{lost}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A Markdown table under its caption; the first column is text, the others numbers.

    >>> print(markdown(["a", "b"], [["x", "1"]], "A caption."))
    A caption.
    <BLANKLINE>
    | a | b |
    |---|---:|
    | x | 1 |
    """
    lines = [caption, "", "| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def column(records: Sequence[Mapping], metric: str) -> list[float]:
    """One metric of all records, NaN where a record has none."""
    return [record.get(metric, np.nan) for record in records]
