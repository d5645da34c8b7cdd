"""The decoders of the VAE: densities and draws against scipy, and what each learns where nothing depends on z."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import vae
from jaxcop.vae import decoders, elbo
from jaxcop.vae.networks import networks
from scipy import stats

from tolerance import assert_close

# On a collapsed posterior (beta 20) the decoder is the maximum-likelihood fit of independent columns.
COLLAPSED = vae.Hyper(learning_rate=2e-2, beta_max=20.0)
SCALES = np.array([1.0, 0.3])


def config(decoder, **changes):
    return vae.Config(
        **{"hidden": (8,), "latent_dim": 2, "decoder": decoder, "epochs": 200, "batch_size": 100} | changes
    )


def table(rows=300):
    """A Student-t column of 3 degrees of freedom and a normal one."""
    rng = np.random.default_rng(0)
    return np.stack([rng.standard_t(3, rows), rng.normal(size=rows)], 1) * SCALES


@pytest.fixture(scope="module")
def trained():
    return {name: vae.fit(jax.random.key(0), table(), config(name), COLLAPSED) for name in decoders.DECODERS}


def decoded(trained, name, z):
    nets = networks(config(name), 2, "float64")
    location, scale = nets.decode(trained[name].vector, z, trained[name].hyper.min_scale)
    return np.asarray(location), np.asarray(scale), nets.decoder_params(trained[name].vector)


@pytest.mark.parametrize("name", decoders.DECODERS)
def test_density_and_draws_are_those_of_scipy(name, dtype, key):
    decoder = decoders.DECODERS[name]()
    params = decoder.init(3, dtype)
    rng = np.random.default_rng(0)
    x, location = rng.normal(size=(2, 5, 3)).astype(dtype)
    scale = rng.uniform(0.1, 2, size=(5, 3)).astype(dtype)
    law = stats.t(decoders.INITIAL_DF) if name == "student_t" else stats.norm()
    expected = (law.logpdf((x - location) / scale) - np.log(scale)).sum(1)
    value = decoder.logpdf(x, location, scale, params)
    assert value.dtype == dtype
    assert_close(value, expected)
    noise = decoder.noise(key, (3000, 3), params, dtype)
    assert noise.dtype == dtype
    assert stats.kstest(np.asarray(noise).ravel(), law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", decoders.DECODERS)
def test_collapsed_decoder_is_the_maximum_likelihood_fit_of_the_columns(name, trained):
    x = table()
    assert bool(trained[name].info.finite)
    location, scale, params = decoded(trained, name, np.zeros((1, 2)))
    if name == "student_t":
        fits = [stats.t.fit(column) for column in x.T]
        df = decoders.MIN_DF + np.exp(np.asarray(params))
        assert df[0] == pytest.approx(fits[0][0], rel=0.15)
        assert df[1] > 10  # the likelihood of a normal column rises with its degrees of freedom, ever more slowly
        assert_close(location[0], np.array([fit[1] for fit in fits]), rtol=0, atol=0.05)
        assert_close(scale[0], np.array([fit[2] for fit in fits]), rtol=0.05)
    else:
        sd = x.std(0) if name != "sigma_vae" else np.full(2, np.sqrt(x.var(0).mean()))
        assert_close(location[0], x.mean(0), rtol=0, atol=0.07)
        assert_close(scale[0], sd, rtol=0.05)


@pytest.mark.parametrize("name", ["homoscedastic", "sigma_vae"])
def test_scale_does_not_depend_on_the_latent_code(name, trained):
    location, scale, _ = decoded(trained, name, np.random.default_rng(0).normal(size=(20, 2)) * 3)
    assert (scale == scale[0]).all()
    assert (location != location[0]).any()
    assert (scale[0, 0] == scale[0, 1]) == (name == "sigma_vae")


@pytest.mark.parametrize("name", decoders.DECODERS)
def test_sample_follows_the_decoder(name, trained, key):
    """Rows are those of the collapsed decoder: a Student-t or a normal in each column."""
    rows = np.asarray(vae.sample(key, trained[name], config(name), (3000, 2)))
    location, scale, params = (np.asarray(part) for part in decoded(trained, name, np.zeros((1, 2))))
    for j in range(2):
        law = stats.t(decoders.MIN_DF + np.exp(params[j])) if name == "student_t" else stats.norm()
        # Not an exact law: what is left of the dependence on z moves the location a little.
        assert stats.kstest((rows[:, j] - location[0, j]) / scale[0, j], law.cdf).statistic < 0.05


def test_sigma_vae_takes_the_optimal_variance_of_the_batch():
    """By hand: sigma^2 is the weighted mean of squares, and the slope that of -d/2 log sigma^2 (envelope theorem)."""
    nets = networks(config("sigma_vae"), 2, "float64")
    vector = nets.init(jax.random.normal(jax.random.key(0), (nets.num_noise,), "float64"))
    x, noise = jnp.asarray(table(20)), jnp.asarray(np.random.default_rng(1).normal(size=(20, 2)))
    weights = jnp.arange(20.0)

    def variance(vector):
        mean, log_var = nets.encode(vector, x)
        location, _ = nets.decode(vector, mean + jnp.exp(0.5 * log_var) * noise, 0.0)
        return ((x - location) ** 2 * weights[:, None]).sum() / (2 * weights.sum())

    def reconstruction(vector):
        rows = elbo.terms(nets, vector, x, noise, 1e-3, weights).reconstruction
        return decoders.weighted_mean(rows, weights)

    def by_hand(vector):
        return -(jnp.log(2 * jnp.pi) + jnp.log(variance(vector)) + 1)  # d/2 = 1

    for ours, expected in zip(*(jax.value_and_grad(f)(vector) for f in (reconstruction, by_hand)), strict=True):
        assert_close(ours, expected, rtol=1e-7, atol=1e-12)
    # A floor above the optimum wins.
    z = jnp.zeros((1, 2))
    assert_close(nets.decode(vector, z, 5.0)[1], np.full((1, 2), 5.0))


def test_sigma_vae_keeps_the_optimum_of_the_training_rows_only():
    x = table(60)
    mask = np.arange(60) < 45
    small = config("sigma_vae", epochs=3, batch_size=16)
    fits = [vae.fit(jax.random.key(0), np.where(mask[:, None], x, fill), small, mask=mask) for fill in (0.0, 1e3)]
    assert_close(fits[0].vector, fits[1].vector, rtol=0)
    residual = x[mask] - np.asarray(vae.reconstruct(fits[0], small, x[mask]))
    assert float(fits[0].vector[-1]) == pytest.approx(np.sqrt((residual**2).mean()), rel=0.2)  # z there is drawn


def test_slopes_are_finite_far_from_the_location():
    for name, make in decoders.DECODERS.items():
        decoder = make()
        x = jnp.array([[1e15, -1e15]], "float32")
        slope = jax.grad(
            lambda location, decoder=decoder, x=x: decoder.logpdf(
                x, location, jnp.full((1, 2), 0.01, "float32"), decoder.init(2, "float32")
            ).sum()
        )(jnp.zeros_like(x))
        assert np.isfinite(slope).all(), name
