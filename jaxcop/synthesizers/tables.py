"""Synthesizers of whole data frames: a schema, a synthesizer by name, and what it learned, as one value to keep."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from jaxcop.tables import (
    Schema,
    array_levels,
    bijections,
    checks,
    concatenate,
    decode,
    dequantise,
    encode,
    nominal_columns,
)
from jaxcop.vae import Config

# Rows for each component of a mixture: a component on a handful of rows is a copy of them with some noise.
ROWS_PER_COMPONENT = 10
DEFAULT = "gaussian_mixture_copula"
CHUNK = 20_000
"""Rows that ``sample_table`` draws at once."""
# With constraints, as some rows may be rejected: at least so many at once, and no fewer than so many kept of many.
LEAST_DRAWN, LEAST_RATE, MANY = 1000, 0.01, 100_000
RETRAIN_BELOW = 0.5
"""A model of which a smaller share of rows keeps the constraints should be fitted anew, or another one be tried."""


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
"""Synthesizers by name, as functions of the number of training rows and the columns of codes: with these a synthesizer
can be built again."""
TAKES_CODES = ("copula_gaussian", "vae", "vae_gmm")
"""Synthesizers that model categories as such; for the others codes are spread over their cells."""


@dataclass
class Acceptance:
    """How many rows were drawn, and how many of them kept the constraints; ``sample_chunks`` adds to it."""

    proposed: int = 0
    accepted: int = 0

    @property
    def rate(self) -> float:
        """Share of the rows that kept the constraints; 1 before the first row."""
        return self.accepted / self.proposed if self.proposed else 1.0

    @property
    def retrain(self) -> bool:
        """Whether more than half of the rows were rejected."""
        return self.rate < RETRAIN_BELOW


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


def fit_table(
    key: Key[Array, ""], frame, schema: Schema, synthesizer: str = DEFAULT, *, hyper: Any = None
) -> TableModel:
    """Learn a data frame with the synthesizer of that name in ``NAMED``, in jax's default precision.

    ``hyper`` are its numbers (None: its own). Rounded numbers are dequantised, and so are codes where the synthesizer
    is none of ``TAKES_CODES``; which values are missing is learned beside them. What is learned are the columns of
    ``bijections.plan(schema).free``, from which every row keeps those constraints that have a bijection.

    Raises ValueError where ``encode`` does, for rows that break a constraint, for an unknown name, and where the
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
    key_cells, key_fit = jax.random.split(key)
    x, model = untrained(key_cells, frame, schema, synthesizer)
    built = built_for(model)
    hyper = built.hyper if hyper is None else hyper
    built.check(x, hyper)
    return model._replace(fitted=jax.jit(built.fit)(key_fit, *padded(x), hyper))


def untrained(key: Key[Array, ""], frame, schema: Schema, synthesizer: str) -> tuple[np.ndarray, TableModel]:
    """The numbers [n, d] that ``fit_table`` learns, and its model with nothing learned yet (``fitted`` is None)."""
    _checks.one_of(synthesizer, NAMED, "synthesizer")
    schema = constrained(frame, schema)
    free = bijections.plan(schema).free
    x = encode(bijections.to_free(frame, schema), free)
    kinds = _kinds(x, free, synthesizer)
    x = dequantise(key, x, free)
    x = np.where(np.array(kinds.levels or 0) > 0, np.rint(x), x)
    with np.errstate(over="ignore"):
        x = x.astype(jnp.zeros(()).dtype)
    if not np.isfinite(x).all():
        raise ValueError(
            f"frame: expected numbers that {x.dtype} holds, got larger ones; change units or enable 64 bits"
        )
    if x.shape[1] < 2:
        raise ValueError(f"frame: expected at least 2 columns that vary, got {x.shape[1]}; one has no dependence")
    return x, TableModel(schema, synthesizer, len(x), None, kinds)


def built_for(model: TableModel) -> Synthesizer:
    """The synthesizer that a model was, or is to be, fitted by."""
    return NAMED[_checks.one_of(model.synthesizer, NAMED, "model")](model.num_rows, model.kinds)


def padded(x: np.ndarray) -> tuple[Array, Array]:
    """The rows and their mask, filled up to the next of a few lengths, so that tables of about a size share programs.

    Lengths are in steps of an eighth to a quarter: 256, 320, 384, 448, 512, 640, ...
    """
    step = 2 ** max(3, len(x).bit_length() - 3)
    length = -(-len(x) // step) * step
    return jnp.asarray(np.concatenate([x, np.repeat(x[:1], length - len(x), axis=0)])), jnp.arange(length) < len(x)


def constrained(frame, schema: Schema) -> Schema:
    """``schema`` with the combinations that ``frame`` has; raises ValueError where a row does not fit or breaks it."""
    if not schema.constraints:
        return schema
    encode(frame, schema)
    schema = bijections.complete(schema, frame)
    checks.check_rows(frame, schema)
    return schema


def sample_chunks(
    key: Key[Array, ""], model: TableModel, num_rows: int, *, report: Acceptance | None = None
) -> Iterator:
    """Data frames of up to ``CHUNK`` rows, ``num_rows`` together, so that no more need to be in memory.

    Every row keeps the bounds and constraints of the schema; rows that do not are drawn anew and counted in ``report``.
    Raises ValueError where less than 1 % of 100,000 rows do.
    """
    _checks.whole(num_rows, "num_rows")
    least = LEAST_DRAWN if model.schema.constraints else 1
    size = min(max(num_rows, least), CHUNK)
    draw = jax.jit(built_for(model).sample, static_argnums=2)
    report = Acceptance() if report is None else report
    here, given, number = Acceptance(), 0, 0
    while given < num_rows:
        drawn, keep = decoded(draw(jax.random.fold_in(key, number), model.fitted, size), model.schema)
        for count in (here, report):
            count.proposed, count.accepted = count.proposed + size, count.accepted + int(keep.sum())
        if here.proposed >= MANY and here.rate < LEAST_RATE:
            broken = checks.violations(drawn, model.schema)
            worst = max(broken, key=lambda name: broken[name])
            raise ValueError(
                f"model: expected at least {LEAST_RATE:.0%} of the rows to keep the constraints, got {here.accepted} "
                f"of {here.proposed}, most break {worst!r}; fit another synthesizer, or loosen it"
            )
        frame = (drawn if keep.all() else drawn[keep].reset_index(drop=True))[: num_rows - given]
        given, number = given + len(frame), number + 1
        if len(frame):
            yield frame


def decoded(rows, schema: Schema):
    """Drawn ``rows`` of the columns that were learned as a data frame, and which of its rows keep all constraints."""
    rows, free = np.asarray(rows), bijections.plan(schema).free
    if not np.isfinite(rows).all():
        raise ValueError("model: expected rows of finite numbers, got NaN or infinity; its training failed")
    frame, keep = bijections.restore(decode(rows, free), schema)
    if schema.constraints:
        keep = np.all([keep, *checks.kept(frame, schema).values()], axis=0)
    return frame, keep


def sample_table(key: Key[Array, ""], model: TableModel, num_rows: int, *, report: Acceptance | None = None):
    """``num_rows`` synthetic rows as a data frame with the dtypes, decimals, bounds and order of the training table."""
    return concatenate(sample_chunks(key, model, num_rows, report=report))
