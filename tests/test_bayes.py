"""Distributions inside NumPyro, posteriors against quadrature and simulation, and what is refused."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jaxcop import bayes
from jaxcop.bayes import _diagnostics, _priors
from jaxcop.bayes import copula as copula_module
from jaxcop.copulas import FAMILIES, clayton, gaussian, gumbel, independence, student_t
from numpyro.infer import MCMC, NUTS, Predictive
from scipy import stats

from families import CASES
from tolerance import assert_close

TWO = np.asarray(clayton.sample(jax.random.key(3), clayton.Params(2.0), (200, 2)))
PAIR = bayes.CopulaDistribution("clayton", clayton.Params(2.0))
SHORT = {"num_chains": 2, "num_draws": 400, "num_warmup": 400}


def normal_pair(rho):
    return jnp.array([[1.0, rho], [rho, 1.0]])


@pytest.mark.parametrize("case", {case.copula.name: case for case in CASES}.values(), ids=lambda case: case.name)
def test_every_family_is_a_distribution(case):
    law = bayes.CopulaDistribution(case.copula, case.params(), dim=case.dim)
    assert (law.batch_shape, law.event_shape) == ((), (case.dim,))
    u = law.sample(jax.random.key(0), (5,))
    assert u.shape == (5, case.dim)
    assert bool(law.support(u).all())
    assert_close(law.log_prob(u), case.copula.logpdf(u, case.params()), rtol=1e-12)
    with pytest.warns(UserWarning, match="Out-of-support"):
        assert law.log_prob(u.at[0, 0].set(1.5))[0] == -np.inf


@pytest.mark.slow
def test_batches_of_parameters_broadcast_with_points():
    theta = jnp.array([[0.5, 2.0, 8.0]])
    law = bayes.CopulaDistribution("clayton", clayton.Params(theta), dim=3)
    assert law.batch_shape == (1, 3)
    u = law.sample(jax.random.key(0), (4, 2))
    assert u.shape == (4, 2, 1, 3, 3)
    found = law.log_prob(u)
    assert found.shape == (4, 2, 1, 3)
    for k in range(3):
        expected = clayton.logpdf(u[:, :, 0, k], clayton.Params(theta[0, k]))
        assert_close(found[:, :, 0, k], expected, rtol=1e-10)
    taus = [stats.kendalltau(*np.asarray(law.sample(jax.random.key(1), (4000,))[:, 0, k, :2]).T)[0] for k in range(3)]
    np.testing.assert_allclose(taus, theta[0] / (theta[0] + 2), atol=0.04)
    df = student_t.Params(jnp.stack([normal_pair(0.2), normal_pair(0.9)]), jnp.array(4.0))
    assert bayes.CopulaDistribution("student_t", df).log_prob(u[0, 0, 0, 0, :2]).shape == (2,)


@pytest.mark.slow
def test_under_jit_vmap_and_in_a_model():
    u = TWO[:20]

    def score(theta):
        return bayes.CopulaDistribution("clayton", clayton.Params(theta)).log_prob(u).sum()

    thetas = jnp.array([0.5, 2.0])
    assert_close(jax.jit(jax.vmap(score))(thetas), jnp.stack([score(t) for t in thetas]), rtol=1e-10)
    law = jax.vmap(lambda theta: bayes.CopulaDistribution("clayton", clayton.Params(theta)))(thetas)
    assert_close(jax.vmap(lambda one: one.log_prob(u).sum())(law), jnp.stack([score(t) for t in thetas]), rtol=1e-10)

    def model(u=None):
        theta = numpyro.sample("theta", dist.Gamma(2.0, 1.0))
        with numpyro.plate("rows", 20):
            numpyro.sample("u", bayes.CopulaDistribution("clayton", clayton.Params(theta)), obs=u)

    assert Predictive(model, num_samples=7)(jax.random.key(0))["u"].shape == (7, 20, 2)
    mcmc = MCMC(NUTS(model), num_warmup=50, num_samples=50, progress_bar=False)
    mcmc.run(jax.random.key(1), jnp.asarray(u))
    assert 0.3 < mcmc.get_samples()["theta"].mean() < 8


def test_a_joint_distribution_is_that_of_scipy():
    matrix = np.array([[1.0, 0.6], [0.6, 1.0]])
    joint = bayes.SklarDistribution(
        bayes.CopulaDistribution("gaussian", gaussian.Params(jnp.asarray(matrix))), [dist.Normal(1.0, 2.0)] * 2
    )
    law = stats.multivariate_normal([1, 1], 4 * matrix)
    x = law.rvs(50, random_state=0)
    assert_close(joint.log_prob(x), law.logpdf(x), rtol=1e-8)
    draws = np.asarray(joint.sample(jax.random.key(0), (4000,)))
    np.testing.assert_allclose(np.cov(draws.T), 4 * matrix, atol=0.3)
    mixed = bayes.SklarDistribution(joint.dependence, [dist.LogNormal(0.0, 1.0), dist.Beta(2.0, 2.0)])
    inside = mixed.support(jnp.array([[2.0, 0.5], [-1.0, 0.5], [2.0, 1.5]]))
    np.testing.assert_array_equal(inside, [True, False, False])
    with pytest.raises(ValueError, match="expected 2 univariate distributions"):
        bayes.SklarDistribution(joint.dependence, [dist.Normal(0.0, 1.0)])


ABOVE_ONE = dist.TransformedDistribution(
    dist.LogNormal(0.0, 0.5), dist.transforms.AffineTransform(1, 1, domain=dist.constraints.positive)
)


def quadrature(u):
    """Posterior mean and 95 % interval of theta under a uniform prior on tau."""
    theta = np.exp(np.linspace(np.log(0.2), np.log(12), 4001))
    log_density = jax.vmap(lambda t: clayton.logpdf(u, clayton.Params(t)).sum())(theta)
    log_density = np.asarray(log_density) + np.log(2 / (theta + 2) ** 2)
    weights = np.exp(log_density - log_density.max()) * np.gradient(theta)
    cumulative = np.cumsum(weights) / weights.sum()
    return (theta * weights).sum() / weights.sum(), *np.interp([0.025, 0.975], cumulative, theta)


@pytest.fixture(scope="module")
def found():
    return bayes.copula_posterior(jax.random.key(0), TWO, "clayton", num_draws=2000, num_warmup=400)


@pytest.mark.parametrize(
    ("family", "priors"),
    [
        ("clayton", {}),
        ("frank", {}),
        (
            "gumbel",
            {"theta": ABOVE_ONE},
        ),
        ("gaussian", {}),
        pytest.param("student_t", {"df": dist.LogNormal(1.0, 0.5)}, marks=pytest.mark.slow),
    ],
    ids=["clayton", "frank", "gumbel", "gaussian", "student_t"],
)
def test_without_rows_the_sampled_density_is_the_prior(family, priors):
    """It integrates to one over the unconstrained scale only if every change of variables brings its Jacobian."""
    chosen = _priors.checked_priors(FAMILIES[family], 2, priors)
    model = copula_module._Model(FAMILIES[family], tuple(chosen), tuple(chosen.values()))
    axis = np.linspace(-30, 30, 801)
    grid = np.stack(np.meshgrid(*[axis] * model.size, indexing="ij"), -1).reshape(-1, model.size)
    density = jax.vmap(lambda z: model.log_joint(z, jnp.zeros((0, 2))))(grid)
    total = np.exp(np.asarray(density)).sum() * (axis[1] - axis[0]) ** model.size
    assert abs(total - 1) < 1e-3


def test_nuts_agrees_with_quadrature(found):
    assert found.converged
    got = found.summary["theta"]
    np.testing.assert_allclose((got.mean, got.low, got.high), quadrature(TWO), rtol=0.01)
    assert got.r_hat < 1.01
    assert found.num_divergent == 0
    theta = found.samples["theta"]
    np.testing.assert_allclose(found.samples["tau"], theta / (theta + 2), rtol=1e-6)
    expected = clayton.logpdf(TWO, clayton.Params(theta[1, 5]))
    assert_close(found.log_likelihood[1, 5], expected, rtol=1e-6)


@pytest.mark.slow
def test_svi_is_close_to_quadrature():
    found = bayes.copula_posterior(jax.random.key(0), TWO, "clayton", method="svi", num_chains=2, num_draws=4000)
    got = found.summary["theta"]
    np.testing.assert_allclose((got.mean, got.low, got.high), quadrature(TWO), rtol=0.04)


@pytest.mark.filterwarnings("ignore:posterior of:UserWarning")
def test_a_float32_table_is_taken_with_64_bits_enabled():
    found = bayes.copula_posterior(
        jax.random.key(0), TWO[:20].astype(np.float32), "clayton", num_chains=1, num_draws=100, num_warmup=100
    )
    assert found.samples["theta"].dtype == np.float64


@pytest.mark.slow
def test_a_batch_of_tables_is_each_alone():
    tables = np.stack([TWO[:80], TWO[80:160]])
    both = bayes.copula_posterior(jax.random.key(0), tables, "clayton", **SHORT)
    for table, found in zip(tables, both, strict=True):
        mean, low, high = quadrature(table)
        assert abs(found.summary["theta"].mean - mean) < 0.1 * (high - low)


@pytest.mark.parametrize(
    ("family", "theta"),
    [pytest.param(*case, marks=pytest.mark.slow) for case in (("gumbel", 2.0), ("frank", 5.7), ("joe", 2.9))],
)
def test_other_families_cover_their_parameter(family, theta):
    module = FAMILIES[family]
    u = module.sample(jax.random.key(1), module.from_kendall_tau(0.5)._replace(theta=jnp.asarray(theta)), (150, 2))
    found = bayes.copula_posterior(jax.random.key(0), u, family, **SHORT)
    got = found.summary["theta"]
    assert got.low - 0.2 * got.sd < theta < got.high + 0.2 * got.sd
    assert found.num_divergent == 0


@pytest.mark.slow
def test_elliptical_posteriors():
    matrix = jnp.array([[1.0, 0.7, 0.2], [0.7, 1.0, -0.1], [0.2, -0.1, 1.0]])
    u = student_t.sample(jax.random.key(2), student_t.Params(matrix, jnp.asarray(4.0)), (150, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one row has a Pareto k of 0.74
        found = bayes.copula_posterior(jax.random.key(0), u, "student_t", num_chains=2, num_draws=800, num_warmup=400)
    for name, true in (("correlation[1,2]", 0.7), ("correlation[2,3]", -0.1), ("df", 4.0)):
        assert found.summary[name].low < true < found.summary[name].high, name
    values = found.samples["correlation"]
    assert values.shape == (2, 800, 3, 3)
    assert (np.diagonal(values, axis1=-2, axis2=-1) == 1).all()
    assert (np.linalg.eigvalsh(values) > 0).all()
    sharp = {"correlation": dist.LKJCholesky(3, 400.0)}
    shrunk = bayes.copula_posterior(jax.random.key(0), u, "gaussian", priors=sharp, **SHORT)
    assert abs(shrunk.summary["correlation[1,2]"].mean) < 0.45 < found.summary["correlation[1,2]"].mean


@pytest.mark.parametrize(
    ("name", "prior", "low", "high"),
    [
        pytest.param("theta", dist.LogNormal(np.log(0.5), 0.1), 0.4, 0.7, marks=pytest.mark.slow),
        pytest.param("tau", dist.Beta(80.0, 20.0), 0.7, 0.85, marks=pytest.mark.slow),
    ],
    ids=("theta", "tau"),
)
def test_a_prior_moves_the_posterior(name, prior, low, high):
    found = bayes.copula_posterior(jax.random.key(0), TWO[:10], "clayton", priors={name: prior}, **SHORT)
    assert low < found.summary[name].mean < high


def test_predictive_rows_and_averages_follow_the_weights(found):
    # Another family with draws and densities of its own; what matters here is who is drawn from how often.
    other = found._replace(
        family="gumbel",
        params=gumbel.Params(1 + found.params.theta),
        elpd=found.elpd._replace(pointwise=found.elpd.pointwise - 0.05),
    )
    posteriors = [other, found]
    rows = np.asarray(bayes.predictive(jax.random.key(1), found, 4000))
    assert abs(stats.kendalltau(*rows.T)[0] - found.summary["tau"].mean) < 0.04
    assert stats.kstest(rows[:, 0], "uniform").pvalue > 1e-3
    table = bayes.compare(posteriors)
    assert [row.family for row in table] == ["clayton", "gumbel", "independence"]
    assert table[2].elpd == 0
    assert table[0].weight > 0.9
    np.testing.assert_allclose(sum(row.weight for row in table), 1)
    mixed, again = bayes.average(jax.random.key(2), posteriors, 500)
    assert mixed.shape == (500, 2)
    assert again == table
    with pytest.raises(ValueError, match="fitted to one table"):
        bayes.compare([found, found])


def test_predictive_rows_come_from_different_draws(found):
    """Half of the draws all but independent, half all but comonotonic: so are the rows."""
    apart = found._replace(params=clayton.Params(jnp.asarray([1e-6, 1e3])))
    gap = np.abs(np.diff(bayes.predictive(jax.random.key(1), apart, 1000), axis=1))
    assert 0.4 < (gap < 0.01).mean() < 0.6


def test_loo_is_the_mean_of_exact_refits():
    """Normal mean with known variance: leave-one-out densities in closed form."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    draws = rng.normal(x.mean(), 1 / np.sqrt(20), size=(4, 2000, 1))
    found = _diagnostics.loo(stats.norm.logpdf(x, draws, 1))
    others = (x.sum() - x) / 19
    exact = stats.norm.logpdf(x, others, np.sqrt(1 + 1 / 19))
    np.testing.assert_allclose(found.value, exact.sum(), atol=0.1)
    assert found.pareto_k < 0.7
    data = _diagnostics.arviz.from_dict(log_likelihood={"x": stats.norm.logpdf(x, draws, 1)})
    # arviz divides the variance by the number of draws, the source by one less.
    np.testing.assert_allclose(found.waic, _diagnostics.arviz.waic(data).elpd_waic, rtol=1e-4)


def test_a_row_whose_likelihood_hardly_varies_has_no_heavy_tail():
    rng = np.random.default_rng(0)
    weights = np.repeat(1 + rng.pareto(0.4, size=(4, 500, 1)), 2, -1)
    assert _diagnostics.loo(-np.log(weights)).pareto_k > 0.7
    assert _diagnostics.loo(-0.05 * weights / weights.max()).pareto_k == 0


def uniform(found):
    """Of ranks on 0 .. 99: a p-value."""
    return stats.chisquare(np.bincount(found // 10, minlength=10)).pvalue


def ranks(family, priors, name, count, seed, thin=2):
    """Rank of the true value among 99 thinned posterior draws, for tables simulated from the prior, in one program."""
    keys = jax.random.split(jax.random.key(seed), len(priors) + 2)
    values = {one: priors[one].sample(key, (count,)) for one, key in zip(priors, keys[2:], strict=True)}
    params, shown = jax.vmap(lambda one: copula_module._params(FAMILIES[family], one))(values)
    u = bayes.CopulaDistribution(family, params).sample(keys[0], (40,)).swapaxes(0, 1)
    options = {"num_chains": 1, "num_draws": 99 * thin, "num_warmup": 300}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bayes.copula_posterior(keys[1], u, family, priors=priors, **options)
    scalar = (..., 0, 1) if name == "correlation" else ...
    draws = np.stack([one.samples[name][0, ::thin][scalar] for one in found])
    return (draws < np.asarray(shown[name][scalar])[:, None]).sum(1)


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_simulation_based_calibration_of_clayton(count):
    """Talts et al. (2018): ranks are uniform on 0 .. 99."""
    assert uniform(ranks("clayton", {"tau": dist.Uniform(0.0, 1.0)}, "tau", count, 0)) > 1e-3


@pytest.mark.slow
def test_simulation_based_calibration_of_a_correlation():
    assert uniform(ranks("gaussian", {"correlation": dist.LKJCholesky(2, 1.0)}, "correlation", 200, 1)) > 1e-3


@pytest.mark.slow
def test_simulation_based_calibration_of_df():
    priors = {"correlation": dist.LKJCholesky(2, 1.0), "df": dist.LogNormal(1.5, 0.7)}
    assert uniform(ranks("student_t", priors, "df", 200, 2, thin=4)) > 1e-3


def test_a_step_out_of_the_domain_has_no_density():
    """tau rounds to 1 there, where a log-density of plus infinity would be accepted and never left."""
    for family in ("clayton", "gumbel", "frank", "joe"):
        priors = _priors.default_priors(family, 2)
        model = copula_module._Model(FAMILIES[family], tuple(priors), tuple(priors.values()))
        for z in (50.0, 1000.0):
            assert model.log_joint(jnp.array([z]), jnp.asarray(TWO[:20])) < -1e3, family


def test_ties_are_told():
    """Of ten rows, two pairs are tied in one column: 40 %; mid-ranks without ties say nothing."""
    u = np.stack([np.arange(1, 11), np.arange(1, 11)[::-1]], -1) / 11
    assert copula_module._tie_warning(u) == ()
    u[1, 0], u[3, 0] = u[0, 0], u[2, 0]
    assert "40% of a column's values are tied" in copula_module._tie_warning(u)[0]
    assert "40%" in copula_module._tie_warning(np.stack([u, u]))[0]


def test_chains_that_disagree_are_never_summarised_in_silence():
    with pytest.warns(UserWarning, match="effective draws, fewer than 100"):
        found = bayes.copula_posterior(jax.random.key(0), TWO, "clayton", num_chains=1, num_draws=20, num_warmup=2)
    assert not found.converged
    assert found.warnings
    apart = _diagnostics.summarise({"a": np.random.default_rng(0).normal([[0], [5]], size=(2, 100))})
    said = _diagnostics.complaints(apart, _diagnostics.ELPD(0, 0, np.zeros(2), 0.1), 3, 2)
    assert "the chains disagree" in " ".join(said)
    assert "3 divergent" in " ".join(said)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u": TWO[:4]}, "at least 5 rows"),
        ({"u": np.where(TWO > 0.9, 1.0, TWO)}, "strictly between 0 and 1"),
        ({"family": "independence"}, "family: expected one of"),
        ({"method": "hmc"}, "method: expected one of"),
        ({"num_draws": 1}, "num_draws: expected a whole number"),
        ({"num_chains": 0}, "num_chains: expected a whole number"),
        ({"priors": {"rho": dist.Uniform(0.0, 1.0)}}, "expected names among"),
        ({"priors": {"tau": dist.Uniform(0.0, 1.0), "theta": dist.Gamma(1.0, 1.0)}}, "not both"),
        ({"priors": {"tau": dist.Uniform(-0.5, 0.5)}}, "support inside"),
        ({"priors": {"theta": dist.Normal(1.0, 1.0)}}, "support inside"),
        ({"family": "gumbel", "priors": {"theta": dist.Gamma(1.0, 1.0)}}, r"inside \(1.0, inf\)"),
        # Its mass is above 1, its declared support the real line: half of a chain's steps would meet no number.
        (
            {
                "family": "gumbel",
                "priors": {
                    "theta": dist.TransformedDistribution(
                        dist.LogNormal(0.0, 0.5), dist.transforms.AffineTransform(1, 1)
                    )
                },
            },
            "on Real",
        ),
        ({"family": "gaussian", "priors": {"correlation": dist.LKJCholesky(3, 1.0)}}, "2 x 2 Cholesky"),
        ({"family": "student_t", "priors": {"df": dist.Normal(0.0, 1.0)}}, "support inside"),
    ],
    ids=range(14),
)
def test_bad_input(change, message):
    arguments = {"u": TWO, "family": "clayton"} | change
    with pytest.raises(ValueError, match=message):
        bayes.copula_posterior(jax.random.key(0), arguments.pop("u"), arguments.pop("family"), **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.CopulaDistribution("clayton", independence.Params()), "params: expected"),
        (lambda: bayes.CopulaDistribution("gaussian", gaussian.Params(normal_pair(0.1)), dim=3), "in dimension 3"),
        (lambda: PAIR.log_prob(jnp.full((4, 3), 0.5)), "expected 2 columns"),
        (lambda: bayes.SklarDistribution(PAIR, [dist.Normal(0.0, 1.0)] * 2).log_prob(jnp.zeros((4, 3))), "expected 2"),
    ],
    ids=range(4),
)
def test_bad_parameters(call, message):
    with pytest.raises(ValueError, match=message):
        call()
