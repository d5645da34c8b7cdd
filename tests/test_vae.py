"""The VAE: its bound against numerical integration, its KL terms, schedules, training, masks, bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import mixture, vae
from jaxcop.vae import elbo, priors, schedules, training
from jaxcop.vae.networks import networks
from jaxcop.vae.training import fit_masked
from scipy import integrate, stats

from tolerance import assert_close

SMALL = vae.Config(hidden=(8, 6), latent_dim=2, epochs=5, batch_size=16)


def table(seed=0, rows=50, columns=3, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(dtype)


@pytest.mark.parametrize("prior", ["normal", "gmm"])
def test_elbo_equals_log_evidence_minus_kl_to_the_posterior(seed, prior):
    """log p(x) = ELBO + KL(q(z|x) || p(z|x)), both sides by quadrature in one latent dimension."""
    config = vae.Config(hidden=(8,), latent_dim=1, prior=prior, num_components=3)
    nets = networks(config, 2, "float64")
    vector = nets.init(jax.random.normal(jax.random.key(seed), (nets.num_noise,), "float64"))
    x, floor = np.random.default_rng(seed).normal(size=2), 0.05
    mean, log_var = (float(part[0]) for part in nets.encode(vector, x))
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(80)
    parts = elbo.terms(nets, vector, jnp.tile(x, (80, 1)), jnp.asarray(nodes[:, None]), floor)
    if prior == "normal":
        prior_pdf = stats.norm.pdf
    else:
        params = priors.as_mixture(nets.prior_params(vector))
        parts_of = [
            (float(w), float(m[0]), float(s[0]))
            for w, m, s in zip(jax.nn.softmax(params.logits), params.means, params.scale, strict=True)
        ]

        def prior_pdf(z):
            return sum(w * stats.norm.pdf(z, m, s) for w, m, s in parts_of)

    bound = float((node_weights * elbo.elbo(parts)).sum() / node_weights.sum())

    z = np.linspace(-12, 12, 20_001)
    x_mean, x_scale = (np.asarray(part) for part in nets.decode(vector, jnp.asarray(z[:, None]), floor))
    log_joint = stats.norm.logpdf(x, x_mean, x_scale).sum(1) + np.log(prior_pdf(z))
    evidence = np.log(integrate.simpson(np.exp(log_joint), x=z))
    q = stats.norm.pdf(z, mean, np.exp(0.5 * log_var))
    gap = integrate.simpson(np.where(q > 0, q * (np.log(np.maximum(q, 1e-300)) - log_joint + evidence), 0), x=z)
    assert gap > 0
    # The kinks of the ReLU limit both quadratures.
    assert_close(bound, evidence - gap, rtol=1e-3, atol=2e-3)


def test_closed_form_kl_matches_quadrature_and_monte_carlo(seed):
    rng = np.random.default_rng(seed)
    mean, log_var = rng.normal(size=3), rng.normal(size=3)
    closed = priors.standard_normal(3).kl(mean, log_var, (), None).sum()
    expected = 0.0
    for m, s in zip(mean, np.exp(0.5 * log_var), strict=True):
        q = stats.norm(m, s)
        expected += integrate.quad(
            lambda z, q=q: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), m - 12 * s, m + 12 * s
        )[0]
    assert_close(closed, expected, rtol=1e-7)


def test_mixture_kl_is_unbiased_and_reduces_to_the_closed_form(seed):
    """One component at N(0, I) is the normal prior: the Monte Carlo mean must reach its closed form."""
    rng = np.random.default_rng(seed)
    mean, log_var = jnp.asarray(rng.normal(size=2)), jnp.asarray(rng.normal(size=2))
    noise = jnp.asarray(rng.normal(size=(200_000, 2)))
    params = priors.GaussianMixtureParams(jnp.zeros(1), jnp.zeros((1, 2)), jnp.zeros((1, 2)))
    draws = np.asarray(priors.gaussian_mixture(2, 1).kl(mean, log_var, params, noise))
    closed = float(priors.standard_normal(2).kl(mean, log_var, (), None).sum())
    assert abs(draws.mean() - closed) < 5 * draws.std() / np.sqrt(len(draws))


def test_gmm_prior_density_is_that_of_the_mixture_module(seed, dtype):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=4), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    params = priors.GaussianMixtureParams(*(jnp.asarray(part, dtype) for part in parts))
    z = rng.normal(size=(7, 3)).astype(dtype)
    expected = sum(
        w * stats.multivariate_normal(m, np.diag(np.exp(2 * s))).pdf(z)
        for w, m, s in zip(np.exp(parts[0]) / np.exp(parts[0]).sum(), parts[1], parts[2], strict=True)
    )
    assert_close(
        priors.gaussian_mixture(3, 4).logpdf(z, params),
        np.log(expected).astype(dtype),
        rtol=1e-4 if dtype == "float32" else 1e-9,
    )
    assert isinstance(priors.as_mixture(params), mixture.Params)


def test_schedules_against_their_formulas():
    t = np.linspace(0, 1, 11)
    assert_close(schedules.beta("constant", t, 0.7, 0.5), np.full(11, 0.7))
    assert_close(schedules.beta("linear", t, 0.7, 0.5), 0.7 * np.minimum(1, t / 0.5))
    sigmoid = np.asarray(schedules.beta("sigmoid", t, 0.7, 0.5))
    assert_close(sigmoid, 0.7 / (1 + np.exp(-schedules.SIGMOID_RANGE / 0.5 * (t - 0.25))))
    assert sigmoid[0] == pytest.approx(0.007, rel=0.02)  # 1 % at the start, 99 % at the end of the warm-up
    assert sigmoid[5] == pytest.approx(0.693, rel=0.02)
    assert np.isfinite(schedules.beta("linear", t, 0.7, 0.0)).all()


@pytest.mark.parametrize(
    ("warmup", "num_cycles", "expected"),
    [
        (0.5, 2.0, [0, 0.5, 1, 1, 0, 0.5, 1, 1]),
        (1.0, 2.0, [0, 0.25, 0.5, 0.75, 0, 0.25, 0.5, 0.75]),
        (0.5, 1.0, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
        (0.0, 4.0, [0, 1, 0, 1, 0, 1, 0, 1]),
    ],
)
def test_cyclical_schedule_by_hand(warmup, num_cycles, expected):
    t = np.arange(8) / 8
    assert_close(schedules.beta("cyclical", t, 0.6, warmup, num_cycles), 0.6 * np.array(expected))
    traced = jax.jit(schedules.beta, static_argnums=0)("cyclical", t, 0.6, warmup, num_cycles)
    assert_close(traced, 0.6 * np.array(expected))


def test_free_bits_by_hand():
    """Two latent dimensions with mean KL 0.1 and 3; rows of weight 0 do not count."""
    kl = jnp.array([[0.0, 2.0], [0.2, 4.0], [50.0, 50.0]])
    weights = jnp.array([1.0, 1.0, 0.0])
    value, slope = jax.value_and_grad(elbo.penalised_kl)(kl, weights, 0.5, 2)
    assert_close(value, 0.5 + 3)
    assert_close(slope, np.array([[0, 0.5], [0, 0.5], [0, 0]]))  # the first dimension is below its floor
    assert_close(elbo.penalised_kl(kl, weights, 0.0, 2), 3.1)
    # One group of two dimensions, as with a mixture prior, has the floor of both; at zero a negative estimate stays.
    assert_close(elbo.penalised_kl(kl[:, 1:], weights, 2.0, 2), 4.0)
    assert_close(elbo.penalised_kl(-kl, weights, 0.0, 2), -3.1)


def test_free_bits_keep_latent_dimensions_alive():
    """At beta 20 the posterior collapses on the prior; with half a nat free in each of two dimensions it does not."""
    config = vae.Config(hidden=(8,), latent_dim=2, epochs=150, batch_size=50)
    hypers = [vae.Hyper(1e-2, 20.0, free_bits=free_bits) for free_bits in (0.0, 0.5)]
    collapsed, alive = (float(vae.fit(jax.random.key(0), table(), config, hyper).info.kl[-1]) for hyper in hypers)
    assert collapsed < 0.05
    assert 0.95 < alive < 1.3


@pytest.mark.parametrize(
    ("schedule", "prior"),
    [("constant", "normal"), ("linear", "gmm"), ("sigmoid", "normal"), ("cyclical", "gmm")]
    + [
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (("constant", "gmm"), ("linear", "normal"), ("sigmoid", "gmm"), ("cyclical", "normal"))
    ],
)
def test_training_raises_the_bound(schedule, prior):
    """Two columns on a curve: the bound must rise well above what independent normals reach (-2.84)."""
    t = np.random.default_rng(0).normal(size=200)
    x = np.stack([t, t**2 / np.sqrt(2) - 0.7], 1)
    config = vae.Config(
        hidden=(16,), latent_dim=1, prior=prior, num_components=4, schedule=schedule, epochs=150, batch_size=50
    )
    trained = vae.fit(jax.random.key(0), x, config, vae.Hyper(5e-3, 1.0, 0.3, 0.05))
    assert bool(trained.info.finite)
    assert trained.info.elbo[0] < -2.5
    assert trained.info.elbo[-1] > -2.0
    assert trained.info.beta[-1] == pytest.approx(1.0, rel=0.02)


def test_same_key_same_result_and_other_key_another(dtype):
    x = table(dtype=dtype)
    first, second, other = (vae.fit(jax.random.key(seed), x, SMALL) for seed in (0, 0, 1))
    assert_close(first.vector, second.vector, rtol=0)
    assert np.abs(np.asarray(first.vector - other.vector)).max() > 1e-3
    assert first.vector.dtype == dtype


def test_a_batch_of_seeds_equals_single_seeds():
    x, mask, weights = jnp.asarray(table()), jnp.ones(50, bool), jnp.ones(50)
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(lambda key: fit_masked(key, x, mask, weights, vae.Hyper(), SMALL)))(keys)
    for index, key in enumerate(keys):
        alone = vae.fit(key, table(), SMALL)
        assert_close(together.vector[index], alone.vector, rtol=1e-6, atol=1e-9)  # sums in another order, 20 steps
        assert_close(together.info.elbo[index], alone.info.elbo, rtol=1e-8)


def test_masked_rows_never_enter():
    x = table(rows=60)
    mask = np.arange(60) % 3 > 0
    spoiled = np.where(mask[:, None], x, 1e3)
    fits = [vae.fit(jax.random.key(0), rows, SMALL, mask=mask) for rows in (x, spoiled)]
    assert_close(fits[0].vector, fits[1].vector, rtol=0)


def test_every_valid_row_enters_each_epoch_once():
    """With weights that single out one row, the loss of an epoch is a mean over batches that contain it once."""
    x = table(rows=50)
    changed = x.copy()
    changed[7] += 5
    fits = [vae.fit(jax.random.key(0), rows, SMALL) for rows in (x, changed)]
    assert np.abs(np.asarray(fits[0].vector - fits[1].vector)).max() > 1e-6
    # Rows of weight zero do not enter the loss at all.
    weights = np.ones(50)
    weights[7] = 0
    fits = [vae.fit(jax.random.key(0), rows, SMALL, weights=weights) for rows in (x, changed)]
    assert_close(fits[0].vector, fits[1].vector, rtol=0)


def test_new_numbers_and_keys_compile_nothing():
    x = table()
    count = 0

    @jax.jit
    def run(key, hyper):
        nonlocal count
        count += 1
        return fit_masked(key, jnp.asarray(x), jnp.ones(50, bool), jnp.ones(50), hyper, SMALL).info.elbo[-1]

    for seed, hyper in enumerate([vae.Hyper(), vae.Hyper(1e-2, 1.0, 0.1, 0.2), vae.Hyper(2e-3, 0.0, 0.0, 0.5)]):
        run(jax.random.key(seed), jax.tree.map(jnp.asarray, hyper))
    assert count == 1


def test_sample_follows_the_decoder(key):
    """A decoder of constant mean and scale gives exactly that normal."""
    trained = vae.fit(jax.random.key(0), table(), SMALL)
    nets = networks(SMALL, 3, "float64")
    zero = trained._replace(vector=jnp.zeros_like(trained.vector))
    rows = np.asarray(vae.sample(key, zero, SMALL, (4000, 3)))
    _, scale = nets.decode(zero.vector, jnp.zeros((1, 2)), trained.hyper.min_scale)
    for column in rows.T:
        assert stats.kstest(column / float(scale[0, 0]), "norm").pvalue > 1e-4


def test_encode_and_reconstruct_shapes(dtype):
    x = table(dtype=dtype)
    trained = vae.fit(jax.random.key(0), x, SMALL)
    mean, log_var = vae.encode(trained, SMALL, x)
    assert mean.shape == log_var.shape == (50, 2)
    assert vae.reconstruct(trained, SMALL, x).shape == x.shape
    assert vae.reconstruct(trained, SMALL, x).dtype == dtype


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior": "flat"}, "prior: expected one of"),
        ({"decoder": "poisson"}, "decoder: expected one of"),
        ({"schedule": "step"}, "schedule: expected one of"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1"),
        ({"latent_dim": 1.5}, "latent_dim: expected a whole number"),
        ({"num_components": 0}, "num_components: expected a whole number"),
        ({"hidden": ()}, "hidden: expected layer widths"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(ValueError, match=message):
        vae.Config(**change)


@pytest.mark.parametrize(
    ("x", "config", "hyper", "options", "message"),
    [
        (table(rows=10), SMALL, vae.Hyper(), {}, "batch_size: expected at most the 10 rows"),
        (table(), SMALL, vae.Hyper(beta_max=-1.0), {}, "beta_max: expected finite and at least 0"),
        (table(), SMALL, vae.Hyper(learning_rate=0.0), {}, "learning_rate: expected finite and above 0"),
        (table(), SMALL, vae.Hyper(min_scale=np.nan), {}, "min_scale"),
        (table(), SMALL, vae.Hyper(free_bits=-0.1), {}, "free_bits: expected finite and at least 0"),
        (table(), SMALL, vae.Hyper(num_cycles=0.5), {}, "num_cycles: expected finite and at least 1"),
        (np.where(table() > 2, np.nan, table()), SMALL, vae.Hyper(), {}, "NaN or infinity"),
        (np.ones((50, 2)), SMALL, vae.Hyper(), {}, "constant"),
        (table(), SMALL, vae.Hyper(), {"mask": np.zeros(50, bool)}, "weights: expected|batch_size: expected"),
        (table(), SMALL, vae.Hyper(), {"weights": -np.ones(50)}, "weights: expected finite values of at least 0"),
        (table(), SMALL, vae.Hyper(), {"weights": np.ones(49)}, "weights: expected shape"),
        (table(), vae.Config(prior="gmm", num_components=51, batch_size=16), vae.Hyper(), {}, "num_components"),
    ],
)
def test_bad_input_is_refused_before_compiling(x, config, hyper, options, message):
    with pytest.raises(ValueError, match=message):
        vae.fit(jax.random.key(0), x, config, hyper, **options)


@pytest.mark.parametrize("weights", [np.eye(60)[0], np.arange(60) < 15])
def test_batches_without_weight_do_no_harm(weights):
    x = np.random.default_rng(0).normal(size=(60, 3))
    config = vae.Config(hidden=(8,), latent_dim=2, epochs=3, batch_size=8)
    info = vae.fit(jax.random.key(0), x, config, weights=weights).info
    assert info.finite
    assert np.isfinite(info.elbo).all()


def test_layer_widths_may_be_a_list():
    assert vae.Config(hidden=[8]) == vae.Config(hidden=(8,))


def test_held_out_rows_choose_the_epoch_and_train_nothing(key):
    config = dataclasses.replace(SMALL, epochs=12, validation_share=0.25)
    hyper = vae.Hyper(learning_rate=0.05, beta_max=0.01)
    x = table(rows=40)
    plain = vae.fit(key, x, config, hyper)
    held_out = np.asarray(training.hold_out(key, jnp.ones(40, bool), 0.25))
    assert held_out.sum() == 10
    assert plain.info.validation.shape == (12,)
    assert plain.info.best_epoch == np.argmax(plain.info.validation)
    spoiled = np.where(held_out[:, None], np.random.default_rng(1).normal(2, 3, x.shape), x)
    other = vae.fit(key, spoiled, config, hyper)
    np.testing.assert_array_equal(other.info.elbo, plain.info.elbo)
    assert (np.asarray(other.info.validation) != np.asarray(plain.info.validation)).all()
    # what was kept is what had that bound
    nets = networks(config, 3, "float64")
    noise = jax.random.normal(jax.random.fold_in(key, training.HELD_OUT_STREAM + 1), (40, 2), "float64")
    bounds = elbo.elbo(elbo.terms(nets, plain.vector, jnp.where(held_out[:, None], x, 0), noise, hyper.min_scale))
    assert_close(bounds[held_out].mean(), np.max(plain.info.validation), rtol=1e-9)
    everything = vae.fit(key, x, dataclasses.replace(config, validation_share=0.0), hyper)
    assert np.isnan(everything.info.validation).all()
    assert everything.info.best_epoch == 11
    with pytest.raises(ValueError, match="validation_share"):
        dataclasses.replace(config, validation_share=1.0)
