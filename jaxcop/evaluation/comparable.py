"""Data frames of real and synthetic rows as arrays of equal columns, with nothing of a later frame in the first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from jaxcop import tables


def comparable(
    frames: Mapping[str, Any], schema: tables.Schema | None = None, target: str | None = None
) -> tuple[list[Float64[np.ndarray, "n d"]], tuple[str, ...], list[str]]:
    """Arrays of the frames, names of their columns, and names of the columns that were left out.

    The first frame has the training rows. A category is its code in ``schema`` (default: that of all rows together), a
    missing cell the lower median of the training rows, and a further column says which were missing. Columns that do
    not vary in the training rows are left out; bounds are not asked for, since rows out of bounds are for the scores to
    find. Raises ValueError, naming the frame, for other columns, values that the schema does not have, and a
    ``target`` that is no column of numbers that vary.

    >>> import pandas as pd
    >>> train, rows = pd.DataFrame({"x": [1.0, 2.0], "crew": [4, 4]}), pd.DataFrame({"x": [3.0, None], "crew": [4, 4]})
    >>> arrays, names, dropped = comparable({"train": train, "rows": rows})
    >>> arrays[1].tolist(), names, dropped
    ([[3.0], [1.0]], ('x',), ['crew', 'x missing'])
    """
    first, *_ = names = list(frames)
    train = frames[first]
    wanted = list(train.columns)
    for name, frame in frames.items():
        if set(frame.columns) != set(wanted):
            raise ValueError(f"{name}: expected the columns {wanted}, got {list(frame.columns)}; give all the same")
    found = tables.infer_schema(tables.concatenate(frames.values())) if schema is None else schema
    found = replace(found, columns=tuple(replace(column, lower=None, upper=None) for column in found.columns))
    numeric = [c.name for c in found.columns if c.kind in ("continuous", "integer", "boolean")]
    if target is not None and target not in numeric:
        raise ValueError(f"target: expected a column of numbers that vary, got {target!r}; choose among {numeric}")
    # A missing cell is the training rows' median in every table: the same number, and no test row has a say in it.
    arrays, columns = [], tables.array_columns(found)
    for name in names:
        try:
            arrays.append(tables.encode(frames[name], found, reference=train))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    varies = arrays[0].min(axis=0) < arrays[0].max(axis=0)
    kept = [name for name, keep in zip(columns, varies, strict=True) if keep]
    if not kept or (target is not None and target not in kept):
        raise ValueError(f"{first}: expected {target or 'columns'} to vary, got a constant; check the file")
    constant = [column.name for column in found.columns if column.kind == "constant"]
    dropped = [*constant, *(name for name in columns if name not in kept)]
    return [array[:, varies] for array in arrays], tuple(kept), dropped
