"""Figures of tables, training and scores, each written to a PNG file.

Every function takes data and a path and returns the path. Figures are objects of their own: no window, no pyplot and
no state between calls. Colours are those of Okabe and Ito (2008), told apart by colour-blind readers, and line
styles or markers repeat what a colour says.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     training_curves(Path(folder) / "curves.png", {"vanilla": np.ones((3, 5))}, ylabel="loss").name
'curves.png'
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy import stats

from jaxcop.correlation import spearman

DPI = 150
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
GREY = "#666666"
CONFIDENCE = 0.95
BAND = (0.1, 0.9)


def ecdf_by_group(
    path: str | Path,
    table: Float[np.ndarray, "n d"],
    groups: Shaped[np.ndarray, " n"],
    names: Sequence[str],
    *,
    log: Collection[str] = (),
) -> Path:
    """Empirical distribution function of each column, one panel per column and one line per group.

    ``names`` label the columns, units included; those in ``log`` get a logarithmic axis. Raises ValueError for
    shapes that do not fit, and for a logarithmic axis of values that are not positive.
    """
    table, parts = _by_group(table, groups, names)
    unknown = sorted(set(log) - set(names))
    if unknown:
        raise ValueError(f"log: expected names of columns, got {unknown}; choose from {list(names)}")
    figure, grid = _panels(len(names), columns=3, size=(3.4, 2.6))
    for j, (axes, name) in enumerate(zip(grid, names, strict=True)):
        if name in log and table[:, j].min() <= 0:
            raise ValueError(f"log: expected positive values in {name!r}, got {table[:, j].min()}; leave it out of log")
        for k, (label, part) in enumerate(parts.items()):
            axes.ecdf(part[:, j], label=f"{label} (n = {len(part)})", **_line(k))
        if name in log:
            _log_axis(axes)
        axes.set(xlabel=name, ylim=(-0.02, 1.02))
        axes.grid(alpha=0.25)
    for axes in grid[::3]:
        axes.set_ylabel("share of rows ≤ x")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return save(figure, path)


def spearman_heatmaps(
    path: str | Path, table: Float[np.ndarray, "n d"], groups: Shaped[np.ndarray, " n"], names: Sequence[str]
) -> Path:
    """Spearman's rank correlation of all rows and of each group, one panel each, with the numbers in the cells.

    A column that is constant within a group has no correlation there: its cells are grey.
    """
    table, parts = _by_group(table, groups, names)
    parts = {"all rows": table, **parts}
    side = 1.4 + 0.55 * len(names)
    figure, grid = _panels(len(parts), columns=2 if len(parts) < 5 else 3, size=(side, side))
    figure.set_layout_engine("compressed")
    images = []
    for axes, (label, part) in zip(grid, parts.items(), strict=True):
        images.append(draw_matrix(axes, spearman_matrix(part), names))
        axes.set_title(f"{label} (n = {len(part)})", fontsize=10)
    figure.colorbar(images[0], ax=grid, label="Spearman rank correlation", shrink=0.6)
    return save(figure, path)


def draw_matrix(axes: Axes, values: Float[np.ndarray, "d d"], names: Sequence[str]):
    """Correlations as colours, with the numbers in the cells; NaN is grey."""
    image = axes.imshow(np.ma.masked_invalid(values), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_facecolor("#CCCCCC")
    for (i, j), value in np.ndenumerate(values):
        text = f"{round(value, 2) + 0.0:.2f}".replace("-", "−") if np.isfinite(value) else "–"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if abs(value) > 0.6 else "black")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    return image


def training_curves(
    path: str | Path, curves: Mapping[str, Float[np.ndarray, "replicas epochs"]], *, ylabel: str
) -> Path:
    """Median over the replicas per epoch, one line per variant, with the band from the 10 % to the 90 % quantile.

    A replica with a value that is not finite is left out, and the legend counts it.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for k, (name, values) in enumerate(curves.items()):
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2:
            raise ValueError(f"curves[{name!r}]: expected shape (replicas, epochs), got {values.shape}; add an axis")
        finite = values[np.isfinite(values).all(axis=1)]
        lost = f", {len(values) - len(finite)} diverged" if len(finite) < len(values) else ""
        epochs = np.arange(1, values.shape[1] + 1)
        line = np.median(finite, axis=0) if len(finite) else np.full(len(epochs), np.nan)
        axes.plot(epochs, line, label=f"{name} ({len(values)} replicas{lost})", **_line(k))
        if len(finite) > 1:
            axes.fill_between(epochs, *np.quantile(finite, BAND, axis=0), color=_line(k)["color"], alpha=0.2, lw=0)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.set_title(f"median and {BAND[0]:.0%} to {BAND[1]:.0%} quantile band over replicas", fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return save(figure, path)


def pair_plot(
    path: str | Path,
    real: Float[np.ndarray, "n d"],
    synthetic: Float[np.ndarray, "m d"],
    names: Sequence[str],
    *,
    title: str,
) -> Path:
    """Real against synthetic rows: scatter of each pair of columns, and each column's distribution on the diagonal."""
    tables = {"real": np.asarray(real, dtype=np.float64), "synthetic": np.asarray(synthetic, dtype=np.float64)}
    for label, table in tables.items():
        _check_table(table, names, label)
    size = len(names)
    # Margins in inches: to solve for a layout of many panels takes longer than to draw them.
    width, height = 1.2 + 1.5 * size, 1.6 + 1.5 * size
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(0.75 / width, 0.95 / height, 1 - 0.2 / width, 1 - 0.65 / height, 0.3, 0.3)
    style = {"real": {"color": COLOURS[0], "zorder": 3}, "synthetic": {"color": COLOURS[1], "zorder": 2}}
    lower_triangle = [(row, column) for row in range(size) for column in range(row + 1)]
    for i, j in lower_triangle:
        axes = figure.add_subplot(size, size, i * size + j + 1)
        for label, table in tables.items():
            if i == j:
                axes.ecdf(table[:, i], linestyle="-" if label == "real" else "--", **style[label])
            else:
                # Many synthetic rows must neither hide the real ones nor saturate into a blot.
                alpha = 0.8 if label == "real" else float(np.clip(300 / len(table), 0.08, 0.6))
                axes.scatter(table[:, j], table[:, i], s=7, linewidths=0, alpha=alpha, **style[label])
        axes.tick_params(labelsize=7, labelleft=j in (0, i), labelbottom=i == size - 1)
        axes.grid(alpha=0.2)
        if i == size - 1:
            axes.set_xlabel(names[j], fontsize=9)
        if i == j:
            axes.set_title(f"{names[i]}: share ≤ x", fontsize=8)
            axes.set_ylim(-0.03, 1.03)
        elif j == 0:
            axes.set_ylabel(names[i], fontsize=9)
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / height)
    handles = [
        Line2D([], [], marker="o", lw=1.5, ls="-" if label == "real" else "--", color=style[label]["color"])
        for label in tables
    ]
    labels = [f"{label} (n = {len(table)})" for label, table in tables.items()]
    figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
    return save(figure, path)


def utility_by_generator(
    path: str | Path,
    scores: Mapping[str, Float[np.ndarray, " splits"]],
    ceiling: Float[np.ndarray, " splits"],
    *,
    ylabel: str,
    title: str,
    controls: Collection[str] = (),
) -> Path:
    """Score of each generator per split, with its mean and 95 % interval, sorted by mean, under the real-data ceiling.

    The interval is Student's over the splits; splits share rows, so the true uncertainty is larger. ``controls`` are
    grey and hollow. Scores that are not finite are left out and counted. Far outliers (three interquartile ranges of
    all scores) are shown as triangles at the edge of the view, which a note below the axis counts.
    """
    unknown = sorted(set(controls) - set(scores))
    if unknown:
        raise ValueError(f"controls: expected names among the scores, got {unknown}; choose from {list(scores)}")
    finite = {name: _finite(values, name) for name, values in scores.items()}
    ceiling = _finite(ceiling, "ceiling")
    order = sorted(finite, key=lambda name: -finite[name].mean())
    ends = [middle + sign * half for middle, half in map(_mean_interval, finite.values()) for sign in (-1, 1)]
    low, high = _view(np.concatenate([*finite.values(), ceiling, ends]))
    width = max(6.0, 1.6 + 0.85 * len(order))
    figure = Figure(figsize=(width, 5.0), layout="constrained")
    axes = figure.add_subplot()
    middle, half = _mean_interval(ceiling)
    axes.axhspan(middle - half, middle + half, color=COLOURS[2], alpha=0.2, lw=0)
    axes.axhline(middle, color=COLOURS[2], lw=1.5)
    for x, name in enumerate(order):
        _draw_generator(axes, x, finite[name], (low, high), control=name in controls)
    axes.set(ylim=(low, high), xlim=(-0.6, len(order) - 0.4), ylabel=ylabel)
    lost = {name: np.size(scores[name]) - len(finite[name]) for name in order}
    labels = [f"{name} ({lost[name]} not finite)" if lost[name] else name for name in order]
    turned = max(map(len, labels)) > 10
    axes.set_xticks(
        range(len(order)),
        labels,
        rotation=35 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor",
    )
    for tick, name in zip(axes.get_xticklabels(), order, strict=True):
        tick.set_color(GREY if name in controls else "black")
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(axis="y", alpha=0.25)
    axes.set_xlabel(_outside_note(finite, low, high), fontsize=8, color=GREY)
    columns = 4 if width > 8.5 else 2
    figure.legend(
        *_utility_legend(bool(controls)), loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )
    return save(figure, path)


def _draw_generator(axes: Axes, x: int, values: np.ndarray, view: tuple[float, float], *, control: bool) -> None:
    colour = GREY if control else COLOURS[0]
    face = "white" if control else colour
    low, high = view
    # A split keeps its place within every generator's strip, so that a hard split can be followed across.
    place = x + (np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else np.zeros(1))
    inside = (values >= low) & (values <= high)
    axes.scatter(place[inside], values[inside], s=14, facecolors=face, edgecolors=colour, linewidths=0.8, alpha=0.6)
    edge = 0.02 * (high - low)
    for outside, marker, y in ((values < low, "v", low + edge), (values > high, "^", high - edge)):
        axes.scatter(place[outside], np.full(outside.sum(), y), s=28, marker=marker, facecolors=face, edgecolors=colour)
    mean, half = _mean_interval(values)
    if low <= mean <= high:
        axes.errorbar(x, mean, half, fmt="D", ms=6, mfc=face, mec="black", ecolor="black", capsize=4, zorder=4)
    else:
        y, side = (low + 3 * edge, "bottom") if mean < low else (high - 3 * edge, "top")
        axes.text(x, y, f"mean\n{mean:.3g}".replace("-", "−"), ha="center", va=side, fontsize=8)


def _utility_legend(with_controls: bool) -> tuple[list[Line2D], list[str]]:
    mean = {"marker": "D", "ls": "-", "color": "black", "ms": 6}
    entries = {
        "one split": Line2D([], [], marker="o", ls="", color=COLOURS[0], alpha=0.6, ms=4),
        f"mean and {CONFIDENCE:.0%} interval, splits as independent": Line2D([], [], mfc=COLOURS[0], **mean),
        "control": Line2D([], [], marker="o", ls="", mfc="white", mec=GREY, ms=5),
        "train-real-test-real ceiling and its interval": Line2D([], [], color=COLOURS[2], lw=2),
    }
    if not with_controls:
        del entries["control"]
    return list(entries.values()), list(entries)


def _outside_note(finite: Mapping[str, np.ndarray], low: float, high: float) -> str:
    values = np.concatenate(list(finite.values()))
    notes = []
    for mark, outside, word, extreme in (("▼", values < low, "below", np.min), ("▲", values > high, "above", np.max)):
        if outside.any():
            notes.append(f"{mark} {outside.sum()} scores {word} the view, the farthest {extreme(values):.3g}")
    return "; ".join(notes).replace("-", "−")


def _finite(values, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[np.isfinite(array)]
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one finite score, got none; leave it out and say so in the text")
    return array


def _view(values: np.ndarray) -> tuple[float, float]:
    """Range of the axis: that of all values, less what lies three interquartile ranges outside the quartiles."""
    first, third = np.quantile(values, (0.25, 0.75))
    reach = 3 * (third - first) if third > first else np.inf
    low, high = max(values.min(), first - reach), min(values.max(), third + reach)
    pad = 0.06 * (high - low) if high > low else 0.5
    return float(low - pad), float(high + pad)


def _mean_interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return float(values.mean()), 0.0
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)
    return float(values.mean()), float(quantile * stats.sem(values))


def spearman_matrix(table: np.ndarray) -> np.ndarray:
    """Spearman's rank correlations, NaN where a column is constant (``spearman`` refuses those)."""
    varies = np.ptp(table, axis=0) > 0
    values = np.full((table.shape[1],) * 2, np.nan)
    if varies.any():
        values[np.ix_(varies, varies)] = spearman(jnp.asarray(table[:, varies]))
    return values


def _by_group(table, groups, names) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The table, and its rows by group in order of appearance."""
    table, groups = np.asarray(table, dtype=np.float64), np.asarray(groups)
    _check_table(table, names, "table")
    if groups.shape != table.shape[:1]:
        raise ValueError(f"groups: expected {len(table)} labels, one per row, got shape {groups.shape}; pass a column")
    labels, first = np.unique(groups, return_index=True)
    return table, {str(label): table[groups == label] for label in labels[np.argsort(first)]}


def _check_table(table: np.ndarray, names: Sequence[str], what: str) -> None:
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] != len(names) or not np.isfinite(table).all():
        raise ValueError(
            f"{what}: expected finite values of shape (rows, {len(names)}) for the names {list(names)}, got shape "
            f"{table.shape}; give one name per column and drop incomplete rows"
        )


def _panels(count: int, *, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns + 0.8, size[1] * rows + 0.6), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, k + 1) for k in range(count)]


def _line(k: int) -> dict:
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k % len(STYLES)], "linewidth": 1.6}


def _log_axis(axes: Axes) -> None:
    """Plain numbers within the decades: a decade or two holds too few powers of ten to read values off."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure, whose layout leaves room for all that is drawn, as a PNG file."""
    path = Path(path)
    figure.savefig(path, dpi=DPI, format="png")
    return path
