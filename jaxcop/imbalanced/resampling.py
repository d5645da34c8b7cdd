"""Resampling for imbalanced regression: over- and under-sampling, Gaussian noise, SMOTER, SMOGN and WERCS.

Each takes a table whose last column is the target and the relevance of every row, and returns a table of another
length, on the host. Rows with relevance of at least ``threshold`` are rare. Sorted by target, the table falls into
runs of rare and of common rows; a rare run is made longer and a common run shorter.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxcop import _checks
from jaxcop.imbalanced.relevance import check_relevance

THRESHOLD = 0.8
# The noise of SMOGN never exceeds this share of a column's standard deviation.
SMOGN_NOISE = 0.02


class Run(NamedTuple):
    """Positions of the rows of one run, in the order of the target, and whether they are rare."""

    rows: Int[np.ndarray, " m"]
    rare: bool


def generator(key: Key[Array, ""]) -> np.random.Generator:
    """numpy's generator from a typed key: what has no fixed shape is drawn on the host."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def runs(y: Float[np.ndarray, " n"], phi: Float[np.ndarray, " n"], threshold: float = THRESHOLD) -> list[Run]:
    """The table sorted by ``y``, cut where relevance crosses ``threshold``.

    Raises ValueError for unequal shapes, relevance outside [0, 1], and where no row or every row is rare.

    >>> [(run.rows.tolist(), run.rare) for run in runs(np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.0, 0.2]))]
    [([1, 2], False), ([0], True)]
    """
    y, phi = np.asarray(y), np.asarray(phi)
    if y.ndim != 1 or y.shape != phi.shape:
        raise ValueError(f"phi: expected shape {y.shape}, got {phi.shape}; give the relevance of every row")
    check_relevance(phi)
    rare = phi >= threshold
    if rare.all() or not rare.any():
        found = "all" if rare.all() else "none"
        raise ValueError(
            f"phi: expected some rows with relevance of at least {threshold} and some below, got {found}; choose "
            "another threshold or other control points"
        )
    order = np.argsort(y, kind="stable")
    cuts = np.flatnonzero(np.diff(rare[order].astype(int))) + 1
    return [Run(part, bool(rare[part[0]])) for part in np.split(order, cuts)]


def _checked(table, phi, threshold: float) -> tuple[np.ndarray, list[Run]]:
    table = _checks.table(table, "table", allow_constant=True)
    if table.shape[1] < 2:
        raise ValueError("table: expected features and a target, got 1 column; put the target last")
    return table, runs(table[:, -1], phi, threshold)


def _balanced(parts: list[Run]) -> int:
    """The length of every run in a balanced table of the same size."""
    return max(1, round(sum(len(part.rows) for part in parts) / len(parts)))


def random_oversample(
    key: Key[Array, ""], table: Float[np.ndarray, "n d"], phi: Float[np.ndarray, " n"], *, threshold: float = THRESHOLD
) -> Float[np.ndarray, "m d"]:
    """Repeat rows of the rare runs, at random, until each is as long as the mean common run. Source: Branco 2018.

    >>> import jax
    >>> table = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 9.0]])
    >>> random_oversample(jax.random.key(0), table, np.array([0.0, 0.0, 0.0, 1.0]))[:, 1].tolist()
    [1.0, 2.0, 3.0, 9.0, 9.0, 9.0]
    """
    table, parts = _checked(table, phi, threshold)
    rng = generator(key)
    size = round(np.mean([len(part.rows) for part in parts if not part.rare]))
    extra = [rng.choice(part.rows, size - len(part.rows)) for part in parts if part.rare and len(part.rows) < size]
    return np.concatenate([table, *(table[rows] for rows in extra)])


def random_undersample(
    key: Key[Array, ""], table: Float[np.ndarray, "n d"], phi: Float[np.ndarray, " n"], *, threshold: float = THRESHOLD
) -> Float[np.ndarray, "m d"]:
    """Drop rows of the common runs, at random, until none is longer than the mean rare run. Source: Torgo et al. 2013.

    >>> import jax
    >>> table = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 9.0]])
    >>> random_undersample(jax.random.key(0), table, np.array([0.0, 0.0, 0.0, 1.0])).shape
    (2, 2)
    """
    table, parts = _checked(table, phi, threshold)
    size = max(1, round(np.mean([len(part.rows) for part in parts if part.rare])))
    return table[np.sort(_shortened(generator(key), parts, size))]


def _shortened(rng: np.random.Generator, parts: list[Run], size: int) -> np.ndarray:
    """Row numbers: every rare row, and ``size`` at most of each common run."""
    kept = [
        part.rows if part.rare or len(part.rows) <= size else rng.choice(part.rows, size, replace=False)
        for part in parts
    ]
    return np.concatenate(kept)


def _extended(key, table, phi, threshold, make: Callable) -> np.ndarray:
    """Common runs shortened, rare runs lengthened by ``make(rng, rows of the run, number) -> rows``, to equal size."""
    table, parts = _checked(table, phi, threshold)
    rng, size = generator(key), _balanced(parts)
    kept = table[np.sort(_shortened(rng, parts, size))]
    new = [make(rng, table[part.rows], size - len(part.rows)) for part in parts if part.rare and len(part.rows) < size]
    return np.concatenate([kept, *new])


def _noisy(rng: np.random.Generator, base: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return base + rng.normal(size=base.shape) * sd


def gaussian_noise(
    key: Key[Array, ""],
    table: Float[np.ndarray, "n d"],
    phi: Float[np.ndarray, " n"],
    *,
    delta: float = 0.1,
    threshold: float = THRESHOLD,
) -> Float[np.ndarray, "m d"]:
    """Balance the runs: rare ones gain rows plus N(0, (``delta`` sd)^2), sd of each column within the run.

    Source: Branco, Ribeiro & Torgo 2016 ("introduction of Gaussian noise").
    """
    _checks.positive(delta, "delta", allow_zero=True)

    def make(rng, rows, number):
        return _noisy(rng, rows[rng.integers(len(rows), size=number)], delta * rows.std(0))

    return _extended(key, table, phi, threshold, make)


def interpolate(
    base: Float[np.ndarray, "m d"],
    neighbour: Float[np.ndarray, "m d"],
    share: Float[np.ndarray, " m"],
    scale: Float[np.ndarray, " p"],
) -> Float[np.ndarray, "m d"]:
    """SMOTER's new rows: features at ``share`` of the way, targets by inverse distance from the two parents.

    Distances are Euclidean in features over ``scale``; where the parents coincide the target is their mean.

    >>> interpolate(np.array([[0.0, 10.0]]), np.array([[4.0, 20.0]]), np.array([0.25]), np.ones(1)).tolist()
    [[1.0, 12.5]]
    """
    features = base[:, :-1] + share[:, None] * (neighbour[:, :-1] - base[:, :-1])
    to_base, to_neighbour = (
        np.linalg.norm((features - parent[:, :-1]) / scale, axis=1) for parent in (base, neighbour)
    )
    total = to_base + to_neighbour
    weight = np.where(total > 0, to_base / np.where(total > 0, total, 1), 0.5)
    return np.c_[features, (1 - weight) * base[:, -1] + weight * neighbour[:, -1]]


class Parents(NamedTuple):
    """Base rows and one of the nearest neighbours of each, as positions; the scaled features and their scale."""

    base: np.ndarray
    neighbour: np.ndarray
    scaled: np.ndarray
    scale: np.ndarray


def _parents(rng, rows: np.ndarray, number: int, num_neighbours: int) -> Parents:
    spread = rows[:, :-1].std(0)
    scale = np.where(spread > 0, spread, 1)
    base = rng.integers(len(rows), size=number)
    scaled = rows[:, :-1] / scale
    near = min(num_neighbours, len(rows) - 1)
    # scikit-learn takes half a second to import, which `jaxcop sample` need not wait for.
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=near).fit(scaled).kneighbors(return_distance=False)
    return Parents(base, found[base, rng.integers(near, size=number)], scaled, scale)


def _between(rng, rows: np.ndarray, parents: Parents) -> np.ndarray:
    """A row between each base row and its neighbour."""
    base, neighbour, _, scale = parents
    return interpolate(rows[base], rows[neighbour], rng.uniform(size=len(base)), scale)


def _from_parents(key, table, phi, threshold, num_neighbours: int, make: Callable) -> np.ndarray:
    """:func:`_extended` by ``make(rng, rows, parents) -> rows``; a run of one row, without neighbours, is repeated."""
    _checks.whole(num_neighbours, "num_neighbours")

    def new(rng, rows, number):
        if len(rows) == 1:
            return np.repeat(rows, number, axis=0)
        return make(rng, rows, _parents(rng, rows, number, num_neighbours))

    return _extended(key, table, phi, threshold, new)


def smoter(
    key: Key[Array, ""],
    table: Float[np.ndarray, "n d"],
    phi: Float[np.ndarray, " n"],
    *,
    num_neighbours: int = 5,
    threshold: float = THRESHOLD,
) -> Float[np.ndarray, "m d"]:
    """SMOTE for regression: rare runs gain rows between a rare row and one of its nearest neighbours in the run.

    Features are standardised within the run for distances; a run of one row is repeated. Common runs are shortened.

    Raises:
        ValueError: NaN, relevance outside [0, 1], no or only rare rows, ``num_neighbours`` below 1.

    Source: Torgo, Ribeiro, Pfahringer & Branco 2013; y by :func:`interpolate`.
    """
    return _from_parents(key, table, phi, threshold, num_neighbours, _between)


def smogn(
    key: Key[Array, ""],
    table: Float[np.ndarray, "n d"],
    phi: Float[np.ndarray, " n"],
    *,
    num_neighbours: int = 5,
    threshold: float = THRESHOLD,
) -> Float[np.ndarray, "m d"]:
    """SMOTER where the neighbour is near, Gaussian noise where it is far.

    The safe radius of a row is half the median distance to the other rows of its run. A neighbour within it gives an
    interpolated row; beyond it the row gains noise of min(0.02, radius) standard deviations of each column.

    Raises:
        ValueError: as :func:`smoter`.

    Source: Branco, Torgo & Ribeiro 2017.
    """

    def make(rng, rows, parents):
        base, other, scaled, _ = parents
        distance = np.linalg.norm(scaled[:, None] - scaled, axis=2)
        # The distance of a row to itself is none of its distances.
        others = distance[~np.eye(len(rows), dtype=bool)].reshape(len(rows), -1)
        radius = np.median(others, axis=1)[base] / 2
        noise = np.minimum(SMOGN_NOISE, radius)[:, None] * rows.std(0)
        near = _between(rng, rows, parents)
        return np.where((distance[base, other] < radius)[:, None], near, _noisy(rng, rows[base], noise))

    return _from_parents(key, table, phi, threshold, num_neighbours, make)


def wercs(
    key: Key[Array, ""],
    table: Float[np.ndarray, "n d"],
    phi: Float[np.ndarray, " n"],
    *,
    over: float = 0.5,
    under: float = 0.5,
) -> Float[np.ndarray, "m d"]:
    """Weighted relevance-based combination: add ``over`` n rows with P ~ phi, drop ``under`` n rows with P ~ 1 - phi.

    Added with replacement, dropped without; rows of relevance 1 are never dropped, so fewer may go than asked for.
    Needs no threshold. Source: Branco, Torgo & Ribeiro 2019.

    >>> import jax
    >>> table = np.c_[np.zeros(8), np.arange(8.0)]
    >>> wercs(jax.random.key(0), table, np.repeat([0.0, 1.0], 4)).shape
    (8, 2)
    """
    _checks.positive(over, "over", allow_zero=True)
    if not 0 <= under < 1:
        raise ValueError(f"under: expected a share of at least 0 and below 1, got {under!r}; choose another value")
    table = _checks.table(table, "table", allow_constant=True)
    phi = np.asarray(phi, float)
    if phi.shape != (len(table),):
        raise ValueError(f"phi: expected shape ({len(table)},), got {phi.shape}; give the relevance of every row")
    check_relevance(phi)
    rng = generator(key)
    added = rng.choice(len(table), round(over * len(table)), p=phi / phi.sum())
    number = min(round(under * len(table)), int((phi < 1).sum()))
    dropped = rng.choice(len(table), number, replace=False, p=(1 - phi) / (1 - phi).sum()) if number else []
    return np.concatenate([np.delete(table, dropped, axis=0), table[added]])


RESAMPLERS = {
    "random_oversample": random_oversample,
    "random_undersample": random_undersample,
    "gaussian_noise": gaussian_noise,
    "smoter": smoter,
    "smogn": smogn,
    "wercs": wercs,
}
"""Every resampler by name: ``resampler(key, table, phi) -> table``."""
