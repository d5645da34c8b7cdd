"""Errors of correlation and of tail dependence, and coverage of categories, against scipy, numpy and the reference."""

import numpy as np
import pytest
from jaxcop import metrics
from scipy import stats

from metric_cases import CASES, REFERENCE
from tolerance import assert_close


@pytest.mark.parametrize("case", ["A_same_262x6", "B_shift_shrink_262x6", "D_ties_20_25x2"])
def test_reference_values(case):
    value, expected = metrics.correlation_error(*CASES[case]), REFERENCE[case]["correlation_error"]
    assert_close(np.array(value.pearson), expected["pearson"])
    assert_close(value.spearman.mean, expected["spearman_mean"])
    assert_close(value.kendall.mean, expected["kendall_mean"])


def scipy_matrix(function, x):
    return np.array([[function(a, b).statistic for b in x.T] for a in x.T])


def test_equals_scipy_in_a_table_too_long_for_pairs():
    rng = np.random.default_rng(0)
    real, synthetic = (np.round(rng.normal(size=(600, 3)) @ rng.normal(size=(3, 3)), 1) for _ in range(2))
    value = metrics.correlation_error(real, synthetic)
    for name, function in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        gap = np.abs(scipy_matrix(function, real) - scipy_matrix(function, synthetic))[np.triu_indices(3, 1)]
        assert_close(np.array(getattr(value, name)), [gap.mean(), gap.max()], err_msg=name)


def test_rank_correlations_are_of_ranks():
    # "Spearman" that is Pearson's coefficient would change with the margins.
    real, synthetic = CASES["B_shift_shrink_262x6"]
    plain, bent = metrics.correlation_error(real, synthetic), metrics.correlation_error(np.exp(real), np.exp(synthetic))
    assert_close(bent.spearman.mean, plain.spearman.mean)
    assert_close(bent.kendall.max, plain.kendall.max)
    assert abs(bent.pearson.mean - plain.pearson.mean) > 1e-3


def test_a_constant_synthetic_column_has_correlation_zero():
    real = CASES["B_shift_shrink_262x6"][0]
    collapsed = real.copy()
    collapsed[:, 0] = 0.1  # its mean is not exactly 0.1
    value, correlation = metrics.correlation_error(real, collapsed), np.corrcoef(real.T)
    assert_close(value.pearson.max, np.abs(correlation[0, 1:]).max())
    assert_close(value.kendall.max, np.abs(scipy_matrix(stats.kendalltau, real)[0, 1:]).max())


@pytest.mark.parametrize("shares", [(0.05, 0.1), (0.5,)])
def test_tail_dependence_equals_counts_of_ranks(shares):
    def tails(x):
        ranks = stats.rankdata(x, axis=0)
        joint = []
        for rank in (ranks, len(x) + 1 - ranks):
            sizes = [max(1, round(share * len(x))) for share in shares]
            joint.append([[[((rank[:, [a, b]] <= k).all(1)).sum() / k for b in (1, 2)] for a in (0, 1)] for k in sizes])
        return np.array(joint)[:, :, [0, 0, 1], [0, 1, 1]]

    rng = np.random.default_rng(2)
    real = np.round(rng.normal(size=(61, 3)) @ rng.normal(size=(3, 3)), 1)
    synthetic = rng.normal(size=(50, 3))
    gap, value = np.abs(tails(real) - tails(synthetic)), metrics.tail_dependence_error(real, synthetic, shares=shares)
    for found, expected in zip(value, gap, strict=True):
        assert_close(found.mean, expected.mean(1))
        assert_close(found.max, expected.max(1))


def test_tails_see_what_correlations_do_not():
    # Clayton's lower tail, and its rotation with the same Kendall's tau.
    rng = np.random.default_rng(0)
    w, v = rng.uniform(size=(2, 500))
    clayton = np.c_[w, ((v ** (-2 / 3) - 1) * w**-2.0 + 1) ** -0.5]
    value, rotated = (
        metrics.tail_dependence_error(clayton, 1 - clayton),
        metrics.correlation_error(clayton, 1 - clayton),
    )
    assert rotated.kendall.max < 1e-12
    assert (np.array(value.lower.mean) > 0.3).all()
    assert (np.array(value.upper.mean) > 0.3).all()


def test_category_coverage_counts_distinct_values():
    rng = np.random.default_rng(0)
    real, synthetic = rng.integers(0, 40, size=(30, 3)), rng.integers(5, 60, size=(40, 3))
    columns = [(set(x), set(y)) for x, y in zip(real.T.tolist(), synthetic.T.tolist(), strict=True)]
    assert_close(metrics.category_coverage(real, synthetic), [len(x & y) / len(x) for x, y in columns])


@pytest.mark.parametrize("shares", [(), (0.0,), (0.1, 0.6), (np.nan,)])
def test_bad_shares_are_refused(shares):
    with pytest.raises(ValueError, match="shares: expected numbers above 0 and at most 1/2"):
        metrics.tail_dependence_error(*CASES["A_same_262x6"], shares=shares)


@pytest.mark.parametrize("metric", [metrics.correlation_error, metrics.tail_dependence_error])
def test_one_column_has_no_dependence(metric):
    with pytest.raises(ValueError, match="real: expected at least 2 columns"):
        metric(*(table[:, :1] for table in CASES["A_same_262x6"]))
