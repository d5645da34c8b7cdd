"""The lines of a CSV file in a stream, each checked: encoding, quotes, length; no more than one is in memory."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of the header and of every row, all of one length; nothing stays in memory."""
    header = None
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(path, file), strict=True)
            for row in reader:
                if not row or not (len(row) > 1 or row[0].strip()):
                    continue
                if header is None:
                    header = row
                    _check_header(path, header)
                elif len(row) != len(header):
                    raise ValueError(
                        f"{path}: expected {len(header)} cells, got {len(row)} in line {reader.line_num}; correct that "
                        "line"
                    )
                yield reader.line_num, row
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: expected UTF-8, got other bytes in line {_undecodable(path)}; save it as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise ValueError(
            f"{path}: expected cells and quotes that close, got {error} in line {reader.line_num}; correct that line"
        ) from None
    except OSError as error:
        raise ValueError(f"{path}: expected a CSV file, got none to read ({error.strerror}); check the path") from None


def header_and_total(path: Path) -> tuple[list[str], int]:
    """The header, and how many rows are below it, once every line has been seen."""
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a pipe or device"
            raise ValueError(f"{path}: expected a CSV file, got {kind}; check the path")
        with open(path, "rb") as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise ValueError(f"{path}: expected UTF-8, got UTF-16; save it as CSV UTF-8")
    except OSError as error:
        raise ValueError(f"{path}: expected a CSV file, got none to read ({error.strerror}); check the path") from None
    rows = rows_of(path)
    _, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{path}: expected a header and rows, got an empty file; check the path")
    total = sum(1 for _ in rows)
    if not total:
        raise ValueError(f"{path}: expected rows below the header, got none; check the file")
    return header, total


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise ValueError(f"{path}: expected text, got a NUL byte in line {number}; save it as CSV UTF-8")
        yield line


def _undecodable(path: Path) -> int:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ValueError(f"{path}: expected commas between cells, got {header[0]!r}; save it with commas")
    if not all(name.strip() for name in header):
        raise ValueError(f"{path}: expected a name for every column, got {header}; name them in the first line")
    repeated = sorted(name for name, count in Counter(header).items() if count > 1)
    if repeated:
        raise ValueError(f"{path}: expected each name once, got {repeated} more than once; rename or drop them")
