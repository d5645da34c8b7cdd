"""Posterior of a Gaussian mixture: parameters drawn, assignments summed out, summaries that no relabelling changes."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcop import _checks, mixture
from jaxcop.bayes import _diagnostics, _samplers
from jaxcop.bayes import _mixture_model as _model

METHODS, WEIGHTS, COVARIANCES = ("svi", "nuts"), ("stick_breaking", "dirichlet"), ("full", "diagonal")
RULE = {
    "svi": "the restart with the highest evidence bound at the end, all bounds over the same draws of noise",
    "nuts": "all chains are kept",
}


class MixtureFit(NamedTuple):
    """What compiled code gets: draws of the parameters (leading axis), and what tells whether to read them.

    ``log_likelihood`` of all rows, sorted ``weights`` and ``live`` components (those that have rows) of each draw;
    ``bound`` and its Monte Carlo error by restart (NaN for NUTS).
    """

    params: mixture.Params
    log_likelihood: Float[Array, " draws"]
    weights: Float[Array, "draws k"]
    live: Int[Array, " draws"]
    diverged: Bool[Array, " draws"]
    bound: Float[Array, " restarts"]
    bound_error: Float[Array, " restarts"]


class MixturePosterior(NamedTuple):
    """Draws of a Gaussian mixture, and whether to believe them.

    ``params`` have one axis of all draws before those of ``mixture.Params``; labels differ between draws. ``weights``
    are sorted, the largest first. ``live`` is the number of components that have rows when each row is assigned at
    random by its probabilities. ``summary`` holds what no relabelling changes: ``log_likelihood``, ``live``,
    ``weight[1]`` the largest weight, and so on. ``bound`` and ``bound_error`` are those of every restart, ``chosen``
    the one kept by ``rule``.
    """

    params: mixture.Params
    log_likelihood: Float[np.ndarray, "chains draws"]
    weights: Float[np.ndarray, "chains draws k"]
    live: Int[np.ndarray, "chains draws"]
    bound: Float[np.ndarray, " restarts"]
    bound_error: Float[np.ndarray, " restarts"]
    chosen: int
    rule: str
    num_divergent: int
    summary: dict[str, _diagnostics.Summary]
    converged: bool
    warnings: tuple[str, ...]


def fit_masked(
    key: Key[Array, ""],
    z: Float[Array, "n d"],
    row_weights: Float[Array, " n"],
    *,
    num_components: int,
    weights: str = "stick_breaking",
    covariance: str = "full",
    concentration: float | Float[Array, ""] = 1.0,
    method: str = "svi",
    num_starts: int = 4,
    num_draws: int = 1000,
    num_steps: int = 1000,
) -> MixtureFit:
    """:func:`mixture_posterior` without checks, for compiled code and ``vmap``.

    The likelihood of a row counts ``row_weights`` times: 0 leaves it out, and of m copies of a row each counts 1/m.
    """
    full = covariance == "full"
    dim = z.shape[1]
    total = row_weights.sum()
    shares = row_weights / total
    z = jnp.where(row_weights[:, None] > 0, z, 0)
    location = shares @ z
    x = jnp.where(row_weights[:, None] > 0, z - location, 0)
    second = jnp.einsum("n,ni,nj->ij", shares, x, x)
    identity = jnp.eye(dim, dtype=z.dtype)
    # A column that repeats others leaves a covariance that is singular up to rounding.
    ridge = identity * (jnp.diagonal(second) * jnp.finfo(z.dtype).eps ** 0.5 + jnp.finfo(z.dtype).tiny)
    spread = jnp.linalg.cholesky(second + ridge) if full else jnp.sqrt((second + ridge) * identity)
    x = solve_triangular(spread, x.T, lower=True).T
    prior = _model.make_prior(num_components, dim, weights, full, jnp.asarray(concentration, z.dtype), z.dtype)
    key_start, key_run, key_bound, key_draw, key_live = jax.random.split(key, 5)
    unravel = _model.unravel(num_components, dim, full, z.dtype)

    def one(key_start, key_run) -> Any:
        frame = _model.make_frame(key_start, x, row_weights, num_components, full)
        mean, sd = _model.start(frame, prior, full)

        def log_density(vector):
            free = unravel(vector)
            rows = logsumexp(_model.joint_components(free, x, frame), axis=-1)
            return (row_weights * rows).sum() + _model.log_prior(free, frame, prior)

        if method == "nuts":
            return frame, _samplers.nuts(key_run, log_density, mean, num_steps, num_draws)
        return frame, _samplers.factorised(key_run, key_bound, log_density, mean, sd, num_steps)

    keys = jax.random.split(key_start, num_starts), jax.random.split(key_run, num_starts)
    frames, found = jax.vmap(one)(*keys)
    if method == "nuts":
        vectors, diverged = (leaf.reshape(num_starts * num_draws, *leaf.shape[2:]) for leaf in found)
        frames = jax.tree.map(lambda leaf: jnp.repeat(leaf, num_draws, 0), frames)
        bound = error = jnp.full(num_starts, jnp.nan, z.dtype)
    else:
        mean, sd, bound, error = found
        best = jnp.argmax(jnp.where(jnp.isfinite(bound), bound, -jnp.inf))
        vectors = mean[best] + sd[best] * jax.random.normal(key_draw, (num_draws, mean.shape[1]), z.dtype)
        frames = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[best], (num_draws, *leaf.shape[1:])), frames)
        diverged = jnp.zeros(num_draws, bool)
    # Densities are those of z, not of its scaled copy.
    volume = total * jnp.log(jnp.diagonal(spread)).sum()

    def decode(inputs):
        vector, frame, key = inputs
        free = unravel(vector)
        joint = _model.joint_components(free, x, frame)
        assigned = jnp.where(row_weights > 0, jax.random.categorical(key, joint, axis=-1), num_components)
        live = (jnp.zeros(num_components + 1, int).at[assigned].add(1)[:-1] > 0).sum()
        params = _model.params(free, frame, location, spread, full)
        return params, (row_weights * logsumexp(joint, axis=-1)).sum() - volume, live

    each = (vectors, frames, jax.random.split(key_live, len(vectors)))
    params, log_likelihood, live = jax.lax.map(decode, each)
    ordered = -jnp.sort(-jnp.exp(params.logits), axis=-1)
    return MixtureFit(params, log_likelihood, ordered, live, diverged, bound - volume, error)


_fit = jax.jit(
    fit_masked,
    static_argnames=("num_components", "weights", "covariance", "method", "num_starts", "num_draws", "num_steps"),
)


def mixture_posterior(
    key: Key[Array, ""],
    z: Float[Array, "n d"],
    *,
    num_components: int = 10,
    weights: str = "stick_breaking",
    covariance: str = "full",
    concentration: float = 1.0,
    method: str = "svi",
    num_starts: int = 4,
    num_draws: int = 1000,
    num_steps: int = 1000,
) -> MixturePosterior:
    r"""Posterior of a Gaussian mixture of at most ``num_components``, with the assignments of rows summed out.

    Weights are a truncated stick-breaking process, :math:`v_k \sim Beta(1, \alpha)`, or Dirichlet
    :math:`(\alpha / K, \dots)`, with :math:`\alpha` = ``concentration``: both let components that are not needed die.
    In units where the rows have mean 0 and identity covariance (unit variances, for ``"diagonal"``), precisions are
    :math:`\Lambda_k \sim Wishart(d, I)` and means :math:`N(0, \Lambda_k^{-1})`, as in scikit-learn's defaults.

    ``"svi"``: ``num_starts`` restarts side by side, each from its own EM, of a factorised Gaussian that is fitted in
    ``num_steps`` steps; the one with the highest evidence bound is kept and all bounds are in the result. It knows one
    mode and its spread is somewhat narrow. ``"nuts"``: ``num_starts`` chains with ``num_steps`` of warm-up and
    ``num_draws`` each; chains that settle in different modes are warned of, from what no relabelling changes.

    Raises ValueError for NaN, a constant column, more components than rows, unknown names and counts below 1.
    Sources: Bishop (2006), section 10.2; Ishwaran and James (2001); Kucukelbir et al. (2017).

    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal([[-4.0, 0.0]] * 40 + [[4.0, 1.0]] * 60)
    >>> found = mixture_posterior(jax.random.key(0), z, num_components=4, num_steps=300, num_draws=200)
    >>> np.round(np.median(found.weights[0], 0)[:2], 1).tolist()
    [0.6, 0.4]
    """
    z = jnp.asarray(_checks.table(z))
    for name, value, allowed in (
        ("weights", weights, WEIGHTS),
        ("covariance", covariance, COVARIANCES),
        ("method", method, METHODS),
    ):
        _checks.one_of(value, allowed, name)
    for name, value, least in (
        ("num_components", num_components, 1),
        ("num_starts", num_starts, 1),
        ("num_draws", num_draws, 4),
        ("num_steps", num_steps, 2),
    ):
        _checks.whole(value, name, least=least)
    if num_components > len(z):
        raise ValueError(f"num_components: expected at most {len(z)} (the rows), got {num_components}; choose fewer")
    _checks.positive(concentration, "concentration")
    fitted = _fit(
        key,
        z,
        jnp.ones(len(z), z.dtype),
        num_components=num_components,
        weights=weights,
        covariance=covariance,
        concentration=concentration,
        method=method,
        num_starts=num_starts,
        num_draws=num_draws,
        num_steps=num_steps,
    )
    return _result(jax.tree.map(np.asarray, fitted), method, num_starts if method == "nuts" else 1)


def _result(fitted, method: str, num_chains: int) -> MixturePosterior:
    log_likelihood, weights, live = (
        leaf.reshape(num_chains, -1, *leaf.shape[1:]) for leaf in (fitted.log_likelihood, fitted.weights, fitted.live)
    )
    told = _diagnostics.summarise({"log_likelihood": log_likelihood, "live": live, "weight[1]": weights[..., 0]})
    others = {f"weight[{k + 1}]": weights[..., k] for k in range(1, weights.shape[-1])}
    num_divergent = int(fitted.diverged.sum())
    complaints = _diagnostics.complaints(told, None, num_divergent, num_chains)
    if not np.isfinite(log_likelihood).all() or (method == "svi" and not np.isfinite(fitted.bound).any()):
        complaints += ("no finite density: the rows may lie in a plane; drop columns that repeat others.",)
    if complaints:
        warnings.warn(f"posterior of the mixture: {' '.join(complaints)}", UserWarning, stacklevel=3)
    return MixturePosterior(
        params=fitted.params,
        log_likelihood=log_likelihood,
        weights=weights,
        live=live,
        bound=fitted.bound,
        bound_error=fitted.bound_error,
        chosen=int(np.argmax(np.where(np.isfinite(fitted.bound), fitted.bound, -np.inf))),
        rule=RULE[method],
        num_divergent=num_divergent,
        summary=told | _diagnostics.summarise(others),
        converged=not complaints,
        warnings=complaints,
    )


@jax.jit
def _logpdf(z, params):
    count = len(params.logits)
    return logsumexp(jax.lax.map(lambda one: mixture.logpdf(z, one), params, batch_size=16), axis=0) - jnp.log(count)


def mixture_logpdf(z: Float[Array, "*b d"], posterior: MixturePosterior) -> Float[Array, "*b"]:
    """Log of the posterior predictive density: the densities of all draws, averaged.

    Raises ValueError for another number of columns than the posterior has.
    """
    z, dim = jnp.asarray(z), posterior.params.means.shape[-1]
    if z.ndim < 1 or z.shape[-1] != dim:
        raise ValueError(f"z: expected {dim} columns to match the posterior, got shape {z.shape}; use the same columns")
    return _logpdf(z, posterior.params)


def mixture_predictive(key: Key[Array, ""], posterior: MixturePosterior, num_rows: int) -> Float[Array, "m d"]:
    """Rows of the posterior predictive density: each from its own draw of the parameters.

    Raises ValueError for fewer than 1 row.
    """
    _checks.whole(num_rows, "num_rows")
    pooled = mixture.pooled(posterior.params)
    return mixture.sample(key, pooled, (num_rows, pooled.means.shape[-1]))
