"""Conditions on the scale of the data and on data frames: agreement with rejection, exactness, refusals, purposes."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jaxcop import margins, synthesizers
from jaxcop.synthesizers import rebalance, rebalance_table, sample_given, sample_table_given, stress, tail, target
from jaxcop.synthesizers._given import Drawn
from jaxcop.synthesizers.conditional import condition_of, report_of
from jaxcop.tables import array_bounds, infer_schema, meets
from jaxcop.vae import Config, PosteriorMixture
from scipy import stats

from test_synthesizers import fit, table

SMALL = Config(hidden=(16,), latent_dim=2, epochs=30, batch_size=32)
EXACT = {
    "copula_gaussian": synthesizers.copula("gaussian", method="itau"),
    "copula_student_t": synthesizers.copula("student_t", method="itau"),
    "copula_clayton": synthesizers.copula("clayton", margin="quantile", method="itau"),
    "gaussian_mixture_copula": synthesizers.gaussian_mixture_copula(3),
    "smoothed": synthesizers.smoothed(),
    "independent": synthesizers.independent(),
    "bootstrap": synthesizers.bootstrap(),
}
WEIGHTED = {
    "vae": synthesizers.vae(SMALL),
    "vae_standardise": synthesizers.vae(SMALL, scaling="standardise"),
    "vae_student_t": synthesizers.vae(replace(SMALL, decoder="student_t")),
    "vae_posterior_mixture": synthesizers.vae(SMALL, posterior_mixture=PosteriorMixture(3, num_steps=20)),
}
QUICK = ("bootstrap", "independent", "vae")
NUM_ROWS, NUM_REJECTION = 1000, 400_000
GIVEN = {0: (1.5, np.inf), 1: (-0.2, 1.0)}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in {**EXACT, **WEIGHTED}]
)
def test_ranges_agree_with_rejection(name):
    synthesizer = {**EXACT, **WEIGHTED}[name]
    x = table()
    fitted = fit(synthesizer, x)
    rows, report = sample_given(jax.random.key(1), synthesizer, fitted, GIVEN, NUM_ROWS)
    assert report.method == ("exact" if name in EXACT else "importance")
    assert np.isfinite(rows).all()
    assert ((rows[:, 0] >= 1.5) & (rows[:, 1] >= np.float32(-0.2)) & (rows[:, 1] <= 1)).all()
    everything = np.asarray(jax.jit(synthesizer.sample, static_argnums=2)(jax.random.key(2), fitted, NUM_REJECTION))
    kept = everything[(everything[:, 0] >= 1.5) & (everything[:, 1] >= np.float32(-0.2)) & (everything[:, 1] <= 1)]
    assert len(kept) > 1000
    # As many independent rows as the report says.
    share = min(1.0, report.effective_size / NUM_ROWS)
    for j in range(3):
        distance = stats.ks_2samp(rows[:, j], kept[:, j]).statistic
        assert stats.kstwobign.sf(distance * np.sqrt(share * NUM_ROWS * len(kept) / (NUM_ROWS + len(kept)))) > 1e-3 / 3


@pytest.mark.slow
def test_a_value_is_set_and_the_rest_follow_it():
    synthesizer, x = EXACT["copula_gaussian"], table()
    fitted = fit(synthesizer, x)
    ordered = np.sort(x[:, 0])
    value = float((ordered[60] + ordered[61]) / 2)
    rows, report = sample_given(jax.random.key(1), synthesizer, fitted, {0: value}, NUM_ROWS)
    assert (rows[:, 0] == np.float32(value)).all()
    assert report.warning == ""
    # Its u is halfway between those of its neighbours; the rest is the normal conditional through the margins.
    correlation, z = np.asarray(fitted.copula.params.correlation, np.float64), stats.norm.ppf(61.5 / 81)
    noise = np.random.default_rng(0).normal(size=(20_000, 3))
    u = stats.norm.cdf(correlation[0] * z + np.sqrt(1 - correlation[0] ** 2) * noise)
    expected = margins.MARGINS["empirical"].from_uniform(jnp.asarray(u, "float32"), fitted.margins)
    for j in (1, 2):
        assert stats.ks_2samp(rows[:, j], np.asarray(expected)[:, j]).pvalue > 1e-3


def test_preimages_invert_the_margins():
    x = jnp.asarray(table()[:, :2], "float64")
    fitted = margins.fit(x)
    for name, margin in margins.MARGINS.items():
        u = jnp.stack([jnp.linspace(0.02, 0.98, 40)] * 2, 1)
        value = margin.from_uniform(u, fitted)
        low, high = jax.jit(jax.vmap(partial(margins.preimage, params=fitted, margin=name)))(value, value)
        assert (low <= u + 1e-9).all()
        assert (high >= u - 1e-9).all()
        # Column 0 has no ties, so that a value inside has one u.
        assert jnp.abs(low[:, 0] - u[:, 0]).max() < 1e-9
        np.testing.assert_allclose(margin.from_uniform(low, fitted), value, atol=1e-9)
        np.testing.assert_allclose(margin.from_uniform(high, fitted), value, atol=1e-9)
        free = margins.preimage(jnp.full(2, -jnp.inf), jnp.full(2, jnp.inf), fitted, name)
        assert (free[0] == 0).all()
        assert (free[1] == 1).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "at least one"),
        ({5: 1.0}, "columns 0 to 2"),
        ({0: (2.0, 1.0)}, "low < high"),
        ({0: float("nan")}, "low < high"),
        ({0: 1e9}, "training range"),
        ({0: (1e9, np.inf)}, "training range"),
        ({0: 1.0, 1: 0.1, 2: 10.0}, "left to draw"),
    ],
)
def test_bad_conditions(given, message):
    fitted = fit(EXACT["bootstrap"], table())
    with pytest.raises(ValueError, match=message):
        sample_given(jax.random.key(0), EXACT["bootstrap"], fitted, given, 5)


def test_what_no_row_has_is_said():
    fitted = fit(EXACT["bootstrap"], table())
    with pytest.raises(ValueError, match="widen the ranges"):
        sample_given(jax.random.key(0), EXACT["bootstrap"], fitted, {0: 1.23456}, 5)


def test_families_without_a_form_are_rejected_from_and_take_no_values():
    synthesizer = synthesizers.copula("independence")
    x = table()
    fitted = fit(synthesizer, x)
    rows, report = sample_given(jax.random.key(0), synthesizer, fitted, {0: (1.0, np.inf)}, 200)
    assert report.method == "rejection"
    assert abs(report.acceptance - (x[:, 0] >= 1).mean()) < 0.05
    assert (rows[:, 0] >= 1).all()
    with pytest.raises(ValueError, match="expected ranges"):
        sample_given(jax.random.key(0), synthesizer, fitted, {0: 1.0}, 5)


def test_few_effective_rows_are_warned_of_and_missing_ones_refused():
    rows, filled = jnp.ones((100, 2)), jnp.ones(100, bool)
    assert report_of(Drawn(rows, filled, jnp.array(0.2), jnp.array(90.0)), "importance").warning == ""
    assert "12 independent" in report_of(Drawn(rows, filled, jnp.array(0.0), jnp.array(12.0)), "importance").warning
    with pytest.raises(ValueError, match="99 of 100 rows"):
        report_of(Drawn(rows, filled.at[-1].set(False), jnp.array(0.1), jnp.array(99.0)), "exact")


def test_stress_and_tail_and_targets():
    x = table()
    assert tail(x, 0, 0.1) == {0: (np.quantile(x[:, 0].astype(float), 0.9), np.inf)}
    assert tail(pd.DataFrame(x, columns=list("abc")), "b", 0.1, side="lower")["b"][0] == -np.inf
    with pytest.raises(ValueError, match="column of numbers"):
        stress(x, {7: 0.9})
    with pytest.raises(ValueError, match=r"other than 0\.5"):
        stress(x, {0: 0.5})
    for bad in ({}, {"edges": [0, 1], "values": [1]}, {"edges": [1, 0]}, {"edges": [0, 1], "shares": [-1]}):
        with pytest.raises(ValueError, match="expected"):
            target(10, **bad)
    assert target(7, values=[2.0, 1.0]) == ([1.0, 2.0], [3, 4])


@pytest.mark.slow
def test_rebalanced_columns_have_the_wanted_shares_and_keep_the_dependence():
    synthesizer, x = EXACT["smoothed"], table()
    fitted = fit(synthesizer, x)
    plan = target(400, edges=[0.2, 1.0, 2.0, 4.0], shares=[1, 1, 2])
    rows, reports = rebalance(jax.random.key(0), synthesizer, fitted, 0, plan)
    assert np.histogram(rows[:, 0], [0.2, 1.0, 2.0, 4.0])[0].tolist() == [100, 100, 200]
    assert len(reports) == 3
    assert stats.spearmanr(rows[:, 0], rows[:, 1]).statistic > 0.5
    again, _ = rebalance(jax.random.key(0), synthesizer, fitted, 0, plan)
    np.testing.assert_array_equal(rows, again)


def frame(rows=120, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 3)) @ np.linalg.cholesky([[1, 0.8, 0.3], [0.8, 1, 0.5], [0.3, 0.5, 1]]).T
    made = pd.DataFrame(
        {
            "rock": np.where(z[:, 0] > 0.5, "granite", np.where(z[:, 0] > -0.5, "marble", "slate")),
            "count": rng.poisson(np.exp(1 + z[:, 1] / 2)),
            "depth": np.round(np.exp(z[:, 2] / 2), 2),
            "load": z[:, 1] + 0.1 * rng.normal(size=rows),
            "wet": z[:, 0] + rng.normal(size=rows) > 0,
            "unit": "metre",
        }
    )
    made.loc[rng.choice(rows, 15, replace=False), "load"] = np.nan
    return made


FRAME = frame()
SCHEMA = infer_schema(FRAME)


@pytest.fixture(scope="module")
def model():
    return synthesizers.fit_table(jax.random.key(0), FRAME, SCHEMA, "smoothed")


CONDITIONS = (
    {"rock": "granite"},
    {"count": 3, "wet": True},
    {"depth": 1.25},
    {"depth": (0.5, 0.9), "unit": "metre"},
    {"load": (0.5, np.inf)},
    {"load": None},
    {"load": 0.25, "rock": "marble"},
    {"unit": "metre"},
)


def test_rows_of_data_frames_meet_the_condition_exactly(model):
    for given in CONDITIONS:
        rows, report = sample_table_given(jax.random.key(1), model, 100, given)
        assert len(rows) == 100
        assert list(rows.columns) == list(FRAME.columns)
        assert (rows.dtypes == FRAME.dtypes).all()
        assert meets(rows, given).all(), given
        assert report.method == "exact"
        assert 0 < report.acceptance <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoothed", "gaussian_mixture_copula", "copula_gaussian", "copula_student_t", "vae"])
def test_data_frames_agree_with_rejection(name):
    model = synthesizers.fit_table(jax.random.key(0), FRAME, SCHEMA, name)
    everything = synthesizers.sample_table(jax.random.key(5), model, 200_000)
    for given in ({"rock": "granite", "count": (3, 6)}, {"depth": (0.0, 0.8), "wet": False}, {"count": 2}):
        rows, report = sample_table_given(jax.random.key(1), model, 1000, given)
        kept = everything[meets(everything, given)]
        assert len(kept) > 500
        size = report.effective_size * len(kept) / (report.effective_size + len(kept))
        for column in ("depth", "load", "count"):
            distance = stats.ks_2samp(rows[column].dropna(), kept[column].dropna()).statistic
            assert stats.kstwobign.sf(distance * np.sqrt(size)) > 1e-3 / 3, (given, column)
        for column in ("rock", "wet"):
            share, expected = (
                (rows[column] == rows[column].iloc[0]).mean(),
                (kept[column] == rows[column].iloc[0]).mean(),
            )
            assert abs(share - expected) < 4 * np.sqrt(0.25 / size)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "at least one"),
        ({"colour": 1}, "one of the columns"),
        ({"rock": "basalt"}, "expected one of"),
        ({"rock": ("granite", "slate")}, "expected one of"),
        ({"count": 2.5}, "multiple of 1"),
        ({"count": -1}, "values from 0"),
        ({"depth": (0.5, 0.4)}, "low < high"),
        ({"depth": (0.501, 0.509)}, "multiple of 0.01"),
        ({"depth": "deep"}, "expected a number"),
        ({"depth": None}, "misses none"),
        ({"depth": 900.0}, "'depth'"),
        ({"unit": "foot"}, "expected one of"),
    ],
)
def test_bad_conditions_on_data_frames(model, given, message):
    with pytest.raises(ValueError, match=message):
        sample_table_given(jax.random.key(0), model, 5, given)


def test_a_synthesizer_without_a_form_falls_back_to_rejection(model, monkeypatch):
    plain = synthesizers.smoothed()._replace(given=None)
    monkeypatch.setitem(synthesizers.NAMED, "smoothed", lambda *sizes: plain)
    rows, report = sample_table_given(jax.random.key(1), model, 60, {"rock": "granite", "count": 3})
    assert report.method == "rejection"
    assert meets(rows, {"rock": "granite", "count": 3}).all()
    with pytest.raises(ValueError, match="expected a range"):
        sample_table_given(jax.random.key(1), model, 60, {"load": 0.25})


def test_bounds_of_cells_reach_beyond_the_first_and_the_last():
    assert array_bounds(SCHEMA, {"rock": "granite"}) == {"rock": (-np.inf, 0.5)}
    assert array_bounds(SCHEMA, {"rock": "slate"}) == {"rock": (1.5, np.inf)}
    assert array_bounds(SCHEMA, {"count": 0}) == {"count": (-np.inf, 0.5)}
    assert array_bounds(SCHEMA, {"load": None}) == {"load missing": (0.5, np.inf)}
    low, high = array_bounds(SCHEMA, {"depth": 1.25})["depth"]
    assert (round(low, 9), round(high, 9)) == (1.245, 1.255)


@pytest.mark.slow
def test_rebalanced_data_frames(model):
    rows, _ = rebalance_table(jax.random.key(3), model, "count", target(30, values=[1, 2, 4]))
    assert rows["count"].value_counts().to_dict() == {1: 10, 2: 10, 4: 10}
    assert rows.index.tolist() == list(range(30))


@pytest.mark.slow
def test_other_numbers_compile_nothing(model):
    counted = []
    built = synthesizers.smoothed()
    draw = jax.jit(lambda *arguments: (counted.append(1), built.given(*arguments, 20))[1])
    for given in ({0: 1.0}, {1: (0.0, 2.0)}, {0: (1.0, 1.5), 2: 0.9}):
        draw(jax.random.key(0), model.fitted, condition_of(built, model.fitted, given))
    assert len(counted) == 1
