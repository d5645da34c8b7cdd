"""Rows with given values in some columns, or within given ranges: exact, by importance or by rejection.

What is drawn exactly comes from the fitted model's own conditional distribution: its empirical margins end at the
smallest and the greatest training value, and so do the conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxcop import _checks, margins
from jaxcop.copulas.conditional import Condition
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers._given import Drawn

Given = Mapping[int, float | tuple[float, float]]
# Proposals of a rejection before it gives up.
MAX_PROPOSALS = 2_000_000
BATCH = 20_000
# Fewer independent rows than this share of those returned is worth a word.
LEAST_EFFECTIVE = 0.5


class Report(NamedTuple):
    """How rows were drawn.

    ``method`` is ``exact``, ``importance`` (resampled draws, ``effective_size`` of them independent) or ``rejection``.
    ``acceptance`` is the share of proposals kept, for importance the effective share. ``warning`` is empty, or says
    what is doubtful about the rows.
    """

    method: str
    num_rows: int
    acceptance: float
    effective_size: float
    warning: str = ""


def num_columns(synthesizer: Synthesizer, fitted: Any) -> int:
    """Columns of the rows that a fitted synthesizer draws."""
    return jax.eval_shape(lambda fitted: synthesizer.sample(jax.random.key(0), fitted, 1), fitted).shape[-1]


def training_range(fitted: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The smallest and greatest training value of every column where ``fitted`` keeps them, else None."""
    for name in ("margins", "scaling"):
        margin = getattr(fitted, name, None)
        if isinstance(margin, margins.Params):
            ordered, count = np.asarray(margin.sorted), int(margin.count)
            return ordered[0], ordered[count - 1]
    if hasattr(fitted, "x") and hasattr(fitted, "mask"):
        x = np.asarray(fitted.x)[np.asarray(fitted.mask)]
        return x.min(axis=0), x.max(axis=0)
    return None


def condition_of(synthesizer: Synthesizer, fitted: Any, given: Given, names: Sequence[str] | None = None) -> Condition:
    """The bounds per column that ``given`` means; raises ValueError as :func:`sample_given` does, with ``names``."""
    dim, limits = num_columns(synthesizer, fitted), training_range(fitted)
    low, high = np.full(dim, -np.inf), np.full(dim, np.inf)
    if not given:
        raise ValueError("given: expected at least one column, got none; draw with sample instead")
    for j, wanted in given.items():
        if isinstance(j, bool) or not isinstance(j, int | np.integer) or not 0 <= j < dim:
            raise ValueError(f"given: expected columns 0 to {dim - 1}, got {j!r}; count from 0")
        name = f"{j}" if names is None else repr(names[j])
        a, b = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        if not a <= b or (a == b and not np.isfinite(a)):
            raise ValueError(
                f"given: expected a number or (low, high) with low < high, got {wanted!r} for column {name}"
            )
        # To the precision of the training rows, or the smallest of them may be above itself.
        a, b = (float(np.asarray(end, limits[0].dtype)) if limits else float(end) for end in (a, b))
        if limits and (a > limits[1][j] or b < limits[0][j] or (a == b and not limits[0][j] <= a <= limits[1][j])):
            raise ValueError(
                f"given: expected values within the training range {limits[0][j]:.6g} to {limits[1][j]:.6g} of column "
                f"{name}, got {wanted!r}; nothing is known outside it"
            )
        low[j], high[j] = a, b
    if (low == high).all():
        raise ValueError("given: expected a column that is left to draw, got values for all; leave one out")
    dtype = limits[0].dtype if limits else jnp.zeros(()).dtype
    return Condition(jnp.asarray(low, dtype), jnp.asarray(high, dtype))


def unattainable(count: int, num_rows: int, acceptance: float) -> ValueError:
    """The error of a condition that gave too few rows."""
    return ValueError(
        f"given: expected a combination that the model draws, got {count} of {num_rows} rows at an acceptance of "
        f"{acceptance:.2g}; widen the ranges or give fewer columns"
    )


def rejection(draw: Callable, keep: Callable, num_rows: int, join: Callable) -> tuple[Any, Report]:
    """The first ``num_rows`` of the batches ``draw(i)`` of ``BATCH`` rows that ``keep(batch)`` is true of.

    ``keep`` gives a boolean for each row, ``join`` makes one table of a list of (batch, numbers of rows). Raises
    ValueError after ``MAX_PROPOSALS`` rows.
    """
    parts, count, proposed = [], 0, 0
    while count < num_rows and proposed < MAX_PROPOSALS:
        batch = draw(proposed // BATCH)
        kept = np.flatnonzero(keep(batch))
        proposed += len(batch)
        if len(kept):
            # What is not kept does not stay in memory.
            rows = join([(batch, kept[: num_rows - count])])
            parts.append((rows, np.arange(len(rows))))
        count += len(kept)
    acceptance = count / proposed
    if count < num_rows:
        raise unattainable(count, num_rows, acceptance)
    return join(parts), Report("rejection", num_rows, acceptance, float(num_rows))


def method_of(synthesizer: Synthesizer, fitted: Any) -> str:
    """How :func:`sample_given` draws: ``exact``, ``importance`` or ``rejection``."""
    if synthesizer.given is None:
        return "rejection"
    return "importance" if hasattr(fitted, "trained") else "exact"


def report_of(drawn: Drawn, method: str) -> Report:
    """The report of rows that a synthesizer drew by its own form; raises ValueError where rows are missing."""
    num_rows, count = len(drawn.filled), int(drawn.filled.sum())
    acceptance, effective = float(drawn.acceptance), float(drawn.effective_size)
    if count < num_rows:
        raise unattainable(count, num_rows, acceptance)
    warning = ""
    if effective < LEAST_EFFECTIVE * num_rows:
        warning = (
            f"the {num_rows} rows are worth {effective:.0f} independent ones, as few of the model's own draws come "
            "near the condition; give fewer columns or wider ranges"
        )
    return Report(method, num_rows, acceptance, effective, warning)


def sample_given(
    key: Key[Array, ""], synthesizer: Synthesizer, fitted: Any, given: Given, num_rows: int
) -> tuple[Float[np.ndarray, "n d"], Report]:
    """``num_rows`` rows of a fitted synthesizer whose columns have the values, or lie in the ranges, of ``given``.

    ``given`` maps a column number to a value or to ``(low, high)``, either of which may be infinite. Copulas (Gaussian,
    t, Gaussian mixture, Clayton) and the controls are exact: a value that training rows share has the probability that
    the margins give it, one between two training values is conditioned on as a density. The bootstrap knows no values
    but its rows. A VAE is resampled by importance. Other synthesizers are drawn from until enough rows lie in the
    ranges, and take no values.

    Raises:
        ValueError: a column that does not exist, an empty range, a value outside the training range, values for all
            columns, values for a synthesizer without a conditional form, or a combination that gives too few rows.

    >>> from jaxcop import synthesizers
    >>> rng = np.random.default_rng(0)
    >>> x = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=200)
    >>> generator = synthesizers.copula("gaussian", method="itau")
    >>> fitted = jax.jit(generator.fit)(jax.random.key(0), x, np.ones(200, bool), ())
    >>> rows, report = sample_given(jax.random.key(1), generator, fitted, {0: 1.5}, 500)
    >>> set(rows[:, 0].tolist()), bool(abs(rows[:, 1].mean() - 1.35) < 0.15), report.method
    ({1.5}, True, 'exact')
    """
    _checks.whole(num_rows, "num_rows")
    condition = condition_of(synthesizer, fitted, given)
    method = method_of(synthesizer, fitted)
    if synthesizer.given is not None:
        drawn = jax.jit(synthesizer.given, static_argnums=3)(key, fitted, condition, num_rows)
        return np.asarray(drawn.rows), report_of(drawn, method)
    low, high = (np.asarray(end) for end in condition)
    if (low == high).any():
        columns = np.flatnonzero(low == high).tolist()
        raise ValueError(f"given: expected ranges for this synthesizer, got values in columns {columns}; widen them")
    sample = jax.jit(synthesizer.sample, static_argnums=2)
    return rejection(
        lambda i: np.asarray(sample(jax.random.fold_in(key, i), fitted, BATCH)),
        lambda rows: ((rows >= low) & (rows <= high)).all(axis=1),
        num_rows,
        lambda parts: np.concatenate([rows[kept] for rows, kept in parts]),
    )
