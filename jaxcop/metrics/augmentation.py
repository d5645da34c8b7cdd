"""How much real data can synthetic rows replace, and does adding them help? Scores along the real share."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxcop import _checks
from jaxcop.metrics import _inputs
from jaxcop.metrics.comparison import Difference, paired_difference
from jaxcop.metrics.utility import Job, utility_many

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


class Curve(NamedTuple):
    """R2, RMSE and MAE as arrays [repeats, shares], or [repeats] for the ceiling."""

    r2: Float[np.ndarray, "..."]
    rmse: Float[np.ndarray, "..."]
    mae: Float[np.ndarray, "..."]


class BlendCurve(NamedTuple):
    """Scores on real hold-out rows; NaN in ``added`` where the synthetic table has too few rows for the share."""

    shares: Float[np.ndarray, " k"]
    fixed: Curve
    added: Curve
    ceiling: Curve


def rows_needed(num_train: int, share: float) -> int:
    """Synthetic rows that, added to ``num_train`` real ones, leave the real ones a share of ``share``.

    >>> rows_needed(200, 0.1)
    1800
    """
    return round(num_train * (1 - share) / share)


def blend_curve(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "h d"],
    synthetic: Float[np.ndarray, "m d"],
    target_column: int,
    *,
    seed: int,
    shares: Sequence[float] = SHARES,
    repeats: int = 5,
    learner: str = "xgboost",
    workers: int = -1,
    on_done: Callable[[int, int], object] | None = None,
) -> BlendCurve:
    """Train on blends of real and synthetic rows, score on hold-out rows.

    ``fixed``: n rows in all, a share of them real, so that real rows are replaced. ``added``: all n real rows and as
    many synthetic ones as bring the real share down to the same number. ``ceiling``: the n real rows alone, with the
    learner's seed of the same repeat: pair with it. Each repeat draws other rows and gives the learner another seed;
    the spread over repeats is not that over splits, which is larger.

    Raises ValueError as ``metrics.utility.regress`` does, for shares outside (0, 1), and for fewer synthetic rows than
    the largest synthetic part of ``fixed``.

    >>> rng = np.random.default_rng(0)
    >>> tables = [np.c_[x, x.sum(1)] for x in (rng.normal(size=(60, 2)), rng.normal(size=(40, 2)))]
    >>> curve = blend_curve(*tables, np.repeat(tables[0], 2, axis=0), 2, seed=0, shares=(0.8, 0.4), repeats=1)
    >>> curve.fixed.r2.shape, bool(abs(curve.added.r2 - curve.ceiling.r2[:, None]).max() < 0.2)
    ((1, 2), True)
    """
    train, test, synthetic = (
        _checks.table(x, name, allow_constant=True)
        for x, name in ((train, "train"), (test, "test"), (synthetic, "synthetic"))
    )
    _inputs.same_columns(train, synthetic, "synthetic")
    _checks.whole(repeats, "repeats")
    grid = np.array(shares, np.float64)
    if grid.ndim != 1 or not grid.size or not ((grid > 0) & (grid < 1)).all():
        raise ValueError(f"shares: expected real shares between 0 and 1, got {tuple(shares)}; leave 0 and 1 out")
    n, m = len(train), len(synthetic)
    kept = np.maximum(np.round(grid * n).astype(int), 1)
    if m < n - kept.min():
        raise ValueError(
            f"synthetic: expected at least {n - kept.min()} rows for a real share of {grid.min()}, got {m}; draw more "
            "rows or leave small shares out"
        )
    wanted = np.array([rows_needed(n, share) for share in grid])
    jobs: list[Job] = []
    places: list[tuple] = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        real, fake = train[rng.permutation(n)], synthetic[rng.permutation(m)]
        learner_seed = int(rng.integers(2**31))
        blends: dict[tuple, np.ndarray] = {("ceiling", repeat): real}
        for k, (keep, extra) in enumerate(zip(kept, wanted, strict=True)):
            blends["fixed", repeat, k] = np.concatenate([real[:keep], fake[: n - keep]])
            if extra <= m:
                blends["added", repeat, k] = np.concatenate([real, fake[:extra]])
        places += blends
        jobs += [Job(blend, test, target_column, learner_seed, learner) for blend in blends.values()]
    found = {"ceiling": np.full((3, repeats), np.nan)}
    found |= {design: np.full((3, repeats, len(grid)), np.nan) for design in ("fixed", "added")}
    for (design, *place), score in zip(places, utility_many(jobs, workers=workers, on_done=on_done), strict=True):
        found[design][:, *place] = score
    return BlendCurve(grid, *(Curve(*found[design]) for design in ("fixed", "added", "ceiling")))


def benefit(
    shares: Float[np.ndarray, " k"],
    scores: Float[np.ndarray, "splits k"],
    ceiling: Float[np.ndarray, " splits"],
    test_ratio: float,
) -> tuple[list[Difference], list[float]]:
    """Paired difference to the ceiling at each share, and the shares where its interval lies above 0.

    The intervals are simultaneous: each has the level 1 - 0.05 / k, so that looking at k shares finds a benefit where
    there is none in at most 5 % of cases (Bonferroni). The corrected interval counts where ``test_ratio`` is above 0.
    Scores are such that larger is better (R2, or minus RMSE).
    Raises ValueError for shapes that do not fit.

    >>> gains = np.array([[0.2, -0.1], [0.3, 0.0], [0.25, -0.2]])
    >>> benefit(np.array([0.8, 0.4]), 0.5 + gains, np.full(3, 0.5), 0.0)[1]
    [0.8]
    """
    scores, ceiling = np.asarray(scores, np.float64), np.asarray(ceiling, np.float64)
    if scores.shape != (len(ceiling), len(shares)):
        raise ValueError(
            f"scores: expected shape ({len(ceiling)}, {len(shares)}), (splits, shares), got {scores.shape}; "
            "transpose it"
        )
    level = 1 - 0.05 / len(shares)
    differences = [paired_difference(column, ceiling, test_ratio, level=level) for column in scores.T]
    return differences, [float(s) for s, d in zip(shares, differences, strict=True) if d.corrected_low > 0]
