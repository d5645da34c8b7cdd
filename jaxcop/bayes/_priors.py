"""Priors of copula parameters: the defaults, and what a prior of one's own must be."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.transforms import biject_to

from jaxcop.copulas import Copula

# Kendall's tau of each one-parameter family in two columns and in more; the ends are excluded where theta is infinite.
TAU_RANGE = {
    "clayton": ((0.0, 1.0), (0.0, 1.0)),
    "gumbel": ((0.0, 1.0), (0.0, 1.0)),
    "joe": ((0.0, 1.0), (0.0, 1.0)),
    "frank": ((-1.0, 1.0), (0.0, 1.0)),
}


def default_priors(family: str, dim: int) -> dict[str, dist.Distribution]:
    """Uniform on tau; LKJ(1), uniform on correlation matrices; Gamma(2, 0.1) on df (Juárez and Steel 2010)."""
    if family in TAU_RANGE:
        return {"tau": dist.Uniform(*TAU_RANGE[family][dim > 2])}
    priors: dict[str, dist.Distribution] = {"correlation": dist.LKJCholesky(dim, 1.0)}
    return priors | ({"df": dist.Gamma(2.0, 0.1)} if family == "student_t" else {})


def checked_priors(copula: Copula, dim: int, priors: Mapping[str, dist.Distribution]) -> dict[str, dist.Distribution]:
    """The default priors with those of the caller in their place, or a ValueError where the family knows no such."""
    chosen = default_priors(copula.name, dim)
    allowed = {"tau", "theta"} if copula.name in TAU_RANGE else set(chosen)
    unknown = sorted(set(priors) - allowed)
    if unknown or {"tau", "theta"} <= set(priors):
        raise ValueError(
            f"priors: expected names among {sorted(allowed)} (tau or theta, not both), got {sorted(priors)}; "
            "rename them"
        )
    if "theta" in priors:
        chosen = {}
    chosen |= priors
    for name, prior in priors.items():
        if name == "correlation":
            if type(prior.support) is not type(constraints.corr_cholesky) or prior.event_shape != (dim, dim):
                raise ValueError(
                    f"priors: expected a prior of {dim} x {dim} Cholesky factors of correlations, such as "
                    f"LKJCholesky({dim}, 2.0), got {type(prior).__name__} of shape {prior.event_shape}; use one"
                )
            continue
        low, high = _domain(copula, name, dim)
        # The declared support is what the chains walk on, wherever the mass is.
        draws = np.asarray(prior.sample(jax.random.key(0), (1000,)))
        walked = np.asarray(biject_to(prior.support)(jnp.linspace(-10, 10, 101)))
        inside = all(((x >= low) & (x <= high)).all() for x in (draws, walked))
        if prior.event_shape or prior.batch_shape or not inside:
            raise ValueError(
                f"priors: expected a scalar prior of {name} with its support inside ({low}, {high}) for {copula.name} "
                f"in dimension {dim}, got {type(prior).__name__} on {prior.support} or of another shape; truncate it, "
                "or give its AffineTransform the domain that it has"
            )
    return chosen


def _domain(copula: Copula, name: str, dim: int) -> tuple[float, float]:
    if name == "df":
        return 0.0, np.inf
    if name == "tau":
        return TAU_RANGE[copula.name][dim > 2]
    lowest = {"clayton": 0.0, "gumbel": 1.0, "joe": 1.0, "frank": -np.inf if dim == 2 else 0.0}
    return lowest[copula.name], np.inf
