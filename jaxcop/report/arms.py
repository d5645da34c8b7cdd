"""Figures that compare arms over the same seeds: box plots by arm and metric, and paired differences with intervals."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from jaxcop.metrics.comparison import Difference
from jaxcop.report.figures import COLOURS, GREY, save

# Boxes reach to the quartiles, whiskers to the most extreme seeds within 1.5 interquartile ranges, points beyond.
BOX: dict[str, Any] = {
    "boxprops": {"facecolor": "#CFE3F2", "edgecolor": COLOURS[0]},
    "medianprops": {"color": "black", "linewidth": 1.6},
    "whiskerprops": {"color": COLOURS[0]},
    "capprops": {"color": COLOURS[0]},
    "flierprops": {"marker": "o", "markersize": 3, "markerfacecolor": "white", "markeredgecolor": COLOURS[0]},
}
COLUMNS = 3


def boxes(
    path: str | Path,
    panels: Mapping[str, Mapping[str, Float[np.ndarray, " seeds"]]],
    *,
    reference: str,
    title: str,
) -> Path:
    """One panel a metric, one box an arm over its seeds; a dashed line marks the median of the arm ``reference``.

    Scores that are not finite are left out, and the label of the arm counts those of the first panel. A panel with
    scores a hundred times apart gets a logarithmic axis. Raises ValueError where ``reference`` is missing.

    >>> import tempfile
    >>> scores = {"RMSE": {"none": np.arange(5.0), "new": np.arange(5.0) + 1}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     boxes(Path(folder) / "boxes.png", scores, reference="none", title="RMSE").name
    'boxes.png'
    """
    arms = list(next(iter(panels.values())))
    if any(reference not in scores for scores in panels.values()):
        raise ValueError(f"reference: expected one of the arms {arms}, got {reference!r}; check the spelling")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (3.0 * columns + 1.6, (0.26 * len(arms) + 1.1) * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    lost = {arm: int((~np.isfinite(next(iter(panels.values()))[arm])).sum()) for arm in arms}
    labels = [f"{arm} ({lost[arm]} lost)" if lost[arm] else arm for arm in arms]
    for k, (metric, scores) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, k + 1)
        values = [np.asarray(scores[arm], float)[np.isfinite(scores[arm])] for arm in arms]
        axes.boxplot(values, orientation="horizontal", patch_artist=True, widths=0.65, **BOX)
        middle = np.asarray(scores[reference], float)
        if np.isfinite(middle).any():
            axes.axvline(np.nanmedian(middle), color=COLOURS[1], linestyle="--", linewidth=1.2, zorder=0)
        everything = np.concatenate(values)
        if everything.size and everything.min() > 0 and everything.max() > 100 * everything.min():
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_yticks(range(1, len(arms) + 1), labels if k % columns == 0 else [""] * len(arms), fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel(metric, fontsize=9)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.25)
    figure.suptitle(title, fontsize=11)
    line = Line2D([], [], color=COLOURS[1], linestyle="--")
    figure.legend([line], [f"median of {reference}"], loc="outside lower center", frameon=False, fontsize=8)
    return save(figure, path)


def difference_intervals(
    path: str | Path,
    differences: Mapping[str, Difference],
    *,
    corrected: bool,
    xlabel: str,
    title: str,
    lower_is_better: bool = True,
    groups: Collection[str] = (),
) -> Path:
    """Mean paired difference of each arm with its interval, in the given order, against a line at zero.

    Filled markers: the interval is on one side of zero, a circle on the good side and a square on the bad one; hollow
    diamonds: it holds zero. ``corrected`` takes the interval that allows for shared training rows. A line is drawn
    above each arm named in ``groups``.

    >>> import tempfile
    >>> shown = {"new": Difference(-1.0, -2.0, -0.5, -3.0, 1.0, 20)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     difference_intervals(
    ...         Path(folder) / "d.png", shown, corrected=False, xlabel="RMSE", title="against none"
    ...     ).name
    'd.png'
    """
    figure = Figure(figsize=(7.2, 0.27 * len(differences) + 1.7), layout="constrained")
    axes = figure.add_subplot()
    kinds: dict[str, dict[str, Any]] = {
        "better": {"fmt": "o", "color": COLOURS[0], "mfc": COLOURS[0]},
        "worse": {"fmt": "s", "color": COLOURS[1], "mfc": COLOURS[1]},
        "no difference shown": {"fmt": "D", "color": GREY, "mfc": "white"},
    }
    for y, (arm, found) in enumerate(differences.items()):
        low, high = (found.corrected_low, found.corrected_high) if corrected else (found.low, found.high)
        below, above = high < 0, low > 0
        kind = "no difference shown"
        if below or above:
            kind = "better" if below == lower_is_better else "worse"
        half = [[found.mean - low], [high - found.mean]]
        axes.errorbar([found.mean], [y], xerr=half, capsize=3, ms=6, **kinds[kind])
        if arm in groups:
            axes.axhline(y - 0.5, color=GREY, linewidth=0.6)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(differences)), list(differences), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.grid(axis="x", alpha=0.25)
    axes.set_title(title, fontsize=10, loc="left")
    handles = [
        Line2D([], [], marker=style["fmt"], color=style["color"], mfc=style["mfc"], linestyle="-")
        for style in kinds.values()
    ]
    figure.legend(handles, list(kinds), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return save(figure, path)
