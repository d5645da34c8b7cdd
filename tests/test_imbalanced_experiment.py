"""The experiment on imbalanced regression: its simulation, that no test row enters, resuming, studies and bad input."""

import json

import jax
import numpy as np
import pytest
from jaxcop.metrics.comparison import paired_difference
from jaxcop.report import arms
from scipy import stats

import imbalanced
import imbalanced_outputs
import imbalanced_scores
import imbalanced_study
import imbalanced_tables

TINY = ["--seeds", "2", "--epochs", "2", "--learners", "ridge"]


def test_the_simulation_has_its_check_values():
    data = imbalanced_tables.simulate()
    y = data.table[:, -1]
    assert data.table.shape == (3000, 7)
    assert round(y.mean(), 1) == 175.5
    assert round(y.std(), 1) == 26.0
    assert round(stats.skew(y), 2) == 2.41
    assert round(y.max()) == 413
    assert (imbalanced_tables.simulate(3).table[0] != data.table[0]).all()


def test_the_blast_table():
    data = imbalanced_tables.blast()
    assert data.table.shape[1] == 8
    assert data.columns[-1] == "X50"
    assert "FI" not in data.columns  # FI = XB / X50 beside XB would give the target away
    assert len(np.unique(data.table, axis=0)) == len(data.table)


def study(**changes):
    return imbalanced_study.Study(num_rows=200, num_seeds=2, epochs=2, batch_size=32, **changes)


@pytest.mark.parametrize("chosen_arms", [("kbvae_w", "smogn"), pytest.param((), marks=pytest.mark.slow)])
def test_nothing_fitted_sees_a_test_row(chosen_arms):
    """Tables of every arm and resampler stay as they are when all test rows change."""
    config = study(arms=chosen_arms)
    cases, levels = imbalanced_study.cases(config)
    other = [case._replace(test=case.test * 0 - 99, drawn=case.drawn[::-1]) for case in cases]
    tables = []
    for one in (cases, other):
        chosen = imbalanced_study.variants(config, levels)
        trains, seeds = [case.train for case in one], [case.seed for case in one]
        drawn = imbalanced_study.draw_tables(config, chosen, trains, seeds, lambda *_: lambda *_: None)
        tables.append({name: rows[0] for name, rows in drawn.items()} | imbalanced_study.resampled(config, one[0]))
    assert len(tables[0]) == (len(chosen_arms) + 1 if chosen_arms else 18)
    for name, rows in tables[0].items():
        np.testing.assert_array_equal(rows, tables[1][name])
        assert np.isfinite(rows).all()
    train_rows = {tuple(row) for row in cases[0].train.tolist()}
    assert not train_rows & {tuple(row) for row in cases[0].test.tolist()}
    np.testing.assert_array_equal(tables[0]["baseline"], cases[0].train)


def test_seeds_are_fresh_and_distinct():
    cases, _ = imbalanced_study.cases(study())
    assert len({case.seed for case in cases}) == 2
    assert (cases[0].train != cases[1].train).any()
    assert (cases[0].drawn < len(cases[0].test)).all()


def test_both_test_sets_are_scored_by_hand():
    case = imbalanced_study.cases(study())[0][0]
    config = study(learners=("ridge",))
    records = imbalanced_scores.score_seed(config, case, {"baseline": case.train}, (0,) * 7)
    assert [record["test"] for record in records] == ["population", "inverse density"]
    x = np.c_[np.ones(len(case.train)), case.train[:, :-1]]
    coefficients = np.linalg.lstsq(x, case.train[:, -1], rcond=None)[0]
    error = np.c_[np.ones(len(case.test)), case.test[:, :-1]] @ coefficients - case.test[:, -1]
    # Ridge with its default penalty is close to least squares on 140 rows.
    assert records[0]["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=0.02)
    assert records[1]["rmse"] == pytest.approx(np.sqrt((error[case.drawn] ** 2).mean()), rel=0.02)
    weights = stats.gaussian_kde(case.test[:, -1])(case.test[:, -1]) ** -0.5
    assert records[0]["weighted_mse"] == pytest.approx((weights * error**2).sum() / weights.sum(), rel=0.03)
    assert "weighted_mse" not in records[1]
    lost = imbalanced_scores.score_seed(config, case, {"broken": case.train * np.nan}, (0,) * 7)
    assert [record["finite"] for record in lost] == [False, False]
    assert "rmse" not in lost[0]


def records_of(values):
    return [
        {"arm": arm, "seed": seed, "learner": "ridge", "test": "population", "weighted_mse": value}
        for arm, row in values.items()
        for seed, value in enumerate(row)
    ]


def test_claims_follow_the_interval():
    records = records_of(
        {"baseline": [5, 6, 7, 8], "good": [4, 5.1, 6, 7], "bad": [6, 7.2, 8, 9], "even": [4, 7, 6, 9]}
    )
    scores = imbalanced_outputs.matrix(records, "ridge", "population", "weighted_mse")
    config = study()
    found = {
        arm: imbalanced_outputs.verdict(config, paired_difference(scores[arm], scores["baseline"], 0.4), "weighted_mse")
        for arm in ("good", "bad", "even")
    }
    assert found == {"good": "better", "bad": "worse", "even": "not shown"}
    # A table that is split again and again shares rows between seeds: the interval is wider.
    table = study(source="some.csv")
    wide = imbalanced_outputs.interval(table, paired_difference(scores["even"], scores["baseline"], 0.4))
    narrow = imbalanced_outputs.interval(config, paired_difference(scores["even"], scores["baseline"], 0.4))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    rank = imbalanced_outputs.ranks(scores, "weighted_mse")
    assert rank == {"baseline": 2.5, "good": 1.25, "bad": 3.875, "even": 2.375}
    rows = imbalanced_outputs.difference_rows(config, scores, [("good", "baseline")], "weighted_mse", 0.4)
    assert rows[0][4:] == ("4", "0", "better")


@pytest.mark.slow
def test_a_run_that_is_resumed(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = ["simulation", "--rows", "200", "--batch-size", "32", *TINY, "--out", str(out), "--resume"]
    assert imbalanced.main(arguments) == 0
    first = json.loads((out / "results.json").read_text())
    assert first["versions"]["jax"] == jax.__version__
    assert {record["arm"] for record in first["records"]} >= {"baseline", "kbvae_w", "smogn"}
    assert "boxes_ridge_population.png" in {path.name for path in out.iterdir()}

    def unexpected(*_, **__):
        raise AssertionError("scored again")

    monkeypatch.setattr(imbalanced_scores, "score_seed", unexpected)
    assert imbalanced.main(arguments) == 0
    assert json.loads((out / "results.json").read_text())["records"] == first["records"]
    assert imbalanced.main([*arguments, "--alpha", "0.3"]) == 2
    assert "other options" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bandwidth", "classification"])
def test_the_other_studies(tmp_path, kind):
    arguments = [
        "simulation",
        "--rows",
        "300",
        "--batch-size",
        "32",
        *TINY,
        "--study",
        kind,
        "--out",
        str(tmp_path / "o"),
    ]
    assert imbalanced.main(arguments) == 0
    records = json.loads((tmp_path / "o" / "results.json").read_text())["records"]
    found = {record["arm"] for record in records}
    assert ("kbvae_w released" in found) == (kind == "bandwidth")
    if kind == "classification":
        assert {record["learner"] for record in records} == {"regression", "classification"}
        assert all(0 <= record["roc_auc"] <= 1 for record in records if record["finite"])


def small_csv(path, rows=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4))
    kind = rng.choice(["red", "green", "blue"], rows)
    y = np.exp(x[:, 0]) + (kind == "red") + 0.1 * rng.normal(size=rows)
    lines = ["a,b,c,d,kind,y"] + [",".join(map(str, (*row, k, t))) for row, k, t in zip(x, kind, y, strict=True)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_a_mixed_table_from_a_path(tmp_path):
    path = small_csv(tmp_path / "mixed.csv")
    out = tmp_path / "out"
    arguments = ["table", str(path), "--target", "y", "--categorical", "kind", "--batch-size", "32", *TINY]
    assert imbalanced.main([*arguments, "--out", str(out)]) == 0
    assert json.loads((out / "results.json").read_text())["config"]["categorical"] == ["kind"]


def test_reading_a_table(tmp_path):
    data = imbalanced_tables.read(small_csv(tmp_path / "mixed.csv"), "y", ["kind", "a"], ["kind"])
    assert data.columns == ("kind", "a", "y")
    assert data.levels == (3, 0, 0)
    encoded = imbalanced_tables.features(data.table, data.levels)
    assert encoded.shape == (120, 5)
    assert (encoded[:, :3].sum(1) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulation", "--alpha", "-1"], "alpha"),
        (["simulation", "--seeds", "1"], "at least 2"),
        (["simulation", "--arms", "david"], "check the spelling"),
        (["simulation", "--rows", "150"], "batch_size"),
        (["simulation", "--hidden", "3"], "both or neither"),
        (["simulation", "--rows", "300", "--points", "900", "0", "--points", "990", "1"], "0 everywhere"),
        (["simulation", "--points", "1", "0", "--points", "2", "0"], "0 at every point"),
        (["table", "mixed.csv", "--target", "nothing"], "check the spelling"),
        (["table", "mixed.csv", "--target", "y"], "numeric columns"),
        (["table", "mixed.csv", "--target", "y", "--columns", "a", "b"], "name the sizes"),
        (["table", "missing.csv", "--target", "y"], "missing.csv"),
    ],
)
def test_bad_input_ends_before_any_work(tmp_path, monkeypatch, capsys, arguments, message):
    small_csv(tmp_path / "mixed.csv")
    monkeypatch.chdir(tmp_path)
    assert imbalanced.main([*arguments, *([] if "--seeds" in arguments else ["--seeds", "2"])]) == 2
    assert message in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "results").exists()


def test_figures_of_arms(tmp_path):
    values = {"none": np.array([1.0, 2, 3]), "new": np.array([1.0, np.nan, 300])}
    path = arms.boxes(tmp_path / "b.png", {"RMSE": values, "MAPE": values}, reference="none", title="t")
    assert path.stat().st_size > 5000
    with pytest.raises(ValueError, match="reference"):
        arms.boxes(tmp_path / "b.png", {"RMSE": values}, reference="baseline", title="t")
