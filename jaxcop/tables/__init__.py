"""Data frames in, arrays and splits out; the only part of the package that knows pandas."""

from jaxcop.tables.frames import numeric_table
from jaxcop.tables.splits import Split, content_identity, group_split, leaked_share, load_splits, row_split, save_splits

__all__ = [
    "Split",
    "content_identity",
    "group_split",
    "leaked_share",
    "load_splits",
    "numeric_table",
    "row_split",
    "save_splits",
]
