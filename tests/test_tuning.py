"""Choices on inner folds: which one wins, by which rule, and on which rows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import tuning
from jaxcop.report.tables import to_markdown, tuning_table
from jaxcop.synthesizers import Synthesizer

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(60, 3))
X[:, 0] = 2 * X[:, 1] + 0.1 * X[:, 0]


class Shift(NamedTuple):
    shift: float = 0.0
    scale: float = 1.0


def _fit(key, x, mask, hyper):
    return x, mask, jnp.asarray(hyper.shift, x.dtype), jnp.asarray(hyper.scale, x.dtype)


def _sample(key, fitted, n):
    """Training rows, moved and stretched."""
    x, mask, shift, scale = fitted
    return scale * x[jax.random.choice(key, len(x), (n,), p=mask / mask.sum())] + shift


def _check(x, hyper):
    if hyper.scale < 0:
        raise ValueError("scale: expected at least 0, got less; raise it")


STUB = Synthesizer(_fit, _sample, Shift(), _check)


@pytest.mark.parametrize("target_column", [None, 0])
def test_rows_of_the_population_beat_others(target_column):
    choices = tuning.grid(STUB.hyper, scale=(3.0, 1.0), shift=(2.0, 0.0))
    found = tuning.tune(KEY, X, STUB, choices, target_column=target_column, num_folds=3)
    # Stretching keeps the relation of the target to the other columns; moving breaks it, and both change the rows.
    assert found.hyper.shift == 0
    assert target_column == 0 or found.hyper.scale == 1


def test_each_row_is_validated_once_and_groups_stay_together():
    seen = []

    def score(rows, validation, fold):
        seen.extend(validation)
        # A synthetic row is a training row here: none may be in the fold that it is scored on.
        for table, i in zip(rows, fold, strict=True):
            assert not np.isin(table[:, 0], validation[i][:, 0].astype(np.float32)).any()
        return np.zeros(len(rows))

    groups = np.repeat(np.arange(20), 3)
    tuning.tune(KEY, X, STUB, [Shift()], groups=groups, num_folds=4, score=score)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)[:, 0]), np.sort(X[:, 0]))
    for part in seen:
        assert all(np.isin(X[groups == g, 0], part[:, 0]).sum() in (0, 3) for g in range(20))


def test_rules_by_hand():
    # Means 1.1, 1.0, 1.3; the lowest has a standard error of 0.2 / sqrt(2), so the first is within one of it.
    by_hand = np.array([[1.1, 0.8, 1.3], [1.1, 1.2, 1.3]])
    choices = [Shift(float(i)) for i in range(3)]

    def score(rows, validation, fold):
        return by_hand.ravel()

    lowest = tuning.tune(KEY, X, STUB, choices, num_folds=2, score=score)
    simplest = tuning.tune(KEY, X, STUB, choices, num_folds=2, score=score, rule="one_standard_error")
    assert (lowest.choice, simplest.choice) == (1, 0)
    np.testing.assert_array_equal(lowest.scores, by_hand)
    table = to_markdown(tuning_table(simplest))
    assert "one standard error" in table
    assert "| shift 0, scale 1 | 1.1000 | 0.0000 | chosen |" in table


def test_a_diverged_choice_is_never_chosen():
    found = tuning.tune(KEY, X, STUB, [Shift(np.inf), Shift()], num_folds=2)
    assert np.isinf(found.scores[:, 0]).all()
    assert found.choice == 1
    with pytest.raises(ValueError, match="expected a choice that works"):
        tuning.tune(KEY, X, STUB, [Shift(np.inf)], num_folds=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": ()}, "grid: expected at least one"),
        ({"grid": (Shift(scale=-1.0),)}, "scale: expected"),
        ({"rule": "best"}, "rule: expected one of"),
        ({"num_folds": 1}, "num_folds: expected a whole number of at least 2"),
        ({"num_folds": 3, "groups": np.arange(60) % 2}, "num_folds: expected at most 2"),
        ({"groups": np.zeros(3)}, "one label per row"),
        ({"target_column": 3}, "target_column: expected 0 to 2"),
        ({"x": np.full((60, 3), np.nan)}, "NaN"),
    ],
)
def test_bad_input(change, message):
    arguments = {"x": X, "grid": (Shift(),)} | change
    with pytest.raises(ValueError, match=message):
        tuning.tune(KEY, arguments.pop("x"), STUB, arguments.pop("grid"), **arguments)


def test_grid_refuses_names_it_does_not_know():
    with pytest.raises(ValueError, match=r"got \['width'\]"):
        tuning.grid(Shift(), width=(1.0,))
