"""Data frames in, arrays and splits out; the only part of the package that knows pandas."""

from jaxcop.tables.frames import aligned_tables, numeric_table
from jaxcop.tables.leaks import leaked_rows, near_duplicates
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
    "Split",
    "aligned_tables",
    "content_identity",
    "group_split",
    "leaked_rows",
    "leaked_share",
    "leave_one_group_out",
    "load_splits",
    "near_duplicates",
    "numeric_table",
    "row_split",
    "save_splits",
    "temporal_split",
]
