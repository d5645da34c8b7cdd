"""How certain a fitted copula is: standard errors and intervals.

Three standard errors, of two estimators; the wrong one is not conservative:

- ``"observed"`` belongs to ``ml``: the margins are known, and the inverse Hessian is all there is.
- ``"rank"`` belongs to ``mpl``: ranks stand for the margins, and their noise is part of the error.
- ``"bootstrap"`` refits replicates by the estimator that is named.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop.copulas._contract import Copula, check_inside
from jaxcop.copulas.fitting import Fit, check_rows, family_of, fit_masked, pseudo_observations

_ESTIMATOR = {"observed": "ml", "rank": "mpl", "bootstrap": None}


class StandardErrors(NamedTuple):
    """Standard error of every parameter, and what it rests on.

    params: standard errors in the shape of the parameters; zero on the diagonal of a correlation matrix.
    covariance: of the unconstrained coordinates (``Copula.unconstrain``).
    valid: false where the information is not positive definite, where the parameters are no interior maximum of the
        likelihood (independence at the edge of a family, a fit by another estimator) or where replicates failed to
        give a number.
    method, estimator: how it was found, and whether it belongs to ``ml`` or ``mpl``.
    replicates: the refits of the bootstrap, with a leading axis, each with its flag ``converged``; else None.
    """

    params: Any
    covariance: Float[Array, "k k"]
    valid: Bool[Array, ""]
    method: str
    estimator: str
    replicates: Fit | None = None

    @property
    def num_failed(self):
        """Number of replicates that did not converge; they are left out of everything."""
        return 0 if self.replicates is None else jnp.sum(~self.replicates.converged)


class Interval(NamedTuple):
    """Two-sided confidence limits in the shape of the parameters, entry by entry, and the errors behind them."""

    lower: Any
    upper: Any
    level: float
    errors: StandardErrors


class Expansion(NamedTuple):
    """Second-order expansion of a log-likelihood in unconstrained coordinates.

    vector: the parameters; inverse: of the observed information, NaN where that is not positive definite;
    influence: of each row on the maximum pseudo-likelihood estimate; valid: an interior maximum.
    """

    vector: Float[Array, "k"]
    inverse: Float[Array, "k k"]
    influence: Float[Array, "n k"]
    valid: Bool[Array, ""]


def map_chunks(function: Callable, count: int, size: int) -> Any:
    """``function`` of 0..count-1, stacked: batches of bounded memory (``size`` numbers each), one after the other."""
    chunks = -(-count // max(1, min(count, 2**17 // size)))
    batch = -(-count // chunks)
    # The last batch repeats the last index, as a batch of another length would compile a second program.
    index = jnp.minimum(jnp.arange(chunks * batch), count - 1).reshape(chunks, batch)
    out = jax.lax.map(jax.vmap(function), index)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:count], out)


def refit(u: Float[Array, "n d"], copula: Copula, params) -> Fit:
    """Maximum likelihood from ``params`` on, for compiled code: replicates lie near what they replicate."""
    return fit_masked(u, jnp.ones(u.shape[0], bool), copula._replace(start=lambda *_: params))


def expand(u: Float[Array, "n d"], copula: Copula, params) -> Expansion:
    """The likelihood of ``u`` around ``params``, for compiled code, which drops what is not used.

    The influence on the maximum pseudo-likelihood estimate is n I**-1 [s_i + sum_j W_j(u_ij)], s_i the score and
    W_j(t) = mean_k 1{u_kj >= t} d2 log c(u_k) / d theta d u_j, less its mean: O(n log n) by sorting each column.
    Source: Genest, Ghoudi and Rivest (1995).
    """
    n, dim = u.shape
    vector = copula.unconstrain(params, dim)
    if vector.size == 0:
        return Expansion(vector, jnp.zeros((0, 0), u.dtype), jnp.zeros((n, 0), u.dtype), jnp.asarray(True))

    def total(u, v):
        rows = copula.logpdf(u, copula.constrain(v, dim))
        return jnp.sum(rows), rows

    def slopes(v):
        (by_u, by_v), rows = jax.grad(total, (0, 1), has_aux=True)(u, v)
        return (by_u, by_v, rows), by_v

    def above(column, mixed):
        order = jnp.argsort(column)
        totals = jax.lax.cumsum(mixed[order], axis=0, reverse=True)
        return totals[jnp.searchsorted(column[order], column)] / n  # from the first of those that are tied

    # One pass for the three second derivatives, as compiling them takes far longer than running them.
    (mixed, hessian, scores), gradient = jax.jacfwd(slopes, has_aux=True)(vector)
    factor = jax.scipy.linalg.cho_factor(-hessian, lower=True)
    inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(vector.size, dtype=vector.dtype))
    rows = scores + jnp.sum(jax.vmap(above, in_axes=(1, 1))(u, mixed), 0)
    # Where the maximum lies at infinity (independence) gradient and curvature vanish together, but Newton's step not.
    valid = jnp.all(jnp.abs(inverse @ gradient) < 0.02 * (5 + jnp.abs(vector)))
    return Expansion(vector, inverse, n * (rows - jnp.mean(rows, 0)) @ inverse, valid)


@jax.jit(static_argnames=("copula", "rank"))
def _asymptotic(u, params, copula, rank):
    n, dim = u.shape
    vector, covariance, influence, valid = expand(u, copula, params)
    if rank:
        covariance = influence.T @ influence / n**2
    flat, unravel = ravel_pytree(params)
    if vector.size == 0:
        return unravel(flat), covariance, valid
    slopes = jax.jacfwd(lambda v: ravel_pytree(copula.constrain(v, dim))[0])(vector)
    variance = jnp.sum((slopes @ covariance) * slopes, 1)
    return unravel(jnp.sqrt(variance)), covariance, valid & jnp.all(jnp.isfinite(variance))


# Log-likelihoods of one parameter are interpolated at this many Chebyshev points, this many standard errors around it.
_NODES, _REACH = 32, 10.0


def _refit_by_weights(key, u, copula: Copula, params, num_resamples: int):
    """Maximum likelihood of rows drawn with replacement, for one parameter: all resamples weigh the same rows.

    The log-density of every row is one Chebyshev series in the unconstrained parameter; the series of a resample is
    their sum, weighted by how often each row was drawn, and its maximum is found by Newton's method. Returns
    parameters, log-likelihoods, and whether the maximum lies inside the range and the series has settled.
    """
    n, dim = u.shape
    (centre,) = copula.unconstrain(params, dim)

    def total(v):
        return jnp.sum(copula.logpdf(u, copula.constrain(v[None], dim)))

    one = jnp.ones_like(centre)
    _, curvature = jax.jvp(lambda v: jax.jvp(total, (v,), (one,))[1], (centre,), (one,))
    reach = _REACH / jnp.sqrt(-curvature)
    angles = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    points = centre + reach * np.asarray(np.cos(angles), u.dtype)
    densities = jax.lax.map(lambda v: copula.logpdf(u, copula.constrain(v[None], dim)), points)
    transform = np.cos(np.outer(np.arange(_NODES), angles)) * np.where(np.arange(_NODES) > 0, 2, 1)[:, None] / _NODES
    series = jnp.matmul(np.asarray(transform, u.dtype), densities, precision="highest")
    derive = np.zeros((_NODES, _NODES))
    derive[:-1] = np.polynomial.chebyshev.chebder(np.eye(_NODES))
    derive = np.asarray(derive, u.dtype)

    def replicate(index):
        rows = jax.random.randint(jax.random.fold_in(key, index), (n,), 0, n)
        return jnp.zeros(n, u.dtype).at[rows].add(1)

    weights = map_chunks(replicate, num_resamples, n)
    value = jnp.matmul(weights, series.T, precision="highest")
    slope = value @ derive.T
    bend = slope @ derive.T

    def at(coefficients, x):
        return jnp.sum(coefficients * jnp.cos(np.arange(_NODES) * jnp.arccos(x)[:, None]), -1)

    def newton(_, x):
        return jnp.clip(x - at(slope, x) / at(bend, x), -1, 1)

    x = jax.lax.fori_loop(0, 8, newton, jnp.zeros(num_resamples, u.dtype))
    rest = jnp.max(jnp.abs(value[:, -2:]), -1) / jnp.max(jnp.abs(value), -1)
    tolerance = jnp.finfo(u.dtype).eps ** 0.5
    settled = (jnp.abs(newton(0, x) - x) < tolerance) & (rest < tolerance) & (at(bend, x) < 0) & (jnp.abs(x) < 0.9)
    return jax.vmap(lambda v: copula.constrain(v[None], dim))(centre + reach * x), at(value, x), settled


@jax.jit(static_argnames=("copula", "estimator", "parametric", "num_resamples"))
def _bootstrap(key, u, params, copula, estimator, parametric, num_resamples):
    n, dim = u.shape

    def replicate(index):
        own = jax.random.fold_in(key, index)
        rows = copula.sample(own, params, (n, dim)) if parametric else u[jax.random.randint(own, (n,), 0, n)]
        rows = jnp.asarray(rows, u.dtype)
        return refit(pseudo_observations(rows) if estimator == "mpl" else rows, copula, params)

    def one_by_one():
        fits = map_chunks(replicate, num_resamples, u.size)
        return fits.params, fits.loglik, fits.converged

    if copula.num_params(dim) == 1 and estimator == "ml" and not parametric:
        fast = _refit_by_weights(key, u, copula, params, num_resamples)
        fitted, loglik, good = jax.lax.cond(jnp.all(fast[2]), lambda: fast, one_by_one)
    else:
        fitted, loglik, good = one_by_one()
    fits = Fit(fitted, loglik, copula.num_params(dim), n, good)
    count = jnp.sum(good)

    def center(a):
        keep = good.reshape(-1, *[1] * (a.ndim - 1))
        return jnp.where(keep, a - jnp.sum(jnp.where(keep, a, 0), 0) / count, 0)

    errors = jax.tree.map(lambda a: jnp.sqrt(jnp.sum(center(a) ** 2, 0) / (count - 1)), fits.params)
    vectors = center(jax.vmap(lambda p: copula.unconstrain(p, dim))(fits.params))
    finite = jnp.all(jnp.isfinite(ravel_pytree(errors)[0]))
    return errors, vectors.T @ vectors / (count - 1), (count > 1) & finite, fits


def standard_errors(
    u: Float[Array, "n d"],
    family: str | Copula,
    fitted: Fit,
    *,
    method: str = "observed",
    key: Array | None = None,
    num_resamples: int = 200,
    estimator: str | None = None,
    parametric: bool = True,
) -> StandardErrors:
    """Standard errors of the parameters that ``fit`` found on the rows of ``u``.

    - ``"observed"`` (for ``ml``): the inverse of the observed information in the unconstrained coordinates, carried to
      the parameters by the delta method. ``u`` are values of known margins.
    - ``"rank"`` (for ``mpl``): I**-1 J I**-1, J the variance of the score plus the effect of the ranks on it; see
      :func:`expand`. ``u`` may have any margins.
    - ``"bootstrap"`` (for ``estimator`` = ``"ml"`` or ``"mpl"``, which must be named): the standard deviation of
      ``num_resamples`` refits, all in one compiled program; of samples from the fitted copula, or with ``parametric``
      false of rows drawn with replacement. The covariance is not finite where a replicate lies on an edge.

    Works under ``vmap``; the strings stay outside. Raises ValueError as :func:`fit` does, for an estimator that does
    not go with the method, and for a bootstrap without a key. Source: Genest, Ghoudi and Rivest (1995).

    >>> from jaxcop.copulas import clayton, fit
    >>> u = clayton.sample(jax.random.key(0), clayton.Params(2.0), (500, 2))
    >>> errors = standard_errors(u, "clayton", fit(u, "clayton"))
    >>> errors.estimator, bool(errors.valid), bool(0.1 < errors.params.theta < 0.2)
    ('ml', True, True)
    """
    copula = family_of(family)
    _checks.one_of(method, _ESTIMATOR, "method")
    allowed = ("ml", "mpl") if method == "bootstrap" else (None, _ESTIMATOR[method])
    if estimator not in allowed:
        raise ValueError(f"estimator: expected one of {allowed} for method {method!r}, got {estimator!r}; name it")
    estimator = estimator or _ESTIMATOR[method]
    u = pseudo_observations(check_rows(u)) if estimator == "mpl" else check_inside(check_rows(u))
    params, fits = fitted.params, None
    if method == "bootstrap":
        num_resamples = check_resamples(key, num_resamples)
        replicated = _bootstrap(key, u, params, copula, estimator, parametric, num_resamples)
        errors, covariance, valid, fits = replicated
    else:
        errors, covariance, valid = _asymptotic(u, params, copula, method == "rank")
    return StandardErrors(errors, covariance, valid, method, str(estimator), fits)


def check_resamples(key, num_resamples: int) -> int:
    """The number of resamples if it is at least 2 and there is a key for them."""
    if key is None:
        raise ValueError("key: expected a key for the resamples, got None; pass jax.random.key(seed)")
    if num_resamples != int(num_resamples) or num_resamples < 2:
        raise ValueError(f"num_resamples: expected an integer of at least 2, got {num_resamples}; 200 to 1000 is usual")
    return int(num_resamples)


def interval(u: Float[Array, "n d"], family: str | Copula, fitted: Fit, *, level: float = 0.95, **options) -> Interval:
    """Confidence interval of every parameter; ``options`` are those of :func:`standard_errors`.

    Asymptotic methods: scalars are normal in their unconstrained coordinate, and the limits are mapped back, so that
    they respect the domain; a correlation matrix gets Fisher's z interval entry by entry (in two dimensions the same
    thing), which says nothing about the entries together; other parameters the estimate plus and minus a multiple of
    the error. Bootstrap: quantiles of the replicates (the percentile interval), entry by entry. Look at
    ``errors.valid``.

    >>> from jaxcop.copulas import clayton, fit
    >>> u = clayton.sample(jax.random.key(0), clayton.Params(2.0), (500, 2))
    >>> limits = interval(u, "clayton", fit(u, "clayton"), level=0.99)
    >>> bool(limits.lower.theta < 2 < limits.upper.theta)
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}; for example 0.95")
    errors = standard_errors(u, family, fitted, **options)
    if errors.replicates is not None:
        lower, upper = _percentiles(errors.replicates, jnp.asarray([(1 - level) / 2, (1 + level) / 2]))
    else:
        z = float(scipy.special.ndtri((1 + level) / 2))
        lower, upper = _wald(fitted.params, errors.params, errors.covariance, z, family_of(family), np.shape(u)[1])
    return Interval(lower, upper, level, errors)


@jax.jit
def _percentiles(fits, probabilities):
    def quantiles(a):
        return jnp.nanquantile(jnp.where(fits.converged.reshape(-1, *[1] * (a.ndim - 1)), a, jnp.nan), probabilities, 0)

    both = jax.tree.map(quantiles, fits.params)
    return tuple(jax.tree.map(lambda a, i=i: a[i], both) for i in (0, 1))


@jax.jit(static_argnames=("copula", "dim"))
def _wald(params, errors, covariance, z, copula, dim):
    vector = copula.unconstrain(params, dim)
    spread = z * jnp.sqrt(jnp.diagonal(covariance))

    def side(sign):
        def limit(path, value, error, moved):
            if jnp.ndim(value) == 0:
                return moved
            if not jax.tree_util.keystr(path).endswith("correlation"):
                return value + sign * z * error
            open_ = jnp.where(jnp.eye(dim, dtype=bool), 0, value)
            z_scale = jnp.arctanh(open_) + sign * z * error / (1 - open_**2)
            return jnp.where(jnp.eye(dim, dtype=bool), 1, jnp.tanh(z_scale))

        moved = copula.constrain(vector + sign * spread, dim)
        return jax.tree_util.tree_map_with_path(limit, params, errors, moved)

    return side(-1), side(1)
