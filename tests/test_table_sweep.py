"""Seeds and numbers of a synthesizer of tables: the better is chosen, finished fits are found again, bad input."""

import jax
import numpy as np
import pandas as pd
import pytest
from jaxcop import sweep, synthesizers, tables
from jaxcop.report import sweep as report
from jaxcop.table_sweep import Swept, sweep_table
from jaxcop.vae import Hyper


def table(rows=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    site = np.where(x > 0, "north", "south")
    return pd.DataFrame({"site": site, "x": x.round(2), "y": (2 * x + 0.1 * rng.normal(size=rows)).round(3)})


def go(**options):
    frame = table()
    given = {"synthesizer": "smoothed", "values": {"bandwidth": [0.1, 30.0]}, "target": "y", "num_folds": 2}
    given |= options
    return sweep_table(jax.random.key(0), frame, tables.infer_schema(frame), **given)


def test_the_better_numbers_are_chosen_and_kept_fits_are_used(tmp_path, monkeypatch):
    found = go(num_seeds=2, store=tmp_path)
    assert found.scores.shape == (2, 2, 2)
    assert found.hyper.bandwidth == 0.1
    # A training seed is other noise; a fold is other rows.
    assert len(np.unique(found.scores)) == 8
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    monkeypatch.setattr(sweep, "_run", None)
    again = go(num_seeds=2, store=tmp_path)
    assert (again.scores == found.scores).all()


def test_without_a_target_the_distance_of_the_rows_decides():
    found = go(target=None)
    assert found.metric == "mmd"
    assert found.hyper.bandwidth == 0.1


def test_a_fit_with_chosen_numbers():
    frame = table()
    schema = tables.infer_schema(frame)
    hyper = go().hyper._replace(bandwidth=1e-6)
    model = synthesizers.fit_table(jax.random.key(0), frame, schema, "smoothed", hyper=hyper)
    rows = synthesizers.sample_table(jax.random.key(1), model, 50)
    assert rows["x"].isin(frame["x"]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"synthesizer": "gan"}, "synthesizer: expected one of"),
        ({"values": {"beta": [1.0]}}, "grid: expected names among"),
        ({"synthesizer": "vae", "values": {"learning_rate": [-1.0]}}, "learning_rate"),
        ({"target": "site"}, "target: expected a column of numbers"),
        ({"rule": "best"}, "rule: expected one of"),
        ({"num_folds": 61}, "num_folds: expected at most 60"),
        ({"num_seeds": 0}, "num_seeds"),
    ],
)
def test_what_cannot_be_swept_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        go(**options)


def test_saved_and_read_again_it_is_the_same_report(tmp_path):
    grid = (Hyper(), Hyper(beta_max=0.1))
    scores = np.array([[[1.0, 2.0], [1.5, 2.5]], [[1.1, np.inf], [1.3, 2.1]]])
    found = Swept("vae_gmm", "y", "tstr_rmse", "lowest", grid, 0, scores)
    report.save(found, tmp_path / "a")
    read = report.load(tmp_path / "a" / "sweep.json")
    assert read.grid == grid
    assert (read.scores == scores).all()
    report.save(read, tmp_path / "b")
    for name in ("report.md", "report.html", "sweep.json", "sweep.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    text = (tmp_path / "a" / "report.md").read_text()
    assert "| beta_max 0.5 | 1.2250 | 0.1750 | 0.2475 |" in text
    assert "1 of 8 fits diverged" in text
