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
from jaxcop.tables import Schema, concatenate, decode, dequantise, encode
from jaxcop.vae import Config

# Rows for each component of a mixture: a component on a handful of rows is a copy of them with some noise.
ROWS_PER_COMPONENT = 10
DEFAULT = "gaussian_mixture_copula"
CHUNK = 20_000
"""Rows that ``sample_table`` draws at once."""


def _vae(prior: str, schedule: str, rows: int) -> Synthesizer:
    components = min(10, max(1, rows // ROWS_PER_COMPONENT))
    return vae(Config(prior=prior, schedule=schedule, num_components=components, batch_size=min(64, rows)))


# By the number of training rows, which with the name is all that is needed to build a synthesizer again.
NAMED = {
    DEFAULT: lambda rows: gaussian_mixture_copula(min(20, max(1, rows // ROWS_PER_COMPONENT))),
    "copula_gaussian": lambda rows: copula("gaussian"),
    "copula_student_t": lambda rows: copula("student_t"),
    "vae": lambda rows: _vae("normal", "constant", rows),
    "vae_gmm": lambda rows: _vae("gmm", "linear", rows),
    "smoothed": lambda rows: smoothed(),
    "independent": lambda rows: independent(),
    "bootstrap": lambda rows: bootstrap(),
}


class TableModel(NamedTuple):
    """What ``fit_table`` learned; ``jaxcop.checkpoint`` keeps it in a file."""

    schema: Schema
    synthesizer: str
    num_rows: int
    fitted: Any


def fit_table(
    key: Key[Array, ""], frame, schema: Schema, synthesizer: str = DEFAULT, *, hyper: Any = None
) -> TableModel:
    """Learn a data frame with the synthesizer of that name in ``NAMED``, in jax's default precision.

    ``hyper`` are its numbers (None: its own). Codes and rounded numbers are dequantised; which values are missing is
    learned beside them. Raises ValueError where ``encode`` does, for an unknown name, and where the synthesizer refuses
    the table: fewer than 2 columns that vary, too few rows, numbers that the precision cannot tell apart.

    >>> import pandas as pd
    >>> from jaxcop.tables import infer_schema
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"site": rng.choice(["p", "q"], 50), "x": rng.normal(size=50).round(1)})
    >>> model = fit_table(jax.random.key(0), frame, infer_schema(frame), "smoothed")
    >>> rows = sample_table(jax.random.key(1), model, 200)
    >>> sorted(set(rows["site"])), bool((rows["x"].round(1) == rows["x"]).all())
    (['p', 'q'], True)
    """
    key_cells, key_fit = jax.random.split(key)
    x, model = untrained(key_cells, frame, schema, synthesizer)
    built = built_for(model)
    hyper = built.hyper if hyper is None else hyper
    built.check(x, hyper)
    return model._replace(fitted=jax.jit(built.fit)(key_fit, *padded(x), hyper))


def untrained(key: Key[Array, ""], frame, schema: Schema, synthesizer: str) -> tuple[np.ndarray, TableModel]:
    """The numbers [n, d] that ``fit_table`` learns, and its model with nothing learned yet (``fitted`` is None)."""
    _checks.one_of(synthesizer, NAMED, "synthesizer")
    x = dequantise(key, encode(frame, schema), schema)
    with np.errstate(over="ignore"):
        x = x.astype(jnp.zeros(()).dtype)
    if not np.isfinite(x).all():
        raise ValueError(
            f"frame: expected numbers that {x.dtype} holds, got larger ones; change units or enable 64 bits"
        )
    if x.shape[1] < 2:
        raise ValueError(f"frame: expected at least 2 columns that vary, got {x.shape[1]}; one has no dependence")
    return x, TableModel(schema, synthesizer, len(x), None)


def built_for(model: TableModel) -> Synthesizer:
    """The synthesizer that a model was, or is to be, fitted by."""
    return NAMED[_checks.one_of(model.synthesizer, NAMED, "model")](model.num_rows)


def padded(x: np.ndarray) -> tuple[Array, Array]:
    """The rows and their mask, filled up to the next of a few lengths, so that tables of about a size share programs.

    Lengths are in steps of an eighth to a quarter: 256, 320, 384, 448, 512, 640, ...
    """
    step = 2 ** max(3, len(x).bit_length() - 3)
    length = -(-len(x) // step) * step
    return jnp.asarray(np.concatenate([x, np.repeat(x[:1], length - len(x), axis=0)])), jnp.arange(length) < len(x)


def sample_chunks(key: Key[Array, ""], model: TableModel, num_rows: int) -> Iterator:
    """Data frames of up to ``CHUNK`` rows, ``num_rows`` together, so that no more need to be in memory."""
    _checks.whole(num_rows, "num_rows")
    size = min(num_rows, CHUNK)
    draw = jax.jit(built_for(model).sample, static_argnums=2)
    for number, start in enumerate(range(0, num_rows, size)):
        rows = np.asarray(draw(jax.random.fold_in(key, number), model.fitted, size))[: num_rows - start]
        if not np.isfinite(rows).all():
            raise ValueError("model: expected rows of finite numbers, got NaN or infinity; its training failed")
        yield decode(rows, model.schema)


def sample_table(key: Key[Array, ""], model: TableModel, num_rows: int):
    """``num_rows`` synthetic rows as a data frame with the dtypes, decimals, bounds and order of the training table."""
    return concatenate(sample_chunks(key, model, num_rows))
