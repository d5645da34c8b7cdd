"""Metrics of nearest neighbours against the reference table and plain numpy: fidelity, diversity, memorisation."""

from itertools import combinations

import jax
import numpy as np
import pytest
from jaxcop import metrics
from jaxcop.metrics import _inputs
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from metric_cases import CASES, REFERENCE
from tolerance import assert_close

MEMORISER = CASES["E_memoriser_100x3"]


def distances(real, *pair):
    """Euclidean distances of the rows of two tables, standardised by the real one."""
    return cdist(*(table / real.std(0) for table in pair))


def own(real, table):
    within = distances(real, table, table)
    np.fill_diagonal(within, np.inf)
    return within


# All but the case of rounded data, whose ties are decided by rounding: see below.
@pytest.mark.parametrize("case", [name for name in CASES if "ties" not in name])
def test_reference_values(case):
    (real, synthetic), expected = CASES[case], REFERENCE[case]
    for name, value in metrics.prdc(real, synthetic)._asdict().items():
        assert_close(value, expected["prdc"][name], err_msg=name)
    value = metrics.alpha_beta(real, synthetic)
    assert_close(value.alpha_precision, expected["alpha_precision"])
    assert_close(value.beta_recall, expected["beta_recall"])
    assert_close(metrics.authenticity(real, synthetic), expected["authenticity"], atol=1e-15)
    ratio = metrics.nndr(real, synthetic)
    assert_close(np.array(ratio), expected["nndr"], rtol=1e-5)  # the reference adds 1e-8 to every distance
    nearest = np.sort(distances(real, synthetic, real), axis=1)
    assert_close(ratio.mean, (nearest[:, 0] / nearest[:, 1]).mean())


def test_ties_are_exact_in_exact_arithmetic():
    # Tenths as whole numbers: equal distances are equal, and only then do open balls and strict comparisons show.
    real, synthetic = (np.rint(10 * table) for table in CASES["D_ties_20_25x2"])

    def squared(x, y):
        return ((x[:, None] - y) ** 2 / real.var(0)).sum(-1)

    radius, own_radius = (np.sort(squared(x, x), axis=1)[:, 5] for x in (real, synthetic))
    across = squared(real, synthetic)
    expected = [
        (across < radius[:, None]).any(0).mean(),
        (across < own_radius).any(1).mean(),
        (across < radius[:, None]).sum(0).mean() / 5,
        (across.min(1) < radius).mean(),
    ]
    assert_close(np.array(metrics.prdc(real, synthetic)), expected)
    nearest = np.where(squared(real, real) == 0, np.inf, squared(real, real)).min(1)
    assert_close(metrics.authenticity(real, synthetic), (across.min(0) > nearest[across.argmin(0)]).mean())


def test_authenticity_reads_the_neighbour_of_the_nearest_real_row():
    # The wrong index, by synthetic rows, calls a fifth of the noisy copies authentic.
    real, synthetic = MEMORISER
    assert metrics.authenticity(real, synthetic) == 0
    across, nearest = distances(real, real, synthetic), own(real, real).min(1)
    assert (nearest[across.argmin(1)] < across.min(1)).mean() > 0.2


def test_rows_that_occur_twice_are_not_their_own_neighbour():
    real = np.concatenate([MEMORISER[0][:50]] * 2)
    noisy = real + 1e-6
    assert metrics.authenticity(real, noisy) == 0
    assert float(metrics.nndr(real, real).mean) == 0


@pytest.mark.parametrize("sizes", [(6, 3), (3, 6), (5, 5)])
def test_dcr_share_is_the_mean_over_all_subsamples_of_equal_size(sizes):
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (rng.integers(0, 5, size=(rows, 1)).astype(float) for rows in (*sizes, 7))
    train[:2] = [[0], [4]]
    few, shares = min(sizes), []
    to_train, to_holdout = np.abs(synthetic - train.T), np.abs(synthetic - holdout.T)
    for chosen in combinations(range(sizes[0]), few):
        for others in combinations(range(sizes[1]), few):
            near, far = to_train[:, chosen].min(1), to_holdout[:, others].min(1)
            shares.append(((near < far) + (near == far) / 2).mean())
    assert_close(metrics.dcr_share(train, holdout, synthetic), np.mean(shares))


def test_fresh_rows_are_as_close_to_train_as_to_a_small_holdout(seed):
    # Against all of train they would seem to copy four rows of five.
    rng = np.random.default_rng(seed)
    train, holdout, fresh = (rng.normal(size=(rows, 3)) for rows in (200, 50, 400))
    assert (distances(train, fresh, train).min(1) < distances(train, fresh, holdout).min(1)).mean() > 0.7
    assert abs(metrics.dcr_share(train, holdout, fresh) - 0.5) < 0.08
    assert abs(metrics.membership_auc(train, holdout, fresh) - 0.5) < 0.13
    copies = train[rng.integers(0, 200, 400)] + 1e-3
    assert metrics.dcr_share(train, holdout, copies) > 0.6  # three copies of four are of rows outside the subsample
    assert metrics.membership_auc(train, holdout, copies) > 0.85


def test_membership_auc_equals_scikit_learn():
    rng = np.random.default_rng(1)
    train, holdout, synthetic = (np.round(rng.normal(size=(rows, 2)), 1) for rows in (40, 30, 25))
    train[:5], holdout[:3] = synthetic[:5], synthetic[:3]
    # Distances in whole tenths of one scale, so that ties are ties.
    nearest = [np.rint(cdist(10 * table, 10 * synthetic, "sqeuclidean").min(1)) for table in (train, holdout)]
    expected = roc_auc_score(np.repeat([1, 0], [40, 30]), -np.concatenate(nearest))
    unit = np.array([[-1.0, -1.0], [1.0, 1.0]])
    tenths = (np.rint(10 * table) for table in (train, holdout, synthetic))
    assert_close(metrics.membership_auc(*tenths, reference=unit), expected)


def test_blocks_of_rows_change_nothing(monkeypatch):
    real, synthetic = (table[:23, :2] for table in MEMORISER)

    def values(real, synthetic):
        with_holdout = metrics.dcr_share, metrics.membership_auc
        alone = metrics.prdc, metrics.alpha_beta, metrics.authenticity, metrics.nndr
        return [f(real, synthetic) for f in alone] + [f(real, real[:9] + 0.3, synthetic) for f in with_holdout]

    whole = values(real, synthetic)
    monkeypatch.setattr(_inputs, "MAX_PAIRS", 100)
    jax.clear_caches()
    jax.tree.map(assert_close, values(real, synthetic), whole)
    jax.clear_caches()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, y: metrics.prdc(x, y, k=0), "k: expected a whole number of at least 1"),
        (lambda x, y: metrics.prdc(x, y[:5]), "k: expected fewer neighbours than rows, got k = 5 for 5 rows"),
        (lambda x, y: metrics.alpha_beta(x, y, levels=2), "levels: expected a whole number of at least 3"),
        (lambda x, y: metrics.dcr_share(x, y[:, :2], y), "holdout: expected 3 columns as in real, got 2"),
        (lambda x, y: metrics.membership_auc(x, y[:1], y), "holdout: expected at least 2 rows"),
        (lambda x, y: metrics.membership_auc(x, y * np.nan, y), "holdout: expected finite values"),
        (lambda x, y: metrics.nndr(x, y, reference=x * 0), "reference: expected columns that vary"),
    ],
)
def test_bad_options_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        function(*MEMORISER)
