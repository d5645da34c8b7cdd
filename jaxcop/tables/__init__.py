"""Data frames in, arrays and splits out; the only part of the package that knows pandas."""

from jaxcop.tables import blasting, harmonise
from jaxcop.tables.checks import violations
from jaxcop.tables.conditions import array_bounds, meets
from jaxcop.tables.constraints import Combinations, Custom, Order, Predicate, Ratio, Sum, constraint
from jaxcop.tables.csv_files import check_formulas, read_csv, read_sample, write_csv
from jaxcop.tables.decoding import decode
from jaxcop.tables.encoding import array_columns, array_levels, dequantise, encode, nominal_columns
from jaxcop.tables.frames import aligned_tables, concatenate, numeric_table
from jaxcop.tables.inference import infer_schema
from jaxcop.tables.leaks import leaked_rows, near_duplicates
from jaxcop.tables.schema import Column, Schema
from jaxcop.tables.schema_files import read_schema, write_schema
from jaxcop.tables.sources import join_sources
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
    "Combinations",
    "Custom",
    "Order",
    "Predicate",
    "Ratio",
    "Schema",
    "Split",
    "Sum",
    "aligned_tables",
    "array_bounds",
    "array_columns",
    "array_levels",
    "blasting",
    "check_formulas",
    "concatenate",
    "constraint",
    "content_identity",
    "decode",
    "dequantise",
    "encode",
    "group_split",
    "harmonise",
    "infer_schema",
    "join_sources",
    "leaked_rows",
    "leaked_share",
    "leave_one_group_out",
    "load_splits",
    "meets",
    "near_duplicates",
    "nominal_columns",
    "numeric_table",
    "read_csv",
    "read_sample",
    "read_schema",
    "row_split",
    "save_splits",
    "temporal_split",
    "violations",
    "write_csv",
    "write_schema",
]
