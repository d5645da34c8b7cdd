"""Does a copula family fit at all? Two statistics, whose distribution is found by resampling."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop.copulas._contract import Copula
from jaxcop.copulas.fitting import Fit, check_rows, family_of, fit, pseudo_observations
from jaxcop.copulas.inference import check_resamples, expand, map_chunks, refit

_STATISTICS = ("cramer_von_mises", "rosenblatt")
_METHODS = ("parametric", "multiplier")
# Points of a Monte-Carlo distribution function: at least these, and ten per row.
_NUM_POINTS = 2500


class GoodnessOfFit(NamedTuple):
    """A test of one family; a small p-value speaks against it.

    ``fit`` is the fit that is tested; ``converged`` is false where it failed, or for the multiplier where it lies on
    the edge of the family. ``replicates`` are the statistics under the null, NaN where a refit failed: these are left
    out, and ``num_failed`` counts them.
    """

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]
    fit: Fit
    converged: Bool[Array, ""]
    replicates: Float[Array, "num_resamples"]

    @property
    def num_failed(self):
        """Number of resamples without a statistic."""
        return jnp.sum(~jnp.isfinite(self.replicates))


def _empirical(points, u):
    """Share of ``points`` at or below each row of ``u`` in every coordinate."""
    return jnp.mean(jnp.all(points <= u[:, None], -1), -1, dtype=u.dtype)


def cramer_von_mises(u: Float[Array, "n d"], cdf: Float[Array, "n"]) -> Float[Array, ""]:
    """S_n = sum_i (C_n(u_i) - C(u_i))**2, C_n the share of rows at or below u_i, from the values of C at the rows.

    Source: Genest, Rémillard and Beaudoin (2009), equation 2.

    >>> u = jnp.array([[0.25, 0.5], [0.5, 0.75], [0.75, 0.25]])
    >>> print(cramer_von_mises(u, jnp.prod(u, -1)).round(4))
    0.1497
    """
    return jnp.sum((_empirical(u, u) - cdf) ** 2)


def rosenblatt_statistic(e: Float[Array, "n d"]) -> Float[Array, ""]:
    """S_n^(B) = n int (D_n(w) - prod w)**2 dw, D_n the distribution of the rows of ``e``, a Rosenblatt transform.

    n/3**d - 2**(1-d) sum_i prod_k (1 - e_ik**2) + sum_ij prod_k (1 - max(e_ik, e_jk)) / n.
    Source: Genest, Rémillard and Beaudoin (2009), section 4.2.

    >>> print(rosenblatt_statistic(jnp.array([[0.5, 0.5]])).round(4))
    0.0799
    """
    n, dim = e.shape
    pairs = jnp.sum(jnp.prod(1 - jnp.maximum(e[:, None], e), -1))
    return n / 3**dim - jnp.sum(jnp.prod(1 - e**2, -1)) / 2 ** (dim - 1) + pairs / n


def _measure(key, u, copula, params, statistic):
    if statistic == "rosenblatt":
        return rosenblatt_statistic(copula.rosenblatt(u, params))
    if copula.cdf is not None:
        return cramer_von_mises(u, copula.cdf(u, params))
    points = copula.sample(key, params, (max(_NUM_POINTS, 10 * u.shape[0]), u.shape[1]))
    return cramer_von_mises(u, _empirical(points, u))


def _multiplier(key, u, copula, params, num_resamples):
    """Replicates of S_n: the process of the rows, less what ranks and the estimate take away, times random weights."""
    n, dim = u.shape
    vector, _, influence, valid = expand(u, copula, params)
    process = jnp.all(u[:, None] <= u, -1).astype(u.dtype)  # [row, place]
    by_u = jax.grad(lambda u: jnp.sum(copula.cdf(u, params)))(u)
    # One column at a time: [n, n] stays the largest array.
    for j in range(dim):
        process = process - (u[:, None, j] <= u[:, j]) * by_u[:, j]
    if vector.size:
        by_params = jax.jacfwd(lambda v: copula.cdf(u, copula.constrain(v, dim)))(vector)
        process = process - influence @ by_params.T

    def replicate(index):
        weights = jax.random.normal(jax.random.fold_in(key, index), (n,), u.dtype)
        return jnp.sum(((weights - jnp.mean(weights)) @ process) ** 2) / n**2

    return map_chunks(replicate, num_resamples, n), valid


@jax.jit(static_argnames=("copula", "statistic", "method", "num_resamples"))
def _resample(key, u, params, copula, statistic, method, num_resamples):
    cdf_key, key = jax.random.split(key)
    observed = _measure(cdf_key, u, copula, params, statistic)
    if method == "multiplier":
        return observed, *_multiplier(key, u, copula, params, num_resamples)

    def replicate(index):
        sample_key, cdf_key = jax.random.split(jax.random.fold_in(key, index))
        star = pseudo_observations(jnp.asarray(copula.sample(sample_key, params, u.shape), u.dtype))
        again = refit(star, copula, params)
        return jnp.where(again.converged, _measure(cdf_key, star, copula, again.params, statistic), jnp.nan)

    # Pairs of rows are the largest arrays, or rows and Monte-Carlo points.
    width = u.shape[0] if copula.cdf or statistic == "rosenblatt" else max(_NUM_POINTS, 10 * u.shape[0])
    return observed, map_chunks(replicate, num_resamples, u.size * width // 8), jnp.asarray(True)


def goodness_of_fit(
    key: Array,
    x: Float[Array, "n d"],
    family: str | Copula,
    *,
    statistic: str = "cramer_von_mises",
    method: str = "parametric",
    num_resamples: int = 1000,
) -> GoodnessOfFit:
    """Test whether the copula of ``x``, whose margins may be any, belongs to the family.

    The family is fitted by maximum pseudo-likelihood to average ranks / (n + 1). The p-value is
    (number of replicates at or above the statistic + 1/2) / (N + 1).

    - ``statistic="cramer_von_mises"``: S_n, the distance of the empirical copula from the fitted one. Families without
      a closed distribution function get one from 2,500 or 10 n draws, the same way in every replicate.
    - ``statistic="rosenblatt"``: S_n^(B), the distance of the Rosenblatt transform from independence; it depends on the
      order of the columns.
    - ``method="parametric"``: samples of the fitted copula, ranked and refitted, in one compiled program.
    - ``method="multiplier"``: S_n only, for families with a distribution function; no refits, so much faster on large
      tables. Below several hundred rows it rejects a true family too often, as S_n carries a bias of order 1 / n that
      the multipliers do not see.

    Ties: average ranks, while replicates have no ties, so p-values are too small where ties are many; break them at
    random, several times. Works under ``vmap``. Raises ValueError for an unknown statistic or method, a multiplier
    bootstrap of what it cannot do, fewer than 3 rows, and fewer than 2 resamples.
    Sources: Genest and Rémillard (2008); Genest, Rémillard and Beaudoin (2009); Kojadinovic, Yan and Holmes (2011).

    >>> from jaxcop.copulas import clayton
    >>> x = clayton.sample(jax.random.key(0), clayton.Params(4.0), (200, 2))
    >>> test = goodness_of_fit(jax.random.key(1), x, "gumbel", method="multiplier")
    >>> bool(test.p_value < 0.01), bool(test.converged)
    (True, True)
    """
    copula = family_of(family)
    _checks.one_of(statistic, _STATISTICS, "statistic")
    _checks.one_of(method, _METHODS, "method")
    if method == "multiplier" and (statistic != "cramer_von_mises" or copula.cdf is None):
        what = f"{statistic!r} of {copula.name!r}"
        raise ValueError(
            f"method: expected 'parametric' for {what}, got 'multiplier', which needs the statistic "
            "'cramer_von_mises' and a closed distribution function; or test with statistic='rosenblatt'"
        )
    num_resamples = check_resamples(key, num_resamples)
    u, (fit_key, key) = pseudo_observations(check_rows(x)), jax.random.split(key)
    fitted = fit(u, copula, key=fit_key)
    observed, replicates, valid = _resample(key, u, fitted.params, copula, statistic, method, num_resamples)
    above, count = jnp.sum(replicates >= observed), jnp.sum(jnp.isfinite(replicates))
    p_value = jnp.where(count > 0, (above + 0.5) / (count + 1), jnp.nan).astype(u.dtype)
    return GoodnessOfFit(observed, p_value, fitted, fitted.converged & valid, replicates)
