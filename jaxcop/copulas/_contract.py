"""What a copula family is: a NamedTuple of pure functions, documented here once.

A family is a module with the functions below, a NamedTuple ``Params`` and a value ``COPULA``. To add one, write its
module, add a row to ``jaxcop.copulas._table.FAMILIES`` and a row to ``tests/families.py``. Combinators make further
values of the same type; equal arguments give the same value, which ``jit`` takes as a static argument.

Every function is pure and works under ``jit``, ``vmap`` and ``grad``; dtypes follow the input. Shapes and values are
checked where they are concrete (ValueError), shapes alone while jax traces. Parameters are one set: for a batch of
them use ``vmap``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop._numerics import as_float, concrete


class TailDependence(NamedTuple):
    """Lower and upper tail-dependence coefficients, a scalar or one per pair as ``[d, d]``."""

    lower: Float[Array, "..."]
    upper: Float[Array, "..."]


class Copula(NamedTuple):
    """The functions of one family.

    logpdf(u, params): log-density, ``[*b, d] -> [*b]``; -inf outside the open cube (a NaN coordinate is outside).
    sample(key, params, shape): draws of shape ``(*b, d)``, strictly inside the cube.
    rosenblatt(u, params): P(U_j <= u_j | u_1..u_{j-1}) for every j, ``[*b, d] -> [*b, d]``; u inside the cube.
    inverse_rosenblatt(w, params): the inverse in ``u``; maps independent uniforms to draws.
    cdf(u, params): distribution function ``[*b, d] -> [*b]``, or None where there is no closed form.
    kendall_tau(params), from_kendall_tau(tau): a scalar (Archimedean) or ``[d, d]`` (elliptical), and back to params;
        None where tau does not determine the parameters.
    tail_dependence(params): TailDependence.
    num_params(dim): number of free parameters.
    constrain(vector, dim), unconstrain(params, dim): bijection between params and R^num_params.
    start(key, u, mask, shrinkage): estimate from the rows of ``u`` where ``mask`` is true, by inversion of Kendall's
        tau where there is one: what ``itau`` returns and where maximum likelihood starts.
    """

    name: str
    logpdf: Callable
    sample: Callable
    rosenblatt: Callable
    inverse_rosenblatt: Callable
    cdf: Callable | None
    kendall_tau: Callable | None
    from_kendall_tau: Callable | None
    tail_dependence: Callable
    num_params: Callable
    constrain: Callable
    unconstrain: Callable
    start: Callable


def check_points(u, *, dim: int | None = None, name: str = "u") -> Float[Array, "*b d"]:
    """Return points as a float array of shape ``[*b, d]`` with d >= 2, or say what is wrong."""
    u = as_float(u)
    if u.ndim < 1 or u.shape[-1] < 2:
        raise ValueError(f"{name}: expected shape (..., d) with d >= 2 columns, got {u.shape}; put columns last")
    if dim is not None and u.shape[-1] != dim:
        raise ValueError(
            f"{name}: expected {dim} columns to match the parameters, got {u.shape[-1]}; use one dimension"
        )
    return u


def check_inside(u, *, dim: int | None = None, name: str = "u") -> Float[Array, "*b d"]:
    """As :func:`check_points`, and every coordinate strictly between 0 and 1."""
    u = check_points(u, dim=dim, name=name)
    values = concrete(u)
    if values is not None and not ((values > 0) & (values < 1)).all():
        raise ValueError(
            f"{name}: expected values strictly between 0 and 1, got some outside or NaN; "
            "transform the margins first, for example with ranks / (n + 1)"
        )
    return u


def check_shape(shape, *, dim: int | None = None) -> tuple[int, ...]:
    """Return a sample shape ``(*b, d)`` with d >= 2, and d = ``dim`` where given."""
    shape = tuple(shape)
    if dim is not None and shape[-1:] != (dim,):
        raise ValueError(f"shape: expected (..., {dim}) as the parameters have, got {shape}; the last entry is d")
    if not shape or shape[-1] < 2:
        raise ValueError(f"shape: expected (..., d) with d >= 2, got {shape}; the last entry is the dimension")
    return shape


def check_tau(tau, low: float, high: float, *, family: str) -> Float[Array, "..."]:
    """Return Kendall's tau if it lies in [low, high); -1, perfect disorder, is excluded as 1 is."""
    tau = as_float(tau)
    values = concrete(tau)
    if values is not None and not ((values >= low) & (values > -1) & (values < high)).all():
        sign = "<" if low == -1 else "<="
        raise ValueError(f"tau: expected {low} {sign} tau < {high} for {family}, got {values}; choose another family")
    return tau


def split_cube(u: Float[Array, "*b d"]) -> tuple[Bool[Array, "*b"], Float[Array, "*b d"]]:
    """Which points are inside the open cube, and the points with those outside moved to its centre.

    The move keeps gradients finite: the density is taken at a legal point everywhere and then masked.
    """
    inside = jnp.all((u > 0) & (u < 1), axis=-1)
    return inside, jnp.where(inside[..., None], u, 0.5)


def split_columns(u: Float[Array, "*b d"]) -> tuple[Bool[Array, "n"], Float[Array, "d n"]]:
    """As :func:`split_cube`, with the points on one axis and the coordinates before it.

    Loops then run along the points. The barrier keeps the transposition out of them: fused into a loop, a read of
    every d-th number stops it from being vectorised.
    """
    columns = jax.lax.optimization_barrier(u.reshape(-1, u.shape[-1]).T)
    inside = jnp.all((columns > 0) & (columns < 1), 0)
    return inside, jnp.where(inside, columns, 0.5)
