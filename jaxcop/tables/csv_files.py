"""CSV files in and out, strictly: what cannot be read for certain is refused with the line at fault."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from jaxcop.checkpoint import write_whole

# What spreadsheets run when they open a cell (OWASP, CSV injection); a sign before a number is harmless.
_FORMULA = re.compile(r"\s*[=@]|[\t\r]|\s*[+-](?![\d.\s]|$|inf|nan)", re.IGNORECASE)


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
    text = _text(path)
    rows = _rows(path, text)
    header, lines = rows[0][1], rows[1:]
    try:
        frame = pd.read_csv(io.StringIO(text), low_memory=False, index_col=False)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected a table, got what pandas cannot read ({error}); correct it") from None
    # pandas renames nothing and drops nothing here, or its columns would not be those that were checked.
    if list(frame.columns) != header or len(frame) != len(lines):
        raise ValueError(
            f"{path}: expected {len(lines)} rows of {header}, pandas found {frame.shape}; quote every cell"
        )
    for j, (name, column) in enumerate(list(frame.items())):
        if column.dtype == "float64":
            cells = [None if gone else row[j] for (_, row), gone in zip(lines, column.isna(), strict=True)]
            frame[name] = _floats(path, str(name), cells)
        elif not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            _check_text(path, str(name), column, [number for number, _ in lines])
    return frame


def _floats(path: Path, name: str, cells: list[str | None]) -> pd.Series:
    """Python's floats, right to the last digit in every version; whole numbers beside empty cells as Int64."""
    try:
        values = pd.Series([float("nan") if cell is None else float(cell) for cell in cells], dtype="float64")
    except ValueError as error:
        raise ValueError(f"{path}, column {name!r}: expected numbers, got other text ({error}); correct it") from None
    pointless = not any(set(cell) & set(".eE") for cell in cells if cell is not None)
    # NaN and infinity are no whole numbers; from 2**53 on floats skip some.
    whole = pointless and values.hasnans and (values.dropna() % 1 == 0).all() and values.abs().max() < 2**53
    return values.astype("Int64") if whole else values


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: expected a CSV file, got none to read ({error.strerror}); check the path") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path}: expected UTF-8, got UTF-16; save it as CSV UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}: expected UTF-8, got other bytes in line {line}; save it as CSV UTF-8") from None
    if "\0" in text:
        raise ValueError(
            f"{path}: expected text, got a NUL byte in line {text[: text.index(chr(0))].count(chr(10)) + 1}"
        )
    if not text.strip():
        raise ValueError(f"{path}: expected a header and rows, got an empty file; check the path")
    return text


def _rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Line numbers and cells of the header and of every row, all of one length."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(
            f"{path}: expected cells and quotes that close, got {error} in line {reader.line_num}"
        ) from None
    header = rows[0][1]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ValueError(f"{path}: expected commas between cells, got {header[0]!r}; save it with commas")
    if not all(name.strip() for name in header):
        raise ValueError(f"{path}: expected a name for every column, got {header}; name them in the first line")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ValueError(f"{path}: expected each name once, got {repeated} more than once; rename or drop them")
    if len(rows) < 2:
        raise ValueError(f"{path}: expected rows below the header, got none; check the file")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(
                f"{path}: expected {len(header)} cells, got {len(row)} in line {number}; correct that line"
            )
    return rows


def _check_text(path: Path, name: str, column: pd.Series, lines: list[int]) -> None:
    """Refuse text that is mostly numbers: one odd cell would turn a measurement into hundreds of categories."""
    observed = column.dropna().astype(str)
    numbers = pd.Series(pd.to_numeric(observed, errors="coerce"), index=observed.index).notna()
    if not len(observed) or numbers.mean() < 0.5:
        return
    if numbers.all():
        raise ValueError(f"{path}, column {name!r}: expected numbers that a float holds, got larger ones; correct them")
    first = int(observed.index[int(numbers.to_numpy().argmin())])
    raise ValueError(
        f"{path}, column {name!r}: expected numbers only, got {observed[first]!r} in line {lines[first]}; correct it, "
        "or leave the cell empty"
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
