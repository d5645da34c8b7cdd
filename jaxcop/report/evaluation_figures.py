"""Figures of one evaluation: correlations, principal components, blends, and every metric against its floor.

Each takes data and a path and returns the path, as in ``jaxcop.report.figures``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.decomposition import PCA

from jaxcop.evaluation import METRICS, Score
from jaxcop.metrics.augmentation import BlendCurve
from jaxcop.report import figures
from jaxcop.report.figures import COLOURS, GREY

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def correlations(
    path: str | Path,
    real: Float[np.ndarray, "n d"],
    synthetic: Float[np.ndarray, "m d"],
    names: Sequence[str],
    *,
    title: str,
) -> Path:
    """Spearman's rank correlations of the real rows, of the synthetic ones, and synthetic minus real."""
    both = [figures.spearman_matrix(table) for table in (real, synthetic)]
    panels = {f"real (n = {len(real)})": both[0], f"synthetic (n = {len(synthetic)})": both[1]}
    panels["synthetic − real"] = both[1] - both[0]
    # Panels and margins in inches: to solve for a layout of hundreds of numbers takes longer than to draw them.
    side, label = 1.0 + 0.5 * len(names), 0.3 + 0.07 * max(map(len, names))
    width, height = label + 3 * side + 1.6, side + label + 0.7
    figure = Figure(figsize=(width, height))
    left, bottom, top = label / width, label / height, 1 - 0.6 / height
    figure.subplots_adjust(left, bottom, 1 - 1.2 / width, top, 0.08)
    grid = [figure.add_subplot(1, 3, k + 1) for k in range(3)]
    image = None
    for axes, (label, values) in zip(grid, panels.items(), strict=True):
        image = figures.draw_matrix(axes, values, names)
        axes.set_title(label, fontsize=10)
    for axes in grid[1:]:
        axes.set_yticks([])
    assert image is not None
    bar = figure.add_axes((1 - 1.0 / width, bottom, 0.15 / width, top - bottom))
    figure.colorbar(image, cax=bar, label="Spearman rank correlation")
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / height)
    return figures.save(figure, path)


def principal_components(
    path: str | Path,
    real: Float[np.ndarray, "n d"],
    synthetic: Mapping[str, Float[np.ndarray, "m d"]],
    *,
    num_rows: int,
) -> Path:
    """The first two principal components of the standardised real rows, with ``num_rows`` rows of every table on them.

    Equal numbers of points: a dense cloud must mean dense data, not many rows. One panel per synthetic table.
    """
    mean, sd = real.mean(0), real.std(0)
    pca = PCA(2).fit((real - mean) / sd)
    figure = Figure(figsize=(4.6 * len(synthetic) + 0.6, 4.6), layout="constrained")
    first = None
    for k, (name, table) in enumerate(synthetic.items()):
        axes = figure.add_subplot(1, len(synthetic), k + 1, sharex=first, sharey=first)
        first = first or axes
        for label, rows, colour, marker in (
            ("real", real, COLOURS[0], "o"),
            (name, table[:num_rows], COLOURS[1], "x"),
        ):
            z = pca.transform((rows - mean) / sd)
            face: dict[str, Any] = {"facecolors": "none", "edgecolors": colour} if marker == "o" else {"color": colour}
            axes.scatter(
                z[:, 0], z[:, 1], s=16, marker=marker, linewidths=0.9, label=f"{label} (n = {len(rows)})", **face
            )
        shares = pca.explained_variance_ratio_
        axes.set(xlabel=f"component 1 ({shares[0]:.0%} of the variance)", ylabel=f"component 2 ({shares[1]:.0%})")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
    return figures.save(figure, path)


def blend_curves(path: str | Path, blends: Mapping[str, BlendCurve], *, target: str) -> Path:
    """R2 on the hold-out rows along the real share, replaced (left) and added (right): mean and range of the repeats.

    The green line and band are those of the real rows alone.
    """
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    titles = {
        "fixed": "real rows replaced: as many rows in all",
        "added": "synthetic rows added to all real ones",
    }
    first = None
    for place, (design, title) in enumerate(titles.items()):
        axes = figure.add_subplot(1, 2, place + 1, sharey=first)
        first = first or axes
        ceiling = next(iter(blends.values())).ceiling.r2
        axes.axhspan(ceiling.min(), ceiling.max(), color=COLOURS[2], alpha=0.2, lw=0)
        axes.axhline(ceiling.mean(), color=COLOURS[2], lw=1.5, label="real rows alone (TRTR)")
        for k, (name, blend) in enumerate(blends.items()):
            scores = getattr(blend, design).r2
            measured = np.isfinite(scores).all(axis=0)
            x, y = blend.shares[measured], scores[:, measured]
            colour = COLOURS[k % len(COLOURS)]
            style = figures.STYLES[k % len(figures.STYLES)]
            axes.plot(x, y.mean(0), label=name, ms=5, ls=style, color=colour, marker=MARKERS[k % len(MARKERS)])
            if len(y) > 1:
                axes.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.2, lw=0)
        axes.set(xlim=(0.95, 0.05), xlabel="share of real rows in training")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(alpha=0.25)
    assert first is not None
    first.set_ylabel(f"R2 of {target} on hold-out rows")
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return figures.save(figure, path)


def calibration(path: str | Path, scores: Sequence[Score], *, controls: Sequence[str]) -> Path:
    """Every distance of every generator on one scale: 0 is the mean between two real samples, 1 its 95 % quantile.

    Signs are such that right is worse. Generators are filled, ``controls`` hollow and grey.
    """
    metrics = [metric for metric in METRICS if any(s.metric == metric and np.isfinite(s.floor) for s in scores)]
    names = list(dict.fromkeys(s.generator for s in scores if s.metric in metrics))
    figure = Figure(figsize=(8.4, 1.6 + 0.27 * len(metrics)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(-1, 1, color=COLOURS[2], alpha=0.15, lw=0, label="90 % of real v real, about")
    axes.axvline(0, color=COLOURS[2], lw=1.2)
    by_place = {(s.generator, s.metric): s for s in scores}
    order = [name for name in names if name not in controls], [name for name in names if name in controls]
    for group, control in zip(order, (False, True), strict=True):
        for k, name in enumerate(group):
            own = [by_place[name, metric] for metric in metrics]
            colour = GREY if control else COLOURS[k % len(COLOURS)]
            axes.scatter(
                [in_floors(score) for score in own],
                range(len(metrics)),
                s=34,
                marker=MARKERS[(k + 3 * control) % len(MARKERS)],
                facecolors="none" if control else colour,
                edgecolors=colour,
                label=f"({name})" if control else name,
                zorder=2 if control else 3,
            )
    axes.set_xscale("symlog", linthresh=2)
    ticks = [
        t
        for t in (-100, -10, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 1000)
        if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]
    ]
    axes.set_xticks(ticks, [str(t).replace("-", "−") for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(metrics)), [METRICS[metric].label for metric in metrics], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("distance above that of two real samples, in units of its 95 % quantile (linear to 2)")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figures.save(figure, path)


def in_floors(score: Score) -> float:
    """How far the value lies on the bad side of the floor's mean, in units of the floor's bad-side quantile."""
    if METRICS[score.metric].better == "larger":
        gap, unit = score.floor - score.value, score.floor - score.floor_low
    else:
        gap, unit = score.value - score.floor, score.floor_high - score.floor
    return gap / unit if unit > 0 else 0.0 if gap == 0 else float(np.copysign(np.inf, gap))
