"""Data frames whose rows have given categories, values or ranges, drawn from a model of ``fit_table``."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxcop import _checks
from jaxcop.synthesizers.conditional import (
    BATCH,
    Report,
    condition_of,
    method_of,
    rejection,
    report_of,
    unattainable,
)
from jaxcop.synthesizers.tables import CHUNK, NAMED, TableModel, sample_table
from jaxcop.tables import array_bounds, array_columns, concatenate, decode, meets
from jaxcop.tables.conditions import Wanted

# Rounds of a chunk each without a row that meets the condition, before it counts as impossible.
MAX_EMPTY = 3


def pick_rows(parts: list, order=None):
    """One data frame of the rows ``kept`` of each ``(frame, kept)``, in that order or in ``order``."""
    frame = concatenate([frame.iloc[kept] for frame, kept in parts])
    return frame if order is None else concatenate([frame.iloc[order]])


def sample_table_given(key: Key[Array, ""], model: TableModel, num_rows: int, given: Mapping[str, Wanted]):
    """``num_rows`` synthetic rows that all meet ``given``, and the report of how they were drawn.

    ``given`` maps names to a category, a number, ``(low, high)`` with either infinite, or None for a missing value. A
    category or rounded number is the cell of the model that decodes to it; each row is checked after decoding. Where
    the model has no bounds for what is given, or its synthesizer no conditional form, rows are drawn until enough of
    them meet it. ``report.warning`` is not empty where the rows are worth much fewer independent ones.

    Raises:
        ValueError: an unknown column, an empty range, a value outside the bounds of the schema or the range of the
            training table, not a category or not on the grid, or a combination that gives too few rows.

    >>> import pandas as pd
    >>> from jaxcop.synthesizers import fit_table
    >>> from jaxcop.tables import infer_schema
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"site": rng.choice(["p", "q"], 60), "x": rng.normal(size=60).round(1)})
    >>> model = fit_table(jax.random.key(0), frame, infer_schema(frame), "smoothed")
    >>> rows, report = sample_table_given(jax.random.key(1), model, 50, {"site": "q", "x": (0.0, 0.5)})
    >>> set(rows["site"]), bool(rows["x"].between(0, 0.5).all()), report.method
    ({'q'}, True, 'exact')
    """
    _checks.whole(num_rows, "num_rows")
    if not given:
        raise ValueError("given: expected at least one column, got none; use sample_table")
    # Whatever the synthesizer takes beside the number of rows stands last in the model.
    built = NAMED[_checks.one_of(model.synthesizer, NAMED, "model")](model.num_rows, model.kinds)
    bounds = array_bounds(model.schema, given)
    if bounds is None or built.given is None:
        return _reject(key, model, num_rows, given)
    names = array_columns(model.schema)
    if not bounds:
        # Constants alone: every row meets them.
        return sample_table(key, model, num_rows), Report("exact", num_rows, 1.0, float(num_rows))
    condition = condition_of(built, model.fitted, {names.index(name): ends for name, ends in bounds.items()}, names)
    draw, size = jax.jit(built.given, static_argnums=3), min(num_rows, CHUNK)
    parts, reports, count, empty = [], [], 0, 0
    while count < num_rows and empty < MAX_EMPTY:
        drawn = draw(jax.random.fold_in(key, len(parts)), model.fitted, condition, size)
        reports.append(report_of(drawn, method_of(built, model.fitted)))
        frame = decode(np.asarray(drawn.rows), model.schema)
        kept = np.flatnonzero(meets(frame, given))
        empty = 0 if len(kept) else empty + 1
        parts.append((frame, kept[: num_rows - count]))
        count += len(kept)
    proposed = size * len(parts)
    acceptance = float(np.mean([report.acceptance for report in reports])) * count / proposed
    if count < num_rows:
        raise unattainable(count, num_rows, acceptance)
    effective = sum(report.effective_size for report in reports) * num_rows / proposed
    return pick_rows(parts), Report(reports[0].method, num_rows, acceptance, effective, reports[0].warning)


def _reject(key, model: TableModel, num_rows: int, given: Mapping[str, Wanted]):
    for column in model.schema.columns:
        wanted, numeric = given.get(column.name), column.kind == "continuous"
        if numeric and isinstance(wanted, int | float) and column.decimals is None and column.increment is None:
            raise ValueError(
                f"column {column.name!r}: expected a range for {model.synthesizer} under this schema, got {wanted!r}; "
                "no two of its draws are equal"
            )
    return rejection(
        lambda i: sample_table(jax.random.fold_in(key, i), model, BATCH),
        lambda frame: meets(frame, given),
        num_rows,
        pick_rows,
    )
