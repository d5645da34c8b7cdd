"""The Gaussian copula of columns of which some are codes: normal variables behind them, cut at thresholds.

A code is the number of thresholds below a standard normal variable, so that codes are ordered; the correlation is that
of the normal variables. Spreading codes over their cells and correlating those instead pulls it towards 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Bool, Float, Int

from jaxcop import categories, correlation, margins
from jaxcop._bivariate_normal import bivariate_normal_cdf
from jaxcop._numerics import as_float, normal_cdf
from jaxcop.categories import Levels
from jaxcop.copulas import gaussian

# Thresholds at the ends: finite, and beyond every normal score.
END = 10.0
LARGEST = 0.995
NUM_GRID = 41
NUM_HALVINGS = 30


class Cuts(NamedTuple):
    """What is behind the columns of codes, in their order; k is the largest number of categories.

    ``order[c, r]`` is the code at place r along the latent variable, ``share[c, r]`` the share of the training rows at
    places up to r.
    """

    order: Int[Array, "c k"]
    share: Float[Array, "c k"]


class LatentFit(NamedTuple):
    """The fitted copula, the cuts of its columns of codes, and the correlations before their repair.

    ``converged`` is false where an estimate is not finite.
    """

    params: gaussian.Params
    cuts: Cuts
    pairwise: Float[Array, "d d"]
    converged: Bool[Array, ""]


def interval_probability(low: Float[Array, "*b"], high: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """P(low < Z <= high) of a standard normal; in the upper tail by symmetry, where 1 - 1 would be left."""
    flip = low > 0
    return normal_cdf(jnp.where(flip, -low, high)) - normal_cdf(jnp.where(flip, -high, low))


def polychoric_loglik(
    counts: Float[Array, "a b"], cuts_a: Float[Array, " a+1"], cuts_b: Float[Array, " b+1"], angle: Float[Array, ""]
) -> Float[Array, ""]:
    r"""Log-likelihood of a contingency table of two cut normal variables with correlation sin(angle).

    :math:`\sum_{ij} n_{ij} \log \pi_{ij}`, :math:`\pi_{ij}` the probability of a rectangle between thresholds, whose
    first and last are at -10 and 10. Source: Olsson 1979, equations 3 and 4.

    >>> cuts = jnp.array([-10.0, 0.0, 10.0])
    >>> counts = jnp.array([[1.0, 0.0], [0.0, 0.0]])
    >>> round(float(jnp.exp(polychoric_loglik(counts, cuts, cuts, jnp.arcsin(0.5)))), 4)
    0.3333
    """
    rows, columns = jnp.broadcast_arrays(cuts_a[:, None], cuts_b)
    corners = bivariate_normal_cdf(rows, columns, angle)
    cells = jnp.diff(jnp.diff(corners, axis=0), axis=1)
    return jnp.sum(counts * jnp.log(jnp.maximum(cells, jnp.finfo(cells.dtype).eps)))


def polyserial_loglik(
    z: Float[Array, " n"],
    low: Float[Array, " n"],
    high: Float[Array, " n"],
    mask: Bool[Array, " n"],
    angle: Float[Array, ""],
) -> Float[Array, ""]:
    r"""Log-likelihood, given normal scores z, of variables between ``low`` and ``high`` with correlation sin(angle).

    :math:`\sum_i \log[\Phi((h_i - \rho z_i)/s) - \Phi((l_i - \rho z_i)/s)]`, :math:`s = \cos(angle)`. Source: Olsson,
    Drasgow & Dorans 1982.
    """
    rho, scale = jnp.sin(angle), jnp.cos(angle)
    inside = interval_probability((low - rho * z) / scale, (high - rho * z) / scale)
    return jnp.sum(jnp.where(mask, jnp.log(jnp.maximum(inside, jnp.finfo(inside.dtype).tiny)), 0))


def _most_likely(loglik, dtype):
    """sin of the angle with the highest ``loglik(angle) + log(1 - rho**2)``: a grid, then bisection of the slope.

    The prior density 1 - rho**2, worth about one row, keeps an empty cell of a table from giving a correlation of 1.
    """

    def objective(angle):
        return loglik(angle) + 2 * jnp.log(jnp.cos(angle))

    end = np.arcsin(LARGEST)
    grid = jnp.linspace(-end, end, NUM_GRID, dtype=dtype)
    best = jnp.argmax(jax.lax.map(objective, grid))
    slope = jax.grad(objective)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        rises = slope(middle) > 0
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    ends = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, NUM_GRID - 1)]
    low, high = jax.lax.fori_loop(0, NUM_HALVINGS, halve, ends)
    return jnp.sin((low + high) / 2)


def association_order(
    hot: Float[Array, "n c k"], others: Float[Array, "n e"], owner: Int[np.ndarray, " e"], codes: Int[np.ndarray, " c"]
) -> Float[Array, "c k"]:
    """A score for each category of each column, by which those without an order of their own are put into one.

    The categories' means of the standardised ``others`` (without the places that the column ``codes[c]`` itself owns)
    are projected on their first principal axis, rows weighing alike: along it the categories differ most. With
    indicators of a second category this is the first axis of correspondence analysis. Source: Dolédec & Chessel 1987.
    """
    count = hot.sum(0)
    means = jnp.einsum("nck,ne->cke", hot, others) / jnp.maximum(count, 1)[..., None]
    means = jnp.where(owner[None, None] == codes[:, None, None], 0, means) * jnp.sqrt(count)[..., None]
    leading = jnp.linalg.eigh(jnp.einsum("cke,cle->ckl", means, means))[1][..., -1]
    return jnp.where(count > 0, leading / jnp.sqrt(jnp.maximum(count, 1)), jnp.inf)


def _standardised(x, mask):
    """Columns of mean 0 and variance 1 over the rows that count, 0 elsewhere and where nothing varies."""
    weight = mask[:, None].astype(x.dtype) / mask.sum()
    centred = jnp.where(mask[:, None], x - (weight * x).sum(0), 0)
    spread = jnp.sqrt((weight * centred**2).sum(0))
    return centred / jnp.where(spread > jnp.finfo(x.dtype).eps, spread, jnp.inf)


def _order(hot, scores, x, mask, levels: Levels, nominal: tuple[int, ...]):
    """``Cuts.order``: codes as they are, those of nominal columns by association with the other columns."""
    plan = categories.layout(levels)
    natural = jnp.where(plan.valid, np.arange(plan.valid.shape[1]), jnp.inf)
    is_nominal = np.isin(plan.codes, nominal)
    if not is_nominal.any():
        return jnp.argsort(natural, axis=1)
    # Standardised indicators stand for nominal columns, standardised codes for the others.
    one_place = tuple(level if column in nominal else 0 for column, level in enumerate(levels))
    owner = categories.layout(one_place).owner
    columns = jnp.where(np.array(levels) > 0, x, 0).at[:, plan.numbers].set(scores)
    spread = _standardised(categories.one_hot(columns, one_place), mask)
    found = association_order(hot[:, is_nominal], spread, owner, plan.codes[is_nominal])
    return jnp.argsort(natural.at[is_nominal].set(jnp.where(plan.valid[is_nominal], found, jnp.inf)), axis=1)


def fit_masked(
    x: Float[Array, "n d"], mask: Bool[Array, " n"], levels: Levels, nominal: tuple[int, ...] = ()
) -> LatentFit:
    """:func:`fit` without checks, for compiled code and ``vmap``: rows where ``mask`` is false do not count."""
    x = jnp.where(mask[:, None], as_float(x), 0)
    plan, dim, dtype = categories.layout(levels), len(levels), x.dtype
    numbers, codes = plan.numbers, plan.codes
    values = x[:, numbers]
    # Pearson's correlation of normal scores is efficient under a normal copula (Klaassen and Wellner 1997).
    if len(numbers):
        values = jnp.where(mask[:, None], margins.normal_scores(values, margins.fit(values, mask)), 0)
    scores = _standardised(values, mask)
    size = plan.valid.shape[1]
    hot = (x[:, codes, None] == np.arange(size)) & mask[:, None, None]
    order = _order(hot.astype(dtype), scores, x, mask, levels, nominal)
    hot = jnp.take_along_axis(hot.astype(dtype), order[None], axis=2)
    share = jnp.cumsum(hot.sum(0), axis=1) / mask.sum()
    edges = jnp.pad(share, ((0, 0), (1, 0)))
    cuts = jnp.clip(ndtri(edges), -END, END)
    place = hot.argmax(-1)

    def serial(pair):
        number, code = pair
        low, high = cuts[code][place[:, code]], cuts[code][place[:, code] + 1]
        return _most_likely(lambda angle: polyserial_loglik(scores[:, number], low, high, mask, angle), dtype)

    def choric(pair):
        a, b = pair
        counts = hot[:, a].T @ hot[:, b]
        return _most_likely(lambda angle: polychoric_loglik(counts, cuts[a], cuts[b], angle), dtype)

    pairwise = jnp.eye(dim, dtype=dtype).at[numbers[:, None], numbers].set(scores.T @ scores / mask.sum())
    i, j = (part.ravel() for part in np.indices((len(numbers), len(codes))))
    a, b = np.triu_indices(len(codes), 1)
    for first, second, estimate, pair in ((numbers[i], codes[j], serial, (i, j)), (codes[a], codes[b], choric, (a, b))):
        if len(first):
            found = jax.lax.map(estimate, tuple(map(jnp.asarray, pair)), batch_size=64)
            pairwise = pairwise.at[first, second].set(found).at[second, first].set(found)
    # A column of codes that does not vary over these rows says nothing.
    varies = jnp.ones(dim, bool).at[codes].set(hot.sum(0).max(1) < mask.sum())
    pairwise = jnp.where(np.eye(dim, dtype=bool), 1, jnp.where(varies[:, None] & varies, pairwise, 0))
    repaired = correlation.raise_smallest_eigenvalue(
        correlation.nearest_correlation(pairwise), float(jnp.finfo(dtype).eps) ** 0.5
    )
    return LatentFit(gaussian.Params(repaired), Cuts(order, share), pairwise, jnp.isfinite(pairwise).all())


_fit = jax.jit(fit_masked, static_argnames=("levels", "nominal"))


def fit(x: Float[Array, "n d"], levels: Levels, *, nominal: tuple[int, ...] = ()) -> LatentFit:
    r"""The latent correlation of a table of numbers and codes, pair by pair, repaired to a correlation matrix.

    Thresholds are normal quantiles of the shares of the categories. Then, for each pair: two columns of numbers, the
    correlation of normal scores; a number and a code, polyserial; two codes, polychoric likelihood, both under a prior
    density proportional to 1 - rho**2, which weighs about as much as one row.

    Args:
        x: rows; codes 0, 1, ..., k - 1 where ``levels`` says k.
        levels: per column 0 for a number, or its number of categories.
        nominal: columns whose codes have no order: they are put into the one along which the categories differ most in
            the other columns (:func:`association_order`). One order cannot say everything about three categories.

    Raises:
        ValueError: fewer than 3 rows or 2 columns, no column of codes, and what ``categories.check`` refuses.

    Sources: Olsson 1979; Olsson, Drasgow & Dorans 1982; Higham 2002.

    >>> z = jax.random.multivariate_normal(jax.random.key(0), jnp.zeros(2), jnp.array([[1, 0.8], [0.8, 1]]), (2000,))
    >>> x = jnp.stack([z[:, 0], (z[:, 1] > 1).astype(float)], axis=1)
    >>> bool(abs(fit(x, (0, 2)).params.correlation[0, 1] - 0.8) < 0.05), bool(jnp.corrcoef(x.T)[0, 1] < 0.6)
    (True, True)
    """
    table, levels, nominal = check(x, levels, nominal)
    return _fit(jnp.asarray(table), jnp.ones(len(table), bool), levels, nominal)


def check(x, levels: Levels, nominal: tuple[int, ...] = ()) -> tuple[np.ndarray, Levels, tuple[int, ...]]:
    """What :func:`fit` takes, or a ValueError."""
    table, levels = categories.check(x, levels)
    if len(table) < 3 or table.shape[1] < 2:
        raise ValueError(f"x: expected at least 3 rows of 2 columns, got shape {table.shape}; add rows or columns")
    if not any(levels):
        raise ValueError("levels: expected a column of codes, got numbers only; use copulas.fit")
    for column in nominal:
        if column not in np.flatnonzero(levels):
            raise ValueError(f"nominal: expected columns of codes, got {column!r}; give them levels")
    return table, levels, tuple(sorted(nominal))


def codes_of(u: Float[Array, "*b c"], cuts: Cuts) -> Float[Array, "*b c"]:
    """The codes that uniform columns fall on, each with the share of its category.

    >>> cuts = Cuts(jnp.array([[1, 0]]), jnp.array([[0.7, 1.0]]))
    >>> codes_of(jnp.array([[0.6], [0.8]]), cuts).tolist()
    [[1.0], [0.0]]
    """
    place = (u[..., None] > cuts.share).sum(-1)
    return (
        jnp.take_along_axis(cuts.order, place.reshape(-1, len(cuts.order)).T, axis=1).T.reshape(u.shape).astype(u.dtype)
    )
