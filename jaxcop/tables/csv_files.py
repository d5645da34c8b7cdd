"""CSV files in and out, strictly: what cannot be read for certain is refused with the line at fault."""

import csv
import io
import itertools
import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pandas as pd

from jaxcop import _checks
from jaxcop.checkpoint import write_whole
from jaxcop.tables.csv_lines import header_and_total, rows_of

CHUNK = 50_000
"""Rows of a file that are in memory as text at once."""
_POINT = frozenset(".eE")

# What spreadsheets run when they open a cell (OWASP, CSV injection); a sign before a number is harmless.
_FORMULA = re.compile(r"\s*[=@]|[\t\r]|\s*[+-](?![\d.\s]|$|inf|nan)", re.IGNORECASE)


class _Tally(NamedTuple):
    """What a column is in some of its rows: its kind, counts, and the first row (from 0) that is no number."""

    kind: str
    observed: int
    numbers: int
    first: int | None
    fraction: bool


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a table with one header line, commas, points in numbers, in UTF-8 with or without a byte-order mark.

    Floats are read to the last digit. Whole numbers stay so beside empty cells (dtype Int64). Empty cells and the
    words that pandas takes for missing (NA, nan, null, None ...) are missing; blank lines are skipped.

    Raises:
        ValueError: no file, no rows, another encoding, NUL bytes, rows longer or shorter than the header, names that
            are empty or repeat, open quotes, a column of numbers with a few texts among them, or numbers that no
            float holds.
    """
    path = Path(path)
    header, total = header_and_total(path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        frame = next(_parsed(path, file, header, total))
    for name, column in frame.items():
        _refuse_mixed(path, str(name), [_tally(column, 0)])
    return _exact(path, frame, (row for _, row in itertools.islice(rows_of(path), 1, None)))


def read_sample(path: str | Path, rows: int, seed: int) -> tuple[pd.DataFrame, int]:
    """``rows`` rows of a table that need not fit in memory, drawn without replacement, and how many it has.

    All of them, where there are no more; the order of the file is kept. Every line of the file is checked as
    :func:`read_csv` does, and a column that it would read as text or as floats is so here whatever was drawn.

    Raises:
        ValueError: as :func:`read_csv`, and ``rows`` below 1.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_csv(Path(folder) / "a.csv", [pd.DataFrame({"x": range(1000)})])
    ...     frame, total = read_sample(Path(folder) / "a.csv", 5, seed=0)
    >>> len(frame), total, frame["x"].is_monotonic_increasing
    (5, 1000, True)
    """
    path = Path(path)
    _checks.whole(rows, "rows")
    _checks.whole(seed, "seed", least=0)
    header, total = header_and_total(path)
    if total <= rows:
        return read_csv(path), total
    tallies: dict[str, list[_Tally]] = {name: [] for name in header}
    with open(path, encoding="utf-8-sig", newline="") as file:
        for number, part in enumerate(_parsed(path, file, header, total, chunk=CHUNK)):
            for name, column in part.items():
                tallies[str(name)].append(_tally(column, number * CHUNK))
    dtypes = {}
    for name, parts in tallies.items():
        _refuse_mixed(path, name, parts)
        kinds = {part.kind for part in parts if part.observed}
        if len(kinds) > 1 or "text" in kinds:
            dtypes[name] = str
        elif any(part.fraction for part in parts):
            dtypes[name] = "float64"
    chosen = set(np.random.default_rng(seed).choice(total, rows, replace=False, shuffle=False).tolist())
    drawn = [row for number, (_, row) in enumerate(rows_of(path), -1) if number in chosen]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *drawn])
    text.seek(0)
    return _exact(path, next(_parsed(path, text, header, rows, dtypes)), drawn, set(dtypes)), total


def _parsed(
    path: Path, file: TextIO, header: list[str], total: int, dtypes: dict | None = None, *, chunk: int | None = None
) -> Iterator[pd.DataFrame]:
    """What pandas makes of ``file``, in one piece or in chunks, if it finds the rows and columns that were checked."""
    count = 0
    try:
        parts = pd.read_csv(
            file, low_memory=False, index_col=False, dtype=dtypes, chunksize=total if chunk is None else chunk
        )
        for part in parts:
            count += len(part)
            # pandas renames nothing and drops nothing here, or its columns would not be those that were checked.
            if list(part.columns) != header or count > total or (chunk is None and count < total):
                raise ValueError(
                    f"expected {total} rows of {header}, got {count} of {list(part.columns)}; quote every cell"
                )
            yield part
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected a table, got what pandas cannot read ({error}); correct it") from None
    if count != total:
        raise ValueError(f"{path}: expected {total} rows of {header}, pandas found {count}; quote every cell")


def _exact(path: Path, frame: pd.DataFrame, rows: Iterable[list[str]], keep: Container[str] = ()) -> pd.DataFrame:
    """Floats by Python, right to the last digit in every version; whole numbers beside empty cells as Int64.

    Columns named in ``keep`` are no whole numbers.
    """
    places = {name: j for j, name in enumerate(frame.columns) if frame[name].dtype == "float64"}
    gone = {name: frame[name].isna().to_numpy() for name in places}
    values = {name: np.full(len(frame), np.nan) for name in places}
    pointed = {name: name in keep for name in places}
    rows, start = iter(rows if places else ()), 0
    while part := list(itertools.islice(rows, CHUNK)):
        stop = start + len(part)
        for name, j in places.items():
            cells = [row[j] for row, none in zip(part, gone[name][start:stop], strict=True) if not none]
            try:
                values[name][start:stop][~gone[name][start:stop]] = [float(cell) for cell in cells]
            except ValueError as error:
                raise ValueError(
                    f"{path}, column {name!r}: expected numbers, got other text ({error}); correct it"
                ) from None
            pointed[name] = pointed[name] or not all(_POINT.isdisjoint(cell) for cell in cells)
        start = stop
    for name, found in values.items():
        given = found[~gone[name]]
        # NaN and infinity are no whole numbers; from 2**53 on floats skip some.
        whole = (
            not pointed[name] and gone[name].any() and (given % 1 == 0).all() and np.abs(given).max(initial=0) < 2**53
        )
        frame[name] = pd.Series(found, frame.index).astype("Int64") if whole and given.size else found
    return frame


def _tally(column: pd.Series, start: int) -> _Tally:
    """What ``column`` is; its rows count from ``start``."""
    observed = column.dropna()
    mixed = column.dtype == object and len(observed) > 0
    if pd.api.types.is_bool_dtype(column) or (mixed and observed.map(type).eq(bool).all()):
        return _Tally("boolean", len(observed), 0, start + int(column.notna().argmax()), False)
    if pd.api.types.is_numeric_dtype(column):
        return _Tally("number", len(observed), len(observed), None, bool((observed % 1 != 0).any()))
    numeric = pd.Series(pd.to_numeric(observed.astype(str), errors="coerce")).notna().to_numpy()
    first = None if numeric.all() else start + int(np.flatnonzero(column.notna())[numeric.argmin()])
    return _Tally("text", len(observed), int(numeric.sum()), first, False)


def _refuse_mixed(path: Path, name: str, tallies: list[_Tally]) -> None:
    """Refuse text that is mostly numbers: one odd cell would turn a measurement into hundreds of categories."""
    observed, numeric = sum(part.observed for part in tallies), sum(part.numbers for part in tallies)
    kinds = {part.kind for part in tallies if part.observed}
    if kinds <= {"number"} or kinds <= {"boolean"} or numeric < observed / 2:
        return
    if numeric == observed:
        raise ValueError(f"{path}, column {name!r}: expected numbers that a float holds, got larger ones; correct them")
    position = min(part.first for part in tallies if part.first is not None)
    rows = rows_of(path)
    place = next(rows)[1].index(name)
    line, row = next(itertools.islice(rows, position, None))
    raise ValueError(
        f"{path}, column {name!r}: expected numbers only, got {row[place]!r} in line {line}; correct it, or leave the "
        "cell empty"
    )


def formulas(texts: Iterable) -> list[str]:
    """Those of ``texts`` that a spreadsheet would run as a formula.

    >>> formulas(["=1+1", "-5", "- none", "@SUM(A1)", "+cmd", "p", 3.0])
    ['=1+1', '@SUM(A1)', '+cmd']
    """
    return [text for text in texts if isinstance(text, str) and _FORMULA.match(text)]


def check_formulas(columns: dict[str, Iterable]) -> None:
    """Raise ValueError where a name or a text among the values of ``columns`` is a formula to a spreadsheet."""
    for name, values in columns.items():
        found = formulas([name, *values])
        if found:
            raise ValueError(
                f"column {name!r}: expected no cell that a spreadsheet runs as a formula, got {found[0]!r}; rename it, "
                "or allow formulas (allow_formulas=True, --allow-formulas)"
            )


def write_csv(
    path: str | Path, frames: Iterable[pd.DataFrame], *, overwrite: bool = False, allow_formulas: bool = False
) -> int:
    """Write ``frames``, pieces of one table, below one header, and return the number of rows.

    The file appears whole or not at all. Raises ValueError where ``path`` exists and ``overwrite`` is false, or where
    a text would run as a formula in a spreadsheet (as ``=cmd()``) and ``allow_formulas`` is false: changing the text
    would make another category of it.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: expected a new file, got one that exists; pass overwrite=True or another path")
    count = 0

    def write(temporary):
        nonlocal count
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            for frame in frames:
                if not allow_formulas:
                    check_formulas({str(name): _distinct_texts(column) for name, column in frame.items()})
                frame.to_csv(file, index=False, header=not count, lineterminator="\n")
                count += len(frame)

    write_whole(path, write)
    return count


def _distinct_texts(column: pd.Series) -> Iterable:
    numeric = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    return [] if numeric else column.dropna().unique()
