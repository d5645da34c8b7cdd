"""Near-duplicates, and splits by group and by time."""

import numpy as np
import pytest
from jaxcop.tables import group_split, leaked_rows, leaked_share, leave_one_group_out, near_duplicates, temporal_split


def test_near_duplicates_are_found_in_chains_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, 4)) * [1, 100, 1e-3, 1] + [0, 1e4, 0, 0]
    reach = 5e-3 * 100 ** (-1 / 4) * np.concatenate([x, x[:10], x[:10]]).std(0)
    copies = x[:10] + 0.9 * reach * rng.uniform(0.2, 1, (10, 4))
    further = copies + 0.95 * reach  # near the copies, not all of them near the rows
    labels = near_duplicates(np.concatenate([x, copies, further]))
    np.testing.assert_array_equal(labels[:80], np.arange(80))
    np.testing.assert_array_equal(labels[80:90], np.arange(10))
    np.testing.assert_array_equal(labels[90:], np.arange(10))
    assert (np.abs(further - x[:10]) > reach).any(1).all()  # only the chain joins them
    assert len(np.unique(near_duplicates(np.concatenate([x, copies]), 0.0))) == 90


def test_a_split_by_near_duplicates_leaks_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    x = np.concatenate([x, x + 1e-5, x[:20] - 1e-5])  # 40 pairs and 20 triples
    identity = near_duplicates(x)
    split = group_split(identity, seed=1)
    assert not leaked_rows(x[split.train], x[split.test]).any()
    rows = np.random.default_rng(2).permutation(len(x))
    leaked = leaked_rows(x[rows[30:]], x[rows[:30]])
    assert leaked.mean() == leaked_share(identity, rows[30:], rows[:30]) > 0.5


def test_one_column_has_few_false_duplicates():
    false = [
        leaked_rows(*np.split(np.random.default_rng(draw).normal(size=(180, 1)), [120])).mean() for draw in range(50)
    ]
    assert np.mean(false) < 0.01


def test_one_group_is_left_out_at_a_time():
    groups = np.array(["p", "q", "p", "r", "q"])
    splits = leave_one_group_out(groups)
    assert [set(groups[split.test]) for split in splits] == [{"p"}, {"q"}, {"r"}]
    for split in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(5))
    assert leave_one_group_out(groups, identity=[0, 0, 1, 2, 3])[0].leaked_share == 0.5
    with pytest.raises(ValueError, match="at least 2 groups"):
        leave_one_group_out(["p", "p"])


def test_the_future_is_tested_and_equal_times_stay_together():
    times = np.array(["2020-01-05", "2019-03-01", "2021-07-07", "2020-01-05", "2018-01-01"], dtype="datetime64[D]")
    split = temporal_split(times, test_size=0.4)
    np.testing.assert_array_equal(split.test, [0, 2, 3])
    assert times[split.train].max() < times[split.test].min()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: temporal_split([1, 1, 1]), "before and after a cut"),
        (lambda: temporal_split([1.0, np.nan, 2.0]), "missing ones"),
        (lambda: temporal_split([1, 2], test_size=1.0), "share between 0 and 1"),
        (lambda: near_duplicates(np.ones((3, 2)), -1.0), "tolerance: expected a finite number"),
        (lambda: near_duplicates([[np.nan]]), "got NaN"),
        (lambda: leaked_rows(np.ones((3, 2)), np.ones((3, 1))), "expected 2 columns"),
    ],
    ids=range(6),
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
