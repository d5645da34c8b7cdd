"""Posterior of the parameters of one copula family: NUTS or a Gaussian approximation, with its diagnostics."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from jaxtyping import Array, Float, Key
from numpyro.distributions.transforms import biject_to

from jaxcop import _checks, sweep
from jaxcop.bayes import _diagnostics, _samplers
from jaxcop.bayes._priors import TAU_RANGE, checked_priors
from jaxcop.copulas import Copula, fitting
from jaxcop.copulas._contract import check_inside

METHODS = ("nuts", "svi")
MIN_ROWS = 5
# Of the values of a column that share theirs with another row.
MAX_TIED = 0.1
ELLIPTICAL = ("gaussian", "student_t")
SVI_STEPS, SVI_DRAWS, SVI_RATE = 1500, 16, 0.03


class CopulaPosterior(NamedTuple):
    """Draws of one family's parameters, and whether to believe them.

    ``samples`` by name, each ``[chains, draws, ...]``: tau and theta, or correlation (and df). ``params`` are the
    family's parameters with one axis of all draws. ``log_likelihood`` is ``[chains, draws, rows]``. ``summary`` by name
    of a scalar; ``elpd``: expected log predictive density by PSIS-LOO, its standard error and the largest Pareto k, and
    WAIC. ``converged`` is false, and ``warnings`` say why, where R-hat, effective sample size, divergences or Pareto k
    do not allow to read the summary; ``warnings`` tell of ties, too.
    """

    family: str
    dim: int
    samples: dict[str, Float[np.ndarray, "chains draws ..."]]
    params: Any
    log_likelihood: Float[np.ndarray, "chains draws n"]
    num_divergent: int
    summary: dict[str, _diagnostics.Summary]
    elpd: _diagnostics.ELPD
    converged: bool
    warnings: tuple[str, ...]


def _params(copula: Copula, values: Mapping[str, Array]):
    """The family's parameters and what is reported, from one value of each prior's variable."""
    if "theta" in values or "tau" in values:
        assert copula.from_kendall_tau is not None
        assert copula.kendall_tau is not None
        if "tau" in values:
            params = copula.from_kendall_tau(values["tau"])
            return params, {"tau": values["tau"], "theta": params.theta}
        params = copula.constrain(jnp.zeros(1), 2)._replace(theta=values["theta"])
        return params, {"tau": copula.kendall_tau(params), "theta": values["theta"]}
    root = values["correlation"]
    matrix = root @ root.T
    # Rows of the factor have length 1 up to rounding; the diagonal has it exactly.
    matrix = jnp.where(jnp.eye(len(matrix), dtype=bool), 1, matrix)
    extra = {"df": values["df"]} if "df" in values else {}
    params = copula.constrain(jnp.zeros(copula.num_params(len(matrix))), len(matrix))
    return params._replace(correlation=matrix, **extra), {"correlation": matrix, **extra}


class _Model(NamedTuple):
    """A family with its priors on an unconstrained vector."""

    copula: Copula
    names: tuple[str, ...]
    priors: tuple[dist.Distribution, ...]

    def values(self, z):
        """Values of the priors' variables, and the log-determinant of the way there."""
        values, log_det, start = {}, 0.0, 0
        for name, prior, shape in zip(self.names, self.priors, self.shapes, strict=True):
            bijection, size = biject_to(prior.support), math.prod(shape)
            part = z[start : start + size].reshape(shape)
            values[name] = bijection(part)
            log_det += jnp.sum(bijection.log_abs_det_jacobian(part, values[name]))
            start += size
        return values, log_det

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of each prior's variable on the unconstrained scale."""
        return [biject_to(prior.support).inverse_shape(prior.event_shape) for prior in self.priors]

    @property
    def size(self) -> int:
        return sum(map(math.prod, self.shapes))

    def log_joint(self, z, u):
        values, log_det = self.values(z)
        params, _ = _params(self.copula, values)
        prior = sum(jnp.sum(p.log_prob(values[name])) for name, p in zip(self.names, self.priors, strict=True))
        total = self.copula.logpdf(u, params).sum() + prior + log_det
        # A step so long that tau rounds to its end has left every family's domain.
        return jnp.where(total < jnp.inf, total, -jnp.inf)


def _sampler(model: _Model, num_warmup: int, num_draws: int):
    """``run(key, u) -> z[draws, k], diverged[draws]`` of one chain."""

    def run(key, u):
        key_start, key_run = jax.random.split(key)
        # Uniform on (-1, 1), where every bijection is far from its ends.
        start = jax.random.uniform(key_start, (model.size,), u.dtype, -1, 1)
        return _samplers.nuts(key_run, lambda z: model.log_joint(z, u), start, num_warmup, num_draws)

    return run


def _approximation(model: _Model, num_draws: int):
    """``run(key, u) -> z[draws, k], False``: the Gaussian with full covariance that maximises the evidence bound."""

    def run(key, u):
        size = model.size
        key_start, key_fit, key_draw = jax.random.split(key, 3)
        state = jax.random.uniform(key_start, (size,), u.dtype, -0.1, 0.1), jnp.eye(size, dtype=u.dtype) * 0.3
        optimiser = optax.adam(optax.cosine_decay_schedule(SVI_RATE, SVI_STEPS))

        def negative_bound(parts, key):
            mean, root = parts[0], jnp.tril(parts[1])
            noise = jax.random.normal(key, (SVI_DRAWS, size), u.dtype)
            joint = jax.vmap(lambda e: model.log_joint(mean + root @ e, u))(noise).mean()
            return -joint - jnp.log(jnp.abs(jnp.diagonal(root))).sum()

        def step(carry, key):
            parts, moments = carry
            slope = jax.grad(negative_bound)(parts, key)
            slope = jax.tree.map(lambda s: jnp.where(jnp.isfinite(s), s, 0), slope)
            updates, moments = optimiser.update(slope, moments)
            return (optax.apply_updates(parts, updates), moments), None

        (parts, _), _ = jax.lax.scan(step, (state, optimiser.init(state)), jax.random.split(key_fit, SVI_STEPS))
        mean, root = jax.tree.leaves(parts)
        z = mean + jax.random.normal(key_draw, (num_draws, size), u.dtype) @ jnp.tril(root).T
        return z, jnp.zeros(num_draws, bool)

    return run


def _one_table(keys, u, leaves, copula, names, structure, method, num_warmup, num_draws):
    """Draws of all chains, decoded, and which of them diverged."""
    model = _Model(copula, names, jax.tree.unflatten(structure, leaves))
    sampler = _sampler(model, num_warmup, num_draws) if method == "nuts" else _approximation(model, num_draws)
    z, diverging = jax.vmap(sampler, (0, None))(keys, u)

    def decode(z):
        params, shown = _params(copula, model.values(z)[0])
        return params, shown, copula.logpdf(u, params)

    z = z.reshape(-1, model.size)
    # A batch that leaves no rest, which would be compiled a second time.
    batch = max(size for size in range(1, 65) if len(z) % size == 0)
    return (*jax.lax.map(decode, z, batch_size=batch), diverging)


_run = jax.jit(_one_table, static_argnums=range(3, 9))


def copula_posterior(
    key: Key[Array, ""],
    u: Float[Array, "*b n d"],
    family: str | Copula,
    *,
    priors: Mapping[str, dist.Distribution] | None = None,
    method: str = "nuts",
    num_chains: int = 4,
    num_draws: int = 1000,
    num_warmup: int = 1000,
) -> CopulaPosterior | list[CopulaPosterior]:
    """Posterior of a family's parameters given points of the open unit cube.

    Families: clayton, gumbel, frank and joe with a prior on ``"tau"`` (uniform by default) or on ``"theta"``; gaussian
    and student_t with one on the Cholesky factor of the ``"correlation"`` (an LKJCholesky) and, for t, on ``"df"``.
    ``priors`` replaces any of them by a NumPyro distribution. ``"nuts"`` runs all chains vectorised in one program,
    kept for further tables of the same shape; ``"svi"`` fits a Gaussian on the unconstrained scale, quickly and without
    the guarantees. ``u`` with leading axes is a batch of tables, fitted in one program on all devices of jax, and gives
    a list.

    Chains that disagree, divergences, few effective draws or a Pareto k above 0.7 are warned of and kept in the result.
    So are columns with more than a tenth of their values tied. ``u`` from ranks treats the margins as known, which
    understates uncertainty about them.
    Raises ValueError for fewer than 5 rows, values outside (0, 1), an unknown family, method or variable, a prior that
    puts mass outside the family's domain, and counts below 1.
    Sources: Hoffman and Gelman (2014); Lewandowski, Kurowicka and Joe (2009); Vehtari, Gelman and Gabry (2017).

    >>> from jaxcop.copulas import clayton
    >>> u = clayton.sample(jax.random.key(0), clayton.Params(2.0), (100, 2))
    >>> found = copula_posterior(jax.random.key(1), u, "clayton", num_draws=500, num_warmup=300)
    >>> found.summary["theta"].low < 2 < found.summary["theta"].high, found.num_divergent
    (True, 0)
    """
    copula = fitting.family_of(family)
    if copula.name not in (*TAU_RANGE, *ELLIPTICAL):
        raise ValueError(
            f"family: expected one of {sorted((*TAU_RANGE, *ELLIPTICAL))}, got {copula.name!r}; put a "
            "CopulaDistribution into a model of your own for others"
        )
    _checks.one_of(method, METHODS, "method")
    _checks.whole(num_chains, "num_chains")
    _checks.whole(num_draws, "num_draws", least=4)
    _checks.whole(num_warmup, "num_warmup")
    # The sampler computes in the default precision.
    u = check_inside(u).astype(jnp.zeros(()).dtype)
    if u.size == 0 or u.ndim < 2 or u.shape[-2] < MIN_ROWS:
        raise ValueError(f"u: expected at least {MIN_ROWS} rows of shape (n, d), got shape {u.shape}; add rows")
    tied = _tie_warning(np.asarray(u))
    chosen = checked_priors(copula, u.shape[-1], priors or {})
    leaves, structure = jax.tree.flatten(tuple(chosen.values()))
    leaves = [jnp.asarray(leaf, u.dtype) for leaf in leaves]
    static = (copula, tuple(chosen), structure, method, num_warmup, num_draws)
    tables = u.reshape(-1, *u.shape[-2:])
    keys = jax.random.split(key, (len(tables), num_chains))
    if len(tables) == 1:
        out = jax.tree.map(lambda leaf: leaf[None], _run(keys[0], tables[0], leaves, *static))
    else:
        repeated = [jnp.broadcast_to(leaf, (len(tables), *leaf.shape)) for leaf in leaves]
        out = sweep.replicate(_one_table, keys, tables, repeated, static=static)
    found = [
        _result(copula.name, u.shape[-1], jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), out), num_chains, tied)
        for i in range(len(tables))
    ]
    return found[0] if u.ndim == 2 else found


def _tie_warning(u: np.ndarray) -> tuple[str, ...]:
    """What to say where a column of any table has many equal values, which continuous columns have not."""
    ordered = np.sort(u, axis=-2)
    equal = np.diff(ordered, axis=-2) == 0
    edge = np.zeros_like(equal[..., :1, :])
    share = (np.concatenate([equal, edge], -2) | np.concatenate([edge, equal], -2)).mean(-2).max()
    if share <= MAX_TIED:
        return ()
    return (
        f"{share:.0%} of a column's values are tied: the density of continuous columns overstates what they tell; "
        "break the ties at random, several times, and compare the posteriors.",
    )


def _result(family, dim, out, num_chains, tied) -> CopulaPosterior:
    params, shown, log_likelihood, diverging = out
    samples = {name: x.reshape(num_chains, -1, *x.shape[1:]) for name, x in shown.items()}
    log_likelihood = log_likelihood.reshape(num_chains, -1, log_likelihood.shape[-1])
    summary = _diagnostics.summarise(samples)
    elpd = _diagnostics.loo(log_likelihood)
    complaints = _diagnostics.complaints(summary, elpd, int(diverging.sum()), num_chains)
    told = tied + complaints
    if told:
        warnings.warn(f"posterior of {family}: {' '.join(told)}", UserWarning, stacklevel=3)
    return CopulaPosterior(
        family, dim, samples, params, log_likelihood, int(diverging.sum()), summary, elpd, not complaints, told
    )
