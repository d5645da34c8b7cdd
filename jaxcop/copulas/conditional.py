"""Draws from a copula given values of some coordinates and ranges of others.

Exact for the Gaussian, the Student-t, the Gaussian-mixture and the Clayton copula, in any dimension: closed-form
conditionals of the values, and rejection with a bound at its saddle point for the ranges. Nothing is compiled again
when only numbers change, nor when other coordinates are given.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, Key

from jaxcop import _checks
from jaxcop._numerics import concrete, normal_cdf, open_unit, promote
from jaxcop._student_t import student_t_cdf, student_t_quantile
from jaxcop.copulas import _frailty, _tilting, clayton, gaussian, gaussian_mixture, student_t
from jaxcop.copulas._contract import Copula
from jaxcop.copulas._rejection import Draws

__all__ = ["Condition", "Draws", "condition", "is_exact", "sample"]


class Condition(NamedTuple):
    """Bounds of every coordinate: equal ones are a value, 0 and 1 leave it free."""

    low: Float[Array, " d"]
    high: Float[Array, " d"]


def condition(dim: int, given: Mapping[int, float | tuple[float, float]]) -> Condition:
    """The condition that the coordinates in ``given`` have a value or lie in a range ``(low, high)``.

    Raises ValueError for a coordinate that does not exist, a value outside (0, 1), or a range that is empty or not
    within [0, 1].

    >>> condition(3, {0: 0.2, 2: (0.9, 1.0)}).high.tolist()
    [0.2, 1.0, 1.0]
    """
    low, high = np.zeros(dim), np.ones(dim)
    for j, wanted in given.items():
        if not isinstance(j, int | np.integer) or not 0 <= j < dim:
            raise ValueError(f"given: expected coordinates 0 to {dim - 1}, got {j!r}; count from 0")
        low[j], high[j] = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    return _check(Condition(jnp.asarray(low), jnp.asarray(high)), dim)


def _check(given: Condition, dim: int | None = None) -> Condition:
    low, high = promote(*given)
    if low.ndim != 1 or low.shape != high.shape or len(low) < 2 or (dim is not None and len(low) != dim):
        wanted = "[d] with d >= 2" if dim is None else f"[{dim}]"
        raise ValueError(f"condition: expected low and high of shape {wanted}, got {low.shape} and {high.shape}")
    a, b = concrete(low), concrete(high)
    if a is None or b is None:
        return Condition(low, high)
    wrong = ~((a >= 0) & (a <= b) & (b <= 1)) | ((a == b) & ((a <= 0) | (a >= 1)))
    if wrong.any():
        j = int(wrong.argmax())
        raise ValueError(
            f"condition: expected 0 <= low < high <= 1, or a value inside (0, 1), got {a[j]} and {b[j]} for "
            f"coordinate {j}; correct them"
        )
    if (a == b).all():
        raise ValueError("condition: expected a coordinate that is left to draw, got values for all; leave one free")
    return Condition(low, high)


def _family(copula: Copula) -> str | None:
    named = {module.COPULA.name for module in (gaussian, student_t, clayton)}
    if copula.name in named:
        return copula.name
    return "gaussian_mixture" if copula.name.startswith("gaussian_mixture_") else None


def is_exact(copula: Copula) -> bool:
    """Whether :func:`sample` knows the family.

    >>> from jaxcop.copulas import FAMILIES
    >>> [name for name, family in FAMILIES.items() if is_exact(family)]
    ['gaussian', 'student_t', 'clayton']
    """
    return _family(copula) is not None


def _vector(family: str, params, given: Condition):
    """The normal or t vector behind a copula, and the margins that take it back."""
    low, high = given
    dtype = low.dtype
    one = jnp.zeros(1, dtype)
    if family == "gaussian_mixture":
        params = gaussian_mixture.Params(*(leaf.astype(dtype) for leaf in params))

        def back(x):
            return gaussian_mixture._to_uniform(x, params)

        def quantile(u):
            inside = (u > 0) & (u < 1)
            x = gaussian_mixture._to_mixture(jnp.where(inside, u, 0.5), params)
            return jnp.where(inside, x, jnp.where(u > 0, jnp.inf, -jnp.inf))

        covariances = params.scale @ jnp.swapaxes(params.scale, 1, 2)
        weights = jax.nn.log_softmax(params.logits)
        return _tilting.Vector(weights, params.means, covariances, quantile(low), quantile(high), None), back
    correlation = params.correlation.astype(dtype)
    means = jnp.zeros((1, len(low)), dtype)
    if family == "gaussian":
        return _tilting.Vector(one, means, correlation[None], ndtri(low), ndtri(high), None), normal_cdf
    df = jnp.asarray(params.df, dtype)
    low, high = student_t_quantile(jnp.stack([low, high]), df)
    return _tilting.Vector(one, means, correlation[None], low, high, df), lambda x: student_t_cdf(x, df)


@functools.partial(jax.jit, static_argnames=("family", "num_rows"))
def _sample(key, params, given: Condition, family: str, num_rows: int) -> Draws:
    if family == "clayton":
        draws = _frailty.sample(key, jnp.asarray(params.theta, given.low.dtype), given.low, given.high, num_rows)
        points = draws.points
    else:
        vector, back = _vector(family, params, given)
        draws = _tilting.sample(key, vector, num_rows)
        points = back(draws.points)
    # Rounding may put a draw on the other side of a bound; NaN stays NaN.
    points = jnp.clip(open_unit(points), given.low, given.high)
    return draws._replace(points=jnp.where(draws.filled[:, None], points, jnp.nan))


def sample(key: Key[Array, ""], copula: Copula, params, given: Condition, num_rows: int) -> Draws:
    """``num_rows`` independent draws [n, d] of ``copula`` under the condition; pure, under ``jit`` and ``vmap``.

    Values: normal and t conditionals (df grows by the number of values), reweighted components of a mixture, the
    posterior of a Clayton frailty. Ranges, also of several coordinates together with values: exact rejection. Where a
    thousand rounds do not fill the rows, as the ranges are too improbable together, the rest is NaN and ``filled``
    false. Raises ValueError for another family and for bounds that :func:`condition` refuses.
    Sources: Botev (2017); Botev and L'Ecuyer (2015); Ding (2016); Hofert (2008).

    >>> from jaxcop.copulas import clayton
    >>> given = condition(3, {0: 0.01, 1: (0.0, 0.5)})
    >>> draws = sample(jax.random.key(0), clayton.COPULA, clayton.Params(2.0), given, 4)
    >>> draws.points.shape, bool(draws.filled.all()), bool((draws.points[:, 0] == 0.01).all())
    ((4, 3), True, True)
    """
    family = _family(copula)
    if family is None:
        raise ValueError(
            f"copula: expected gaussian, student_t, clayton or a Gaussian mixture, got {copula.name}; fit one of "
            "those, or keep the draws of copula.sample that meet the condition"
        )
    _checks.whole(num_rows, "num_rows")
    if family == "gaussian_mixture":
        params = gaussian_mixture._check(params)
        dim = params.means.shape[1]
    elif family == "student_t":
        params = student_t.Params(*student_t._check(params))
        dim = len(params.correlation)
    elif family == "gaussian":
        params = gaussian.Params(gaussian._check(params))
        dim = len(params.correlation)
    else:
        params = clayton.Params(jnp.asarray(clayton._check(params)))
        dim = None
    given = _check(given, dim)
    dtype = jnp.result_type(*jax.tree.leaves(params), given.low)
    return _sample(key, params, Condition(*(end.astype(dtype) for end in given)), family, num_rows)
