"""Posteriors of Gaussian mixtures against closed forms, quadrature and simulation, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import special as special_jax
from jaxcop import bayes, mixture
from jaxcop.bayes import _mixture_model as model
from jaxcop.bayes import _samplers
from jaxcop.bayes import mixture as mixture_module
from scipy import special, stats

from tolerance import assert_close

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(40, 2)) @ np.array([[2.0, 0.0], [1.5, 0.5]]).T + [3.0, -20.0]
TWO = np.concatenate([RNG.normal(-4, 1, (40, 2)), RNG.normal([4, 0], [0.5, 2], (60, 2))])
QUICK = {"num_starts": 2, "num_draws": 400, "num_steps": 300}


def evidence(x):
    """Log marginal likelihood of a normal with the conjugate prior, x scaled to covariance I (Murphy 2007, eq. 266)."""
    n, d = x.shape
    root = np.linalg.cholesky(np.cov(x.T, ddof=0).reshape(d, d))
    y = np.linalg.solve(root, (x - x.mean(0)).T).T
    after = np.eye(d) + n * np.cov(y.T, ddof=0).reshape(d, d)
    found = special.multigammaln((d + n) / 2, d) - special.multigammaln(d / 2, d)
    found += -n * d / 2 * np.log(np.pi) - (d + n) / 2 * np.linalg.slogdet(after)[1] + d / 2 * np.log(1 / (1 + n))
    return found - n * np.log(np.diagonal(root)).sum()


def predictive(x, points):
    """The multivariate t of the same posterior (Murphy 2007, eq. 258)."""
    n = len(x)
    cov = np.cov(x.T, ddof=0)
    freedom = n + 1
    shape = (cov + n * cov) * (n + 2) / ((n + 1) * freedom)
    return stats.multivariate_t(x.mean(0), shape, freedom).logpdf(points)


@pytest.fixture(scope="module")
def one():
    return bayes.mixture_posterior(jax.random.key(0), CLOUD, num_components=1, **QUICK)


def test_one_component_has_the_evidence_and_the_predictive_density_of_the_closed_form(one):
    # A bound, and a tight one: of the coordinates only the logarithms of chi variables are not normal.
    gap = evidence(CLOUD) - one.bound
    assert (gap > -3 * one.bound_error).all()
    assert (gap < 0.1).all()
    points = CLOUD[:5] + 1
    np.testing.assert_allclose(bayes.mixture_logpdf(points, one), predictive(CLOUD, points), atol=0.15)
    assert one.params.means.shape == (400, 1, 2)
    assert (one.live == 1).all()
    assert one.converged


@pytest.mark.slow
def test_nuts_of_one_component_agrees_with_the_closed_form():
    found = bayes.mixture_posterior(jax.random.key(0), CLOUD, num_components=1, method="nuts", num_draws=2000)
    assert found.converged
    points = CLOUD[:5] + 1
    np.testing.assert_allclose(bayes.mixture_logpdf(points, found), predictive(CLOUD, points), atol=0.03)
    precision = np.linalg.inv(np.asarray(found.params.scale @ found.params.scale.mT))[:, 0].mean(0)
    cov = np.cov(CLOUD.T, ddof=0)
    np.testing.assert_allclose(precision, (2 + 40) * np.linalg.inv(41 * cov), rtol=0.03)


@pytest.mark.slow
def test_one_diagonal_component_has_the_evidence_of_each_column():
    found = bayes.mixture_posterior(jax.random.key(0), CLOUD, num_components=1, covariance="diagonal", **QUICK)
    # In one column: Gamma(d / 2, 1 / 2) precision, so d + n degrees of freedom where ``evidence`` has 1 + n.
    exact = 0.0
    for x in CLOUD.T:
        n, d = len(x), 2
        exact += special.gammaln((d + n) / 2) - special.gammaln(d / 2) - n / 2 * np.log(np.pi)
        exact += -(d + n) / 2 * np.log(1 + n) - 0.5 * np.log(1 + n) - n * np.log(x.std())
    assert (np.abs(exact - found.bound) < 0.1).all()
    assert found.params.scale.shape == (400, 1, 2)


@pytest.mark.slow
def test_the_restart_with_the_highest_bound_is_kept(monkeypatch):
    """Restarts moved away from the start by chance, and told a bound that falls, or rises, with the distance."""

    def likelihood(sign):
        def moved(key, key_bound, log_density, mean, sd, num_steps):
            distance = 5 * jax.random.uniform(key)
            return mean + distance, 0 * sd, -sign * distance, jnp.zeros(())

        monkeypatch.setattr(mixture_module._samplers, "factorised", moved)
        options = {"num_components": 1, "num_starts": 2, "num_draws": 4, "num_steps": 2}
        return mixture_module.fit_masked(jax.random.key(0), jnp.asarray(CLOUD), jnp.ones(40), **options).log_likelihood

    assert (likelihood(1) > likelihood(-1) + 1).all()


@pytest.mark.parametrize("weights", ["dirichlet", "stick_breaking"])
def test_prior_of_the_weights(weights):
    """Against scipy's Dirichlet; the stick-breaking prior has Beta(1, alpha) shares."""
    alpha, sticks = 2.0, jnp.array([0.3, -0.7])
    prior = model.make_prior(3, 1, weights, True, alpha, jnp.float64)
    frame = model.Frame(jnp.zeros((3, 1)), jnp.ones((3, 1, 1)), jnp.ones(3))
    free = model.Free(sticks, jnp.zeros((3, 1)), jnp.zeros((3, 1)), jnp.zeros((3, 0)))
    log_prior = jax.jit(model.log_prior)
    rest = log_prior(free, frame, prior._replace(a=jnp.ones(2), b=jnp.ones(2)))
    share = jax.nn.sigmoid(sticks)
    rest = rest - jnp.log(share * (1 - share)).sum()  # of the sticks' own Beta(1, 1)
    found = log_prior(free, frame, prior) - rest
    values = np.exp(model.log_weights(sticks))
    np.testing.assert_allclose(values, [share[0], (1 - share[0]) * share[1], (1 - share[0]) * (1 - share[1])])
    if weights == "dirichlet":
        jacobian = jax.jacobian(lambda s: jnp.exp(model.log_weights(s))[:2])(sticks)
        expected = stats.dirichlet([alpha / 3] * 3).logpdf(values) + np.linalg.slogdet(jacobian)[1]
    else:
        expected = stats.beta(1, alpha).logpdf(share).sum() + np.log(share * (1 - share)).sum()
    assert_close(found, expected, rtol=1e-10)


@pytest.fixture(scope="module")
def two():
    return bayes.mixture_posterior(
        jax.random.key(1), TWO, num_components=5, concentration=0.1, **QUICK | {"num_steps": 1000}
    )


@pytest.mark.slow
def test_two_clouds_in_five_components(two):
    assert two.chosen == int(np.argmax(two.bound))
    assert two.rule.startswith("the restart with the highest evidence bound")
    assert np.median(two.live) == 2
    assert two.summary["weight[1]"].low < 0.6 < two.summary["weight[1]"].high
    assert (np.diff(two.weights, axis=-1) <= 0).all()
    np.testing.assert_allclose(two.weights.sum(-1), 1)
    grid = np.stack(np.meshgrid(np.linspace(-12.25, 13.75, 53), np.linspace(-12.25, 12.25, 50)), -1)
    density = np.exp(bayes.mixture_logpdf(grid, two))
    assert abs(density.sum() * 0.25 - 1) < 0.01
    # The posterior predictive rows come from that density.
    rows = np.asarray(bayes.mixture_predictive(jax.random.key(2), two, 4000))
    cells = [(rows[:, 0] < 0).mean(), (rows[:, 1] > 0).mean()]
    expected = [density[:, grid[0, :, 0] < 0].sum() * 0.25, density[grid[:, 0, 1] > 0].sum() * 0.25]
    np.testing.assert_allclose(cells, expected, atol=0.03)
    np.testing.assert_allclose(
        bayes.mixture_logpdf(TWO, two), mixture.logpdf(TWO, mixture.pooled(two.params)), rtol=1e-6
    )


def test_masked_rows_do_not_count_and_copies_count_their_weight():
    """Each of 15 rows twice at half weight, and ten rows that do not count: the evidence of the 15."""
    options = QUICK | {"num_components": 1, "weights": "stick_breaking", "covariance": "full", "method": "svi"}
    found = []
    for fill in (0.0, 50.0):
        padded = np.concatenate([CLOUD[:15], CLOUD[:15], np.full((10, 2), fill)])
        weights = jnp.concatenate([jnp.full(30, 0.5), jnp.zeros(10)])
        found.append(mixture_module._fit(jax.random.key(0), jnp.asarray(padded), weights, concentration=1.0, **options))
    assert_close(found[0].params.means, found[1].params.means, rtol=0)
    np.testing.assert_allclose(found[0].bound.max(), evidence(CLOUD[:15]), atol=0.1)


@pytest.mark.slow
def test_float32_stays_float32():
    found = bayes.mixture_posterior(jax.random.key(0), TWO.astype(np.float32), num_components=2, **QUICK)
    assert found.params.means.dtype == np.float32
    assert np.median(found.live) == 2


@pytest.mark.slow
def test_nuts_chains_agree_up_to_labels():
    x = TWO[:, :1]
    found = bayes.mixture_posterior(jax.random.key(3), x, num_components=2, method="nuts", num_draws=500, num_steps=500)
    assert found.converged
    assert found.summary["weight[1]"].low < 0.6 < found.summary["weight[1]"].high


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["dirichlet", "stick_breaking"])
def test_simulation_based_calibration_of_the_largest_weight(weights):
    """Talts et al. (2018), on the scale of the priors: 200 tables from the prior, one program, ranks on 0 .. 99.

    The largest weight is what relabelling leaves alone.
    """
    count, rows, thin = 200, 40, 20
    prior = model.make_prior(2, 1, weights, True, 2.0, jnp.float64)
    rng = np.random.default_rng(4)
    share = rng.beta(prior.a[0], prior.b[0], count)
    precision = rng.chisquare(1, (count, 2))
    means = rng.normal(size=(count, 2)) / np.sqrt(precision)
    label = (rng.uniform(size=(count, rows)) > share[:, None]).astype(int)
    x = np.take_along_axis(means, label, 1) + rng.normal(size=(count, rows)) / np.sqrt(
        np.take_along_axis(precision, label, 1)
    )
    unravel = model.unravel(2, 1, True, jnp.float64)

    def one(key, x):
        key_frame, key_run = jax.random.split(key)
        frame = model.make_frame(key_frame, x, jnp.ones(rows), 2, True)

        def log_density(vector):
            free = unravel(vector)
            joint = model.joint_components(free, x, frame)
            return special_jax.logsumexp(joint, axis=-1).sum() + model.log_prior(free, frame, prior)

        vectors, _ = _samplers.nuts(key_run, log_density, model.start(frame, prior, True)[0], 500, 99 * thin)
        return jax.vmap(lambda v: jnp.exp(model.log_weights(unravel(v).sticks)).max())(vectors[::thin])

    draws = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), count), jnp.asarray(x)[..., None])
    found = (np.asarray(draws) < np.maximum(share, 1 - share)[:, None]).sum(1)
    assert stats.chisquare(np.bincount(found // 10, minlength=10)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": np.full((10, 2), np.nan)}, "finite values"),
        ({"z": np.ones((10, 2))}, "columns that vary"),
        ({"num_components": 101}, "at most 100"),
        ({"num_components": 0}, "num_components: expected a whole number"),
        ({"weights": "softmax"}, "weights: expected one of"),
        ({"covariance": "tied"}, "covariance: expected one of"),
        ({"method": "em"}, "method: expected one of"),
        ({"concentration": 0.0}, "concentration: expected"),
        ({"num_starts": 0}, "num_starts: expected a whole number"),
    ],
    ids=range(9),
)
def test_bad_input(change, message):
    arguments = {"z": TWO} | change
    with pytest.raises(ValueError, match=message):
        bayes.mixture_posterior(jax.random.key(0), arguments.pop("z"), **arguments)


def test_points_of_another_width_are_refused(one):
    with pytest.raises(ValueError, match="expected 2 columns"):
        bayes.mixture_logpdf(np.zeros((3, 3)), one)
