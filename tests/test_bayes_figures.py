"""Figures of posteriors are written, and refuse draws that are not finite."""

import numpy as np
import pytest
from jaxcop.report import bayes_figures

DRAWS = np.random.default_rng(0).normal(size=(4, 100))
CALLS = {
    "density": lambda path, x: bayes_figures.posterior_density(path, x, estimate=0.1, interval=(-1, 1), name="theta"),
    "traces": lambda path, x: bayes_figures.traces_and_ranks(path, {"theta": x, "tau": x}),
    "predictive": lambda path, x: bayes_figures.predictive_checks(path, {"tau": (0.1, x[0]), "corner": (0.0, x[1])}),
    "tails": lambda path, x: bayes_figures.tail_dependence(path, {"clayton": (x[0], x[1])}),
}


@pytest.mark.parametrize("name", CALLS)
def test_pictures_are_written_from_finite_draws_only(name, tmp_path):
    path = CALLS[name](tmp_path / "a.png", DRAWS)
    assert path.read_bytes().startswith(b"\x89PNG")
    broken = DRAWS.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite draws"):
        CALLS[name](tmp_path / "b.png", broken)
    assert not (tmp_path / "b.png").exists()


def test_groups_keep_their_place(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(bayes_figures, "save", lambda figure, path: kept.append(figure) or path)
    series = {
        "alone": {"a": (1.0, 0.0, 2.0), "b": (5.0, 4.0, 6.0)},
        "pooled": {"b": (4.0, 3.5, 4.5), "a": (2.0, 1.0, 3.0)},
    }
    bayes_figures.intervals_by_group(tmp_path / "c.png", ["a", "b"], series, xlabel="theta", reference=(3.0, 2.0, 4.0))
    lines = [container.lines[0] for container in kept[0].axes[0].containers]
    np.testing.assert_allclose([line.get_xdata() for line in lines], [[1, 5], [2, 4]])
    assert [text.get_text() for text in kept[0].axes[0].get_yticklabels()] == ["a", "b"]
