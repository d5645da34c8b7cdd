"""Frames to arrays, and splits with their files."""

import json

import numpy as np
import pandas as pd
import pytest
from jaxcop.tables import (
    content_identity,
    group_split,
    leaked_share,
    load_splits,
    numeric_table,
    row_split,
    save_splits,
)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=12), "b": np.arange(12), "c": rng.normal(size=12).astype(np.float32)})


def test_numeric_table_takes_columns_in_order_and_the_target_last(frame):
    array, names = numeric_table(frame, ["c", "b"], target="a")
    assert names == ("c", "b", "a")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, frame[["c", "b", "a"]].to_numpy(np.float64))


def test_numeric_table_takes_all_columns_and_nullable_types(frame):
    array, names = numeric_table(frame.astype({"b": "Int64"}), target="a")
    assert names == ("a", "b", "c")
    np.testing.assert_array_equal(array, frame.to_numpy(np.float64))


def test_min_rows_overrides_the_default(frame):
    assert numeric_table(frame[:2], min_rows=2)[0].shape == (2, 3)
    with pytest.raises(ValueError, match="at least 13 rows, got 12"):
        numeric_table(frame, min_rows=13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(site="p"), r"numeric columns, got \['site"),
        (lambda f: f.assign(b=f["b"].astype(str)), "pandas.to_numeric"),
        (lambda f: f.assign(b=pd.Timestamp("2020-01-01")), r"numeric columns, got \['b"),
        (lambda f: f.assign(b=f["b"] * 1j), r"numeric columns, got \['b"),
        (lambda f: f.assign(b=f["b"].where(f["b"] != 3)), r"NaN or infinity .*\{'b': 1\}, first in rows \[3\]"),
        (lambda f: f.assign(b=f["b"].astype("Int64").where(f["b"] != 3)), r"\{'b': 1\}"),
        (lambda f: f.assign(c=f["c"].replace(f["c"][0], np.inf)), r"\{'c': 1\}"),
        (lambda f: f.assign(c=1.5), r"constants \['c'\]"),
        (lambda f: f[:2], "frame of 3 columns: expected at least 3 rows, got 2"),
        (lambda f: f[["a"]][:1], "at least 2 rows, got 1"),
        (lambda f: f[:0], "at least 3 rows, got 0"),
        (lambda f: f.rename(columns={"b": "a"}), r"frame: expected each name once, got \['a'\]"),
        (lambda f: f[[]], "at least one column"),
        (lambda f: f.to_numpy(), "pandas.DataFrame, got ndarray"),
    ],
)
def test_numeric_table_rejects(frame, change, message):
    with pytest.raises(ValueError, match=message):
        numeric_table(change(frame))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "y"}, r"expected the columns \['y'\]"),
        ({"columns": ["a", "z"]}, r"expected the columns \['z'\]"),
        ({"columns": ["a", "a"]}, r"columns: expected each name once, got \['a'\]"),
    ],
)
def test_numeric_table_rejects_names(frame, arguments, message):
    with pytest.raises(ValueError, match=message):
        numeric_table(frame, **arguments)


def test_content_identity_and_leaked_share():
    frame = pd.DataFrame({"x": [1.0, 2.0, 1.0, np.nan, np.nan], "y": ["p", "p", "p", "q", "q"]})
    identity = content_identity(frame)
    np.testing.assert_array_equal(identity, [0, 1, 0, 2, 2])
    assert leaked_share(identity, np.array([0, 1]), np.array([2, 3, 4])) == pytest.approx(1 / 3)
    assert leaked_share(identity, np.array([0, 1, 2]), np.array([3, 4])) == 0


@pytest.mark.parametrize("split_rows", [row_split, group_split])
@pytest.mark.parametrize("test_size", [0.1, 0.25, 0.5])
def test_sizes_and_sides(split_rows, test_size, seed):
    split = split_rows(np.arange(40), seed=seed, test_size=test_size)
    assert split.test.size == 40 * test_size
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(40))
    assert (np.diff(split.train) > 0).all()
    assert split.seed == seed


def test_row_split_counts_the_copies_it_leaks():
    split = row_split(np.repeat(np.arange(50), 4), seed=0)
    expected = np.mean([row // 4 in set(split.train // 4) for row in split.test])
    assert split.leaked_share == expected > 0.9


def test_group_split_keeps_groups_whole_and_counts_copies_across_groups(seed):
    groups = np.repeat(list("pqrst"), [1, 2, 3, 4, 5])
    split = group_split(groups, seed=seed, test_size=0.4)
    assert not set(groups[split.train]) & set(groups[split.test])
    assert len(set(groups[split.test])) == 2
    assert split.leaked_share == 0
    everywhere_the_same = group_split(groups, seed=seed, test_size=0.4, identity=np.zeros(15))
    assert everywhere_the_same.leaked_share == 1


def test_every_row_is_tested_about_as_often_as_the_others():
    tested = np.concatenate([row_split(np.arange(20), seed=seed).test for seed in range(300)])
    counts = np.bincount(tested, minlength=20)
    # Binomial with mean 60 and standard deviation 7; 4 of them over 20 rows.
    assert np.abs(counts - 60).max() < 28


@pytest.mark.parametrize("labels", [np.repeat([True, False], [10, 30]), np.repeat(["p", "q"], [10, 30])])
def test_stratified_labels_are_kept_exactly_where_they_can(labels, seed):
    split = row_split(np.arange(40), seed=seed, stratify=labels)
    assert sorted(np.unique(labels[split.test], return_counts=True)[1]) == [2, 6]


def test_stratified_numbers_are_binned(seed):
    values = np.random.default_rng(seed).lognormal(size=100)
    split = row_split(np.arange(100), seed=seed, stratify=values, bins=5)
    bins = np.digitize(values[split.test], np.quantile(values, [0.2, 0.4, 0.6, 0.8]))
    np.testing.assert_array_equal(np.bincount(bins, minlength=5), np.full(5, 4))


def test_groups_are_stratified_by_the_labels_they_hold(seed):
    groups = np.repeat(np.arange(30), 2)
    kind = np.repeat([0, 0, 1], 10)
    labels = np.stack([np.where(kind == 1, "p", "q"), np.full(30, "q")], axis=1).ravel()
    split = group_split(groups, seed=seed, stratify=labels)
    tested = np.unique(groups[split.test])
    assert (kind[tested] == 1).sum() == 2
    assert tested.size == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: row_split(np.arange(10), seed=0, test_size=0), "share between 0 and 1, got 0"),
        (lambda: row_split(np.arange(10), seed=0, test_size=1), "share between 0 and 1, got 1"),
        (lambda: row_split(np.arange(10), seed=0, test_size=float("nan")), "share between 0 and 1"),
        (lambda: row_split(np.arange(10), seed=0, test_size=0.95), "on each side, got 0 to train"),
        (lambda: row_split(np.arange(1), seed=0), "on each side"),
        (lambda: row_split(np.arange(0), seed=0), "on each side"),
        (lambda: row_split(np.ones((4, 2)), seed=0), "identity: expected one label per row"),
        (lambda: row_split([1.0, np.nan, 2.0], seed=0), "identity: expected a label for every row, got 1 missing"),
        (lambda: group_split(["p"] * 9, seed=0), "at least 2 groups, got 1"),
        (lambda: group_split(["p", "q", None], seed=0), "groups: expected a label for every row"),
        (lambda: group_split(list("ppqq"), seed=0, identity=[1, 2]), "identity: expected 4 labels"),
        (lambda: row_split(np.arange(10), seed=0, stratify=["p"] * 9), "stratify: expected 10 labels"),
        (lambda: row_split(np.arange(10), seed=0, stratify=["p"] * 9 + ["q"]), "at least 2 rows in each stratum"),
        (lambda: row_split(np.arange(10), seed=0, stratify=np.arange(10.0)), "use fewer bins"),
        (lambda: row_split(np.arange(10), seed=0, stratify=[1.0] * 9 + [np.nan]), "stratify: expected a label"),
    ],
)
def test_splits_reject(call, message):
    with pytest.raises(ValueError, match=message):
        call()


IDS = [f"row {i}" for i in range(20)]


@pytest.fixture
def saved(tmp_path):
    splits = [row_split(np.arange(20) // 2, seed=seed) for seed in range(3)]
    return splits, save_splits(tmp_path / "splits.json", splits, IDS)


def test_saved_splits_come_back(saved):
    splits, path = saved
    for split, loaded in zip(splits, load_splits(path, IDS), strict=True):
        np.testing.assert_array_equal(loaded.train, split.train)
        np.testing.assert_array_equal(loaded.test, split.test)
        assert loaded[2:] == split[2:]


def test_saved_splits_follow_the_rows(saved):
    splits, path = saved
    turned = IDS[::-1]
    for split, loaded in zip(splits, load_splits(path, turned), strict=True):
        assert {turned[row] for row in loaded.test} == {IDS[row] for row in split.test}


def test_saving_never_overwrites_unless_told(saved):
    splits, path = saved
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_splits(path, splits[:1], IDS)
    assert path.read_bytes() == before
    save_splits(path, splits[:1], IDS, overwrite=True)
    assert len(load_splits(path, IDS)) == 1


@pytest.mark.parametrize(("ids", "message"), [(IDS[:10], "at least 20"), (["p"] * 20, "19 repeated")])
def test_saving_rejects_ids(saved, tmp_path, ids, message):
    with pytest.raises(ValueError, match=message):
        save_splits(tmp_path / "other.json", saved[0], ids)
    assert not (tmp_path / "other.json").exists()


def damage(document, how):
    first = document["splits"][0]
    if how == "overlap":
        first["train"].append(first["test"][0])
    elif how == "twice":
        first["train"].append(first["train"][0])
    elif how == "unknown":
        first["test"][0] = "row 99"
    elif how == "empty":
        first["test"] = []
    elif how == "no train":
        del first["train"]
    elif how == "not a list":
        first["train"] = "row 1"
    elif how == "nested id":
        first["train"][0] = ["row 1"]
    elif how == "format":
        document["format"] = "other"
    elif how == "no format":
        del document["format"]
    elif how == "splits":
        document["splits"] = 7
    elif how == "share":
        first["leaked_share"] = "none"
    elif how == "share above 1":
        first["leaked_share"] = 1.5
    elif how == "seed":
        first["seed"] = None
    elif how == "list":
        return [document]
    return document


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("overlap", "both train and test"),
        ("twice", "a row twice"),
        ("unknown", "'row 99'"),
        *[
            (how, "foreign or damaged")
            for how in (
                *("empty", "no train", "not a list", "nested id", "format", "no format", "splits", "share"),
                *("share above 1", "seed", "list"),
            )
        ],
    ],
)
def test_loading_rejects(saved, how, message):
    path = saved[1]
    path.write_text(json.dumps(damage(json.loads(path.read_text()), how)))
    with pytest.raises(ValueError, match=message):
        load_splits(path, IDS)


@pytest.mark.parametrize("content", [b"", b"uid,x\n1,2\n", b"\xff\xfe\x00", b"null"])
def test_loading_rejects_other_files(tmp_path, content):
    path = tmp_path / "foreign.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="foreign or damaged"):
        load_splits(path, IDS)


def test_loading_rejects_a_truncated_file(saved):
    path = saved[1]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="foreign or damaged"):
        load_splits(path, IDS)


def test_loading_rejects_another_table(saved):
    with pytest.raises(ValueError, match="unknown"):
        load_splits(saved[1], [f"other {i}" for i in range(20)])
