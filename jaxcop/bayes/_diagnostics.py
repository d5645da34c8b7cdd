"""What tells whether draws can be read: R-hat, effective sample size, Pareto k; the only import of arviz."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

with warnings.catch_warnings():
    # arviz announces its next major version on every import.
    warnings.simplefilter("ignore", FutureWarning)
    import arviz

MAX_R_HAT, MIN_EFFECTIVE, MAX_PARETO_K = 1.01, 100, 0.7
# Nats: where a row's log-likelihood varies less over the draws, its weights are equal within a tenth, and the shape of
# their tail says nothing.
FLAT = 0.1
BOOTSTRAP = 1000


class Summary(NamedTuple):
    """Of one scalar: posterior mean, standard deviation, 95 % interval by quantiles, R-hat, effective sample size."""

    mean: float
    sd: float
    low: float
    high: float
    r_hat: float
    effective: float


class ELPD(NamedTuple):
    """Expected log pointwise predictive density by PSIS-LOO: sum, standard error, per row, and the largest Pareto k.

    ``waic`` estimates the same sum without importance weights (Watanabe 2010); it has no diagnostic of its own.
    """

    value: float
    error: float
    pointwise: Float[np.ndarray, " n"]
    pareto_k: float
    waic: float = np.nan


class Comparison(NamedTuple):
    """``difference`` = elpd of the best less that of this family, with its standard error over rows."""

    family: str
    elpd: float
    difference: float
    error: float
    weight: float


def summarise(samples: Mapping[str, Float[np.ndarray, "chains draws ..."]]) -> dict[str, Summary]:
    """One summary a scalar; of a correlation matrix, those above the diagonal."""
    found = {}
    for name, x in samples.items():
        x = np.asarray(x, np.float64)
        if x.ndim == 2:
            found[name] = _summary(x)
            continue
        for i, j in zip(*np.triu_indices(x.shape[-1], 1), strict=True):
            found[f"{name}[{i + 1},{j + 1}]"] = _summary(x[..., i, j])
    return found


def _summary(x) -> Summary:
    low, high = np.quantile(x, (0.025, 0.975))
    # Of a number that never changes arviz knows neither; all chains agree on it.
    constant = x.min() == x.max()
    r_hat = np.nan if len(x) < 2 else 1.0 if constant else float(arviz.rhat(x))
    effective = float(x.size) if constant else float(arviz.ess(x))
    return Summary(float(x.mean()), float(x.std(ddof=1)), float(low), float(high), r_hat, effective)


def loo(log_likelihood: Float[np.ndarray, "chains draws n"]) -> ELPD:
    """Vehtari, Gelman and Gabry (2017), equation 10."""
    flat = np.asarray(log_likelihood, np.float64).reshape(-1, log_likelihood.shape[-1]).T
    log_weights, pareto_k = arviz.psislw(-flat)
    pareto_k = np.where(np.ptp(flat, axis=-1) < FLAT, 0, pareto_k)
    pointwise = np.asarray(special.logsumexp(log_weights + flat, axis=-1))
    error = float(np.sqrt(len(pointwise)) * pointwise.std(ddof=1))
    # Equations 4, 11 and 13.
    waic = special.logsumexp(flat, axis=-1) - np.log(flat.shape[1]) - flat.var(axis=-1, ddof=1)
    return ELPD(float(pointwise.sum()), error, pointwise, float(np.max(pareto_k)), float(waic.sum()))


def complaints(
    summary: Mapping[str, Summary], elpd: ELPD | None, num_divergent: int, num_chains: int
) -> tuple[str, ...]:
    found = []
    worst = max([s.r_hat for s in summary.values()], default=1.0)
    if num_chains > 1 and not worst <= MAX_R_HAT:
        found.append(
            f"R-hat {worst:.3f}, above {MAX_R_HAT}: the chains disagree; draw more, or look for several modes."
        )
    fewest = min((s.effective for s in summary.values()), default=np.inf)
    if not fewest >= MIN_EFFECTIVE:
        found.append(f"{fewest:.0f} effective draws, fewer than {MIN_EFFECTIVE}: the interval is rough; draw more.")
    if num_divergent:
        found.append(f"{num_divergent} divergent transitions: part of the posterior may be missed; change the prior.")
    if elpd is not None and not elpd.pareto_k <= MAX_PARETO_K:
        found.append(
            f"Pareto k {elpd.pareto_k:.2f}, above {MAX_PARETO_K}: elpd hangs on single rows; do not compare by it."
        )
    return tuple(found)


def compare(pointwise: Mapping[str, Float[np.ndarray, " n"]]) -> list[Comparison]:
    """Best first; weights are means over Bayesian-bootstrap draws of the rows (Yao et al. 2018, section 3.4)."""
    names, table = list(pointwise), np.stack(list(pointwise.values()))
    total = table.sum(-1)
    n = table.shape[1]
    rows = np.random.default_rng(0).dirichlet(np.ones(n), BOOTSTRAP)
    weights = special.softmax(n * rows @ table.T, axis=-1).mean(0)
    best = int(total.argmax())
    found = []
    for k in np.argsort(-total):
        gap = table[best] - table[k]
        error = float(np.sqrt(n) * gap.std(ddof=1)) if k != best else 0.0
        found.append(Comparison(names[k], float(total[k]), float(gap.sum()), error, float(weights[k])))
    return found
