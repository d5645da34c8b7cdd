"""The classifier two-sample test: the reference values, seeds, and what it is blind to."""

import jax
import numpy as np
import pytest
import xgboost
from jaxcop.metrics import detection
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from metric_cases import CASES, REFERENCE
from tolerance import assert_close


def auc(x, y, seed=0):
    both = (np.concatenate([x, y]) - x.mean(0)) / x.std(0)
    classifier = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10)
    return detection.out_of_fold_auc(classifier, both, np.repeat([0, 1], len(x)), seed)


@pytest.mark.parametrize("case", [name for name in CASES if "c2st_logistic" in REFERENCE[name]])
def test_reference_values(case):
    assert_close(auc(*CASES[case]), REFERENCE[case]["c2st_logistic"])


def test_equals_scikit_learn_and_the_key_decides():
    real, synthetic = CASES["B_shift_shrink_262x6"]
    key = jax.random.key(3)
    value, again, other = (detection.c2st(k, real, synthetic, workers=1) for k in (key, key, jax.random.key(4)))
    assert value == again
    assert value != other
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))
    both, label = (np.concatenate([real, synthetic]) - real.mean(0)) / real.std(0), np.repeat([0, 1], 262)
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=3, n_jobs=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    expected = roc_auc_score(label, cross_val_predict(model, both, label, cv=folds, method="predict_proba")[:, 1])
    assert_close(value.xgboost, expected)
    assert_close(value.logistic, auc(real, synthetic, seed))


def test_a_batch_equals_single_tables_whatever_the_workers():
    rng = np.random.default_rng(0)
    real, tables = rng.normal(size=(60, 2)), rng.normal(0, [1, 3], size=(2, 2, 90, 2))  # 90 rows: a subsample
    batch = detection.c2st(jax.random.key(0), real, tables, workers=2)
    alone = detection.c2st(jax.random.key(0), real, tables[1, 0], workers=1)
    for together, single in zip(batch, alone, strict=True):
        assert together.shape == (2, 2)
        assert together[1, 0] == single
    # A difference in scale is for trees only.
    assert (batch.xgboost > batch.logistic + 0.1).all()


def test_copies_are_flagged():
    real, copies = CASES["E_memoriser_100x3"]
    fresh = np.random.default_rng(9).normal(size=(100, 3))
    found = detection.c2st(jax.random.key(0), real, np.stack([copies, fresh]), workers=1)
    assert found.below_chance.tolist() == [True, False]
    assert found.xgboost[0] < 0.4


def test_bad_input_is_refused():
    real, synthetic = CASES["D_ties_20_25x2"]
    with pytest.raises(ValueError, match="expected at least 5 rows each, got 4"):
        detection.c2st(jax.random.key(0), real, synthetic[:4])
    with pytest.raises(ValueError, match="synthetic: expected 2 columns"):
        detection.c2st(jax.random.key(0), real, synthetic[:, :1])
