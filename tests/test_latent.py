"""Cut normal variables: likelihoods against scipy, the correlation that is recovered, orders of categories, tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jaxcop import checkpoint, margins, synthesizers, tables
from jaxcop._bivariate_normal import bivariate_normal_cdf
from jaxcop.copulas import latent
from scipy import optimize, stats

from tolerance import assert_close

LEVELS = (0, 2, 4, 2)
TRUTH = np.array([[1, 0.8, -0.5, 0.3], [0.8, 1, -0.4, 0.2], [-0.5, -0.4, 1, 0.1], [0.3, 0.2, 0.1, 1]])
INNER = ((), (0.8,), (-1.0, 0.0, 0.7), (-0.2,))


def table(seed=0, rows=200, truth=TRUTH):
    """A latent normal whose last three columns are cut: a rare event, four categories, an even one."""
    z = np.random.default_rng(seed).multivariate_normal(np.zeros(4), truth, rows)
    return np.stack([z[:, 0], *(np.digitize(z[:, j], INNER[j]) for j in (1, 2, 3))], 1)


def jittered(x, seed):
    """The correlation of normal scores after spreading codes over their cells."""
    spread = np.random.default_rng(seed).uniform(-0.5, 0.5, x.shape) * (np.array(LEVELS) > 0)
    return np.corrcoef(np.asarray(margins.normal_scores(x + spread, margins.fit(x + spread))).T)


def test_bivariate_normal_is_that_of_scipy(dtype):
    points = np.array([-3, -0.7, 0.05, 10])
    h, k = (part.ravel() for part in np.meshgrid(points, points))
    for rho in (0.0, 0.6, -0.93, 0.99, latent.LARGEST):
        ours = bivariate_normal_cdf(jnp.asarray(h, dtype), jnp.asarray(k, dtype), jnp.arcsin(jnp.asarray(rho, dtype)))
        law = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
        exact = [law.cdf(point) for point in np.stack([h, k], 1)]
        assert ours.dtype == dtype
        assert_close(ours, np.array(exact), rtol=0, atol=2e-7 if dtype == "float32" else 1e-12)


def rectangles(cuts_a, cuts_b, rho):
    """Probabilities of the cells between thresholds, by scipy."""
    law = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    corners = [[law.cdf([a, b]) for b in cuts_b] for a in cuts_a]
    return np.diff(np.diff(corners, axis=0), axis=1)


def test_polychoric_likelihood_and_its_slope_are_those_of_scipy():
    cuts_a, cuts_b = np.array([-10, 0.4, 10]), np.array([-10, -1.0, 0.2, 10])
    counts = np.array([[12.0, 30, 7], [1, 25, 25]])
    found = jax.jit(jax.value_and_grad(latent.polychoric_loglik, argnums=3))
    for angle in np.arcsin([-0.6, 0.0, 0.35, 0.9]):
        value, slope = found(counts, cuts_a, cuts_b, angle)
        step = 1e-4
        exact, above, below = (
            (counts * np.log(rectangles(cuts_a, cuts_b, np.sin(angle + e)))).sum() for e in (0, step, -step)
        )
        assert_close(value, exact, rtol=1e-8)
        assert_close(slope, (above - below) / (2 * step), rtol=1e-4, atol=1e-4)


def test_polyserial_likelihood_is_the_conditional_probability_of_the_code(dtype):
    rng = np.random.default_rng(0)
    z = rng.normal(size=30)
    cuts = np.array([-10, -0.5, 1.0, 10])
    code, rho = rng.integers(0, 3, 30), -0.7
    mask = np.arange(30) < 25
    law = stats.norm(rho * z, np.sqrt(1 - rho**2))
    exact = np.log(law.cdf(cuts[code + 1]) - law.cdf(cuts[code]))[mask].sum()
    ends = (jnp.asarray(cuts[code + side], dtype) for side in (0, 1))
    value = latent.polyserial_loglik(jnp.asarray(z, dtype), *ends, mask, jnp.arcsin(jnp.asarray(rho, dtype)))
    assert_close(value, exact, rtol=1e-5 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_pairs_are_at_the_maximum_of_scipys_likelihoods(dtype):
    x = table(rows=150)
    fitted = latent.fit(x.astype(dtype), LEVELS)
    assert fitted.pairwise.dtype == dtype
    cuts = [stats.norm.ppf(np.cumsum(np.bincount(x[:, j].astype(int)))[:-1] / 150).tolist() for j in (1, 2, 3)]
    cuts = [np.array([-10, *inner, 10]) for inner in cuts]
    scores = stats.norm.ppf(stats.rankdata(x[:, 0]) / 151)
    scores = (scores - scores.mean()) / scores.std()

    def choric(a, b):
        counts = np.zeros((len(cuts[a]) - 1, len(cuts[b]) - 1))
        np.add.at(counts, (x[:, a + 1].astype(int), x[:, b + 1].astype(int)), 1)
        return lambda rho: -(counts * np.log(rectangles(cuts[a], cuts[b], rho))).sum() - np.log(1 - rho**2)

    def serial(a):
        code = x[:, a + 1].astype(int)

        def loss(rho):
            law = stats.norm(rho * scores, np.sqrt(1 - rho**2))
            return -np.log(law.cdf(cuts[a][code + 1]) - law.cdf(cuts[a][code])).sum() - np.log(1 - rho**2)

        return loss

    for place, loss in {(0, 1): serial(0), (0, 2): serial(1), (1, 2): choric(0, 1), (2, 3): choric(1, 2)}.items():
        best = optimize.minimize_scalar(loss, bounds=(-0.99, 0.99), method="bounded", options={"xatol": 1e-8}).x
        assert fitted.pairwise[place] == pytest.approx(best, abs=2e-4 if dtype == "float32" else 1e-5)
        assert fitted.pairwise[place] == fitted.pairwise[place[::-1]]


def test_the_correlation_is_recovered_where_jitter_pulls_it_to_zero():
    """Twenty tables of 200 rows and ten of 1,000: the mean error within four standard errors and the prior's share.

    The shorter ones are padded with rows of zeros that do not count, and would be seen.
    """
    lengths = np.repeat([200, 1000], [20, 10])
    data = np.stack([table(seed, 1000) for seed in range(30)])
    masks = np.arange(1000) < lengths[:, None]
    fit = jax.jit(jax.vmap(lambda x, mask: latent.fit_masked(x, mask, LEVELS)))
    fits = fit(np.where(masks[..., None], data, 0), masks)
    assert bool(fits.converged.all())
    spread = np.stack([jittered(x[:n], seed) for seed, (x, n) in enumerate(zip(data, lengths, strict=True))])
    pairs = np.triu_indices(4, 1)
    strong = np.abs(TRUTH[pairs]) > 0.15
    for rows in (200, 1000):
        ours, theirs = ((np.asarray(part)[lengths == rows] - TRUTH)[:, *pairs] for part in (fits.params[0], spread))
        bias = np.abs(ours.mean(0))
        assert (bias < 4 * ours.std(0) / np.sqrt(len(ours)) + 3 / rows).all()
        assert (bias < np.abs(theirs.mean(0)) / 2)[strong].all()
        # Not bought with spread: the root mean squared error over the pairs is smaller, too.
        assert np.sqrt((ours**2).mean()) < 0.7 * np.sqrt((theirs**2).mean())


@pytest.mark.slow
def test_rows_that_do_not_count():
    x = table(rows=80)
    mask = np.arange(80) < 60
    fit = jax.jit(jax.vmap(lambda x: latent.fit_masked(x, mask, LEVELS, (2,))))
    first, second = (fit(np.where(mask[:, None], x, fill)[None]) for fill in (0.0, 1.0))
    assert_close(first.params.correlation, second.params.correlation, rtol=0)
    np.testing.assert_array_equal(first.cuts.order, second.cuts.order)
    lowest = np.asarray(first.cuts.order)[0, :, 0]
    assert_close(first.cuts.share[0, :, 0], (x[:60, 1:] == lowest).mean(0))


@pytest.mark.slow
def test_a_replica_is_what_a_table_alone_gives():
    tables_of = [table(seed, rows=80) for seed in (0, 1)]
    mask = np.arange(80) < 60
    together = jax.jit(jax.vmap(lambda x: latent.fit_masked(x, mask, LEVELS, (2,))))(np.stack(tables_of))
    for index, x in enumerate(tables_of):
        alone = latent.fit(x[:60], LEVELS, nominal=(2,))
        assert_close(together.params.correlation[index], alone.params.correlation, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(together.cuts.order[index], alone.cuts.order)


@pytest.mark.slow
def test_categories_without_order_are_put_into_one():
    """Codes shuffled: the order along the latent variable comes back, from either end, and so does the correlation."""
    x = table(rows=600)
    shuffle = np.array([2, 0, 3, 1])
    shuffled = x.copy()
    shuffled[:, 2] = shuffle[x[:, 2].astype(int)]
    plain, nominal = (latent.fit(rows, LEVELS, nominal=(2,)) for rows in (x, shuffled))
    for fitted, names in ((plain, np.arange(4)), (nominal, shuffle)):
        assert np.asarray(fitted.cuts.order)[1].tolist() in (names.tolist(), names[::-1].tolist())
    assert_close(np.abs(nominal.pairwise), np.abs(plain.pairwise), rtol=0, atol=1e-6)
    assert abs(plain.pairwise[0, 2]) == pytest.approx(0.5, abs=0.12)


@pytest.mark.slow
def test_two_columns_without_order_are_the_first_axis_of_correspondence_analysis():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 500)
    b = np.where(rng.random(500) < 0.6, (2 * a + 1) % 5, rng.integers(0, 5, 500))
    x = np.stack([a, b], 1).astype(float)
    counts = np.zeros((5, 5))
    np.add.at(counts, (a, b), 1)
    share, other = counts.sum(1) / 500, counts.sum(0) / 500
    expected = (counts / 500 - np.outer(share, other)) / np.sqrt(np.outer(share, other * (1 - other)))
    order = np.argsort(np.linalg.svd(expected)[0][:, 0] / np.sqrt(share)).tolist()
    fitted = latent.fit(x, (5, 5), nominal=(0, 1))
    assert np.asarray(fitted.cuts.order)[0].tolist() in (order, order[::-1])


@pytest.mark.slow
def test_rows_drawn_have_the_shares_and_the_dependence():
    x = table(rows=1000).astype(np.float32)
    generator = synthesizers.copula("gaussian", levels=LEVELS, nominal=(2,))
    generator.check(x, generator.hyper)
    fitted = jax.jit(generator.fit)(jax.random.key(0), x, np.ones(1000, bool), generator.hyper)
    rows = np.asarray(generator.sample(jax.random.key(1), fitted, 4000))
    assert rows.dtype == np.float32
    for j in (1, 2, 3):
        shares = np.bincount(x[:, j].astype(int)) / 1000
        assert stats.chisquare(np.bincount(rows[:, j].astype(int)), 4000 * shares).pvalue > 1e-4
    assert stats.ks_2samp(rows[:, 0], x[:, 0]).statistic < 0.04
    for j in (1, 3):
        assert abs(np.corrcoef(rows[:, 0], rows[:, j])[0, 1] - np.corrcoef(x[:, 0], x[:, j])[0, 1]) < 0.06


@pytest.mark.slow
def test_odd_tables_stay_finite():
    """An empty cell, a category that no row has, a column that does not vary."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    x = np.stack([a, a > 1.2, a > 0.8, np.where(a > 0, 3, 0), np.zeros(60)], 1)
    fit = jax.jit(latent.fit_masked, static_argnums=2)
    fitted = fit(x, np.ones(60, bool), (0, 2, 2, 4, 2))
    assert bool(fitted.converged)
    assert (np.asarray(fitted.pairwise)[4, :4] == 0).all()
    assert 0.8 < fitted.pairwise[0, 1] < latent.LARGEST
    assert np.linalg.eigvalsh(fitted.params.correlation)[0] > 0
    u = np.random.default_rng(1).uniform(size=(500, 4))
    assert set(np.unique(latent.codes_of(jnp.asarray(u), fitted.cuts)[:, 2])) == {0, 3}


@pytest.mark.slow
def test_correlations_that_do_not_fit_together_are_repaired():
    """Three columns of which each pair says something else."""
    rng = np.random.default_rng(0)
    sign = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0]] * 20, float)
    sign[:, 2] = np.where(rng.random(120) < 0.9, 1 - sign[:, 0], sign[:, 2])
    sign[:, 1] = np.where(rng.random(120) < 0.9, sign[:, 0], sign[:, 1])
    repaired = latent.fit(sign, (2, 2, 2)).params.correlation
    assert np.linalg.eigvalsh(repaired)[0] > 0
    np.testing.assert_array_equal(np.diagonal(repaired), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latent.fit(table(), LEVELS, nominal=(0,)), "nominal: expected columns of codes, got 0"),
        (lambda: latent.fit(table(), (0, 0, 0, 0)), "use copulas.fit"),
        (lambda: latent.fit(table()[:, 1:2], (2,)), "at least 3 rows of 2 columns"),
        (lambda: synthesizers.copula("student_t", levels=LEVELS), "levels: expected the Gaussian copula"),
        (lambda: synthesizers.copula("gaussian", method="itau", levels=LEVELS), "levels: expected the Gaussian copula"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def frame(rows=120):
    rng = np.random.default_rng(0)
    kind = rng.choice(["clay", "marl", "sand"], rows)
    x = np.where(kind == "marl", 3.0, 0.0) + rng.normal(size=rows)
    return pd.DataFrame(
        {
            "kind": kind,
            "x": x.round(1),
            "wet": x > 1,
            "y": np.where(rng.random(rows) < 0.2 + 0.4 * (x > 1), np.nan, x),
            "grade": pd.Categorical.from_codes(rng.integers(0, 3, rows), ["a", "b", "c"], ordered=True),
            "never": np.where(np.arange(rows) < rows - 1, False, True),
        }
    )


@pytest.mark.parametrize("name", ["copula_gaussian", "vae", pytest.param("vae_gmm", marks=pytest.mark.slow)])
def test_tables_of_mixed_columns(name, tmp_path, monkeypatch):
    from jaxcop.synthesizers import tables as module

    if name != "copula_gaussian":  # the plumbing, not three hundred epochs
        monkeypatch.setattr(module, "Config", lambda **options: synthesizers_config(**options))
    whole = frame()
    schema = tables.infer_schema(whole)
    assert tables.array_levels(schema) == (3, 0, 2, 0, 3, 2, 2)
    assert tables.nominal_columns(schema) == (0,)
    # The last row left out, one boolean never comes true: it stays so.
    model = synthesizers.fit_table(jax.random.key(0), whole[:-1], schema, name)
    assert model.kinds.levels == (3, 0, 2, 0, 3, 0, 2)
    checkpoint.save(tmp_path / "model", model)
    rows = synthesizers.sample_table(jax.random.key(1), checkpoint.load(tmp_path / "model"), 800)
    assert rows.dtypes.equals(whole.dtypes)
    assert not rows["never"].any()
    assert set(rows["kind"]) <= {"clay", "marl", "sand"}
    assert 0 < rows["y"].isna().mean() < 1
    if name == "copula_gaussian":
        # Marl, which has the large values, is at an end and not in the middle, where the alphabet has it.
        assert 1 in np.asarray(model.fitted.copula.cuts.order)[0, [0, 2]]
        for column in ("kind", "grade", "wet"):
            shares = [table[column].value_counts(normalize=True).sort_index() for table in (whole, rows)]
            assert np.abs(shares[0].to_numpy() - shares[1].to_numpy()).max() < 0.06
        means = [table.groupby("kind")["x"].mean() for table in (whole, rows)]
        assert abs(means[0]["marl"] - means[1]["marl"]) < 0.6
        assert rows["y"].isna()[rows["wet"]].mean() > rows["y"].isna()[~rows["wet"]].mean() + 0.1


def synthesizers_config(**options):
    from jaxcop.vae import Config

    return Config(**options, epochs=3, hidden=(8,), latent_dim=2)


def test_more_categories_than_rows_are_refused():
    text = pd.DataFrame({"name": [f"n{i}" for i in range(40)], "x": np.arange(40.0)})
    schema = tables.infer_schema(text)
    with pytest.raises(ValueError, match="as many categories as the 20 rows, got 40 in column 0"):
        synthesizers.fit_table(jax.random.key(0), text[:20], schema, "copula_gaussian")
