"""Rows for a purpose: tails, stress scenarios, and a column with a wanted distribution. All by conditional sampling."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxcop import _checks
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.conditional import Report, sample_given
from jaxcop.synthesizers.conditional_tables import pick_rows, sample_table_given
from jaxcop.synthesizers.tables import TableModel


def _values(table, column) -> np.ndarray:
    """The numbers of a column, by name of a data frame or by number of an array, without missing ones."""
    try:
        values = np.asarray(table[:, column] if isinstance(table, np.ndarray) else table[column], np.float64)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"column: expected a column of numbers, got {column!r} ({error}); check the name") from None
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError(f"column: expected numbers in {column!r}, got none; choose another")
    return values


def stress(table, quantiles: Mapping[Hashable, float]) -> dict[Any, tuple[float, float]]:
    """A scenario for ``given``: each column beyond a quantile of ``table``, above 0.5 upwards and below it downwards.

    ``table`` is the training array, with columns by number, or data frame, by name. Raises ValueError for an unknown
    column and a quantile outside (0, 1) or at 0.5.

    >>> stress(np.arange(20.0).reshape(10, 2), {0: 0.9, 1: 0.1})
    {0: (16.2, inf), 1: (-inf, 2.8)}
    """
    given = {}
    for column, quantile in quantiles.items():
        if not 0 < quantile < 1 or quantile == 0.5:
            raise ValueError(f"quantiles: expected numbers in (0, 1) other than 0.5, got {quantile!r} for {column!r}")
        threshold = float(np.quantile(_values(table, column), quantile))
        given[column] = (threshold, np.inf) if quantile > 0.5 else (-np.inf, threshold)
    return given


def tail(table, column: Hashable, share: float = 0.05, *, side: str = "upper") -> dict[Any, tuple[float, float]]:
    """For ``given``: the ``share`` of the greatest (``side="lower"``: smallest) values of one column of ``table``.

    >>> tail(np.arange(20.0).reshape(10, 2), 1, 0.1)
    {1: (17.2, inf)}
    """
    _checks.one_of(side, ("lower", "upper"), "side")
    if not 0 < share < 0.5:
        raise ValueError(f"share: expected a number in (0, 0.5), got {share!r}; 0.05 is usual")
    return stress(table, {column: 1 - share if side == "upper" else share})


class Target(NamedTuple):
    """A wanted distribution of one column: ranges or values, and how many rows each gets."""

    wanted: Sequence[float | tuple[float, float]]
    counts: Sequence[int]


def target(
    num_rows: int,
    *,
    edges: Sequence[float] | None = None,
    shares: Sequence[float] | None = None,
    values: Sequence[float] | None = None,
) -> Target:
    """``num_rows`` dealt out to bins between ``edges`` by their ``shares`` (default: equal), or to ``values`` in turn.

    Counts of bins are rounded so that they add up: those with the largest remainders get one more.

    >>> target(10, edges=[0, 1, 5, 9], shares=[1, 1, 2]).counts
    [3, 2, 5]
    """
    _checks.whole(num_rows, "num_rows")
    if (edges is None) == (values is None) or (values is not None and shares is not None):
        raise ValueError("target: expected edges (and shares), or values, got both or neither; pass one of them")
    if values is not None:
        wanted = np.asarray(values, np.float64)
        if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all():
            raise ValueError("values: expected finite numbers, got none or others; pass a sample of the column")
        distinct, counts = np.unique(np.resize(wanted, num_rows), return_counts=True)
        return Target(distinct.tolist(), counts.tolist())
    ends = np.asarray(edges, np.float64)
    if ends.ndim != 1 or len(ends) < 2 or not (np.diff(ends) > 0).all():
        raise ValueError(f"edges: expected at least 2 increasing numbers, got {edges!r}; correct them")
    parts = np.ones(len(ends) - 1) if shares is None else np.asarray(shares, np.float64)
    if parts.shape != (len(ends) - 1,) or not (np.isfinite(parts) & (parts >= 0)).all() or not parts.sum() > 0:
        raise ValueError(f"shares: expected {len(ends) - 1} numbers of at least 0, not all 0, got {shares!r}")
    exact = num_rows * parts / parts.sum()
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: num_rows - counts.sum()]] += 1
    bins = [(float(a), float(b)) for a, b in pairwise(ends)]
    return Target(bins, counts.tolist())


def _collect(key, draw: Callable, plan: Target) -> tuple[list, np.ndarray, list[Report]]:
    """The tables of ``draw(key, wanted, n)`` for every part of the target, and a random order of their rows."""
    # One number of rows for all parts, so that one program draws them.
    most = max(plan.counts)
    used = [(i, wanted, n) for i, (wanted, n) in enumerate(zip(plan.wanted, plan.counts, strict=True)) if n]
    drawn = [(draw(jax.random.fold_in(key, i), wanted, most), n) for i, wanted, n in used]
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, len(plan.counts)), sum(plan.counts)))
    return [(rows, n) for (rows, _), n in drawn], order, [report for (_, report), _ in drawn]


def rebalance(
    key: Key[Array, ""], synthesizer: Synthesizer, fitted: Any, column: int, plan: Target
) -> tuple[np.ndarray, list[Report]]:
    """Rows whose ``column`` follows ``plan``, the others as the model has them given it, in random order.

    Returns the report of every part that has rows. Raises ValueError where :func:`sample_given` does.

    >>> from jaxcop import synthesizers
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> generator = synthesizers.smoothed()
    >>> fitted = generator.fit(jax.random.key(0), x, np.ones(100, bool), generator.hyper)
    >>> rows, _ = rebalance(jax.random.key(1), generator, fitted, 0, target(40, edges=[-2, -1, 0, 1, 2]))
    >>> np.histogram(rows[:, 0], [-2, -1, 0, 1, 2])[0].tolist()
    [10, 10, 10, 10]
    """
    parts, order, reports = _collect(
        key, lambda key, wanted, n: sample_given(key, synthesizer, fitted, {column: wanted}, n), plan
    )
    return np.concatenate([rows[:n] for rows, n in parts])[order], reports


def rebalance_table(key: Key[Array, ""], model: TableModel, column: str, plan: Target):
    """A data frame whose ``column`` follows ``plan``, and the reports of its parts; see :func:`rebalance`."""
    parts, order, reports = _collect(
        key, lambda key, wanted, n: sample_table_given(key, model, n, {column: wanted}), plan
    )
    return pick_rows([(rows, np.arange(n)) for rows, n in parts], order), reports
