"""FAED: what the autoencoders see, what they are, and what the distance reads on known tables."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import metrics
from jaxcop.metrics import autoencoder

from metric_cases import CASES
from tolerance import assert_close

TRAIN = CASES["B_shift_shrink_262x6"][0]
FRESH = np.random.default_rng(99).normal(size=(3, 262, 6)) @ np.linalg.cholesky(np.cov(TRAIN.T)).T


@pytest.fixture(scope="module")
def fitted():
    return metrics.fit_autoencoders(jax.random.key(0), TRAIN)


def test_same_key_same_fit_and_other_key_another(fitted):
    again = metrics.fit_autoencoders(jax.random.key(0), TRAIN)
    jax.tree.map(np.testing.assert_array_equal, fitted, again)
    other = metrics.fit_autoencoders(jax.random.key(1), TRAIN)
    assert not np.allclose(fitted.loss, other.loss)


def test_five_at_once_equal_five_alone(fitted):
    x = (TRAIN - TRAIN.mean(0)) / TRAIN.std(0)
    for i, key in enumerate(jax.random.split(jax.random.key(0), 5)):
        layers, whiten, loss = autoencoder._fit_one(key, x, 16, 3, 200, 1e-2)
        # Two hundred optimiser steps amplify the last bit of a reordered sum; the sign of an eigenvector is free.
        assert_close(loss, fitted.loss[i], rtol=1e-7)
        assert_close(jnp.abs(whiten), jnp.abs(fitted.whiten[i]), rtol=1e-5)
        assert_close(layers[0][0], fitted.layers[0][0][i], rtol=1e-5, atol=1e-8)


def test_the_fit_reduces_the_error_and_whitens_its_training_rows(fitted):
    principal = np.linalg.eigvalsh(np.corrcoef(TRAIN.T))[:3].sum() / 6
    assert (fitted.loss < 1.1 * principal).all(), "three latents should match three principal components"
    latents = autoencoder._encode(fitted, TRAIN)
    for latent in latents:
        assert_close(np.cov(latent.T), np.eye(3), rtol=0, atol=1e-9)


def test_neither_synthetic_nor_held_out_rows_move_the_encoders(fitted):
    before = jax.tree.map(np.array, fitted)
    key = jax.random.key(3)
    alone = metrics.faed(key, fitted, TRAIN, FRESH[0])
    beside = metrics.faed(key, fitted, TRAIN, np.stack([FRESH[0], FRESH[1] * 50]))
    metrics.faed(key, fitted, FRESH[2], FRESH[0])
    jax.tree.map(np.testing.assert_array_equal, before, fitted)
    assert_close(beside.members[0], alone.members, rtol=1e-8)
    assert_close(beside.floor, alone.floor)


def test_value_ratio_and_batch(fitted):
    found = metrics.faed(jax.random.key(3), fitted, TRAIN, FRESH.reshape(3, 1, 262, 6))
    assert found.members.shape == (3, 1, 5)
    assert_close(found.value, found.members.mean(-1))
    assert_close(found.ratio, found.value / found.floor)
    again = metrics.faed(jax.random.key(3), fitted, TRAIN, FRESH[1])
    assert_close(again.value, found.value[1, 0], rtol=1e-8)
    assert metrics.faed(jax.random.key(4), fitted, TRAIN, FRESH[1]).floor != again.floor


def test_known_tables_are_ordered(fitted, seed):
    rng, sd = np.random.default_rng(seed), TRAIN.std(0)
    bootstrap = TRAIN[rng.integers(0, 262, 262)]
    shuffled = rng.permuted(TRAIN, axis=0)
    tables = np.stack([TRAIN, bootstrap, FRESH[seed], TRAIN + 0.5 * sd, shuffled])
    same, resampled, fresh, shifted, independent = metrics.faed(jax.random.key(seed), fitted, TRAIN, tables).ratio
    assert same < 1e-6
    assert 0.2 < resampled < 1.8  # half the sampling noise of the floor's two bootstrap samples
    assert fresh < 3
    assert shifted > 2
    assert independent > 4


@pytest.mark.slow
def test_floor_follows_the_sizes(fitted):
    key = jax.random.key(0)
    equal, small = (metrics.faed(key, fitted, TRAIN, FRESH[0, :m], draws=40).floor for m in (262, 30))
    assert small > 2.5 * equal  # the noise is about proportional to 1/n + 1/m: here 4.9 times


@pytest.mark.slow
def test_float32_stays_float32():
    train, synthetic = TRAIN.astype("float32"), FRESH[0].astype("float32")
    fitted = metrics.fit_autoencoders(jax.random.key(0), train, num=2, steps=20)
    found = metrics.faed(jax.random.key(0), fitted, train, synthetic)
    assert {leaf.dtype for leaf in jax.tree.leaves((fitted, found))} == {np.dtype("float32")}
    double = metrics.faed(
        jax.random.key(0),
        jax.tree.map(lambda leaf: leaf.astype("float64"), fitted),
        train.astype("float64"),
        synthetic.astype("float64"),
    )
    assert_close(found.value, np.asarray(double.value), rtol=1e-3)


@pytest.mark.slow
def test_splits_train_in_one_program_under_vmap():
    keys, tables = jax.random.split(jax.random.key(0), 2), np.stack([TRAIN[:100], TRAIN[100:200]])
    fit = partial(metrics.fit_autoencoders, num=2, steps=20)
    batch = jax.vmap(fit)(keys, tables)
    assert_close(batch.loss[1], fit(keys[1], tables[1]).loss, rtol=1e-7)


def test_gradient_in_the_synthetic_rows_is_finite(fitted):
    for rows in (TRAIN, FRESH[0], np.broadcast_to(TRAIN[:1], TRAIN.shape)):
        gradient = jax.grad(lambda y: metrics.faed(jax.random.key(0), fitted, TRAIN, y).value)(jnp.asarray(rows))
        assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (TRAIN[:2], {}, "train: expected at least 3 rows"),
        (TRAIN[:, 0], {}, r"train: expected shape \(rows, columns\)"),
        (TRAIN * [1, 1, 0, 1, 1, 1], {}, r"train: expected columns that vary.*\[2\]"),
        (np.where(TRAIN > 2, np.nan, TRAIN), {}, "train: expected finite values"),
        (TRAIN, {"num": 0}, "num: expected a whole number of at least 1, got 0"),
        (TRAIN, {"steps": 1.5}, "steps: expected a whole number"),
        (TRAIN, {"latent_dim": -1}, "latent_dim: expected a whole number"),
        (TRAIN, {"learning_rate": 0.0}, "learning_rate: expected a finite number above 0"),
    ],
)
def test_bad_fits_are_refused(train, options, message):
    with pytest.raises(ValueError, match=message):
        metrics.fit_autoencoders(jax.random.key(0), train, **options)


def test_bad_tables_are_refused(fitted):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="real: expected the 6 columns of the fit, got 3"):
        metrics.faed(key, fitted, TRAIN[:, :3], FRESH[0, :, :3])
    with pytest.raises(ValueError, match="synthetic: expected 6 columns"):
        metrics.faed(key, fitted, TRAIN, FRESH[0, :, :3])
    with pytest.raises(ValueError, match="draws: expected a whole number"):
        metrics.faed(key, fitted, TRAIN, FRESH[0], draws=0)


@pytest.mark.slow
def test_one_column():
    fitted = metrics.fit_autoencoders(jax.random.key(0), TRAIN[:, :1], num=2)
    good, bad = metrics.faed(
        jax.random.key(1), fitted, TRAIN[:, :1], np.stack([FRESH[0, :, :1], FRESH[0, :, :1] + 2])
    ).ratio
    assert good < 5 < bad
