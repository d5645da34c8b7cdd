"""The study: no leak, determinism, statistics, bad input, and one small run from end to end."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from jaxcop.tables import load_splits, numeric_table
from rich.console import Console

import blasts
import fragmentation
import outputs
import study

CONFIG = fragmentation.Study(
    num_splits=2, num_seeds=2, num_rows=300, epochs=4, num_resamples=2, resample_splits=1, mixture_components=5,
    latent_components=5, generators=("vae_gmm", "gaussian_mixture_copula", "copula_gaussian"),
)  # fmt: skip
POOL = blasts.load_pool()
TABLE, _ = numeric_table(POOL, fragmentation.COLUMNS, target=blasts.TARGET)


def run(table, seeds=(0, 1), generators=CONFIG.generators):
    config = dataclasses.replace(CONFIG, generators=generators)
    splits = blasts.make_splits(POOL, "blast", seeds)
    screen = fragmentation.Screen(Console(quiet=True))
    return splits, fragmentation.run_protocol(fragmentation.plan(config, "blast", POOL, table, splits), screen)


@pytest.fixture(scope="module")
def plain():
    return run(TABLE)


def test_nothing_fitted_sees_a_test_row(plain):
    """Change every test row of split 0: tuning, fits, synthetic tables and distances to train must not move."""
    splits, expected = plain
    spoiled = TABLE.copy()
    rng = np.random.default_rng(0)
    spoiled[splits[0].test] = TABLE[splits[0].test] * rng.uniform(2, 3, (len(splits[0].test), TABLE.shape[1]))
    _, result = run(spoiled)
    for name, tuned in expected.tuned.items():
        np.testing.assert_array_equal(result.tuned[name].rmse[0], tuned.rmse[0])
    for name, fitted in expected.fitted.items():
        first = fitted.split == 0
        leaves = zip(jax.tree.leaves(fitted.fitted), jax.tree.leaves(result.fitted[name].fitted), strict=True)
        for before, after in leaves:
            np.testing.assert_array_equal(before[first], after[first])
    for (label, before), (_, after) in zip(expected.tables[0], result.tables[0], strict=True):
        np.testing.assert_array_equal(before, after, err_msg=str(label))
    blind = ("ks", "ad", "tv", "mmd", "frechet", "faed", "dcr_ratio", "trts_r2")
    moved = 0
    for before, after in zip(expected.records, result.records, strict=True):
        if before["split"] == 0:
            assert [before[name] for name in blind] == [after[name] for name in blind]
            moved += before["tstr_r2"] != after["tstr_r2"]
    assert moved > 5  # the test rows do enter where they must
    # The changed rows train split 1: there everything moves.
    assert (np.asarray(expected.tables[1][0][1]) != np.asarray(result.tables[1][0][1])).any()


def test_same_configuration_same_numbers(plain):
    _, again = run(TABLE)
    assert again.records == plain[1].records


def test_a_split_gives_the_same_result_whatever_is_beside_it(plain):
    _, alone = run(TABLE, seeds=(0,), generators=("copula_gaussian",))
    for name in ("bootstrap", "smoothed", "copula_gaussian"):
        expected, found = (
            [t for label, t in result.tables[0] if label["generator"] == name] for result in (plain[1], alone)
        )
        np.testing.assert_allclose(expected[0], found[0], rtol=1e-5)


def test_inner_folds_are_cut_from_training_rows_without_shared_blasts():
    splits = blasts.make_splits(POOL, "blast", (0, 1))
    for split, (train, validation) in zip(
        splits, fragmentation.inner_folds(POOL, TABLE, splits, "blast", None), strict=True
    ):
        rows = {tuple(row) for row in TABLE[split.train]}
        assert {tuple(row) for row in train} | {tuple(row) for row in validation} == rows
        assert not {tuple(row) for row in train} & {tuple(row) for row in validation}


def test_records_name_every_control_seed_and_draw(plain):
    records = plain[1].records
    assert {r["generator"] for r in records} == {
        "bootstrap", "independent", "smoothed", "copula_gaussian", "gaussian_mixture_copula",
        "gaussian_mixture_copula_ensemble", "vae_gmm", "vae_gmm_ensemble",
    }  # fmt: skip
    found = {(r["split"], r["seed"], r["resample"]) for r in records if r["generator"] == "vae_gmm"}
    assert found == {(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1)}
    assert all(r["exact_copies"] == 1 for r in records if r["generator"] == "bootstrap")
    assert len(plain[1].holdout) == len(plain[1].ceilings) == 2


def test_an_ensemble_holds_equal_parts_of_its_seeds(plain):
    tables = plain[1].tables[0]
    (pooled,) = [t for label, t in tables if label["generator"] == "vae_gmm_ensemble"]
    parts = [t for label, t in tables if label["generator"] == "vae_gmm" and label["resample"] == 0]
    assert len(pooled) == 300
    for part in parts:
        shared = (pooled[:, None] == part[None, :150]).all(2).any(1)
        assert shared.sum() == 150
        assert 30 < shared[:100].sum() < 70  # scores take the first rows


@pytest.mark.slow
def test_recipes_train_on_copula_rows_and_mixtures(monkeypatch):
    """One recipe of each kind: the training tables have the promised parts, and no test row."""
    config = dataclasses.replace(CONFIG, recipes=("real", "copula", "mixed 1:2"), generators=("vae",), num_seeds=1)
    config = dataclasses.replace(config, recipe_splits=1, recipe_seeds=1, num_splits=1)
    tables = []
    original = study.fit
    monkeypatch.setattr(study, "fit", lambda g, t, *rest: (tables.append(t), original(g, t, *rest))[1])
    (split,) = blasts.make_splits(POOL, "blast", (0,))
    screen = fragmentation.Screen(Console(quiet=True))
    result = fragmentation.run_protocol(fragmentation.plan(config, "blast", POOL, TABLE, [split]), screen)
    assert {r["recipe"] for r in result.records} == {"real", "copula", "mixed 1:2"}
    (copula,), (mixed,) = tables[-2], tables[-1]
    real = TABLE[split.train]
    assert len(mixed) == 3 * len(real)
    np.testing.assert_array_equal(mixed[: len(real)], real)
    for rows in (copula, mixed[len(real) :]):
        assert not (rows[:, None] == TABLE[split.test][None].astype(np.float32)).all(2).any()
    table = outputs._recipe_table(result)
    assert table is not None
    assert [row[0] for row in table.rows] == ["vae, real", "vae, copula", "vae, mixed 1:2"]


def test_spread_separates_split_seed_and_draw():
    """A value that is split + seed / 10 + draw / 100 has known standard deviations."""
    records = [
        {"split": split, "seed": seed, "resample": draw, "r2": split + seed / 10 + draw / 100}
        for split in (0, 1, 2)
        for seed in (0, 1)
        for draw in (0, 1, 2)
    ]
    found = study.spread(records, "r2")
    np.testing.assert_allclose(found, [1.0, np.std([0, 0.1], ddof=1), 0.01], rtol=1e-12)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    arguments = ["--protocol", "row", "--splits", "2", "--seeds", "1", "--rows", "300", "--epochs", "4"]
    with pytest.MonkeyPatch.context() as patch:
        # The t copula of eight columns takes long to compile; test_copula_fitting fits it.
        patch.setattr(fragmentation, "FAMILIES", ("independence", "gaussian", "clayton"))
        assert fragmentation.main([*arguments, "--generators", "smoothed", "--resume", "--out", str(out)]) == 0
    return out


def test_a_run_writes_everything_a_reader_needs(finished):
    document = json.loads((finished / "results.json").read_text())
    assert document["config"]["num_rows"] == 300
    assert document["versions"]["jax"] == jax.__version__
    assert {"device", "xgboost", "eight_columns", "seconds"} <= set(document)
    row = document["protocols"]["row"]
    assert 0.7 < np.mean(row["leaked_share"]) < 1
    assert len(row["records"]) == 2 * 3 + (fragmentation.Study().num_resamples - 1) * 2 * 3
    report = (finished / "report.md").read_text()
    for text in (
        "Protocol row",
        "Ceiling",
        "also in train",
        "The 2025 report's own figures",
        ".736",
    ):
        assert text in report
    pictures = {path.name for path in finished.glob("*.png")}
    assert pictures == set(re.findall(r"\((\S+\.png)\)", report))
    assert {"ecdf_by_source.png", "spearman_by_source.png", "tstr_row.png"} <= pictures
    assert len(load_splits(finished / outputs.SPLITS, POOL["uid"].tolist())) == 2
    assert any((finished / fragmentation.REPLICAS).iterdir())


def test_a_split_file_is_not_believed(finished, tmp_path):
    text = (finished / outputs.SPLITS).read_text()
    for old, new in (('"protocol": "row"', '"protocol": "blast"'), ('"leaked_share": 0.', '"leaked_share": 0.1')):
        assert old in text
        path = tmp_path / "splits.json"
        path.write_text(text.replace(old, new))
        config = fragmentation.Study(protocols=("blast",))
        with pytest.raises(ValueError, match="expected the leaked share"):
            fragmentation.load_or_make_splits(config, "blast" if "blast" in new else "row", POOL, path)


def test_a_test_side_that_cannot_be_scored_is_refused_before_training():
    (split,) = blasts.make_splits(POOL, "blast", (0,))
    with pytest.raises(ValueError, match="test side of at least 2 rows"):
        fragmentation.plan(CONFIG, "blast", POOL, TABLE, [split._replace(test=split.test[:1])])


def test_best_copula_has_the_lowest_aic(plain):
    fits = {f"copula_{name}": study.Fitted(FakeFit(loglik, k), np.zeros(1), np.zeros(1)) for name, loglik, k in (
        ("gaussian", 100.0, 21), ("student_t", 100.5, 22), ("clayton", 3.0, 1))}  # fmt: skip
    assert fragmentation.best_copula(study.Result("blast", [], fitted=fits), 0) == "gaussian"


class FakeFit:
    """What ``best_copula`` reads of a fit."""

    def __init__(self, loglik, num_params):
        self.fitted = self
        self.copula = self
        self.loglik, self.num_params = np.array([loglik]), np.array([num_params])


def test_nothing_is_overwritten_unasked(finished, capsys):
    before = (finished / "results.json").read_bytes()
    assert fragmentation.main(["--out", str(finished)]) == 2
    assert "--overwrite" in capsys.readouterr().out
    assert (finished / "results.json").read_bytes() == before


def test_saved_splits_can_be_given_back(finished):
    config = fragmentation.Study(protocols=("row",))
    splits = fragmentation.load_or_make_splits(config, "row", POOL, finished / outputs.SPLITS)
    expected = blasts.make_splits(POOL, "row", range(2))
    for found, made in zip(splits, expected, strict=True):
        np.testing.assert_array_equal(found.train, made.train)
    with pytest.raises(ValueError, match="expected splits of protocol 'site'"):
        fragmentation.load_or_make_splits(config, "site", POOL, finished / outputs.SPLITS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generators", "vea"], "generators: expected names among"),
        (["--splits", "0"], "num_splits: expected at least 1"),
        (["--seeds", "0"], "num_seeds: expected at least 1"),
        (["--epochs", "-3"], "epochs: expected at least 1"),
        (["--rows", "10"], "rows: expected at least 300"),
        (["--stratify", "colour"], "stratify: expected a column of the pool"),
        (["--full", "--generators", "smoothed"], "expected one of"),
        (["--split-file", "nowhere.json"], "nowhere.json"),
        (["--split-file", "nowhere.json", "--splits", "3"], "got both"),
    ],
)
def test_bad_options_end_before_any_work(arguments, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert fragmentation.main([*arguments, "--out", str(out)]) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert message in printed
    assert not out.exists()


def test_a_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert fragmentation.main(["--out", str(tmp_path)]) == 2
    assert "expected an empty or new folder" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "thesis.txt").read_text() == "mine"
