"""The Bayesian study of the blast table: what it refuses, one short run, and posteriors without divergences."""

import json

import jax
import numpy as np
import pytest
from jaxcop import bayes

import bayesian
import blasts


def test_too_few_draws_and_a_full_folder_are_refused(tmp_path, capsys):
    assert bayesian.main(["--draws", "10", "--out", str(tmp_path / "out")]) == 2
    assert "draws: expected at least 100, got 10" in capsys.readouterr().out
    (tmp_path / "kept").write_text("mine")
    assert bayesian.main(["--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_ties_are_broken_at_random_and_nothing_else():
    x = np.array([[1.0, 5.0], [2.0, 4.0], [2.0, 3.0], [3.0, 2.0]])
    found = {bayesian.broken_ranks(np.random.default_rng(seed), x).tobytes() for seed in range(20)}
    tables = [np.frombuffer(table).reshape(4, 2) * 5 for table in found]
    assert len(tables) == 2
    for table in tables:
        assert table[:, 1].tolist() == [4, 3, 2, 1]
        assert table[[0, 3], 0].tolist() == [1, 4]
        assert sorted(table[1:3, 0]) == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clayton", "gaussian", "student_t"])
def test_no_divergences_on_the_blast_table(family):
    """All 262 rows and eight columns at default settings."""
    x = blasts.load_pool()[list(blasts.MEASURED)].to_numpy(float)
    u = bayesian.broken_ranks(np.random.default_rng(0), x)
    found = bayes.copula_posterior(jax.random.key(0), u, family)
    assert found.num_divergent == 0
    assert found.converged, found.warnings


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_short_run(tmp_path):
    out = tmp_path / "out"
    assert bayesian.main(["--draws", "100", "--warmup", "100", "--out", str(out)]) == 0
    document = json.loads((out / "results.json").read_text())
    assert {"config", "families", "joint", "sites"} <= set(document)
    for name in ("theta", "traces", "predictive", "tails", "sites"):
        assert (out / f"{name}.png").stat().st_size > 10_000
    assert (out / "report.md").read_text().startswith("# Posteriors on the blast table")
