"""Data frames in, arrays and splits out; the only part of the package that knows pandas."""

from jaxcop.tables.conditions import array_bounds, meets
from jaxcop.tables.csv_files import check_formulas, read_csv, write_csv
from jaxcop.tables.encoding import array_columns, decode, dequantise, encode
from jaxcop.tables.frames import aligned_tables, concatenate, numeric_table
from jaxcop.tables.leaks import leaked_rows, near_duplicates
from jaxcop.tables.schema import Column, Schema, infer_schema
from jaxcop.tables.schema_files import read_schema, write_schema
from jaxcop.tables.splits import (
    Split,
    content_identity,
    group_split,
    leaked_share,
    leave_one_group_out,
    load_splits,
    row_split,
    save_splits,
    temporal_split,
)

__all__ = [
    "Column",
    "Schema",
    "Split",
    "aligned_tables",
    "array_bounds",
    "array_columns",
    "check_formulas",
    "concatenate",
    "content_identity",
    "decode",
    "dequantise",
    "encode",
    "group_split",
    "infer_schema",
    "leaked_rows",
    "leaked_share",
    "leave_one_group_out",
    "load_splits",
    "meets",
    "near_duplicates",
    "numeric_table",
    "read_csv",
    "read_schema",
    "row_split",
    "save_splits",
    "temporal_split",
    "write_csv",
    "write_schema",
]
