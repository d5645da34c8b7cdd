"""Loss terms against distrax and numpyro, bounds against exact log-likelihoods, diagnostics, posterior mixtures."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxcop import mixture, vae
from jaxcop.vae import decoders, elbo, likelihood, priors
from jaxcop.vae.networks import Networks, networks
from scipy import integrate, stats

from tolerance import assert_close

with warnings.catch_warnings():
    # tensorflow-probability, which distrax imports: "jax.core.pytype_aval_mappings is deprecated".
    warnings.simplefilter("ignore", DeprecationWarning)
    import distrax

CONFIGS = {
    prior: vae.Config(hidden=(8,), latent_dim=2, prior=prior, num_components=3, epochs=60, batch_size=40)
    for prior in ("normal", "gmm")
}


def table(rows=120):
    """Three columns on a noisy curve."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=rows)
    return np.stack([t, t**2 / np.sqrt(2) - 0.7, -t], 1) + 0.1 * rng.normal(size=(rows, 3))


@pytest.fixture(scope="module")
def trained():
    hyper = vae.Hyper(1e-2, 0.5)
    return {prior: vae.fit(jax.random.key(0), table(), config, hyper) for prior, config in CONFIGS.items()}


def test_closed_form_kl_is_that_of_distrax_and_of_monte_carlo(key):
    rng = np.random.default_rng(0)
    mean, log_var = rng.normal(size=(2, 6, 3))
    groups = priors.standard_normal(3).kl(mean, log_var, (), None)
    posterior = distrax.MultivariateNormalDiag(mean, np.exp(0.5 * log_var))
    standard = distrax.MultivariateNormalDiag(np.zeros(3), np.ones(3))
    assert_close(groups.sum(-1), posterior.kl_divergence(standard))
    z = posterior.sample(seed=key, sample_shape=(20_000,))
    draws = np.asarray(posterior.log_prob(z) - standard.log_prob(z))
    assert (np.abs(draws.mean(0) - groups.sum(-1)) < 5 * draws.std(0) / np.sqrt(len(draws))).all()


def test_mixture_prior_density_is_that_of_distrax_and_numpyro(dtype):
    rng = np.random.default_rng(0)
    logits, means, log_scales, z = (jnp.asarray(rng.normal(size=size), dtype) for size in (4, (4, 3), (4, 3), (7, 3)))
    ours = priors.gaussian_mixture(3, 4).logpdf(z, priors.GaussianMixtureParams(logits, means, log_scales))
    theirs = distrax.MixtureSameFamily(
        distrax.Categorical(logits=logits), distrax.MultivariateNormalDiag(means, jnp.exp(log_scales))
    )
    assert_close(ours, theirs.log_prob(z))
    theirs = dist.MixtureSameFamily(
        dist.Categorical(logits=logits), dist.Normal(means, jnp.exp(log_scales)).to_event(1)
    )
    assert_close(ours, theirs.log_prob(z))


# A linear decoder whose columns of loadings are orthogonal: the exact posterior is a diagonal Gaussian.
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [0.5, 0.0]])
SIGMA = 0.4


def linear_gaussian():
    """x = L z + sigma e; the vector shifts the exact posterior's mean and log-variance."""
    precision = 1 + np.diag(LOADINGS.T @ LOADINGS) / SIGMA**2

    def encode(vector, x):
        mean = x @ LOADINGS / SIGMA**2 / precision + vector[0]
        return mean, jnp.broadcast_to(vector[1] - jnp.log(precision), mean.shape)

    def decode(vector, z, min_scale):
        location = z @ LOADINGS.T
        return location, jnp.full_like(location, SIGMA)

    return Networks(
        num_noise=0,
        num_params=2,
        prior=priors.standard_normal(2),
        decoder=decoders.gaussian(),
        init=lambda noise: jnp.zeros(2),
        encode=encode,
        decode=decode,
        calibrate=lambda vector, x, z, weights: vector,
        prior_params=lambda vector: (),
        decoder_params=lambda vector: (),
    )


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (-0.2, -0.7)])
def test_elbo_of_a_linear_gaussian_model_is_below_the_exact_value_and_tight_at_its_optimum(shift):
    nets, x = linear_gaussian(), np.array([0.3, -1.2, 0.8])
    exact = stats.multivariate_normal(np.zeros(3), LOADINGS @ LOADINGS.T + SIGMA**2 * np.eye(3)).logpdf(x)
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)  # exact: the terms are quadratic in the noise
    noise = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2

    def bound(vector):
        rows = elbo.elbo(elbo.terms(nets, vector, jnp.tile(x, (25, 1)), jnp.asarray(noise), 0.0))
        return rows @ weights

    value, slope = jax.value_and_grad(bound)(jnp.array(shift))
    if any(shift):
        assert value < exact - 0.05
        assert np.abs(slope).max() > 0.1
    else:
        assert_close(value, exact)
        assert_close(slope, np.zeros(2), atol=1e-12)


def test_importance_bound_with_the_exact_posterior_is_exact_at_any_number_of_samples(key):
    x = np.random.default_rng(0).normal(size=(4, 3))
    exact = stats.multivariate_normal(np.zeros(3), LOADINGS @ LOADINGS.T + SIGMA**2 * np.eye(3)).logpdf(x)
    for num_samples in (2, 50):
        result = likelihood.importance_bound(key, linear_gaussian(), jnp.zeros(2), x, 0.0, num_samples)
        assert_close(result.value, exact)
        assert_close(result.standard_error, np.zeros(4), atol=1e-6)


@pytest.fixture(scope="module", params=["normal", "gmm"])
def one_dimensional(request):
    """Untrained networks of one latent dimension, two rows and their exact log-likelihood by quadrature."""
    nets = networks(vae.Config(hidden=(8,), latent_dim=1, prior=request.param, num_components=3), 2, "float64")
    vector = nets.init(jax.random.normal(jax.random.key(1), (nets.num_noise,), "float64"))
    x, floor = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2))), 0.05
    z = np.linspace(-12, 12, 20_001)
    location, scale = (np.asarray(part) for part in nets.decode(vector, jnp.asarray(z[:, None]), floor))
    prior = np.asarray(nets.prior.logpdf(jnp.asarray(z[:, None]), nets.prior_params(vector)))
    exact = [
        np.log(integrate.simpson(np.exp(stats.norm.logpdf(row, location, scale).sum(1) + prior), x=z)) for row in x
    ]
    return lambda key, num_samples: likelihood.importance_bound(key, nets, vector, x, floor, num_samples), exact


def test_importance_bound_rises_with_the_samples_to_the_exact_value(one_dimensional):
    bound, exact = one_dimensional
    keys = jax.random.split(jax.random.key(0), 2000)
    means, errors = [], []
    for num_samples in (1, 8):
        values = np.asarray(jax.jit(jax.vmap(lambda key, k=num_samples: bound(key, k).value))(keys))
        means.append(values.mean(0))
        errors.append(values.std(0) / np.sqrt(len(keys)))
    assert (means[1] - means[0] > 4 * errors[0]).all()
    assert (means[1] < exact).all()
    many = bound(jax.random.key(0), 40_000)
    assert (np.abs(many.value - np.array(exact)) < 4 * many.standard_error).all()
    assert (many.standard_error < 0.02).all()


def test_standard_error_is_the_spread_over_keys(one_dimensional):
    bound, exact = one_dimensional
    result = jax.jit(jax.vmap(lambda key: bound(key, 500)))(jax.random.split(jax.random.key(3), 400))
    scores = (np.asarray(result.value) - exact) / np.asarray(result.standard_error)
    assert (np.abs(scores.std(0) - 1) < 0.2).all()


def test_log_likelihood_does_not_depend_on_chunks(trained, monkeypatch, key):
    fitted, x = trained["gmm"], table(10)
    nets = networks(CONFIGS["gmm"], 3, "float64")
    whole = vae.log_likelihood(key, fitted, CONFIGS["gmm"], x, 50)
    monkeypatch.setattr(likelihood, "CHUNK_ROWS", 70)  # 7 draws at once, which does not divide 50
    chunks = likelihood.importance_bound(key, nets, fitted.vector, x, fitted.hyper.min_scale, 50)
    for ours, expected in zip(chunks, whole, strict=True):
        assert_close(ours, expected)
    assert np.isinf(vae.log_likelihood(key, fitted, CONFIGS["gmm"], x, 1).standard_error).all()


@pytest.mark.parametrize("decoder", decoders.DECODERS)
def test_log_likelihood_of_every_decoder_is_a_density(decoder):
    """exp(log p(x)) of an untrained network integrates to one over a single column."""
    config = vae.Config(hidden=(4,), latent_dim=1, decoder=decoder)
    nets = networks(config, 1, "float64")
    vector = nets.init(jax.random.normal(jax.random.key(0), (nets.num_noise,), "float64"))
    x = np.linspace(-20, 20, 401)
    # Fixed noise far from the rows would spoil the estimate: the encoder is cut off, so that q is N(0, 1), the prior.
    nets = nets._replace(encode=lambda vector, x: (jnp.zeros((len(x), 1)), jnp.zeros((len(x), 1))))
    value = likelihood.importance_bound(jax.random.key(1), nets, vector, jnp.asarray(x[:, None]), 0.1, 5000).value
    assert integrate.simpson(np.exp(np.asarray(value)), x=x) == pytest.approx(1, abs=1e-2)  # 5,000 draws


@pytest.mark.parametrize("prior", CONFIGS)
def test_diagnostics_by_hand(prior, trained):
    x, config = table(), CONFIGS[prior]
    mask = np.arange(120) < 100
    found = vae.diagnose(trained[prior], config, np.where(mask[:, None], x, np.nan), mask)
    mean, log_var = (np.asarray(part)[mask] for part in vae.encode(trained[prior], config, x))
    assert_close(found.mean_variance, mean.var(0))
    assert found.active_units == (mean.var(0) > 0.01).sum() >= 1
    if prior == "normal":
        kl = np.asarray(priors.standard_normal(2).kl(mean, log_var, (), None)).mean(0)
        assert_close(found.kl, kl)
        assert_close(found.kl.sum(), trained[prior].info.kl[-1], rtol=0.1)  # what the last epoch saw
        assert (found.effective_components, found.live_components) == (1, 1)
        return
    nets = networks(config, 3, "float64")
    logits, means, sd = (np.asarray(part) for part in priors.as_mixture(nets.prior_params(trained[prior].vector)))
    weights = np.exp(logits) / np.exp(logits).sum()
    for j in range(2):
        rows = []
        for m, s in zip(mean[:, j], np.exp(0.5 * log_var[:, j]), strict=True):
            z = np.linspace(m - 9 * s, m + 9 * s, 801)
            law = (weights * stats.norm.pdf(z[:, None], means[:, j], sd[:, j])).sum(1)
            q = stats.norm.pdf(z, m, s)
            rows.append(integrate.simpson(q * np.log(q / law), x=z))
        assert_close(found.kl[j], np.mean(rows), rtol=1e-4)
    joint = weights * np.stack([stats.norm.pdf(mean, m, s).prod(1) for m, s in zip(means, sd, strict=True)], 1)
    share = (joint / joint.sum(1, keepdims=True)).mean(0)
    assert_close(found.effective_components, np.exp(-(share * np.log(share)).sum()))
    assert found.live_components == (share * 100 >= 1).sum()


def test_diagnostics_see_a_collapse_and_an_idle_component(trained):
    config = CONFIGS["normal"]
    collapsed = vae.fit(jax.random.key(0), table(), config, vae.Hyper(1e-2, 50.0))
    found = vae.diagnose(collapsed, config, table())
    assert found.active_units == 0
    assert (found.kl < 0.05).all()
    # Two components share the rows evenly, the third is far away from all of them.
    law = mixture.Params(jnp.zeros(3), jnp.array([[0.0, 0], [0, 0], [99, 99]]), jnp.tile(jnp.eye(2), (3, 1, 1)))
    found = vae.diagnose(trained["normal"], config, table(), latent_mixture=law)
    assert_close(found.effective_components, 2.0, rtol=1e-6)
    assert found.live_components == 2


@pytest.mark.parametrize("num_draws", [0, 400])
def test_posterior_mixture_of_one_component_has_the_moments_of_the_latent_codes(num_draws, trained):
    """Means alone, or the average posterior, whose covariance also holds the mean posterior variance."""
    x, options = table(), vae.PosteriorMixture(1, num_draws, 1e-4, 2)
    mean, log_var = (np.asarray(part) for part in vae.encode(trained["gmm"], CONFIGS["gmm"], x))
    fitted = vae.fit_posterior_mixture(jax.random.key(0), trained["gmm"], CONFIGS["gmm"], x, options=options).params
    inside = np.diag(np.exp(log_var).mean(0)) if num_draws else np.zeros((2, 2))
    expected = np.cov(mean.T, ddof=0) + inside + 1e-4 * np.eye(2)
    tolerance = 0.05 if num_draws else 1e-9
    assert_close(fitted.means[0], mean.mean(0), rtol=0, atol=tolerance)
    assert_close(fitted.scale[0] @ fitted.scale[0].T, expected, rtol=0, atol=tolerance)


def test_posterior_mixture_under_jit_and_vmap_sees_the_masked_rows_only(trained):
    options = vae.PosteriorMixture(num_components=3, num_steps=20)
    keys, masks = jax.random.split(jax.random.key(0), 2), np.arange(120) < np.array([[120], [90]])
    x = np.where(masks[..., None], table(), 1e3)

    @jax.jit
    def fit(key, x, mask):
        return vae.fit_posterior_mixture(key, trained["normal"], CONFIGS["normal"], x, mask, options)

    together = jax.vmap(fit)(keys, x, masks)
    for index in range(2):
        alone = fit(keys[index], np.where(masks[index][:, None], x[index], np.nan), masks[index])
        for ours, expected in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            assert_close(ours[index], expected, rtol=1e-6, atol=1e-8)
    assert np.isfinite(together.loglik).all()
    assert (np.diff(together.loglik) > -1e-3).all()  # EM climbs, but for what the regularisation takes


def test_sample_draws_its_latent_codes_from_the_mixture(trained, key):
    """Two components without width: the rows are decoded from two points, in the proportion of the weights."""
    points = jnp.array([[1.5, 0.0], [-1.5, 0.5]])
    law = mixture.Params(jnp.log(jnp.array([0.3, 0.7])), points, jnp.tile(1e-6 * jnp.eye(2), (2, 1, 1)))
    fitted, config = trained["normal"], CONFIGS["normal"]
    rows = np.asarray(vae.sample(key, fitted, config, (4000, 3), latent_mixture=law))
    location, scale = (np.asarray(p) for p in networks(config, 3, "float64").decode(fitted.vector, points, 0.01))
    weights = np.array([0.3, 0.7])
    for j in range(3):
        assert (
            stats.kstest(
                rows[:, j], lambda x, j=j: stats.norm.cdf(x[:, None], location[:, j], scale[:, j]) @ weights
            ).pvalue
            > 1e-4
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_components": 0}, "num_components: expected a whole number of at least 1"),
        ({"num_draws": -1}, "num_draws: expected a whole number of at least 0"),
        ({"num_steps": 1}, "num_steps: expected a whole number of at least 2"),
        ({"regularisation": 0.0}, "regularisation: expected a finite number above 0"),
    ],
)
def test_bad_posterior_mixture(change, message):
    with pytest.raises(ValueError, match=message):
        vae.PosteriorMixture(**change)


def test_bad_input(trained, key):
    config = CONFIGS["normal"]
    with pytest.raises(ValueError, match="num_samples: expected at least 1"):
        vae.log_likelihood(key, trained["normal"], config, table(), 0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        vae.log_likelihood(key, trained["normal"], config, table() * np.nan)
    with pytest.raises(ValueError, match="trained: expected 120 parameters"):
        vae.log_likelihood(key, trained["normal"], config, table()[:, :2])
    with pytest.raises(ValueError, match="trained: expected"):
        vae.sample(key, trained["gmm"], config, (5, 3))
