"""Comparison of synthesizers: the rule on scores made by hand, folds that stay apart, work that is not done twice."""

import json
import sys

import jax
import numpy as np
import pandas as pd
import pytest
from jaxcop import evaluation
from jaxcop.evaluation import recommend
from jaxcop.metrics.comparison import paired_difference
from jaxcop.report import comparison as report

# The function of this name hides its module.
module = sys.modules["jaxcop.evaluation.compare"]
FRESH = {"dcr_ratio": 1.0, "authenticity": 0.6, "exact_copies": 0.0}
COPIED = {"dcr_ratio": 0.0, "authenticity": 0.0, "exact_copies": 1.0}
SHIFTS = np.array([0.0, 0.02, -0.02, 0.01, -0.01])


def compared(rmse, *, copying=(), failed=(), leaked=0.0, target="y"):
    """Five folds; ``rmse`` by generator, one number or one for each fold."""
    scores = {"smoothed": 1.0, "independent": 3.0, "bootstrap": 1.0} | rmse
    folds = []
    for k in range(5):
        own = {
            name: (COPIED if name in (*copying, "bootstrap") else FRESH)
            | {"tstr_rmse": float(np.broadcast_to(value, 5)[k]), "tstr_r2": 0.5, "mmd": 0.1, "ks": 0.1}
            for name, value in scores.items()
            if not (name in failed and k == 2)
        } | {"holdout": FRESH}
        failures = {name: "model: expected rows" for name in failed if k == 2}
        floors, ceiling = {"ks": [0.1, 0.05, 0.2]}, {"r2": 0.8, "rmse": 0.7, "mae": 0.5}
        folds.append(evaluation.Fold(40, 10, leaked, own, floors, ceiling if target else {}, [], failures))
    return evaluation.Compared(tuple(rmse), target, None, 50, 1, tuple(folds))


def test_the_simplest_within_one_standard_error_of_the_best():
    # mean gap 0.005; the SD of the difference is 0.0158, its error 0.0071 over 5 folds
    close = {"vae_gmm": 0.9, "copula_gaussian": 0.905 + SHIFTS}
    assert recommend(compared(close)).name == "copula_gaussian"
    far = {"vae_gmm": 0.9, "copula_gaussian": 0.908 + SHIFTS}
    found = recommend(compared(far))
    assert found.name == "vae_gmm"
    assert set(found.beats) == set(far)
    assert not found.warnings
    known = paired_difference(0.908 + SHIFTS, np.full(5, 0.9), 0.25)
    assert found.differences["copula_gaussian"] == pytest.approx(known)
    assert known.corrected_high == pytest.approx(0.008 + 2.7764451 * SHIFTS.std(ddof=1) * np.sqrt(1 / 5 + 0.25))


def test_a_copier_and_a_failure_are_never_recommended():
    scores = {"vae": 0.2, "vae_gmm": 0.3, "copula_gaussian": 0.95}
    found = recommend(compared(scores, copying=("vae",), failed=("vae_gmm",)))
    assert found.name == "copula_gaussian"
    assert list(found.copying["copula_gaussian"]) == []
    assert found.copying["vae"]
    assert any("vae_gmm failed on a fold: model: expected rows" in s for s in found.sentences)
    assert "vae_gmm" not in found.differences
    nothing = recommend(compared({"vae": 0.2}, copying=("vae",)))
    assert nothing.name is None
    assert "no synthesizer is left to recommend" in nothing.warnings


def test_it_says_so_when_the_control_is_not_beaten_and_when_rows_leak():
    found = recommend(compared({"vae": 0.99 + 5 * SHIFTS}))
    assert found.name == "vae"
    assert found.beats == ()
    assert not any("`smoothed` itself" in sentence for sentence in found.sentences)
    copying = recommend(compared({"vae": 0.99}, copying=("smoothed",)))
    assert any("`smoothed` itself shows signs of copying" in sentence for sentence in copying.sentences)
    assert any("no synthesizer beats `smoothed`" in warning for warning in found.warnings)
    assert any("10.0% of the scored rows" in w for w in recommend(compared({"vae": 0.5}, leaked=0.1)).warnings)
    assert recommend(compared({"vae": 0.5}, target=None)).score == "mmd"


def test_saved_and_read_again_it_is_the_same_report(tmp_path):
    found = compared({"vae": 0.7 + SHIFTS, "copula_gaussian": np.nan}, failed=("copula_gaussian",))
    report.save(found, tmp_path / "a")
    read = report.load(tmp_path / "a" / "comparison.json")
    assert recommend(read) == recommend(found)
    report.save(read, tmp_path / "b")
    for name in ("report.md", "report.html", "comparison.json", "scores.png", "differences.png", "utility.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    text = (tmp_path / "a" / "report.md").read_text()
    assert "Nadeau and Bengio" in text
    assert "0.700 (0.007)" in text
    assert json.loads((tmp_path / "a" / "comparison.json").read_text())["recommendation"]["name"] == "vae"


def table(rows=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    return pd.DataFrame({"site": np.arange(rows) % 12, "x": x, "y": 2 * x + rng.normal(size=rows)})


@pytest.fixture
def folds_seen(monkeypatch):
    """The arguments of every fold that is computed, instead of the work."""
    seen = []

    def stub(key, train, holdout, names, schema, target, on_fit):
        seen.append((train, holdout))
        return compared({"vae": 0.5}).folds[0]

    monkeypatch.setattr(module, "_fold", stub)
    return seen


def test_every_row_is_scored_once_and_groups_stay_whole(folds_seen):
    frame = table()
    evaluation.compare(jax.random.key(0), frame, target="y", num_folds=4, group="site")
    scored = pd.concat([holdout for _, holdout in folds_seen])
    assert sorted(scored["x"]) == sorted(frame["x"])
    site = dict(zip(frame["x"], frame["site"], strict=True))
    for train, holdout in folds_seen:
        assert "site" not in train
        assert not {site[x] for x in train["x"]} & {site[x] for x in holdout["x"]}


def test_finished_folds_are_not_done_again(folds_seen, tmp_path):
    def go(key=0, frame=None, **options):
        before = len(folds_seen)
        found = evaluation.compare(
            jax.random.key(key), table() if frame is None else frame, target="y", store=tmp_path, **options
        )
        return found, len(folds_seen) - before

    first, computed = go()
    assert computed == 5
    kept = sorted(tmp_path.rglob("fold_*.json"))
    kept[3].unlink()
    assert go() == (first, 1)
    changed = table()
    changed.loc[0, "x"] += 1e-9
    for other in ({"key": 1}, {"num_folds": 4}, {"names": ("vae",)}, {"frame": changed}):
        assert go(**other)[1] >= 4


def test_a_fit_never_sees_the_fold(monkeypatch):
    """What is learned, the inferred schema too, is the same whatever the held-out rows hold."""
    learned = []
    monkeypatch.setattr(module.synthesizers, "fit_table", lambda key, frame, schema, name: (frame, schema))
    monkeypatch.setattr(module.synthesizers, "sample_table", lambda key, model, rows: learned.append(model) or model[0])
    monkeypatch.setattr(module, "evaluate", lambda *args, **options: None)
    monkeypatch.setattr(module, "_summary", lambda *args: None)
    train, holdout = table()[:40], table()[40:]
    for rows in (holdout, holdout.assign(x=-1e6, y=lambda frame: frame["y"].round(1))):
        module._fold(jax.random.key(0), train, rows, ("vae",), None, "y", lambda done: None)
    pd.testing.assert_frame_equal(learned[0][0], learned[1][0])
    assert learned[0][1] == learned[1][1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ("gan",)}, "synthesizer: expected one of"),
        ({"names": ("smoothed",)}, "besides the controls"),
        ({"target": "z"}, "target: expected one of"),
        ({"group": "z"}, "group: expected one of"),
        ({"num_folds": 7}, "at least 10 rows in each"),
        ({"num_folds": 13, "group": "site"}, "num_folds: expected at most 12"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        evaluation.compare(jax.random.key(0), table(), **({"target": "y"} | options))


@pytest.mark.slow
def test_on_real_folds():
    found = evaluation.compare(jax.random.key(0), table(), target="y", names=("copula_gaussian",), num_folds=2)
    assert set(found.folds[0].scores) == {"copula_gaussian", "bootstrap", "independent", "smoothed", "holdout"}
    advice = recommend(found)
    assert advice.name == "copula_gaussian"
    assert advice.differences["independent"].mean > 0.3
    assert {fold.leaked_share for fold in found.folds} == {0.0}
