"""Tuning, fitting, sampling and scoring of generators, on a stub whose right answers are known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import sweep
from jaxcop.synthesizers import Synthesizer, gaussian_mixture_copula
from jaxcop.synthesizers.copula import Regularisation
from jaxcop.tables import Split

import outputs
import study


class Shift(NamedTuple):
    shift: float = 0.0


def _fit(key, x, mask, hyper):
    return x, mask, jnp.asarray(hyper.shift, x.dtype)


def _sample(key, fitted, n):
    """Training rows with the target, column 0, moved."""
    x, mask, shift = fitted
    rows = x[jax.random.choice(key, len(x), (n,), p=mask / mask.sum())]
    return rows.at[:, 0].add(shift)


STUB = Synthesizer(_fit, _sample, Shift(), lambda x, hyper: None)


def _table(seed, rows=80, offset=0.0):
    x = np.random.default_rng(seed).normal(size=(rows, 3))
    x[:, 0] = 2 * x[:, 1] + offset
    return x


def test_tuning_scores_on_the_validation_fold_and_takes_the_best():
    # The relation in the validation folds is shifted by 3, then by -3: only they can tell.
    folds = [(_table(0), _table(1, 40, 3.0)), (_table(2, 70), _table(3, 40, -3.0))]
    generator = study.Generator(STUB, (Shift(0.0), Shift(3.0), Shift(-3.0)))
    tuned = study.tune(generator, folds, 0, 300, 96)
    assert tuned.choice.tolist() == [1, 2]
    assert tuned.rmse.shape == (2, 3)


def test_every_split_is_fitted_with_its_own_numbers_and_draws_differ():
    generator = study.Generator(STUB, num_seeds=2)
    fitted = study.fit(generator, [_table(0), _table(1, 60)], [Shift(1.0), Shift(2.0)], 96)
    np.testing.assert_array_equal(fitted.fitted[2], [1, 1, 2, 2])
    assert fitted.split.tolist() == [0, 0, 1, 1]
    first, second = (study.sample(generator, fitted, 50, resample=resample) for resample in (0, 1))
    for a, b in zip(first, second, strict=True):
        assert (a != b).any()
    assert (first[0] != first[1]).any()  # seeds differ too
    np.testing.assert_array_equal(study.sample(generator, fitted, 50, which=[2]), first[2:3])


def test_purposes_do_not_share_random_numbers():
    data = [np.asarray(jax.random.key_data(study.keys([0], [0], purpose, 1))) for purpose in range(4)]
    assert len({array.tobytes() for array in data}) == 4


@pytest.mark.slow
def test_a_table_that_is_not_finite_is_recorded_without_scores():
    train, test = _table(0), _table(1, 30)
    result = study.Result("blast", [Split(np.arange(80), np.arange(30), 0.0, "blast", 0)])
    broken = _table(2, 100)
    broken[3, 1] = np.nan
    labels = {"protocol": "blast", "recipe": "real", "seed": 0, "resample": 0}
    for name, rows in (("good", _table(3, 100)), ("broken", broken)):
        result.tables[0].append(({**labels, "generator": name}, rows))
    study.score(result, 0, train, test, 60, 30, 0)
    good, bad = result.records
    assert good["finite"]
    assert good["ks"] >= 0
    assert not bad["finite"]
    assert not {"ks", "tstr_r2"} & set(bad)


def test_differences_correct_for_shared_training_rows():
    splits = [Split(np.arange(80), np.arange(20), 0.0, "blast", seed) for seed in range(3)]
    result = study.Result("blast", splits)
    result.ceilings = [{"trtr_r2": 0.5} for _ in splits]
    result.records = [
        {"recipe": "real", "generator": "g", "split": i, "seed": 0, "resample": 0, "tstr_r2": 0.5 + change}
        for i, change in enumerate((0.1, -0.2, 0.3))
    ]
    (found,) = outputs.differences(result).values()
    width, corrected = found.high - found.low, found.corrected_high - found.corrected_low
    np.testing.assert_allclose(corrected / width, np.sqrt((1 / 3 + 20 / 80) * 3), rtol=1e-12)


@pytest.mark.slow
def test_the_copula_table_is_per_row():
    table = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 50)
    for row in study.copula_table(table, ("independence", "gaussian")):
        np.testing.assert_allclose(row.aic, 2 * row.num_params / 50 - 2 * row.loglik, atol=1e-6)


@pytest.mark.slow
def test_regularisation_reaches_the_mixture():
    generator, x, mask = gaussian_mixture_copula(3), _table(0).astype("f4"), np.ones(80, bool)
    fits = [generator.fit(jax.random.key(0), x, mask, Regularisation(value)) for value in (1e-3, 1e-1)]
    a, b = (np.asarray(fit.copula.params.scale) for fit in fits)
    assert np.abs(a - b).max() > 1e-2


def test_stack_pads_to_the_length_asked_for():
    x, mask = sweep.stack([np.ones((2, 3)), np.ones((4, 3))], length=7)
    assert x.shape == (2, 7, 3)
    assert mask.sum(1).tolist() == [2, 4]
