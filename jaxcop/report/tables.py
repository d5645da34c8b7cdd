"""Results as tables: for the screen and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import rich.table


class Table(NamedTuple):
    """Cells as text, the first column being the label of its row, under a caption."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def mean_sd(values: Sequence[float] | np.ndarray, decimals: int = 3) -> str:
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


def column(records: Sequence[Mapping], metric: str) -> list[float]:
    """One metric of all records, NaN where a record has none."""
    return [record.get(metric, np.nan) for record in records]


def numbers(hyper) -> str:
    """``name value`` of every number of a NamedTuple.

    >>> from jaxcop.synthesizers.controls import Smoothing
    >>> numbers(Smoothing(0.5))
    'bandwidth 0.5'
    """
    return ", ".join(f"{name} {value:g}" for name, value in hyper._asdict().items())


def tuning_table(tuned) -> Table:
    """Every choice of a ``tuning.Tuned``, its score over the folds, and by which rule one was taken."""
    rule = {
        "lowest": "the lowest mean",
        "one_standard_error": "the first within one standard error of the lowest mean",
    }[tuned.rule]
    folds = len(tuned.scores)
    errors = tuned.scores.std(0, ddof=1) / np.sqrt(folds)
    rows = [
        (numbers(hyper), f"{mean:.4f}", f"{error:.4f}", "chosen" if index == tuned.choice else "")
        for index, (hyper, mean, error) in enumerate(zip(tuned.grid, tuned.scores.mean(0), errors, strict=True))
    ]
    caption = f"Scores on {folds} inner folds, lower is better. Rule: {rule}."
    return Table(caption, ("choice", "mean score", "standard error", ""), tuple(rows))


def to_markdown(table: Table) -> str:
    """The table as Markdown, numbers to the right.

    >>> print(to_markdown(Table("A caption.", ("a", "b"), (("x", "1"),))))
    A caption.
    <BLANKLINE>
    | a | b |
    |---|---:|
    | x | 1 |
    """
    lines = [table.caption, "", "| " + " | ".join(table.header) + " |", "|---|" + "---:|" * (len(table.header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in table.rows)])


def to_rich(table: Table) -> rich.table.Table:
    """The table for a terminal; where it is narrow, labels of several words are wrapped, else numbers with their SD."""
    screen = rich.table.Table(title=table.caption, title_justify="left", title_style="", header_style="bold")
    words = any(" " in row[0] for row in table.rows) and not any(" " in cell for row in table.rows for cell in row[1:])
    for index, name in enumerate(table.header):
        header = name.replace(" ", "\n") if words and index else name
        screen.add_column(header, justify="right" if index else "left", no_wrap=words == bool(index))
    for row in table.rows:
        screen.add_row(*row)
    return screen
