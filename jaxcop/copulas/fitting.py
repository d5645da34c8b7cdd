"""Estimation of a copula family from data, and the choice between families."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop import _checks, correlation
from jaxcop._numerics import concrete
from jaxcop.copulas import gaussian, student_t
from jaxcop.copulas._contract import check_inside, check_points
from jaxcop.copulas._optimise import minimise
from jaxcop.copulas._table import FAMILIES

_METHODS = ("itau", "ml", "mpl")
_CRITERIA = ("aic", "bic")


class Fit(NamedTuple):
    """A fitted family: parameters, log-likelihood of the rows, and what the information criteria need.

    ``converged`` is false where the optimiser stopped away from a stationary point or the likelihood is not finite.
    """

    params: Any
    loglik: Float[Array, ""]
    num_params: int
    num_obs: int | Array
    converged: Array

    @property
    def aic(self):
        """Akaike's criterion 2 k - 2 loglik; formally valid for known margins (``ml``) only."""
        return 2 * self.num_params - 2 * self.loglik

    @property
    def bic(self):
        """Schwarz's criterion k log n - 2 loglik; formally valid for known margins (``ml``) only."""
        return np.log(self.num_obs) * self.num_params - 2 * self.loglik


class Row(NamedTuple):
    """One line of a selection: the family, its fit, and the two numbers per observation."""

    family: str
    fit: Fit
    criterion_per_row: float
    loglik_per_row: float


class Selection(NamedTuple):
    """Rows sorted from best to worst by the criterion, and the name of the best family."""

    rows: tuple[Row, ...]
    winner: str
    criterion: str


def pseudo_observations(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Average ranks over n + 1, column by column.

    >>> print(pseudo_observations(jnp.array([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]])))
    [[0.75  0.375]
     [0.25  0.375]
     [0.5   0.75 ]]
    """
    x = check_points(x, name="x")
    return (jax.scipy.stats.rankdata(x, axis=0) / (x.shape[0] + 1)).astype(x.dtype)


def _start_correlation(tau, num_obs: int, shrinkage):
    """sin(pi tau / 2), repaired and shrunk: tau of tied rows makes it indefinite more often than not in 8 columns."""
    repaired = correlation.nearest_correlation(jnp.where(jnp.eye(len(tau)) > 0, 1, jnp.sin(jnp.pi / 2 * tau)))
    if shrinkage is None:
        shrunk = correlation.shrink(repaired, num_obs=num_obs)
    else:
        shrunk = correlation.shrink(repaired, intensity=shrinkage)
    return correlation.raise_smallest_eigenvalue(shrunk, float(jnp.finfo(tau.dtype).eps) ** 0.5)


def _start(u, mask, name, shrinkage, least_tau):
    """Inversion of Kendall's tau; df of the t copula, which tau says nothing about, is put at 8."""
    copula, dim = FAMILIES[name], u.shape[1]
    if copula.num_params(dim) == 0:
        return copula.constrain(jnp.zeros(0, u.dtype), dim)
    tau = correlation.masked_kendall_tau(u, mask)
    if name in ("gaussian", "student_t"):
        matrix = _start_correlation(tau, mask.sum(), shrinkage)
        return gaussian.Params(matrix) if name == "gaussian" else student_t.Params(matrix, jnp.asarray(8, u.dtype))
    mean = jnp.mean(tau[jnp.tril_indices(dim, -1)])
    return copula.from_kendall_tau(jnp.clip(mean, least_tau, 1 - jnp.finfo(u.dtype).eps))


def _fit_df(loss, df_grid, dtype):
    if df_grid is not None:
        grid = jnp.asarray(df_grid, dtype)
        losses = jax.lax.map(loss, grid)
        return grid[jnp.argmin(losses)], jnp.asarray(True)
    best = minimise(lambda v: loss(student_t.df_from_real(v[0])), student_t.df_to_real(jnp.full(1, 8, dtype)))
    return student_t.df_from_real(best.x[0]), best.converged


def fit_masked(
    u: Float[Array, "n d"],
    mask: Bool[Array, " n"],
    name: str,
    method: str = "ml",
    shrinkage: float | None = None,
    df_grid: tuple[float, ...] | None = None,
) -> Fit:
    """:func:`fit` without checks, for compiled code: rows where ``mask`` is false do not count.

    Such rows must still lie inside the open cube, so that their density and its gradient are finite.
    """
    copula, dim = FAMILIES[name], u.shape[1]
    num_obs = mask.sum()

    def loss(params):
        return -jnp.sum(jnp.where(mask, copula.logpdf(u, params), 0)) / num_obs

    # At independence the unconstrained parameter is minus infinity, and flat: maximum likelihood starts away from it.
    params, converged = _start(u, mask, name, shrinkage, 0.05 if method == "ml" else 0.0), jnp.asarray(True)
    if method == "itau" and name == "student_t":
        df, converged = _fit_df(lambda df: loss(params._replace(df=df)), df_grid, u.dtype)
        params = params._replace(df=df)
    if method == "itau" or copula.num_params(dim) == 0:
        value = loss(params)
    else:
        best = minimise(lambda vector: loss(copula.constrain(vector, dim)), copula.unconstrain(params))
        params, value, converged = copula.constrain(best.x, dim), best.value, best.converged
    return Fit(params, -value * num_obs, copula.num_params(dim), num_obs, converged & jnp.isfinite(value))


_fit = partial(jax.jit, static_argnames=("name", "method", "df_grid"))(fit_masked)


def fit(
    u: Float[Array, "n d"],
    family: str,
    *,
    method: str = "ml",
    shrinkage: float | None = None,
    df_grid: tuple[float, ...] | None = None,
) -> Fit:
    """Fit one family of ``FAMILIES`` to the rows of ``u``.

    Methods, by the names R users know:

    - ``"ml"``: maximum likelihood; ``u`` are values of known margins, strictly inside (0, 1).
    - ``"mpl"``: the same on pseudo-observations: ``x`` may have any margins, ranks / (n + 1) are taken here.
    - ``"itau"``: inversion of Kendall's tau (of the mean over pairs for one-parameter families). Elliptical families
      take sin(pi tau / 2), repaired (Higham 2002) and shrunk towards the identity; df of the t copula then maximises
      the likelihood, over all reals of ``student_t.DF_BOUNDS`` or over ``df_grid``.

    ``shrinkage`` in [0, 1] fixes the intensity of the tau-based matrix, else ``correlation.shrinkage_intensity``
    estimates it; maximum likelihood starts from that matrix and is not shrunk. Each family and shape compiles once.
    Works under ``vmap``, where only shapes are checked; then look at ``converged``.

    Raises ValueError for fewer than 3 rows, fewer than 2 columns, values outside (0, 1), constant columns, an unknown
    family or method. Sources: Genest, Ghoudi and Rivest (1995); Demarta and McNeil (2005).

    >>> u = FAMILIES["clayton"].sample(jax.random.key(0), FAMILIES["clayton"].from_kendall_tau(0.5), (500, 3))
    >>> fitted = fit(u, "clayton")
    >>> bool(fitted.converged), bool(abs(fitted.params.theta - 2.0) < 0.4), fitted.num_params
    (True, True, 1)
    """
    _checks.one_of(family, FAMILIES, "family")
    _checks.one_of(method, _METHODS, "method")
    u = check_points(u if concrete(u) is None else _checks.table(u, "u", min_rows=3))
    if u.ndim != 2 or u.shape[0] < 3:
        raise ValueError(f"u: expected shape (n, d) with n >= 3, got {u.shape}; use vmap for a batch of tables")
    if df_grid is not None and not (len(df_grid) and all(np.isfinite(df) and df > 0 for df in df_grid)):
        raise ValueError(f"df_grid: expected positive numbers, got {df_grid}; for example (3, 4, 6, 8, 12, 20)")
    if shrinkage is not None and concrete(shrinkage) is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage: expected a number in [0, 1], got {shrinkage}; None estimates it")
    u = pseudo_observations(u) if method == "mpl" else _known_margins(u, method)
    core_method = "ml" if method == "mpl" else method
    grid = None if df_grid is None else tuple(float(df) for df in df_grid)
    fitted = _fit(u, jnp.ones(u.shape[0], bool), family, core_method, shrinkage, grid)
    return fitted._replace(num_params=FAMILIES[family].num_params(u.shape[1]), num_obs=u.shape[0])


def _known_margins(u, method):
    try:
        return check_inside(u)
    except ValueError as error:
        raise ValueError(
            f"method {method!r} takes the margins as known: {error}; or let method='mpl' rank them"
        ) from None


def select(
    u: Float[Array, "n d"],
    families: tuple[str, ...] = tuple(FAMILIES),
    *,
    criterion: str = "aic",
    method: str = "ml",
) -> Selection:
    """Fit several families and sort them by AIC or BIC; independence is always among them.

    A family that did not reach a finite likelihood comes last. Raises ValueError as :func:`fit` does, and for an
    unknown criterion. Source: Akaike (1974); Schwarz (1978).

    >>> u = FAMILIES["clayton"].sample(jax.random.key(0), FAMILIES["clayton"].from_kendall_tau(0.5), (300, 2))
    >>> select(u, ("clayton", "gaussian")).winner
    'clayton'
    """
    _checks.one_of(criterion, _CRITERIA, "criterion")
    names = dict.fromkeys(("independence", *families))
    rows = []
    for name in names:
        fitted = fit(u, name, method=method)
        score = float((fitted.aic if criterion == "aic" else fitted.bic) / fitted.num_obs)
        rows.append(Row(name, fitted, score if np.isfinite(score) else np.inf, float(fitted.loglik / fitted.num_obs)))
    rows.sort(key=lambda row: row.criterion_per_row)
    return Selection(tuple(rows), rows[0].family, criterion)
