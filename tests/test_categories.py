"""Columns of codes: one-hot and back, the softmax head of the VAE against scipy, quadrature and optax, bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxcop import categories, sweep, synthesizers, vae
from jaxcop.vae import decoders, elbo, likelihood
from jaxcop.vae.networks import networks
from scipy import stats

from tolerance import assert_close

LEVELS = (3, 0, 2, 0)
SMALL = vae.Config(hidden=(8,), latent_dim=2, epochs=5, batch_size=20, levels=LEVELS)


def table(seed=0, rows=60, dtype="float64"):
    """A category of three, a number that depends on it, a boolean that depends on both, a number."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    number = np.array([0.0, 2.0, -1.0])[kind] + 0.5 * rng.normal(size=rows)
    flag = (number + 0.5 * rng.normal(size=rows)) > 0.5
    return np.stack([kind, number, flag, rng.normal(size=rows)], 1).astype(dtype)


def test_one_hot_and_back(dtype):
    x = table(dtype=dtype)
    encoded = categories.one_hot(jnp.asarray(x), LEVELS)
    assert encoded.dtype == dtype
    np.testing.assert_array_equal(encoded[:, :3], np.eye(3)[x[:, 0].astype(int)])
    np.testing.assert_array_equal(encoded[:, 3], x[:, 1])
    np.testing.assert_array_equal(categories.largest(encoded, LEVELS), x)
    plan = categories.layout(LEVELS)
    parts = encoded[:, plan.number_places], encoded[:, plan.code_places]
    np.testing.assert_array_equal(categories.join(*parts, LEVELS), encoded)


def test_log_probability_is_that_of_optax_and_scipy(dtype):
    x, logits = table(dtype=dtype), np.random.default_rng(1).normal(size=(60, 7)).astype(dtype) * 3
    value = categories.log_probability(jnp.asarray(x), jnp.asarray(logits), LEVELS)
    expected = 0.0
    for column, start, stop in ((0, 0, 3), (2, 4, 6)):
        codes = x[:, column].astype(int)
        expected -= optax.softmax_cross_entropy_with_integer_labels(logits[:, start:stop], codes)
        shares = np.exp(logits[:, start:stop].astype(np.float64))
        shares /= shares.sum(1, keepdims=True)
        np.testing.assert_allclose(
            optax.softmax_cross_entropy_with_integer_labels(logits[:, start:stop], codes),
            [-stats.multinomial(1, p).logpmf(np.eye(stop - start)[c]) for p, c in zip(shares, codes, strict=True)],
            rtol=1e-4,
            atol=1e-6,
        )
    assert_close(value, expected)


@pytest.mark.parametrize(
    "name",
    ["gaussian", "student_t", *(pytest.param(n, marks=pytest.mark.slow) for n in ("homoscedastic", "sigma_vae"))],
)
def test_density_with_categories_adds_up(name):
    base, mixed = decoders.DECODERS[name](), decoders.with_categories(decoders.DECODERS[name](), LEVELS)
    x, params = jnp.asarray(table(dtype="float32")), base.init(2, "float32")
    cut = 2 * base.outputs_per_column
    outputs = np.random.default_rng(1).normal(size=(60, cut + 5)).astype("float32")

    @jax.jit
    def both(x, outputs):
        location, scale = mixed.decode(outputs, params, 0.01)
        numbers = base.logpdf(x[:, [1, 3]], *base.decode(outputs[:, :cut], params, 0.01), params)
        return mixed.logpdf(x, location, scale, params) - numbers, mixed.columns(location)

    codes, columns = both(x, outputs)
    expected = 0.0
    for column, logits in ((0, outputs[:, cut : cut + 3]), (2, outputs[:, cut + 3 :])):
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        expected = expected + np.log(shares[np.arange(60), table()[:, column].astype(int)])
        np.testing.assert_array_equal(columns[:, column], logits.argmax(1))
    assert codes.dtype == "float32"
    assert_close(codes, expected, rtol=1e-4, atol=1e-4)  # what is left of a difference of larger numbers


def test_draws_follow_the_softmax_and_the_noise_of_numbers_its_law(key):
    mixed = decoders.with_categories(decoders.gaussian(), LEVELS)
    shares = np.array([0.2, 0.5, 0.3])
    location = jnp.asarray([*np.log(shares), 1.0, np.log(0.9), np.log(0.1), -2.0])
    rows = np.asarray(mixed.columns(location + mixed.noise(key, (4000, 4), (), "float64")))
    assert stats.chisquare(np.bincount(rows[:, 0].astype(int)), 4000 * shares).pvalue > 1e-4
    assert stats.binomtest(int(rows[:, 2].sum()), 4000, 0.1).pvalue > 1e-4
    assert stats.kstest(rows[:, 1] - 1, "norm").pvalue > 1e-4


def test_bounds_are_below_the_log_evidence_by_quadrature():
    """One latent dimension, a number and a category: the sum over codes and z by hand."""
    config = vae.Config(hidden=(8,), latent_dim=1, levels=(0, 3))
    nets = networks(config, 2, "float64")
    vector = nets.init(jax.random.normal(jax.random.key(0), (nets.num_noise,), "float64"))
    x = jnp.array([[0.3, 2.0], [-1.0, 0.0]])
    z = np.linspace(-9, 9, 4001)
    location, scale = (np.asarray(part) for part in nets.decode(vector, jnp.asarray(z[:, None]), 0.05))
    logits = location[:, 1:]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    exact = [
        np.log(np.trapezoid(stats.norm.pdf(z) * stats.norm.pdf(a, location[:, 0], scale[:, 0]) * shares[:, int(c)], z))
        for a, c in np.asarray(x)
    ]
    found = jax.jit(lambda key: likelihood.importance_bound(key, nets, vector, x, 0.05, 20_000))(jax.random.key(1))
    assert (np.abs(np.asarray(found.value) - exact) < 5 * np.asarray(found.standard_error) + 1e-4).all()
    noise = jax.random.normal(jax.random.key(2), (4000, 2, 1), "float64")
    bound = jax.jit(jax.vmap(lambda e: elbo.elbo(elbo.terms(nets, vector, x, e, 0.05))))(noise).mean(0)
    assert (np.asarray(bound) < np.array(exact) + 0.05).all()


def test_a_configuration_without_categories_is_what_it_was():
    """The same configuration, hence program, and the network of the decoder alone, with nothing around it."""
    plain = vae.Config(hidden=(8,), latent_dim=2)
    assert dataclasses.replace(plain, levels=(0, 0, 0)) == plain
    nets = networks(plain, 3, "float32")
    assert nets.num_params == (3 * 8 + 8) + (8 * 4 + 4) + (2 * 8 + 8) + (8 * 6 + 6)
    x = np.ones((2, 3), "float32")
    assert nets.decoder.columns(x) is x
    assert categories.one_hot(x, (0, 0, 0)) is x


@pytest.mark.parametrize("prior", ["normal", pytest.param("gmm", marks=pytest.mark.slow)])
def test_a_trained_vae_keeps_shares_and_dependence(prior):
    """Four hundred rows of a category that moves a number: what independent columns do not have."""
    x = table(rows=400)
    config = vae.Config(
        hidden=(16,), latent_dim=2, prior=prior, num_components=4, epochs=150, batch_size=100, levels=LEVELS
    )
    trained = vae.fit(jax.random.key(0), x, config, vae.Hyper(1e-2, 0.5))
    rows = np.asarray(vae.sample(jax.random.key(1), trained, config, (4000, 4)))
    assert np.isin(rows[:, 0], range(3)).all()
    assert np.isin(rows[:, 2], range(2)).all()
    shares = [np.bincount(t[:, 0].astype(int), minlength=3) / len(t) for t in (x, rows)]
    assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.15  # the prior is not the average posterior
    for code, mean in enumerate((0.0, 2.0, -1.0)):
        assert abs(rows[rows[:, 0] == code, 1].mean() - mean) < 0.5  # of means 1 to 3 apart
    assert abs(np.corrcoef(rows[:, 1], rows[:, 2])[0, 1] - np.corrcoef(x[:, 1], x[:, 2])[0, 1]) < 0.12
    again = vae.reconstruct(trained, config, x)
    assert (np.asarray(again)[:, 0] == x[:, 0]).mean() > 0.8
    if prior == "normal":
        return
    assert vae.diagnose(trained, config, x).active_units > 0
    found = vae.log_likelihood(jax.random.key(2), trained, config, x[:20], 50)
    assert np.isfinite(found.value).all()
    # Better than the shares of the codes and normals of the numbers, as independent columns.
    independent = sum(stats.norm(x[:, j].mean(), x[:, j].std()).logpdf(x[:20, j]) for j in (1, 3))
    for j in (0, 2):
        independent = independent + np.log(np.bincount(x[:, j].astype(int)) / 400)[x[:20, j].astype(int)]
    assert found.value.mean() > independent.mean() + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["normal_scores", "standardise"])
def test_replicas_of_different_length_equal_single_fits(scaling):
    """And what stands in padded rows is of no account."""
    synthesizer = synthesizers.vae(SMALL, scaling=scaling)
    tables = [table(seed, rows).astype("float32") for seed, rows in ((0, 60), (1, 45))]
    synthesizer.check(tables[0], synthesizer.hyper)
    x, mask = sweep.stack(tables)
    keys = jax.random.split(jax.random.key(0), 2)
    hyper = jax.tree.map(lambda value: np.full(2, value, np.float32), synthesizer.hyper)
    fitted = sweep.replicate(synthesizer.fit, keys, x, mask, hyper)
    spoiled = np.where(mask[..., None], x, 1)
    alone = jax.jit(synthesizer.fit)(keys[1], spoiled[1], mask[1], jax.tree.map(lambda value: value[1], hyper))
    assert_close(fitted.trained.vector[1], alone.trained.vector, rtol=1e-3, atol=1e-5)
    rows = np.asarray(synthesizer.sample(keys[0], alone, 100))
    assert np.isin(rows[:, 0], range(3)).all()
    assert np.isin(rows[:, 2], range(2)).all()
    assert rows.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("decoder", decoders.DECODERS)
def test_categories_alone(decoder):
    x = table()[:, [0, 2]]
    config = vae.Config(hidden=(8,), latent_dim=1, epochs=2, batch_size=20, decoder=decoder, levels=(3, 2))
    trained = vae.fit(jax.random.key(0), x, config)
    assert bool(trained.info.finite)
    rows = np.asarray(vae.sample(jax.random.key(1), trained, config, (50, 2)))
    assert np.isin(rows, range(3)).all()


@pytest.mark.parametrize(
    ("change", "levels", "message"),
    [
        (lambda x: np.add(x, [0.5, 0, 0, 0]), LEVELS, "column 0 to hold codes 0 to 2, got .*0.5"),
        (lambda x: np.add(x, [1, 0, 0, 0]), LEVELS, r"column 0 to hold codes 0 to 2, got \[3.0\]"),
        (lambda x: x - [0, 0, 1, 0], LEVELS, r"column 2 to hold codes 0 to 1, got \[-1.0\]"),
        (lambda x: x * [0, 1, 1, 1], LEVELS, "constant in columns"),
        (lambda x: x[:25], (30, 0, 2, 0), "as many categories as the 25 rows, got 30 in column 0; join rare"),
        (lambda x: x, (3, 0, 2), "expected one number for each of 4 columns, got 3"),
        (lambda x: x, (3, 0, 1, 0), "at least 2, got 1; leave out a column of one category"),
        (lambda x: x, (3, 0, -2, 0), "at least 2, got -2"),
    ],
)
def test_bad_codes_are_refused_before_compiling(change, levels, message):
    x = change(table())
    with pytest.raises(ValueError, match=message):
        vae.fit(jax.random.key(0), x, dataclasses.replace(SMALL, levels=levels))
    with pytest.raises(ValueError, match=message):
        synthesizers.vae(dataclasses.replace(SMALL, levels=levels)).check(x, vae.Hyper())
    with pytest.raises(ValueError, match=message):
        synthesizers.copula("gaussian", levels=levels).check(x, ())


def test_unknown_codes_have_no_likelihood():
    nets = networks(SMALL, 4, "float64")
    trained = vae.Trained(jnp.zeros(nets.num_params), vae.Hyper(), ())
    with pytest.raises(ValueError, match="codes 0 to 2"):
        vae.log_likelihood(jax.random.key(1), trained, SMALL, table()[:3] + 5, 2)
    with pytest.raises(ValueError, match="levels: expected one number for each of 3 columns, got 4"):
        vae.sample(jax.random.key(1), trained, SMALL, (3, 3))
