"""Estimation of a copula family from data, and the choice between families."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop._numerics import concrete
from jaxcop.copulas import student_t
from jaxcop.copulas._contract import Copula, check_inside, check_points
from jaxcop.copulas._optimise import minimise
from jaxcop.copulas._table import FAMILIES

_LARGEST_START = 10.0
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


def pseudo_observations(x: Float[Array, "n d"], *, mid_distribution: bool = False) -> Float[Array, "n d"]:
    """Average ranks over n + 1, column by column; tied rows share their rank.

    With ``mid_distribution`` the mid-distribution function instead, P(X < x) + P(X = x) / 2 = (rank - 1/2) / n, which
    keeps the mean 1/2 and, without ties, comes closer to the ends. Source: Parzen (2004).

    >>> print(pseudo_observations(jnp.array([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]])))
    [[0.75  0.375]
     [0.25  0.375]
     [0.5   0.75 ]]
    """
    values = concrete(x)
    # Ranked in numpy where possible: casting to float32 first would tie large numbers.
    # Takes half a second to import, which `jaxcop sample` need not wait for.
    import scipy.stats

    ranks = None if values is None else scipy.stats.rankdata(_checks.table(values, "x", allow_constant=True), axis=0)
    x = check_points(x, name="x")
    ranks = jax.scipy.stats.rankdata(x, axis=0) if ranks is None else jnp.asarray(ranks)
    u = (ranks - 0.5) / x.shape[0] if mid_distribution else ranks / (x.shape[0] + 1)
    return u.astype(x.dtype)


def family_of(family: str | Copula) -> Copula:
    """The copula of that name in ``FAMILIES``, or the copula itself."""
    return family if isinstance(family, Copula) else FAMILIES[_checks.one_of(family, FAMILIES, "family")]


def check_rows(u) -> Array:
    """``u`` as a float array of shape ``[n, d]`` with n >= 3 rows of finite numbers, or say what is wrong."""
    u = check_points(u if concrete(u) is None else _checks.table(u, "u", min_rows=3))
    if u.ndim != 2 or u.shape[0] < 3:
        raise ValueError(f"u: expected shape (n, d) with n >= 3, got {u.shape}; use vmap for a batch of tables")
    return u


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
    copula: Copula,
    method: str = "ml",
    shrinkage: float | None = None,
    df_grid: tuple[float, ...] | None = None,
    key: Array | None = None,
) -> Fit:
    """:func:`fit` without checks, for compiled code: rows where ``mask`` is false do not count.

    Such rows must still lie inside the open cube, so that their density and its gradient are finite.
    """
    dim = u.shape[1]
    num_obs = mask.sum()

    def loss(params):
        return -jnp.sum(jnp.where(mask, copula.logpdf(u, params), 0)) / num_obs

    params, converged = copula.start(key, u, mask, shrinkage), jnp.asarray(True)
    if method == "itau" and isinstance(params, student_t.Params):
        df, converged = _fit_df(lambda df: loss(params._replace(df=df)), df_grid, u.dtype)
        params = params._replace(df=df)
    if method == "itau" or copula.num_params(dim) == 0:
        value = loss(params)
    else:
        theta = getattr(params, "theta", None)
        if theta is not None:
            # From the theta of perfectly ordered rows no step leads back to where the likelihood has its maximum.
            params = params._replace(theta=jnp.clip(theta, -_LARGEST_START, _LARGEST_START))
        vector = copula.unconstrain(params, dim)
        # Independence lies at minus infinity for some families, where the likelihood is flat: start away from it.
        best = minimise(lambda v: loss(copula.constrain(v, dim)), jnp.where(vector < -8, -3, vector))
        params, value, converged = copula.constrain(best.x, dim), best.value, best.converged
    theta = getattr(params, "theta", None)
    if theta is not None:
        # Rows in perfect order have no finite estimate: tau is 1, or the likelihood rises for ever.
        converged &= jnp.abs(theta) < jnp.finfo(u.dtype).eps ** -0.5
    return Fit(params, -value * num_obs, copula.num_params(dim), num_obs, converged & jnp.isfinite(value))


_fit = jax.jit(fit_masked, static_argnames=("copula", "method", "df_grid"))


def fit(
    u: Float[Array, "n d"],
    family: str | Copula,
    *,
    method: str = "ml",
    shrinkage: float | None = None,
    df_grid: tuple[float, ...] | None = None,
    key: Array | None = None,
) -> Fit:
    """Fit one family, by its name in ``FAMILIES`` or as a ``Copula``, to the rows of ``u``.

    Methods, by the names R users know:

    - ``"ml"``: maximum likelihood; ``u`` are values of known margins, strictly inside (0, 1).
    - ``"mpl"``: the same on pseudo-observations: ``x`` may have any margins, ranks / (n + 1) are taken here.
    - ``"itau"``: inversion of Kendall's tau (of the mean over pairs for one-parameter families). Elliptical families
      take sin(pi tau / 2), repaired (Higham 2002) and shrunk towards the identity; df of the t copula then maximises
      the likelihood, over all reals of ``student_t.DF_BOUNDS`` or over ``df_grid``.

    ``shrinkage`` in [0, 1] fixes the intensity of the tau-based matrix, else ``correlation.shrinkage_intensity``
    estimates it; maximum likelihood starts from that matrix and is not shrunk. ``key`` is needed by families whose
    starting point is random (the Gaussian-mixture copula). Each family and shape compiles once.
    Works under ``vmap``, where only shapes are checked; then look at ``converged``.

    Raises ValueError for fewer than 3 rows, fewer than 2 columns, values outside (0, 1), constant columns, an unknown
    family or method. Sources: Genest, Ghoudi and Rivest (1995); Demarta and McNeil (2005).

    >>> u = FAMILIES["clayton"].sample(jax.random.key(0), FAMILIES["clayton"].from_kendall_tau(0.5), (500, 3))
    >>> fitted = fit(u, "clayton")
    >>> bool(fitted.converged), bool(abs(fitted.params.theta - 2.0) < 0.4), fitted.num_params
    (True, True, 1)
    """
    copula = family_of(family)
    _checks.one_of(method, _METHODS, "method")
    if method == "itau" and copula.from_kendall_tau is None:
        raise ValueError(f"method: expected 'ml' or 'mpl' for {copula.name}, whose tau does not give its parameters")
    u = check_rows(u)
    if df_grid is not None and not (len(df_grid) and all(np.isfinite(df) and df > 0 for df in df_grid)):
        raise ValueError(f"df_grid: expected positive numbers, got {df_grid}; for example (3, 4, 6, 8, 12, 20)")
    if shrinkage is not None and concrete(shrinkage) is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage: expected a number in [0, 1], got {shrinkage}; None estimates it")
    u = pseudo_observations(u) if method == "mpl" else _known_margins(u, method)
    core_method = "ml" if method == "mpl" else method
    grid = None if df_grid is None else tuple(float(df) for df in df_grid)
    fitted = _fit(u, jnp.ones(u.shape[0], bool), copula, core_method, shrinkage, grid, key)
    return fitted._replace(num_params=copula.num_params(u.shape[1]), num_obs=u.shape[0])


def _known_margins(u, method):
    try:
        return check_inside(u)
    except ValueError as error:
        raise ValueError(
            f"method {method!r} takes the margins as known: {error}; or let method='mpl' rank them"
        ) from None


def select(
    u: Float[Array, "n d"],
    families: tuple[str | Copula, ...] = tuple(FAMILIES),
    *,
    criterion: str = "aic",
    method: str = "ml",
    key: Array | None = None,
) -> Selection:
    """Fit several families and sort them by AIC or BIC; independence is always among them.

    A family that did not reach a finite likelihood comes last. Raises ValueError as :func:`fit` does, and for an
    unknown criterion. Source: Akaike (1974); Schwarz (1978).

    >>> u = FAMILIES["clayton"].sample(jax.random.key(0), FAMILIES["clayton"].from_kendall_tau(0.5), (300, 2))
    >>> select(u, ("clayton", "gaussian")).winner
    'clayton'
    """
    _checks.one_of(criterion, _CRITERIA, "criterion")
    copulas = dict.fromkeys(family_of(family) for family in ("independence", *families))
    rows = []
    for copula in copulas:
        fitted = fit(u, copula, method=method, key=key)
        score = float((fitted.aic if criterion == "aic" else fitted.bic) / fitted.num_obs)
        rows.append(
            Row(copula.name, fitted, score if np.isfinite(score) else np.inf, float(fitted.loglik / fitted.num_obs))
        )
    rows.sort(key=lambda row: row.criterion_per_row)
    return Selection(tuple(rows), rows[0].family, criterion)
