"""Figures are written, hold what they are said to hold, and say what they leave out."""

import subprocess
import sys

import numpy as np
import pytest
from jaxcop.report import figures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from scipy import stats

import blasts

PANELS = {"ecdf": 6, "spearman": 5, "curves": 1, "pairs": 6, "utility": 1}


@pytest.fixture(scope="module")
def pool():
    return blasts.load_pool()


@pytest.fixture
def drawn(monkeypatch):
    """The Figure objects behind the files."""
    seen = []
    original = figures.save
    monkeypatch.setattr(figures, "save", lambda figure, path: (seen.append(figure), original(figure, path))[1])
    return seen


def labels(columns):
    return [blasts.LABELS.get(column, column) for column in columns]


def scores():
    rng = np.random.default_rng(0)
    values = {"mixture prior": rng.normal(0.4, 0.1, 20), "vanilla": rng.normal(0.2, 0.1, 20)}
    return values | {"bootstrap": rng.normal(0.5, 0.1, 20)}, rng.normal(0.55, 0.1, 20)


def draw(kind, pool, path):
    core = pool[list(blasts.CORE)].to_numpy()
    if kind == "ecdf":
        return figures.ecdf_by_group(path, core, pool["dataset"], labels(blasts.CORE), log=labels(["X50", "PF"]))
    if kind == "spearman":
        return figures.spearman_heatmaps(path, core, pool["dataset"], labels(blasts.CORE))
    if kind == "curves":
        curves = {name: np.random.default_rng(0).normal(size=(5, 40)).cumsum(1) for name in ("vanilla", "annealed")}
        return figures.training_curves(path, curves, ylabel="negative ELBO per row (nats)")
    if kind == "pairs":
        return figures.pair_plot(path, core[:, :3], core[:40, :3] * 1.1, labels(blasts.CORE[:3]), title="vanilla")
    values, ceiling = scores()
    return figures.utility_by_generator(path, values, ceiling, ylabel="R²", title="blast", controls={"bootstrap"})


@pytest.mark.parametrize("kind", PANELS)
@pytest.mark.slow
def test_a_png_with_something_in_every_panel(kind, pool, tmp_path, drawn):
    path = draw(kind, pool, tmp_path / "figure.png")
    assert path == tmp_path / "figure.png"
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    image = imread(path)
    assert image.shape[0] > 300
    assert image.shape[1] > 300
    assert np.unique(image.reshape(-1, image.shape[-1]), axis=0).shape[0] > 20
    (figure,) = drawn
    # The colour bar of the heat maps is an axis, too.
    assert len(figure.axes) == PANELS[kind]
    assert all(axes.has_data() for axes in figure.axes)
    for axes in figure.axes:
        box = axes.get_position()
        assert box.width > 0.02
        assert box.height > 0.02


@pytest.mark.parametrize("kind", PANELS)
def test_nothing_lies_outside_the_picture(kind, pool, tmp_path, drawn):
    draw(kind, pool, tmp_path / "figure.png")
    (figure,) = drawn
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02


@pytest.mark.parametrize("kind", PANELS)
@pytest.mark.slow
def test_texts_do_not_overlap(kind, pool, tmp_path, drawn):
    draw(kind, pool, tmp_path / "figure.png")
    (figure,) = drawn
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        labels = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        # Turned labels overlap as boxes, not as text.
        boxes = [text.get_window_extent(renderer) for text in labels if text.get_visible() and not text.get_rotation()]
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_pyplot_is_never_loaded(tmp_path):
    code = (
        "import sys; from jaxcop.report import figures; "
        f"figures.training_curves({str(tmp_path / 'c.png')!r}, {{'a': [[1.0, 2.0]]}}, ylabel='loss'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ecdf_lines_and_log_axes(pool, tmp_path, drawn):
    draw("ecdf", pool, tmp_path / "ecdf.png")
    (figure,) = drawn
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log", "log", "linear", "linear", "linear"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["FI", "X50 (m)", "PF (kg/m³)", "H/B", "B/D", "T/B"]
    assert {axes.get_subplotspec().get_gridspec().get_geometry() for axes in figure.axes} == {(2, 3)}
    for axes, column in zip(figure.axes, blasts.CORE, strict=True):
        for line, source in zip(axes.lines, blasts.SOURCES, strict=True):
            values = pool.loc[pool["dataset"] == source, column]
            # The share at or below the median, read off the curve and counted.
            x, y = line.get_data()
            assert y[x <= values.median()].max() == pytest.approx((values <= values.median()).mean())
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 3


@pytest.mark.parametrize("columns", [1, 2, 4, 7])
def test_any_number_of_panels(columns, tmp_path, drawn):
    table = np.random.default_rng(0).lognormal(size=(30, columns))
    names = [f"x{j}" for j in range(columns)]
    figures.ecdf_by_group(tmp_path / "ecdf.png", table, np.arange(30) % 2, names, log=names)
    figures.pair_plot(tmp_path / "pairs.png", table, table[:9], names, title="copies")
    assert [len(figure.axes) for figure in drawn] == [columns, columns * (columns + 1) // 2]


def test_heatmap_shows_spearman_of_each_group_and_marks_constants(tmp_path, drawn):
    rng = np.random.default_rng(0)
    table = np.round(rng.normal(size=(60, 3)), 1)
    groups = np.repeat(["p", "q", "r"], [29, 30, 1])
    table[groups == "q", 2] = 1.0
    figures.spearman_heatmaps(tmp_path / "heat.png", table, groups, ["x", "y", "z"])
    everyone, p, q, r, _ = drawn[0].axes
    for axes, rows in ((everyone, table), (p, table[:29])):
        np.testing.assert_allclose(axes.images[0].get_array(), stats.spearmanr(rows).statistic)
        assert axes.images[0].get_clim() == (-1, 1)
    assert [text.get_text() for text in q.texts].count("–") == 5
    assert [text.get_text() for text in r.texts].count("–") == 9
    assert everyone.get_title() == "all rows (n = 60)"


def test_training_curves_leave_out_and_count_what_diverged(tmp_path, drawn):
    good = np.random.default_rng(0).normal(size=(6, 30))
    half = np.concatenate([good, np.where(np.arange(30) > 20, np.nan, good[:2])])
    figures.training_curves(tmp_path / "c.png", {"half": half, "none": half[6:], "one": good[:1]}, ylabel="loss")
    (axes,) = drawn[0].axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.median(good, axis=0))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["half (8 replicas, 2 diverged)", "none (2 replicas, 2 diverged)", "one (1 replicas)"]
    assert len(axes.collections) == 1


def test_pair_plot_is_a_lower_triangle_of_both_tables(pool, tmp_path, drawn):
    draw("pairs", pool, tmp_path / "pairs.png")
    positions = [axes.get_subplotspec() for axes in drawn[0].axes]
    assert [(p.rowspan.start, p.colspan.start) for p in positions] == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    real, synthetic = drawn[0].axes[1].collections
    np.testing.assert_array_equal(real.get_offsets(), pool[["FI", "X50"]])
    assert len(synthetic.get_offsets()) == 40


def test_generators_are_sorted_with_intervals_and_hollow_controls(pool, tmp_path, drawn):
    draw("utility", pool, tmp_path / "u.png")
    (axes,) = drawn[0].axes
    values, ceiling = scores()
    order = ["bootstrap", "mixture prior", "vanilla"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == order
    for bar, name in zip(axes.containers, order, strict=True):
        mean, (low, high) = values[name].mean(), stats.bootstrap((values[name],), np.mean, rng=0).confidence_interval
        assert bar.lines[0].get_ydata() == pytest.approx([mean])
        interval = bar.lines[2][0].get_segments()[0][:, 1]
        # Student's interval of 20 normal values and the bootstrap's agree to about a tenth of their width.
        np.testing.assert_allclose(interval, [low, high], atol=0.25 * (high - low))
        assert (bar.lines[0].get_markerfacecolor() == "white") == (name == "bootstrap")
    assert axes.lines[0].get_ydata() == pytest.approx([ceiling.mean()] * 2)
    assert axes.get_xlabel() == ""


def test_far_outliers_are_clipped_counted_and_named(tmp_path, drawn):
    values, ceiling = scores()
    values["vanilla"][:2] = [-31.0, -7.0]
    values["awful"] = np.linspace(-13, -11, 20)
    values["mixture prior"][3] = np.nan
    values["wonderful"] = np.append(np.full(18, 0.4), [50.0, np.inf])
    figures.utility_by_generator(tmp_path / "u.png", values, ceiling, ylabel="R²", title="")
    (axes,) = drawn[0].axes
    low, high = axes.get_ylim()
    assert -5 < low < 0 < high < 5
    below, above = axes.get_xlabel().split("; ")
    assert below == "▼ 22 scores below the view, the farthest −31"
    assert above == "▲ 1 scores above the view, the farthest 50"
    assert "mean\n−12" in [text.get_text() for text in axes.texts]
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert "mixture prior (1 not finite)" in ticks
    assert "wonderful (1 not finite)" in ticks


def test_one_split_and_equal_scores_still_draw(tmp_path):
    figures.utility_by_generator(tmp_path / "u.png", {"p": [0.5], "q": [0.5]}, [0.5], ylabel="R²", title="one split")
    assert imread(tmp_path / "u.png").min() < 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: figures.ecdf_by_group(p, np.ones((4, 2)), np.arange(4), ["x"]), "one name per column"),
        (lambda p: figures.ecdf_by_group(p, np.ones((4, 1)), np.arange(3), ["x"]), "expected 4 labels"),
        (lambda p: figures.ecdf_by_group(p, np.ones((4, 1)), np.arange(4), ["x"], log=["y"]), "log: expected names"),
        (lambda p: figures.ecdf_by_group(p, np.zeros((4, 1)), np.ones(4), ["x"], log=["x"]), "positive values in 'x'"),
        (lambda p: figures.spearman_heatmaps(p, np.full((4, 1), np.nan), np.ones(4), ["x"]), "expected finite"),
        (lambda p: figures.training_curves(p, {"x": np.ones(4)}, ylabel="y"), "replicas, epochs"),
        (lambda p: figures.pair_plot(p, np.ones((4, 2)), np.ones((4, 3)), ["x", "y"], title=""), "synthetic: expected"),
        (lambda p: figures.pair_plot(p, np.ones((0, 1)), np.ones((4, 1)), ["x"], title=""), "real: expected"),
        (
            lambda p: figures.utility_by_generator(p, {"x": [1.0]}, [1.0], ylabel="", title="", controls={"y"}),
            "controls: expected names",
        ),
        (
            lambda p: figures.utility_by_generator(p, {"x": [np.nan]}, [1.0], ylabel="", title=""),
            "x: expected at least",
        ),
    ],
)
def test_bad_input(tmp_path, call, message):
    path = tmp_path / "figure.png"
    with pytest.raises(ValueError, match=message):
        call(path)
    assert not path.exists()
