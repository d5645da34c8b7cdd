"""How well a fitted family predicts rows that it has not seen: cross-validated and held-out log-likelihoods."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop._numerics import as_float, concrete
from jaxcop.copulas._contract import Copula
from jaxcop.copulas.fitting import Fit, check_rows, family_of, fit, fit_masked
from jaxcop.copulas.inference import map_chunks


class CrossValidation(NamedTuple):
    """Held-out log-likelihood: the total, the part of each fold, and whether the refit of each fold converged."""

    loglik: Float[Array, ""]
    per_fold: Float[Array, "folds"]
    converged: Bool[Array, "folds"]


class HeldOut(NamedTuple):
    """Log-likelihood of test rows: the total, each row's part, and the fit of the training rows."""

    loglik: Float[Array, ""]
    per_row: Float[Array, "m"]
    fit: Fit


def _by_training_ranks(x, mask):
    """Average ranks of the rows where ``mask`` is true over their number plus one; for the others (count of such
    rows at or below + 1/2) over the same. All inside the open cube."""
    ordered = jnp.sort(jnp.where(mask[:, None], x, jnp.inf), axis=0)
    below, upto = (
        jax.vmap(lambda a, v, side=side: jnp.searchsorted(a, v, side=side), in_axes=1, out_axes=1)(ordered, x)
        for side in ("left", "right")
    )
    # Twice the ranks are whole numbers, which int32 / 2 would make float32.
    doubled = jnp.where(mask[:, None], below + upto + 1, 2 * upto + 1)
    return doubled.astype(x.dtype) / (2 * (mask.sum() + 1))


@jax.jit(static_argnames=("copula", "count"))
def _cross_validated(x, fold, copula, count, key):
    def one(index):
        mask = fold != index
        u = _by_training_ranks(x, mask)
        fitted = fit_masked(u, mask, copula, key=key)
        return jnp.sum(jnp.where(mask, 0, copula.logpdf(u, fitted.params))), fitted.converged

    return map_chunks(one, count, x.size)


def cross_validated(
    x: Float[Array, "n d"], family: str | Copula, *, folds: int | Array | None = None, key: Array | None = None
) -> CrossValidation:
    """Cross-validated log-likelihood of the copula of ``x``, whose margins may be any.

    Each fold is left out in turn: the family is refitted by maximum pseudo-likelihood to the other m rows, and the
    log-density taken at (number of those rows at or below x + 1/2) / (m + 1). All refits are one compiled program.
    ``folds``: None leaves out one row at a time; a number of folds of equal size is drawn with ``key``; integers 0..k-1
    of shape ``[n]`` are the fold of each row. ``key`` also serves families whose starting point is random.

    Unlike AIC this holds for ``mpl``, which it costs one refit per fold. Rows must be independent: a copy of a row on
    the other side counts twice. Source: Grønneberg and Hjort (2014), equation 42.

    >>> from jaxcop.copulas import clayton
    >>> x = clayton.sample(jax.random.key(0), clayton.Params(2.0), (60, 2))
    >>> bool(cross_validated(x, "clayton").loglik > 10)  # independence has 0
    True
    """
    copula, x = family_of(family), check_rows(x)
    n = x.shape[0]
    if folds is None:
        fold = np.arange(n)
    elif np.ndim(folds) == 0:
        if not 2 <= folds <= n or folds != int(folds):
            raise ValueError(f"folds: expected 2 <= folds <= {n}, got {folds}; None leaves out one row at a time")
        if key is None:
            raise ValueError("key: expected a key to draw the folds, got None; pass jax.random.key(seed)")
        fold = np.asarray(jax.random.permutation(key, np.arange(n) % int(folds)))
    else:
        fold = np.asarray(folds)
    values, sizes = np.unique(fold, return_counts=True)
    if fold.shape != (n,) or not np.array_equal(values, np.arange(len(values))) or n - sizes.max() < 3:
        raise ValueError(
            f"folds: expected integers 0..k-1 of shape ({n},) that leave at least 3 rows outside every fold, "
            f"got {folds}; number groups with np.unique(..., return_inverse=True)"
        )
    count = len(values)
    per_fold, converged = _cross_validated(x, fold, copula, count, key)
    return CrossValidation(jnp.sum(per_fold), per_fold, converged)


def held_out(
    x_train: Float[Array, "n d"],
    x_test: Float[Array, "m d"],
    family: str | Copula,
    *,
    fitted: Fit | None = None,
    key: Array | None = None,
) -> HeldOut:
    """Log-likelihood of the copula at test rows whose margins are taken from the ranks of the training rows alone.

    ``fitted`` is a fit to the training rows, else the family is fitted to them by ``mpl``. The coordinates of a test
    row are (number of training rows at or below + 1/2) / (n + 1), inside the cube whatever the row.

    >>> from jaxcop.copulas import clayton
    >>> x = clayton.sample(jax.random.key(0), clayton.Params(2.0), (300, 2))
    >>> held_out(x[:200], x[200:], "clayton").per_row.shape
    (100,)
    """
    copula, x_train = family_of(family), check_rows(x_train)
    rows = x_test if concrete(x_test) is None else _checks.table(x_test, "x_test", min_rows=1, allow_constant=True)
    rows = as_float(rows)
    if rows.ndim != 2 or rows.shape[1] != x_train.shape[1]:
        raise ValueError(f"x_test: expected {x_train.shape[1]} columns as in x_train, got {rows.shape}; use one table")
    fitted = fit(x_train, copula, method="mpl", key=key) if fitted is None else fitted
    mask = jnp.arange(len(x_train) + len(rows)) < len(x_train)
    u = _by_training_ranks(jnp.concatenate([x_train, rows]), mask)[len(x_train) :]
    per_row = copula.logpdf(u, fitted.params)
    return HeldOut(jnp.sum(per_row), per_row, fitted)
