"""Figures of posteriors: draws beside the ML interval, traces and ranks, predictive checks, tails, sites.

They take arrays, so that draws from any sampler will do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxcop.report.figures import COLOURS, GREY, _line, _panels, save

MARKERS = "os^Dv"


def posterior_density(
    path: str | Path, draws: Float[np.ndarray, " s"], *, estimate: float, interval: tuple[float, float], name: str
) -> Path:
    """Histogram of draws with their mean and 95 % interval, above the ML estimate with its interval."""
    draws = _finite(draws, "draws").ravel()
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    heights, edges = np.histogram(draws, bins=60, density=True)
    axes.stairs(heights, edges, fill=True, color=COLOURS[0], alpha=0.35, label="posterior draws")
    low, high = np.quantile(draws, (0.025, 0.975))
    for y, middle, ends, colour, marker, label in (
        (-0.06, draws.mean(), (low, high), COLOURS[0], "o", "posterior mean and 95 % interval"),
        (-0.13, estimate, interval, COLOURS[1], "s", "ML estimate and 95 % interval"),
    ):
        span = [[middle - ends[0]], [ends[1] - middle]]
        place = y * heights.max()
        axes.errorbar(middle, place, xerr=span, fmt=marker, color=colour, capsize=5, lw=2, label=label)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set(xlabel=name, ylabel="posterior density", ylim=(-0.2 * heights.max(), None))
    # Below zero there are intervals, no densities.
    axes.set_yticks([tick for tick in axes.get_yticks() if tick >= 0])
    axes.legend(frameon=False, fontsize=8)
    return save(figure, path)


def traces_and_ranks(path: str | Path, samples: Mapping[str, Float[np.ndarray, "chains draws"]]) -> Path:
    """Each scalar's chains over time, and beside it how often a chain holds each rank of the pooled draws.

    Chains that mix have flat ranks, within the grey band 95 % of the time (Vehtari et al. 2021).
    """
    figure, grid = _panels(2 * len(samples), columns=2, size=(4.6, 2.3))
    bins = 20
    for row, (name, values) in enumerate(samples.items()):
        values = _finite(values, name)
        if values.ndim != 2:
            raise ValueError(f"samples[{name!r}]: expected shape (chains, draws), got {values.shape}; take one scalar")
        chains, count = values.shape
        trace, ranks = grid[2 * row : 2 * row + 2]
        order = values.ravel().argsort().argsort().reshape(values.shape)
        for k in range(chains):
            trace.plot(values[k], **{**_line(k), "linewidth": 0.5, "linestyle": "-"}, alpha=0.8)
            counts = np.histogram(order[k], bins, (0, values.size))[0]
            ranks.stairs(counts, np.linspace(0, values.size, bins + 1), label=f"chain {k + 1}", **_line(k))
        middle = count / bins
        half = 1.96 * np.sqrt(middle * (1 - 1 / bins))
        ranks.axhspan(middle - half, middle + half, color=GREY, alpha=0.2, lw=0)
        trace.set(ylabel=name, xlabel="draw")
        ranks.set(xlabel=f"rank of {name} among all draws", ylabel="draws", ylim=(0, None))
    grid[1].legend(frameon=False, fontsize=7, ncols=4, loc="lower center")
    return save(figure, path)


def predictive_checks(path: str | Path, checks: Mapping[str, tuple[float, Float[np.ndarray, " s"]]]) -> Path:
    """Each statistic of replicated tables as a histogram, and that of the rows as a line with its posterior p-value.

    ``checks`` by name: (of the rows, of each table drawn from the posterior predictive distribution). The p-value is
    the share of the replicates at or above the rows; near 0 or 1 the model misses that statistic.
    """
    figure, grid = _panels(len(checks), columns=3, size=(3.6, 3.0))
    for axes, (name, (observed, replicated)) in zip(grid, checks.items(), strict=True):
        replicated = _finite(replicated, name)
        axes.hist(replicated, bins=30, color=COLOURS[0], alpha=0.45, label="replicated tables")
        axes.axvline(observed, color=COLOURS[1], lw=2, ls="--", label="the rows")
        axes.set(xlabel=name, ylabel="tables")
        axes.set_title(f"p = {(replicated >= observed).mean():.2f}", fontsize=10, loc="left")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return save(figure, path)


def tail_dependence(
    path: str | Path, tails: Mapping[str, tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]]
) -> Path:
    """Posterior mean and 95 % interval of the lower and the upper tail coefficient, by family."""
    figure = Figure(figsize=(7, 1.6 + 0.5 * len(tails)), layout="constrained")
    axes = figure.add_subplot()
    series = {
        label: {name: _interval(pair[side]) for name, pair in tails.items()}
        for side, label in enumerate(("lower tail", "upper tail"))
    }
    _draw_intervals(axes, list(tails), series)
    axes.set(xlabel="coefficient of tail dependence", xlim=(-0.03, 1))
    return save(figure, path)


def intervals_by_group(
    path: str | Path,
    groups: Sequence[str],
    series: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    xlabel: str,
    reference: tuple[float, float, float] | None = None,
) -> Path:
    """(mean, low, high) of each group, one marker per series; a band for ``reference``, what holds for all together."""
    figure = Figure(figsize=(7.5, 1.8 + 0.45 * len(groups)), layout="constrained")
    axes = figure.add_subplot()
    if reference is not None:
        axes.axvspan(*reference[1:], color=GREY, alpha=0.2, lw=0, label="all together")
        axes.axvline(reference[0], color=GREY, lw=1)
    _draw_intervals(axes, groups, series)
    axes.set_xlabel(xlabel)
    return save(figure, path)


def _draw_intervals(axes, groups, series) -> None:
    offsets = np.linspace(-0.2, 0.2, len(series)) if len(series) > 1 else [0.0]
    for k, (label, values) in enumerate(series.items()):
        middle, low, high = np.array([values[group] for group in groups]).T
        place = np.arange(len(groups)) + offsets[k]
        axes.errorbar(
            middle,
            place,
            xerr=[middle - low, high - middle],
            fmt=MARKERS[k % len(MARKERS)],
            color=COLOURS[k % len(COLOURS)],
            capsize=3,
            ms=5,
            label=label,
        )
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    axes.figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def _interval(draws) -> tuple[float, float, float]:
    draws = _finite(draws, "draws")
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(draws.mean()), float(low), float(high)


def _finite(values, name: str) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite draws, got none or some that are not; look at the sampler first")
    return values
