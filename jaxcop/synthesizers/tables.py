"""Synthesizers of whole data frames: a schema, a synthesizer by name, and what it learned, as one value to keep."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxcop import _checks
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.controls import bootstrap, independent, smoothed
from jaxcop.synthesizers.copula import copula, gaussian_mixture_copula
from jaxcop.synthesizers.vae import vae
from jaxcop.tables import Schema, array_levels, concatenate, decode, dequantise, encode, nominal_columns
from jaxcop.vae import Config

# Rows for each component of a mixture: a component on a handful of rows is a copy of them with some noise.
ROWS_PER_COMPONENT = 10
DEFAULT = "gaussian_mixture_copula"
CHUNK = 20_000
"""Rows that ``sample_table`` draws at once."""


class Kinds(NamedTuple):
    """Columns that a synthesizer takes as codes: ``levels`` and ``nominal`` as in ``synthesizers.copula``."""

    levels: tuple[int, ...] = ()
    nominal: tuple[int, ...] = ()


NUMBERS = Kinds()


def _vae(prior: str, schedule: str, rows: int, kinds: Kinds) -> Synthesizer:
    components = min(10, max(1, rows // ROWS_PER_COMPONENT))
    batch_size = min(64, rows)
    return vae(
        Config(prior=prior, schedule=schedule, num_components=components, batch_size=batch_size, levels=kinds.levels)
    )


# By the number of training rows and the columns of codes, which with the name is all that is needed to build a
# synthesizer again.
NAMED = {
    DEFAULT: lambda rows, kinds=NUMBERS: gaussian_mixture_copula(min(20, max(1, rows // ROWS_PER_COMPONENT))),
    "copula_gaussian": lambda rows, kinds=NUMBERS: copula("gaussian", levels=kinds.levels, nominal=kinds.nominal),
    "copula_student_t": lambda rows, kinds=NUMBERS: copula("student_t"),
    "vae": lambda rows, kinds=NUMBERS: _vae("normal", "constant", rows, kinds),
    "vae_gmm": lambda rows, kinds=NUMBERS: _vae("gmm", "linear", rows, kinds),
    "smoothed": lambda rows, kinds=NUMBERS: smoothed(),
    "independent": lambda rows, kinds=NUMBERS: independent(),
    "bootstrap": lambda rows, kinds=NUMBERS: bootstrap(),
}
TAKES_CODES = ("copula_gaussian", "vae", "vae_gmm")
"""Synthesizers that model categories as such; for the others codes are spread over their cells."""


class TableModel(NamedTuple):
    """What ``fit_table`` learned; ``jaxcop.checkpoint`` keeps it in a file."""

    schema: Schema
    synthesizer: str
    num_rows: int
    fitted: Any
    kinds: Kinds = NUMBERS


def _kinds(x: np.ndarray, schema: Schema, synthesizer: str) -> Kinds:
    """Columns of codes that vary; one that does not is a number whose cell is never left."""
    if synthesizer not in TAKES_CODES:
        return NUMBERS
    varies = x.min(axis=0) < x.max(axis=0)
    levels = tuple(level if vary else 0 for level, vary in zip(array_levels(schema), varies, strict=True))
    return Kinds(levels, tuple(j for j in nominal_columns(schema) if levels[j])) if any(levels) else NUMBERS


def fit_table(key: Key[Array, ""], frame, schema: Schema, synthesizer: str = DEFAULT) -> TableModel:
    """Learn a data frame with the synthesizer of that name in ``NAMED``, in jax's default precision.

    Rounded numbers are dequantised, and so are codes where the synthesizer is none of ``TAKES_CODES``; which values are
    missing is learned beside them. Raises ValueError where ``encode`` does, for an unknown name, and where the
    synthesizer refuses the table: fewer than 2 columns that vary, too few rows, more categories than rows, numbers that
    the precision cannot tell apart.

    >>> import pandas as pd
    >>> from jaxcop.tables import infer_schema
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"site": rng.choice(["p", "q"], 50), "x": rng.normal(size=50).round(1)})
    >>> model = fit_table(jax.random.key(0), frame, infer_schema(frame), "smoothed")
    >>> rows = sample_table(jax.random.key(1), model, 200)
    >>> sorted(set(rows["site"])), bool((rows["x"].round(1) == rows["x"]).all())
    (['p', 'q'], True)
    """
    _checks.one_of(synthesizer, NAMED, "synthesizer")
    key_cells, key_fit = jax.random.split(key)
    encoded = encode(frame, schema)
    kinds = _kinds(encoded, schema, synthesizer)
    x = dequantise(key_cells, encoded, schema)
    x = np.where(np.array(kinds.levels or 0) > 0, np.rint(x), x)
    with np.errstate(over="ignore"):
        x = x.astype(jnp.zeros(()).dtype)
    if not np.isfinite(x).all():
        raise ValueError(
            f"frame: expected numbers that {x.dtype} holds, got larger ones; change units or enable 64 bits"
        )
    if x.shape[1] < 2:
        raise ValueError(f"frame: expected at least 2 columns that vary, got {x.shape[1]}; one has no dependence")
    built = NAMED[synthesizer](len(x), kinds)
    built.check(x, built.hyper)
    fitted = jax.jit(built.fit)(key_fit, jnp.asarray(x), jnp.ones(len(x), bool), built.hyper)
    return TableModel(schema, synthesizer, len(x), fitted, kinds)


def sample_chunks(key: Key[Array, ""], model: TableModel, num_rows: int) -> Iterator:
    """Data frames of up to ``CHUNK`` rows, ``num_rows`` together, so that no more need to be in memory."""
    _checks.whole(num_rows, "num_rows")
    size = min(num_rows, CHUNK)
    built = NAMED[_checks.one_of(model.synthesizer, NAMED, "model")](model.num_rows, model.kinds)
    draw = jax.jit(built.sample, static_argnums=2)
    for number, start in enumerate(range(0, num_rows, size)):
        rows = np.asarray(draw(jax.random.fold_in(key, number), model.fitted, size))[: num_rows - start]
        if not np.isfinite(rows).all():
            raise ValueError("model: expected rows of finite numbers, got NaN or infinity; its training failed")
        yield decode(rows, model.schema)


def sample_table(key: Key[Array, ""], model: TableModel, num_rows: int):
    """``num_rows`` synthetic rows as a data frame with the dtypes, decimals, bounds and order of the training table."""
    return concatenate(sample_chunks(key, model, num_rows))
