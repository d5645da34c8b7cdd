"""Controls: what a generator must beat (``smoothed``, ``independent``) and what it must not be (``bootstrap``)."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop import _checks, margins
from jaxcop._numerics import normal_cdf
from jaxcop.imbalanced import bootstrap as bootstrap_kernel
from jaxcop.synthesizers import _given
from jaxcop.synthesizers._contract import Synthesizer


class Rows(NamedTuple):
    """The training rows themselves; only those where ``mask`` is true are ever drawn."""

    x: Float[Array, "n d"]
    mask: Bool[Array, " n"]


class Smoothing(NamedTuple):
    """``bandwidth`` multiplies Silverman's rule, which oversmooths tables with more than one mode."""

    bandwidth: float | Float[Array, ""] = 0.25


class SmoothedRows(NamedTuple):
    """Normal scores of the training rows, the Cholesky factor of the kernel, and the margins to go back."""

    rows: Rows
    kernel: Float[Array, "d d"]
    margins: margins.Params


def _check(x, hyper) -> None:
    _checks.table(x)


def _draw(key, rows: Rows, shape):
    """Row numbers drawn uniformly with replacement from the rows that count."""
    return jax.random.choice(key, rows.mask.shape[0], shape, p=rows.mask / rows.mask.sum())


@cache
def bootstrap() -> Synthesizer:
    """A pure memoriser: training rows drawn with replacement."""

    def sample(key, fitted: Rows, n: int):
        return fitted.x[_draw(key, fitted, (n,))]

    return Synthesizer(lambda key, x, mask, hyper: Rows(x, mask), sample, (), _check, _given.of_rows)


@cache
def unchanged() -> Synthesizer:
    """No augmentation: the training rows as they are, in their order, from the start again after the last.

    >>> import jax
    >>> import numpy as np
    >>> x, control = np.array([[1.0, 2.0], [3.0, 5.0]]), unchanged()
    >>> control.sample(jax.random.key(0), control.fit(jax.random.key(0), x, np.ones(2, bool), ()), 3)[:, 0].tolist()
    [1.0, 3.0, 1.0]
    """

    def fit(key, x, mask, hyper):
        # Rows that count first, in their order.
        order = jnp.argsort(~mask, stable=True)
        return Rows(x[order], mask[order])

    def sample(key, fitted: Rows, n: int):
        return fitted.x[jnp.arange(n) % fitted.mask.sum()]

    return Synthesizer(fit, sample, (), _check)


@cache
def independent() -> Synthesizer:
    """Every column drawn on its own: the margins are right and all dependence is gone."""

    def sample(key, fitted: Rows, n: int):
        index = _draw(key, fitted, (n, fitted.x.shape[1]))
        return jnp.take_along_axis(fitted.x, index, axis=0)

    return Synthesizer(lambda key, x, mask, hyper: Rows(x, mask), sample, (), _check, _given.of_columns)


@cache
def smoothed() -> Synthesizer:
    r"""Kernel-smoothed bootstrap on normal scores, back through the empirical margins.

    A training row plus N(0, H), H = (bandwidth h)^2 Cov, with Silverman's h = (n (d + 2) / 4)^{-1/(d + 4)}.
    Source: Silverman 1986, section 6.4.1.
    """

    def fit(key, x, mask, hyper: Smoothing):
        margin = margins.fit(x, mask)
        z = margins.normal_scores(x, margin)
        factor = hyper.bandwidth * bootstrap_kernel.bandwidth(margin.count, x.shape[1])
        kernel = factor * bootstrap_kernel.covariance_root(z, mask)
        return SmoothedRows(Rows(z, mask), kernel, margin)

    def sample(key, fitted: SmoothedRows, n: int):
        key_row, key_noise = jax.random.split(key)
        z = fitted.rows.x[_draw(key_row, fitted.rows, (n,))]
        z = z + jax.random.normal(key_noise, z.shape, z.dtype) @ fitted.kernel.T
        return margins.MARGINS["empirical"].from_uniform(normal_cdf(z), fitted.margins)

    return Synthesizer(fit, sample, Smoothing(), _check, _given.of_smoothed)
