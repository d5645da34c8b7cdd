"""Reflections of a copula: ``survival`` turns every coordinate round, ``rotated`` one of two, for negative dependence.

Both are combinators: a family in, a family with the same parameters out.
"""

from functools import cache
from itertools import combinations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks
from jaxcop._numerics import as_float, open_unit
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape

# Which of two coordinates are reflected.
_ROTATIONS = {90: (True, False), 180: (True, True), 270: (False, True)}
# Families whose dependence has one sign and whose other two corners carry no tail dependence.
_QUARTER_TURNS = ("clayton", "gumbel", "joe", "frank", "independence")
# Of the distribution function of a reflection, a sum of 2**d terms.
_MOST_COLUMNS = 10


def survival(copula: Copula) -> Copula:
    """The copula of 1 - U where U follows ``copula``, in any dimension: its tails change places.

    c(u) = c0(1 - u); rotation by 180 degrees. Parameters are those of ``copula``. Where that has a closed ``cdf``,
    this one has the sum over its 2**d margins with signs, so up to ten columns, with an absolute error of about
    2**(d/2) roundings. Source: Nelsen (2006), section 2.6.

    >>> from jaxcop.copulas import clayton
    >>> flipped = survival(clayton.COPULA)
    >>> params = flipped.from_kendall_tau(0.5)
    >>> float(flipped.tail_dependence(params).lower), round(float(flipped.tail_dependence(params).upper), 4)
    (0.0, 0.7071)
    """
    return _reflected(copula, f"survival_{copula.name}", None)


def rotated(copula: Copula, degrees: int) -> Copula:
    """A copula of two dimensions rotated by 90, 180 or 270 degrees.

    90: c(u, v) = c0(1 - u, v); 180: c0(1 - u, 1 - v); 270: c0(u, 1 - v), so that 90 and 270 reverse the sign of
    Kendall's tau. Parameters are those of ``copula``. Raises ValueError for another angle, for points of more than two
    dimensions, and for quarter turns of families that reach negative dependence by their own parameters.
    Source: Brechmann and Schepsmeier (2013).

    >>> from jaxcop.copulas import clayton
    >>> turned = rotated(clayton.COPULA, 90)
    >>> float(turned.kendall_tau(turned.from_kendall_tau(-0.5)))
    -0.5
    """
    _checks.one_of(degrees, _ROTATIONS, "degrees")
    if degrees != 180 and copula.name not in _QUARTER_TURNS:
        raise ValueError(
            f"copula: expected one of {_QUARTER_TURNS} for a quarter turn, got {copula.name!r}; "
            "change the sign of its correlation instead"
        )
    return _reflected(copula, f"{copula.name}_{degrees}", _ROTATIONS[degrees])


@cache
def _reflected(copula: Copula, name: str, which: tuple[bool, bool] | None) -> Copula:
    """``copula`` with the coordinates ``which`` reflected; None reflects all, in any dimension."""
    changes_sign = which is not None and which[0] != which[1]

    def flip(u):
        if which is not None and u.shape[-1] != 2:
            raise ValueError(f"u: expected 2 columns for {name}, got {u.shape[-1]}; use survival for more")
        return jnp.where(jnp.asarray(True if which is None else which), 1 - u, u)

    def outside_stays(u):
        # 1 - u rounds, and must not carry a point over the border of the cube.
        return jnp.where((u > 0) & (u < 1), open_unit(flip(u)), jnp.nan)

    def logpdf(u: Float[Array, "*b d"], params) -> Float[Array, "*b"]:
        return copula.logpdf(outside_stays(check_points(u)), params)

    def sample(key: Array, params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
        return open_unit(flip(copula.sample(key, params, check_shape(shape))))

    def rosenblatt(u: Float[Array, "*b d"], params) -> Float[Array, "*b d"]:
        return flip(copula.rosenblatt(open_unit(flip(check_inside(u))), params))

    def inverse_rosenblatt(w: Float[Array, "*b d"], params) -> Float[Array, "*b d"]:
        return open_unit(flip(copula.inverse_rosenblatt(open_unit(flip(check_inside(w, name="w"))), params)))

    def cdf(u: Float[Array, "*b d"], params) -> Float[Array, "*b"]:
        assert copula.cdf is not None
        u = check_inside(u)
        dim = u.shape[-1]
        if dim > _MOST_COLUMNS:
            raise ValueError(
                f"u: expected at most {_MOST_COLUMNS} columns for the cdf of {name}, got {dim}; estimate it by sampling"
            )
        moved = open_unit(flip(u))
        if changes_sign:
            return jnp.sum(jnp.where(jnp.asarray(which), 0, u), -1) - copula.cdf(moved, params)
        # P(all U_i >= moved_i) by inclusion and exclusion: every margin of ``copula`` is its cdf at fewer columns.
        total = jnp.sum(u, -1) - (dim - 1)
        for size in range(2, dim + 1):
            columns = np.array(list(combinations(range(dim), size)))
            total = total + (-1) ** size * jnp.sum(copula.cdf(moved[..., columns], params), -1)
        return total

    def kendall_tau(params):
        assert copula.kendall_tau is not None
        tau = copula.kendall_tau(params)
        return -tau if changes_sign else tau

    def from_kendall_tau(tau):
        assert copula.from_kendall_tau is not None
        return copula.from_kendall_tau(-as_float(tau) if changes_sign else tau)

    def tail_dependence(params) -> TailDependence:
        lower, upper = copula.tail_dependence(params)
        # A quarter turn leads both tails to the other diagonal.
        zero = jnp.zeros_like(lower)
        return TailDependence(zero, zero) if changes_sign else TailDependence(upper, lower)

    def start(key, u, mask, shrinkage=None):
        return copula.start(key, open_unit(flip(u)), mask, shrinkage)

    return Copula(
        name,
        logpdf,
        sample,
        rosenblatt,
        inverse_rosenblatt,
        None if copula.cdf is None else cdf,
        None if copula.kendall_tau is None else kendall_tau,
        None if copula.from_kendall_tau is None else from_kendall_tau,
        tail_dependence,
        copula.num_params,
        copula.constrain,
        copula.unconstrain,
        start,
    )
