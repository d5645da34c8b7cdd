"""Columns of scores: chunks, sizes, and that they are what the metrics say."""

import jax
import numpy as np
import pytest
from jaxcop import evaluation, metrics
from jaxcop.metrics.utility import regress

from tolerance import assert_close


def real(seed=0, rows=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    return np.concatenate([0.3 * x[:, :1] + 2 * x[:, 1:2] - x[:, 2:], x[:, 1:]], 1)


TABLES = np.stack([real(seed, 100) for seed in range(1, evaluation.CHUNK + 4)])


def test_columns_are_the_metrics_whatever_the_chunk():
    key = jax.random.key(0)
    columns = evaluation.fidelity(key, real(), TABLES)
    alone = evaluation.fidelity(key, real(), TABLES[-1:])
    chosen = np.asarray(jax.random.permutation(jax.random.split(key, 3)[0], 60))
    direct = metrics.ks(real()[chosen].astype("f4"), TABLES[:, :60].astype("f4"))
    assert_close(columns["ks"], np.asarray(direct, float).mean(1), rtol=1e-6)
    assert_close(columns["ks_max"], np.asarray(direct, float).max(1), rtol=1e-6)
    others = metrics.fidelity(real()[chosen].astype("f4"), TABLES[:2, :60].astype("f4"))
    expected = {
        "ad": np.mean(others.anderson_darling.distance, -1),
        "tv": np.mean(others.total_variation, -1),
        "range_coverage": np.mean(others.range_coverage, -1),
        "wasserstein": np.mean(others.wasserstein, -1),
        "mmd": others.mmd.unbiased,
        "mmd_biased": others.mmd.biased,
        "frechet": others.frechet,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(columns[name][:2], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert len({float(columns[name][0]) for name in columns if name != "exact_copies"}) == len(columns) - 1
    for name, values in columns.items():
        assert values.shape == (len(TABLES),)
        np.testing.assert_allclose(values[-1], alone[name][0], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_sizes_are_matched():
    """Only the first ``num_rows`` synthetic rows count: what follows may be anything."""
    spoiled = TABLES[:2].copy()
    spoiled[:, 40:] = 1e3
    key = jax.random.key(0)
    first, second = (evaluation.fidelity(key, real(), tables, num_rows=40) for tables in (TABLES[:2], spoiled))
    for name, values in first.items():
        assert_close(values, second[name], rtol=0, err_msg=name)
    with pytest.raises(ValueError, match="num_rows: expected 2 to 60"):
        evaluation.fidelity(key, real(), TABLES, num_rows=61)


@pytest.mark.slow
def test_copies_are_looked_for_among_all_training_rows():
    train = real()
    copies = np.concatenate([train, real(3)])[None]
    columns = evaluation.fidelity(jax.random.key(0), train, copies[:, :60], num_rows=30)
    assert columns["exact_copies"][0] == 1
    assert columns["dcr_ratio"][0] == 0
    direct = metrics.dcr(train.astype("f4"), TABLES[:1, :30].astype("f4"))
    scaled = evaluation.fidelity(jax.random.key(0), train, TABLES[:1], num_rows=30)["dcr_ratio"][0]
    assert abs(scaled / float(direct.median_ratio[0]) - 1) < 0.1  # other rows standardise


@pytest.mark.parametrize("synthetic", [TABLES[0], TABLES[:0], TABLES[:, :, :2]])
def test_the_shape_of_synthetic_tables(synthetic):
    with pytest.raises(ValueError, match="synthetic: expected shape"):
        evaluation.fidelity(jax.random.key(0), real(), synthetic)


def test_utility_columns_are_single_regressions():
    train, test = real(0), real(9)
    columns, ceiling = evaluation.utility(train, test, TABLES[:3], 0, seed=4)
    assert ceiling == regress(train, test, 0, seed=4)
    for index, table in enumerate(TABLES[:3]):
        for name, expected in (("tstr", regress(table, test, 0, seed=4)), ("trts", regress(train, table, 0, seed=4))):
            found = [columns[f"{name}_{field}"][index] for field in expected._fields]
            assert_close(np.array(found), np.array(expected), rtol=1e-12)


def test_a_perfect_generator_scores_at_the_ceiling_and_a_broken_one_far_below():
    train, test = real(0, 150), real(9, 150)
    tables = np.stack([real(5, 150), np.random.default_rng(0).normal(size=(150, 3))])
    columns, ceiling = evaluation.utility(train, test, tables, 0, seed=0)
    assert abs(columns["tstr_r2"][0] - ceiling.r2) < 0.1
    assert columns["tstr_r2"][1] < 0.2 < ceiling.r2
