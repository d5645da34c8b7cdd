"""The verdict: planted faults are seen, good rows are not accused, and what users hand over is checked."""

import io
import json
import re
import sys
import time
import warnings
from concurrent.futures import CancelledError

import jax
import numpy as np
import pandas as pd
import pytest
from jaxcop import evaluation, metrics
from jaxcop.evaluation import suite, verdict
from jaxcop.metrics.utility import regress
from jaxcop.report import evaluation as report
from rich.console import Console

NAMES = ("a", "b", "y")
FAST = {"resamples": 4, "floor_draws": 40, "permutations": 49, "blend_repeats": 2}


def population(rows, seed):
    """Two modes; the third column is the target."""
    rng = np.random.default_rng(seed)
    mode = np.where(rng.random(rows) < 0.5, -2.0, 2.0)
    a = mode + 0.6 * rng.normal(size=rows)
    b = 0.8 * a + 0.5 * rng.normal(size=rows)
    return np.stack([a, b, a + b**2 / 4 + 0.3 * rng.normal(size=rows)], 1)


TRAIN, HOLDOUT = population(120, 1), population(60, 2)


def planted():
    rng = np.random.default_rng(3)
    good, dropped = population(1200, 4), population(3000, 5)
    lognormal = rng.lognormal(sigma=1.0, size=(1200, 3))
    lognormal = (lognormal - lognormal.mean(0)) / lognormal.std(0)
    # The mean and covariance of the training rows, whose shape it has not.
    matched = (
        TRAIN.mean(0)
        + np.linalg.solve(np.linalg.cholesky(np.cov(lognormal.T)), lognormal.T).T
        @ np.linalg.cholesky(np.cov(TRAIN.T)).T
    )
    return {
        "good": good,
        "memoriser": TRAIN[rng.integers(0, 120, 1200)] + 0.01 * rng.normal(size=(1200, 3)),
        "mode_drop": dropped[dropped[:, 0] > 0][:1200],
        "shuffled": np.stack([rng.permutation(column) for column in good.T], 1),
        "lognormal": matched,
    }


@pytest.fixture(scope="module")
def found():
    return evaluation.evaluate(jax.random.key(0), TRAIN, HOLDOUT, planted(), target="y", columns=NAMES, **FAST)


def verdict_of(found, name):
    return next(v for v in found.verdicts if v.generator == name)


def test_good_rows_are_not_accused(found):
    good = verdict_of(found, "good")
    assert not good.memorizes
    # five of some twenty correlated distances may pass their 95 % level by chance
    assert len(good.beyond_noise) <= 5
    beaten = [c for c in good.comparisons if c.control == "independent" and c.outcome == "better"]
    assert {"mmd", "spearman", "c2st_xgboost", "tstr_rmse"} <= {c.metric for c in beaten}


def test_a_memoriser_is_named_and_never_recommended(found):
    memoriser = verdict_of(found, "memoriser")
    assert memoriser.memorizes
    assert not memoriser.recommended
    assert any(sentence.startswith("It repeats its training rows") for sentence in memoriser.sentences)
    assert found.value("memoriser", "membership_auc") > 0.65 > found.value("good", "membership_auc")
    assert found.value("bootstrap", "exact_copies") == 1


def test_a_dropped_mode_shows_in_recall_and_coverage(found):
    assert {"coverage", "recall", "ks", "mmd"} <= set(verdict_of(found, "mode_drop").beyond_noise)


def test_shuffled_columns_show_in_dependence_only(found):
    beyond = set(verdict_of(found, "shuffled").beyond_noise)
    assert {"pearson", "spearman", "kendall", "mmd", "c2st_xgboost"} <= beyond
    assert not {"ks", "wasserstein"} & beyond
    assert not verdict_of(found, "shuffled").recommended


def test_matched_moments_do_not_hide_another_shape(found):
    beyond = set(verdict_of(found, "lognormal").beyond_noise)
    assert {"ks", "ad", "tv"} <= beyond
    assert found.value("lognormal", "frechet") < found.value("shuffled", "frechet")


def test_p_values_and_floors(found):
    by_place = {(s.generator, s.metric): s for s in found.scores}
    for metric in ("ks", "mmd", "spearman"):
        assert by_place["good", metric].p_value > 0.04  # 49 permutations: the smallest is 0.02
        score = by_place["good", metric]
        assert score.floor_low <= score.floor <= score.floor_high
    assert by_place["mode_drop", "ks"].p_value == pytest.approx(1 / 50)
    assert by_place["shuffled", "spearman"].p_value == pytest.approx(1 / 50)
    assert by_place["shuffled", "ks"].p_value > 0.04
    assert np.isnan(by_place["good", "coverage"].p_value)


def test_the_ceiling_is_real_on_real_and_the_target_can_be_counted(found):
    assert found.target == "y"
    assert found.ceilings["xgboost"] == regress(TRAIN, HOLDOUT, 2, seed=found.settings["seed"])
    assert found.sizes == evaluation.Sizes(120, 60, 80, 120, 4, 40, 49)
    assert set(found.blends) == set(planted())
    assert np.isfinite(found.blends["good"].added.r2[:, :8]).all()


def test_every_named_metric_is_scored_for_every_generator(found):
    for name in (*planted(), *evaluation.CONTROLS):
        assert {s.metric for s in found.scores if s.generator == name} == set(evaluation.METRICS)
    assert {m for m, kind in evaluation.METRICS.items() if kind.section == "memorisation"} - {
        "dcr_share", "membership_auc",
    } == {s.metric for s in found.scores if s.generator == "holdout"}  # fmt: skip


def test_objectives_are_read_as_printed(found):
    by_name = {}
    for objective in found.objectives["good"]:
        by_name.setdefault(objective.name, []).append(objective)
    assert [o.met for o in by_name["O1 fidelity"]] == [
        found.value("good", "ks_max") < 0.15, found.value("good", "ad_max") < 0.22,
    ]  # fmt: skip
    assert {"O1 fidelity", "O2 utility", "O3 robustness", "O4 benefit interval"} == set(by_name)
    assert not found.objectives["lognormal"][0].met


def test_the_same_key_gives_the_same_scores_and_hold_out_rows_move_no_distance():
    """A generator's distances to the training rows know nothing of the hold-out rows, which enter the floor."""
    options = {**FAST, "permutations": 0, "blend_repeats": 0}
    table = planted()["good"]
    first, second, other = (
        evaluation.evaluate(jax.random.key(7), TRAIN, holdout, table, target=None, columns=NAMES, **options)
        for holdout in (HOLDOUT, HOLDOUT, HOLDOUT + 0.1)
    )
    np.testing.assert_equal([tuple(s) for s in first.scores], [tuple(s) for s in second.scores])
    blind = {m for m, kind in evaluation.METRICS.items() if kind.section in ("fidelity", "dependence", "coverage")}
    for before, after in zip(first.scores, other.scores, strict=True):
        if before.metric in blind | {"dcr_ratio", "nndr", "authenticity"} and before.generator != "holdout":
            assert before.value == after.value, before
    assert any(a.floor != b.floor for a, b in zip(first.scores, other.scores, strict=True) if np.isfinite(a.floor))
    assert not first.ceilings
    assert not any(s.metric.startswith("tstr") for s in first.scores)


def test_a_leaked_split_is_scored_with_a_warning():
    leaky = np.concatenate([TRAIN[:15], HOLDOUT[:45]])
    options = {**FAST, "permutations": 0, "blend_repeats": 0}
    with pytest.warns(UserWarning, match=r"25\.0% of the hold-out rows equal a training row"):
        found = evaluation.evaluate(
            jax.random.key(0), TRAIN, leaky, planted()["good"], target=None, columns=NAMES, **options
        )
    assert found.leaked_share == 0.25
    assert not found.verdicts[0].recommended
    assert any("also among the training rows" in sentence for sentence in found.verdicts[0].sentences)


def test_sizes_are_few_and_never_too_large():
    assert all(suite.comparison_rows(limit) <= limit for limit in range(8, 3000))
    assert all(suite.comparison_rows(limit) >= limit / 1.25 for limit in range(8, 1792))


@pytest.mark.slow
def test_pairs_do_not_depend_on_their_neighbours(found):
    rng = np.random.default_rng(0)
    real, other = rng.normal(size=(2, suite.CHUNK + 3, 80, 3)).astype("float32")
    encoders = metrics.fit_autoencoders(jax.random.key(0), TRAIN.astype("float32"))
    together = suite.pairs(encoders, real, other)
    alone = suite.pairs(encoders, real[-1:], other[-1:])
    for metric, column in together.items():
        assert column.shape == (suite.CHUNK + 3,)
        np.testing.assert_array_equal(column[-1], alone[metric][0], err_msg=metric)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {"synthetic": t["synthetic"][["b", "a", "y"]]}, "put them into that order"),
        (lambda t: t | {"synthetic": t["synthetic"].drop(columns="b")}, r"expected the columns \['b'\]"),
        (lambda t: t | {"holdout": t["holdout"].assign(z=1.0)}, r"\['z'\] as well; drop them"),
        (lambda t: t | {"holdout": t["holdout"].assign(b="low")}, "expected numeric columns"),
        (lambda t: t | {"holdout": t["holdout"].assign(b=True)}, "booleans v numbers"),
        (lambda t: t | {"holdout": t["holdout"].to_numpy()}, "got arrays"),
        (lambda t: t | {"synthetic": t["synthetic"].replace({"b": {t["synthetic"]["b"][0]: np.nan}})}, "got NaN"),
        (lambda t: t | {"train": t["train"][:9]}, "expected at least 10 rows, got 9"),
        (lambda t: t | {"train": t["train"].assign(b=1.0)}, "got a constant in columns"),
        (lambda t: t | {"target": "z"}, "target: expected one of"),
        (lambda t: t | {"target": 3}, "target: expected a column name or a number below 3"),
        (lambda t: t | {"holdout": t["holdout"].assign(y=1.0)}, "to vary in the hold-out rows"),
        (lambda t: t | {"synthetic": {"smoothed": t["synthetic"]}}, "by names that no control has"),
        (lambda t: t | {"synthetic": {}}, "got none"),
        (lambda t: t | {"resamples": 1}, "resamples: expected a whole number of at least 2"),
        (lambda t: t | {"learners": ("oak",)}, "learners: expected one of"),
    ],
    ids=range(16),
)
def test_bad_input(change, message):
    frames = {name: pd.DataFrame(x, columns=NAMES) for name, x in (("train", TRAIN), ("holdout", HOLDOUT))}
    arguments = change({**frames, "synthetic": pd.DataFrame(population(200, 4), columns=NAMES), "target": "y"})
    tables = [arguments.pop(name) for name in ("train", "holdout", "synthetic")]
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(jax.random.key(0), *tables, **arguments)


def test_copies_are_found_whatever_the_precision_of_the_rows():
    """Generators draw float32, tables hold float64: a copy must stay one."""
    options = {**FAST, "permutations": 0, "blend_repeats": 0}
    tables = [pd.DataFrame(x, columns=NAMES) for x in (TRAIN, HOLDOUT, TRAIN.astype("float32"))]
    found = evaluation.evaluate(jax.random.key(0), *tables, target=None, **options)
    assert found.columns == NAMES
    assert found.value("synthetic", "exact_copies") == 1


def test_a_report_is_complete_and_needs_no_network(found, tmp_path):
    paths = report.save(found, tmp_path / "out")
    assert {path.name for path in paths} >= {*report.FILES, "calibration.png", "blends.png", "components.png"}
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert document["format"] == report.FORMAT
    assert len(document["scores"]) == len(found.scores)
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"(src|href)=.?http|<script", page)
    assert page.count("data:image/png;base64,") == len(paths) - len(report.FILES)
    assert 'class="alarm">It repeats' in page
    text = (tmp_path / "out" / "report.md").read_text()
    for name in planted():
        assert f"## Verdict: {name}" in text
    for kind in evaluation.METRICS.values():
        assert kind.label in text
    assert set(re.findall(r"\((\S+\.png)\)", text)) == {path.name for path in paths[len(report.FILES) :]}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        report.save(found, tmp_path / "out")


def test_names_are_escaped_in_the_page(found, tmp_path):
    odd = found._replace(columns=("a<script>", "b", "y"), notes=("<b>",), synthetic={"good": planted()["good"]})
    report.save(odd, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;b&gt;" in page


def test_the_screen_says_it_in_red(found):
    console = Console(record=True, width=200, force_terminal=True, file=io.StringIO())
    report.show(found, console)
    printed = console.export_text(styles=True)
    assert re.search(r"\x1b\[1;31mIt repeats its training rows", printed)
    assert verdict.RULE[:40] in printed


@pytest.mark.slow
def test_one_column_and_no_target():
    options = {**FAST, "permutations": 9, "floor_draws": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluation.evaluate(
            jax.random.key(0), TRAIN[:, :1], HOLDOUT[:, :1], planted()["good"][:, :1], target=None, **options
        )
    assert found.columns == ("x0",)
    assert not any(s.metric == "spearman" for s in found.scores)
    assert found.verdicts[0].comparisons


def test_work_beside_is_given_up_with_the_block():
    beside, steps = sys.modules["jaxcop.evaluation.evaluate"]._beside, []

    def task(name, advance):
        for step in range(1000):
            time.sleep(0.005)
            advance(name, step, 1000)

    with pytest.raises(KeyboardInterrupt), beside(task, "trees", progress=lambda *told: steps.append(told)) as trees:
        raise KeyboardInterrupt
    assert len(steps) < 500
    assert isinstance(trees.exception(), CancelledError)
    with beside(lambda advance: 7, progress=print) as trees:
        assert trees.result() == 7
