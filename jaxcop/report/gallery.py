"""Pictures of copulas: what a family's dependence looks like, where its tails are, and draws under a condition."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from matplotlib.figure import Figure

from jaxcop.copulas import Copula, conditional
from jaxcop.report.figures import COLOURS, GREY, save

_PER_BAND = 5
_LEVELS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2)


def copula_gallery(
    path: str | Path, copulas: Mapping[str, tuple[Copula, Any]], *, seed: int = 0, num_points: int = 800
) -> Path:
    """Two panels per copula of two dimensions, one above the other, five copulas side by side: sample and density.

    Above, ``num_points`` draws on the unit square; corners with tail dependence are marked, with its coefficient.
    Below, contours of the density with standard normal margins, c(Phi(x), Phi(y)) phi(x) phi(y), which independence
    would make circles. ``copulas`` maps a title to a copula and its parameters.
    """
    if not copulas:
        raise ValueError("copulas: expected at least one, got none; map a title to (copula, params)")
    columns = min(_PER_BAND, len(copulas))
    bands = -(-len(copulas) // columns)
    figure = Figure(figsize=(2.2 * columns + 0.6, 4.4 * bands), layout="constrained")
    grid = figure.subplots(2 * bands, columns, squeeze=False)
    x = np.linspace(-3, 3, 121)
    points = jnp.stack(jnp.meshgrid(jnp.asarray(x), jnp.asarray(x), indexing="ij"), -1)
    margins = np.exp(-(np.asarray(points) ** 2).sum(-1) / 2) / (2 * np.pi)
    for j, (title, (copula, params)) in enumerate(copulas.items()):
        band = 2 * (j // columns)
        above, below = grid[band : band + 2, j % columns]
        u = np.asarray(copula.sample(jax.random.key(seed), params, (num_points, 2)))
        above.plot(u[:, 0], u[:, 1], ".", color=COLOURS[0], markersize=2, alpha=0.6)
        for corner, value in zip((0.0, 1.0), tails_of_pair(copula, params), strict=True):
            if value > 0.005:
                _mark_tail(above, corner, value)
        above.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1), aspect="equal", title=title)
        density = np.exp(np.asarray(copula.logpdf(ndtr(points), params))) * margins
        below.contour(x, x, density.T, levels=_LEVELS, colors=[COLOURS[1]], linewidths=0.9)
        below.plot([-3, 3], [-3, 3], color=GREY, linewidth=0.5, linestyle=":")
        below.set(xlim=(-3, 3), ylim=(-3, 3), xticks=(-3, 0, 3), yticks=(-3, 0, 3), aspect="equal")
    for band in range(bands):
        grid[2 * band, 0].set_ylabel("sample\n(uniform margins)")
        grid[2 * band + 1, 0].set_ylabel("density\n(normal margins)")
    for empty in grid[-2:, (len(copulas) - 1) % columns + 1 :].flat:
        empty.set_axis_off()
    return save(figure, path)


def tails_of_pair(copula: Copula, params) -> tuple[float, ...]:
    """Lower and upper tail dependence of the first two columns."""
    return tuple(float(side if jnp.ndim(side) == 0 else side[0, 1]) for side in copula.tail_dependence(params))


def _mark_tail(axes, corner: float, value: float) -> None:
    axes.plot(corner, corner, "o", color=COLOURS[1], markersize=30 * value + 4, alpha=0.45, clip_on=False)
    side = -1 if corner else 1
    axes.annotate(
        f"{value:.2f}",
        (corner, corner),
        xytext=(side * 14, side * 10),
        textcoords="offset points",
        ha="right" if corner else "left",
        va="top" if corner else "bottom",
        fontsize=8,
        color="black",
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )


def conditional_gallery(
    path: str | Path,
    copulas: Mapping[str, tuple[Copula, Any]],
    *,
    value: float = 0.95,
    scenario: float = 0.75,
    seed: int = 0,
) -> Path:
    """Two panels per copula of two dimensions: draws of a stress scenario, and of one coordinate given the other.

    Above, unconditional draws and draws with both coordinates beyond ``scenario``. Below, the second coordinate given
    that the first is ``value``: the exact draws, and those that rejection keeps of a slab 0.01 wide, as a line.
    """
    if not copulas:
        raise ValueError("copulas: expected at least one, got none; map a title to (copula, params)")
    figure = Figure(figsize=(2.4 * len(copulas) + 0.6, 5.0), layout="constrained")
    grid = figure.subplots(2, len(copulas), squeeze=False)
    key, bins = jax.random.key(seed), np.linspace(0, 1, 31)
    beyond = conditional.condition(2, {0: (scenario, 1.0), 1: (scenario, 1.0)})
    given = conditional.condition(2, {0: value})
    for column, (title, (copula, params)) in zip(grid.T, copulas.items(), strict=True):
        every = np.asarray(copula.sample(key, params, (500_000, 2)))
        stressed = np.asarray(conditional.sample(key, copula, params, beyond, 400).points)
        exact = np.asarray(conditional.sample(key, copula, params, given, 20_000).points[:, 1])
        slab = every[np.abs(every[:, 0] - value) < 0.005, 1]
        column[0].plot(*every[:800].T, ".", color=GREY, markersize=1.5, alpha=0.6)
        column[0].plot(*stressed.T, ".", color=COLOURS[1], markersize=2)
        column[0].set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1), aspect="equal", title=title)
        column[1].hist(exact, bins, density=True, color=COLOURS[0], alpha=0.5, label="exact")
        column[1].hist(slab, bins, density=True, histtype="step", color="black", label="rejection")
        column[1].set(xlim=(0, 1), xticks=(0, 1), yticks=(), xlabel="second coordinate")
    grid[0, 0].set_ylabel(f"both beyond {scenario:g} (colour)\namong all draws (grey)")
    grid[1, 0].set_ylabel(f"density given\nfirst = {value:g}")
    grid[1, 0].legend(frameon=False, fontsize=8, loc="upper left")
    return save(figure, path)
