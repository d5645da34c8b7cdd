"""Resampling of imbalanced tables: sizes, where new rows lie, and bad input."""

import jax
import numpy as np
import pytest
from jaxcop.imbalanced import resampling
from jaxcop.imbalanced.resampling import RESAMPLERS
from scipy import spatial


def table_with_rare(n=200, rare=(7, 13)):
    """A table whose lowest and highest targets are rare: two rare runs around one common run."""
    rng = np.random.default_rng(0)
    y = np.sort(rng.normal(size=n))
    x = np.c_[y**2, rng.normal(size=n) * 100]
    order = rng.permutation(n)
    phi = np.zeros(n)
    phi[: rare[0]], phi[n - rare[1] :] = 0.9, 1.0
    return np.c_[x, y][order], phi[order]


@pytest.fixture
def case():
    return table_with_rare()


def row_set(table):
    return {tuple(row) for row in np.asarray(table).tolist()}


def test_runs_follow_the_target(case):
    table, phi = case
    found = resampling.runs(table[:, -1], phi)
    assert [(len(run.rows), run.rare) for run in found] == [(7, True), (180, False), (13, True)]
    assert (np.diff(table[np.concatenate([run.rows for run in found]), -1]) > 0).all()


@pytest.mark.parametrize(
    ("name", "low", "common", "high"),
    [
        ("random_oversample", 180, 180, 180),
        ("random_undersample", 7, 10, 13),
        ("gaussian_noise", 67, 67, 67),
        ("smoter", 67, 67, 67),
        ("smogn", 67, 67, 67),
    ],
)
def test_sizes_after_balancing(case, key, name, low, common, high):
    table, phi = case
    found = RESAMPLERS[name](key, table, phi)
    assert len(found) == low + common + high
    # Real common rows: those of the table whose relevance is low.
    kept = row_set(table[phi < 0.8]) & row_set(found)
    assert len(kept) == common
    assert row_set(table[phi >= 0.8]) <= row_set(found)
    np.testing.assert_array_equal(found, RESAMPLERS[name](key, table, phi))
    assert (found.shape != RESAMPLERS[name](jax.random.key(99), table, phi).shape) or (
        found != RESAMPLERS[name](jax.random.key(99), table, phi)
    ).any()


def test_smoter_rows_lie_between_two_neighbours(case, key):
    table, phi = case
    found = resampling.smoter(key, table, phi, num_neighbours=3)
    new = np.array([row for row in found.tolist() if tuple(row) not in row_set(table)])
    assert len(new) == 67 - 7 + 67 - 13
    for run in resampling.runs(table[:, -1], phi):
        if not run.rare:
            continue
        rows = table[run.rows]
        scale = rows[:, :-1].std(0)
        near = spatial.KDTree(rows[:, :-1] / scale).query(rows[:, :-1] / scale, k=4)[1][:, 1:]
        inside = new[(new[:, -1] >= rows[:, -1].min()) & (new[:, -1] <= rows[:, -1].max())]
        for row in inside:
            share = [
                np.linalg.norm((row - rows[i]) - t * (rows[j] - rows[i])) / np.linalg.norm(rows[j] - rows[i])
                for i in range(len(rows))
                for j in near[i]
                for t in [np.dot(row - rows[i], rows[j] - rows[i]) / np.dot(rows[j] - rows[i], rows[j] - rows[i])]
                if -1e-9 <= t <= 1 + 1e-9
            ]
            assert min(share) < 1e-9


def test_interpolated_targets_by_hand():
    base, other = np.array([[0.0, 0.0, 10.0]]), np.array([[3.0, 4.0, 20.0]])
    assert resampling.interpolate(base, other, np.array([0.25]), np.ones(2)).tolist() == [[0.75, 1, 12.5]]
    # Parents in one place: no distance says which is nearer.
    twin = np.array([[0.0, 0.0, 30.0]])
    assert resampling.interpolate(base, twin, np.array([0.25]), np.ones(2))[0, -1] == 20


def test_smogn_interpolates_near_and_adds_noise_far(key):
    # A tight pair and far rows: the pair's neighbour is within half the median distance, no other's is.
    x = np.array([0.0, 0.01, 10.0, 30.0, 60.0])
    rare = np.c_[x, 100 + np.arange(5.0)]
    common = np.c_[np.zeros(200), np.linspace(0, 1, 200)]
    phi = np.repeat([1.0, 0.0], [5, 200])
    found = resampling.smogn(key, np.concatenate([rare, common]), phi, num_neighbours=1)
    new = np.array([row for row in found[found[:, 1] > 50].tolist() if tuple(row) not in row_set(rare)])
    assert len(new) == 102 - 5
    pair = new[new[:, 0] < 5]
    between = (pair[:, 0] > 0) & (pair[:, 0] < 0.01) & (pair[:, 1] > 100) & (pair[:, 1] < 101)
    np.testing.assert_allclose(pair[between, 1] - 100, pair[between, 0] / 0.01, atol=1e-6)
    assert between.all()
    far = new[new[:, 0] > 5]
    offset = (far[:, 0] - x[np.abs(far[:, :1] - x).argmin(1)]) / x.std()
    # 0.02 standard deviations: none beyond five of those, and they vary.
    assert np.abs(offset).max() < 0.1
    assert 0.01 < offset.std() < 0.03


def test_noise_has_the_asked_spread(key):
    rng = np.random.default_rng(0)
    table = np.c_[rng.normal(size=4000) * 3, np.r_[rng.normal(size=3950), 50 + rng.normal(size=50)]]
    phi = (table[:, -1] > 25).astype(float)
    rare = table[phi == 1]
    new = resampling.gaussian_noise(key, table, phi, delta=0.5)[-1950:]
    # Bootstrap variance plus delta^2 of it.
    np.testing.assert_allclose(new.std(0), np.sqrt(1.25) * rare.std(0), rtol=0.08)
    np.testing.assert_array_equal(
        row_set(resampling.gaussian_noise(key, table, phi, delta=0.0)[-1950:]) <= row_set(rare), True
    )


def test_wercs_adds_by_relevance_and_drops_by_its_complement(key):
    n = 4000
    phi = np.tile([0.0, 0.25, 0.75, 1.0], n // 4)
    table = np.c_[phi, np.arange(n)]
    found = resampling.wercs(key, table, phi, over=0.5, under=0.25)
    assert len(found) == n - n // 4 + n // 2
    kept, added = found[: n - n // 4], found[n - n // 4 :]
    shares = np.array([(added[:, 0] == value).mean() for value in (0, 0.25, 0.75, 1)])
    np.testing.assert_allclose(shares, [0, 1 / 8, 3 / 8, 1 / 2], atol=0.04)
    assert (kept[:, 0] == 1).sum() == n // 4
    dropped = [n // 4 - (kept[:, 0] == value).sum() for value in (0, 0.25, 0.75)]
    assert dropped[0] > dropped[1] > dropped[2]
    assert len(resampling.wercs(key, table, phi, over=0.0, under=0.0)) == n


def test_a_run_of_one_row_is_repeated(key):
    table = np.c_[np.arange(40.0), np.arange(40.0)]
    phi = (np.arange(40) == 39).astype(float)
    for name in ("smoter", "smogn", "gaussian_noise"):
        found = RESAMPLERS[name](key, table, phi)
        assert (found[:, 1] == 39).sum() == 20, name


@pytest.mark.parametrize("name", RESAMPLERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, p: (t, np.zeros_like(p)), "0 everywhere"),
        (lambda t, p: (t, p * 2), "between 0 and 1"),
        (lambda t, p: (np.where(t == t[0, 0], np.nan, t), p), "NaN"),
        (lambda t, p: (t, p[:-1]), "shape"),
    ],
)
def test_bad_input(case, key, name, change, message):
    with pytest.raises(ValueError, match=message):
        RESAMPLERS[name](key, *change(*case))


def test_threshold_and_options_are_checked(case, key):
    table, phi = case
    with pytest.raises(ValueError, match="some rows"):
        resampling.smoter(key, table, np.ones_like(phi))
    for call in (
        lambda: resampling.smoter(key, table, phi, num_neighbours=0),
        lambda: resampling.gaussian_noise(key, table, phi, delta=-1.0),
        lambda: resampling.wercs(key, table, phi, under=1.0),
        lambda: resampling.wercs(key, table, phi, over=-1.0),
        lambda: resampling.random_oversample(key, table[:, -1:], phi),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
