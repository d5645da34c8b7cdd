"""Mixtures of copulas: the density is a weighted sum, so that tails of several families live in one model."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from jaxcop._numerics import as_float, concrete, open_unit
from jaxcop.copulas import _archimedean
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape


class Params(NamedTuple):
    """Log-weights, up to a constant, and the parameters of every component."""

    logits: Float[Array, "k"]
    components: tuple[Any, ...]


def mixture_of(*copulas: Copula) -> Copula:
    """The mixture of two or more copulas, c(u) = sum_k pi_k c_k(u), itself a copula.

    Tail dependence is the weighted sum, per pair ``[d, d]`` if that of any component is. Kendall's tau,
    4 sum_kl pi_k pi_l int C_k dC_l - 1, has no closed form for k != l: ``kendall_tau`` is None. Raises ValueError for
    fewer than two components. Source: Nelsen (2006), sections 3.2.4 and 5.1.

    >>> from jaxcop.copulas import clayton, survival
    >>> both = mixture_of(clayton.COPULA, survival(clayton.COPULA))
    >>> params = Params(jnp.zeros(2), (clayton.Params(1.0), clayton.Params(1.0)))
    >>> print(both.tail_dependence(params).lower, both.tail_dependence(params).upper)
    0.25 0.25
    """
    if len(copulas) < 2:
        raise ValueError(f"copulas: expected at least 2, got {len(copulas)}; a single copula needs no mixture")
    return _mixture_of(copulas)


@cache
def _mixture_of(copulas: tuple[Copula, ...]) -> Copula:
    def check(params) -> Params:
        logits = as_float(params.logits)
        values = concrete(logits)
        if logits.shape != (len(copulas),) or len(params.components) != len(copulas):
            raise ValueError(
                f"params: expected {len(copulas)} logits and as many components, got {logits.shape} and "
                f"{len(params.components)}; one of each per copula"
            )
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"logits: expected finite numbers, got {values}; drop a component instead")
        return Params(logits, tuple(params.components))

    def stacked(function_name: str, first, components):
        return jnp.stack([getattr(c, function_name)(first, p) for c, p in zip(copulas, components, strict=True)], -1)

    @jax.jit
    def weighted_logpdf(u, params):
        terms = stacked("logpdf", u, params.components) + jax.nn.log_softmax(params.logits)
        # All terms are -inf outside the cube, where the gradient of a log-sum is undefined.
        inside = jnp.isfinite(terms).any(-1)
        return jnp.where(inside, logsumexp(jnp.where(inside[..., None], terms, 0), axis=-1), -jnp.inf)

    def logpdf(u: Float[Array, "*b d"], params) -> Float[Array, "*b"]:
        return weighted_logpdf(check_points(u), check(params))

    def sample(key: Array, params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
        logits, components = check(params)
        shape = check_shape(shape)
        choice_key, *keys = jax.random.split(key, len(copulas) + 1)
        choice = jax.random.categorical(choice_key, logits, shape=shape[:-1])
        draws = [c.sample(k, p, shape) for c, k, p in zip(copulas, keys, components, strict=True)]
        which = [(choice == i)[..., None] for i in range(len(copulas))]
        return jnp.select(which, [draw.astype(logits.dtype) for draw in draws])

    def conditionals(u, components):
        """Every component's Rosenblatt transform [*b, d, k] and the log of its diagonal derivative."""

        def both(c, p):
            flat = u.reshape(-1, u.shape[-1])
            value = c.rosenblatt(flat, p)
            slopes = [jax.jvp(lambda v: c.rosenblatt(v, p), (flat,), (e,))[1][:, j] for j, e in enumerate(units(flat))]
            # A slope that underflows, or none, counts as the smallest number: infinities would cancel below.
            slopes, info = jnp.stack(slopes, -1), jnp.finfo(u.dtype)
            slopes = jnp.fmax(jnp.minimum(slopes, info.max), info.tiny)
            return value.reshape(u.shape), jnp.log(slopes).reshape(u.shape)

        values, slopes = zip(*(both(c, p) for c, p in zip(copulas, components, strict=True)), strict=True)
        return jnp.stack(values, -1), jnp.stack(slopes, -1)

    def units(flat):
        return jnp.eye(flat.shape[1], dtype=flat.dtype)[:, None, :] * jnp.ones_like(flat)

    @jax.jit
    def blended(u, params):
        values, slopes = conditionals(u, params.components)
        # The posterior weight of a component given the coordinates before j: its density of those coordinates.
        before = jnp.cumsum(slopes, -2) - slopes
        weights = jax.nn.softmax(before + params.logits, axis=-1)
        return jnp.sum(weights * values, -1)

    def rosenblatt(u: Float[Array, "*b d"], params) -> Float[Array, "*b d"]:
        return blended(check_inside(u), check(params))

    def solve(w, params):
        def coordinate(u, j):
            def excess(v):
                moved = u.at[..., j].set(open_unit(jax.nn.sigmoid(v)))
                value = jnp.clip(blended(moved, params)[..., j], jnp.finfo(w.dtype).tiny, 1 - jnp.finfo(w.dtype).epsneg)
                return jnp.log(value) - jnp.log1p(-value) - goal[..., j]

            return u.at[..., j].set(open_unit(jax.nn.sigmoid(_archimedean.solve_increasing(excess, goal[..., j]))))

        goal = jnp.log(w) - jnp.log1p(-w)
        # Coordinates not yet solved for sit at 1/2: they enter nothing that is read.
        u = jnp.full_like(w, 0.5).at[..., 0].set(w[..., 0])
        for j in range(1, w.shape[-1]):
            u = coordinate(u, j)
        return u

    inverse = _archimedean.implicit_inverse(blended, solve)

    def inverse_rosenblatt(w: Float[Array, "*b d"], params) -> Float[Array, "*b d"]:
        return inverse(check_inside(w, name="w"), check(params))

    def cdf(u: Float[Array, "*b d"], params) -> Float[Array, "*b"]:
        logits, components = check(params)
        return jnp.sum(stacked("cdf", check_inside(u), components) * jax.nn.softmax(logits), -1)

    def tail_dependence(params) -> TailDependence:
        logits, components = check(params)
        weights = jax.nn.softmax(logits)
        tails = [c.tail_dependence(p) for c, p in zip(copulas, components, strict=True)]
        return TailDependence(*(weighted(weights, per_pair(side)) for side in zip(*tails, strict=True)))

    def weighted(weights, tails):
        return jnp.tensordot(weights, tails, 1, precision="highest")

    def per_pair(sides):
        """Stacked; a scalar beside matrices [d, d] stands for every pair, and 1 for a column and itself."""
        shape = jnp.broadcast_shapes(*(side.shape for side in sides))
        own = jnp.eye(shape[0], dtype=bool) if shape else False
        return jnp.stack([jnp.where(own, 1, side) for side in sides])

    def num_params(dim: int) -> int:
        return len(copulas) - 1 + sum(c.num_params(dim) for c in copulas)

    def constrain(vector: Float[Array, "n"], dim: int) -> Params:
        vector = as_float(vector)
        ends = np.cumsum([len(copulas) - 1, *(c.num_params(dim) for c in copulas)])
        head, *parts = jnp.split(vector, ends[:-1])
        components = tuple(c.constrain(part, dim) for c, part in zip(copulas, parts, strict=True))
        return Params(jnp.concatenate([jnp.zeros(1, vector.dtype), head]), components)

    def unconstrain(params, dim: int) -> Float[Array, "n"]:
        logits, components = check(params)
        parts = [c.unconstrain(p, dim) for c, p in zip(copulas, components, strict=True)]
        return jnp.concatenate([logits[1:] - logits[0], *(part.astype(logits.dtype) for part in parts)])

    def start(key, u, mask, shrinkage=None) -> Params:
        return Params(jnp.zeros(len(copulas), u.dtype), tuple(c.start(key, u, mask, shrinkage) for c in copulas))

    return Copula(
        f"mixture_of_{'_'.join(c.name for c in copulas)}",
        logpdf,
        sample,
        rosenblatt,
        inverse_rosenblatt,
        None if any(c.cdf is None for c in copulas) else cdf,
        None,
        None,
        tail_dependence,
        num_params,
        constrain,
        unconstrain,
        start,
    )
