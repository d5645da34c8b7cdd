"""Estimation: reference fits, recovery, the blast table that breaks naive code, and the choice between families."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from blastfrag import load_holdout, load_training_corpus
from jaxcop import copulas
from jaxcop.copulas import clayton, fit, fitting, gaussian, select
from jaxcop.copulas._optimise import minimise

from families import BUILT, REFERENCE
from tolerance import assert_close

_DATA = {name: np.array(rows) for name, rows in REFERENCE["fit_cases"]["datasets"].items()}
_NAMES = {"t": "student_t"}
_FITS = [f for f in REFERENCE["fit_cases"]["fits"] if _NAMES.get(f["family"], f["family"]) in BUILT]


@cache
def _fitted(dataset, dim, family, method="ml"):
    return fit(_DATA[dataset][:, :dim], family, method=method)


def _flat(params):
    """In the order of the reference: correlations of pairs 12, 13, 23, then df."""
    if hasattr(params, "theta"):
        return jnp.atleast_1d(params.theta)
    upper = params.correlation[np.triu_indices(len(params.correlation), 1)]
    return jnp.append(upper, params.df) if hasattr(params, "df") else upper


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if (c["family"], c["dim"]) == ("t", 2) else c for c in _FITS],
    ids=lambda c: f"{c['family']}-{c['dataset']}-{c['dim']}",
)
def test_maximum_likelihood_reference(case):
    family = _NAMES.get(case["family"], case["family"])
    got = _fitted(case["dataset"], case["dim"], family)
    assert got.converged
    assert_close(got.loglik, case["loglik"], rtol=1e-10)
    assert_close(_flat(got.params), case["params"], rtol=1e-5)
    assert_close(got.aic, case["aic"], rtol=1e-10)
    assert_close(got.bic, case["bic"], rtol=1e-10)
    assert (got.num_params, got.num_obs) == (len(case["params"]), 100)


@pytest.mark.parametrize(("family", "dataset"), [("clayton", "clayton_d3"), ("gaussian", "gaussian_d3")])
def test_float32_agrees(family, dataset):
    got = fit(_DATA[dataset].astype("float32"), family)
    assert got.converged
    assert got.loglik.dtype == jnp.float32
    expected = _fitted(dataset, 3, family)
    assert_close(got.loglik, expected.loglik, rtol=1e-5)
    assert_close(_flat(got.params), _flat(expected.params), rtol=2e-2)


def test_itau_inverts_the_mean_tau():
    tau = np.array(REFERENCE["fit_cases"]["rank_stats"]["clayton_d3"]["kendall_tau_b"])
    mean = tau[np.tril_indices(3, -1)].mean()
    got = _fitted("clayton_d3", 3, "clayton", "itau")
    assert_close(got.params.theta, 2 * mean / (1 - mean), rtol=1e-12)
    assert_close(got.loglik, jnp.sum(clayton.logpdf(_DATA["clayton_d3"], got.params)), rtol=1e-12)


def test_itau_of_elliptical_families_and_given_shrinkage():
    tau = np.array(REFERENCE["fit_cases"]["rank_stats"]["gaussian_d3"]["kendall_tau_b"])
    got = fit(_DATA["gaussian_d3"], "gaussian", method="itau", shrinkage=0.05)
    assert_close(got.params.correlation, 0.95 * np.sin(np.pi / 2 * tau) + 0.05 * np.eye(3), rtol=1e-10)
    on_grid = fit(_DATA["t_d3"], "student_t", method="itau", df_grid=(3, 4, 6, 8, 12, 20))
    assert on_grid.params.df == 4
    free = _fitted("t_d3", 3, "student_t", "itau")
    assert free.converged
    assert on_grid.loglik <= free.loglik <= _fitted("t_d3", 3, "student_t").loglik


def test_mpl_ranks_the_columns():
    u = _DATA["clayton_d3"][:, :2]
    got = fit(np.log(u), "clayton", method="mpl")
    assert_close(got.loglik, fit(np.array(copulas.pseudo_observations(u)), "clayton").loglik, rtol=1e-12)


def test_pseudo_observations_of_ties():
    x = np.array([[1.0, 5.0], [1.0, 2.0], [3.0, 2.0], [7.0, 2.0]])
    ranks = scipy.stats.rankdata(x, axis=0)
    assert_close(copulas.pseudo_observations(x), ranks / 5)
    below, equal = (x[:, None] > x).mean(1), (x[:, None] == x).mean(1)
    assert_close(copulas.pseudo_observations(x, mid_distribution=True), below + equal / 2)


def test_clayton_reaches_both_ends(dtype):
    grid = (np.arange(1, 101) - 0.5) / 100
    negative = np.stack([grid, grid[::-1]], 1).astype(dtype)
    got = fit(negative, "clayton")
    assert got.converged
    assert got.params.theta < 1e-3
    assert abs(float(got.loglik)) < 0.05
    strong = np.array(clayton.sample(jax.random.key(0), clayton.Params(jnp.asarray(300.0)), (100, 2))).astype(dtype)
    got = fit(strong, "clayton")
    assert got.converged
    assert abs(float(got.params.theta) / 300 - 1) < 0.25


def test_vmap_equals_loop():
    batch = jnp.stack([_DATA["clayton_d3"][:, :2], _DATA["t_d3"][:, :2]])
    fits = jax.vmap(lambda u: fit(u, "clayton"))(batch)
    for i in range(2):
        assert_close(fits.loglik[i], fit(batch[i], "clayton").loglik, rtol=1e-9)
        assert fits.converged[i]


@pytest.mark.parametrize("method", ["itau", "ml"])
@pytest.mark.slow
def test_rows_outside_the_mask_do_not_count(method):
    u = jnp.asarray(_DATA["gaussian_d3"])
    mask = np.arange(100) < 60
    got = jax.jit(lambda u: fitting.fit_masked(u, mask, gaussian.COPULA, method))(u)
    expected = fit(u[:60], "gaussian", method=method)
    assert_close(got.loglik, expected.loglik, rtol=1e-9)
    assert_close(got.params.correlation, expected.params.correlation, rtol=1e-6)
    assert got.num_obs == 60


def test_a_new_number_does_not_recompile():
    fit(_DATA["clayton_d3"][:40], "clayton", method="itau")
    before = fitting._fit._cache_size()
    for rows in (_DATA["t_d3"][:40], _DATA["gaussian_d3"][40:80]):
        fit(rows, "clayton", method="itau")
        fit(rows, "clayton", method="itau", shrinkage=None)
    assert fitting._fit._cache_size() == before


@pytest.mark.slow
def test_minimise_rosenbrock_and_a_wall(dtype):
    def valley(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    got = minimise(valley, jnp.asarray([-1.2, 1.0], dtype))
    assert got.converged
    assert_close(got.x, np.ones(2), rtol=0, atol=100 * np.finfo(dtype).eps ** 0.5)
    assert not minimise(valley, jnp.asarray([-1.2, 1.0], dtype), max_evaluations=8).converged
    # not finite on one side of the minimum
    wall = minimise(lambda x: jnp.sum(x - jnp.log(x)), jnp.asarray([20.0], dtype))
    assert wall.converged
    assert_close(wall.x, np.ones(1), rtol=10 * np.finfo(dtype).eps ** 0.5)
    lost = minimise(lambda x: jnp.sum(x) * jnp.nan, jnp.ones(1, dtype))
    assert not lost.converged


@cache
def _blasts():
    """The pool of 262 rows, of which 110 are distinct: FI, X50, Pf, S/B, H/B, B/D, T/B, E."""
    corpus, holdout = load_training_corpus(), load_holdout(protocol="2010")

    def row(b):
        ratios = (b.S_over_B, b.H_over_B, b.B_over_D, b.T_over_B)
        return (b.XB_m / b.x50_m, b.x50_m, b.Pf_kg_m3, *ratios, b.E_GPa)

    full = [row(b) for b in (*corpus, *holdout)]
    second = [row(b) for b in corpus if b.group == 2]
    third = [row(b) for b in corpus if b.site != "Miami" and b.blast_id != "Rc1"]
    assert (len(full), len(second), len(third)) == (110, 62, 90)
    return np.array(full + second + third)


def _blast_margins(dtype="float64", split=None):
    rows = _blasts()
    if split is not None:
        rows = rows[np.random.default_rng(split).permutation(len(rows))[:209]]
    return copulas.pseudo_observations(jnp.asarray(rows, dtype))


# (least, most) log-likelihood per row; a floor of 1e-6 under the eigenvalues gives -0.7 to -16 here.
_BLAST_RANGE = {
    ("gaussian", "itau"): (0.3, 1.5),
    ("gaussian", "ml"): (1.3, 1.9),
    ("student_t", "itau"): (0.6, 1.6),
    ("student_t", "ml"): (1.4, 2.0),
    ("clayton", "ml"): (0.0, 0.02),
}


@pytest.mark.parametrize(
    ("family", "method"),
    [pytest.param(*case, marks=pytest.mark.slow) if case[0] == "student_t" else case for case in _BLAST_RANGE],
)
def test_blast_table(family, method, dtype):
    got = fit(_blast_margins(dtype), family, method=method)
    least, most = _BLAST_RANGE[family, method]
    assert got.converged
    assert least < float(got.loglik) / got.num_obs < most
    if family == "clayton":
        assert 0 < got.params.theta < 0.03
    if family == "student_t":
        assert 3 < got.params.df < 40


@pytest.mark.parametrize(("family", "method"), [("gaussian", "itau"), ("gaussian", "ml"), ("clayton", "ml")])
def test_blast_splits(family, method):
    for split in range(6):
        got = fit(_blast_margins(split=split), family, method=method)
        least, most = _BLAST_RANGE[family, method]
        assert got.converged
        assert least <= float(got.loglik) / got.num_obs < most


@pytest.mark.slow
def test_blast_splits_student_t():
    u = jnp.stack([_blast_margins(split=split) for split in range(4)])
    got = jax.vmap(lambda u: fit(u, "student_t", method="itau"))(u)
    assert got.converged.all()
    assert (got.loglik / 209 > 0.5).all()


def test_select():
    got = select(_DATA["clayton_d3"][:, :2], ("clayton", "gaussian", "student_t"))
    assert got.winner == "clayton"
    assert [row.family for row in got.rows] == ["clayton", "student_t", "gaussian", "independence"]
    assert_close(got.rows[0].criterion_per_row, float(got.rows[0].fit.aic) / 100)
    assert got.rows[-1].loglik_per_row == 0
    by_bic = select(_DATA["clayton_d3"][:, :2], ("clayton",), criterion="bic")
    assert_close(by_bic.rows[0].criterion_per_row, float(by_bic.rows[0].fit.bic) / 100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u: fit(u * 2, "clayton"), "strictly between 0 and 1"),
        (lambda u: fit(u * 2, "clayton"), "mpl"),
        (lambda u: fit(np.where(u > 0.9, np.nan, u), "clayton"), "NaN"),
        (lambda u: fit(u[:, :1], "clayton"), "d >= 2"),
        (lambda u: fit(u[0], "clayton"), "shape"),
        (lambda u: fit(u[:2], "clayton"), "at least 3 rows"),
        (lambda u: fit(u[:, [0, 0]] * 0 + 0.5, "clayton"), "constant"),
        (lambda u: fit(u, "claiton"), "family"),
        (lambda u: fit(u, "clayton", method="mle"), "method"),
        (lambda u: fit(u, "gaussian", method="itau", shrinkage=2.0), "shrinkage"),
        (lambda u: fit(u, copulas.mixture_of(clayton.COPULA, gaussian.COPULA), method="itau"), "'ml' or 'mpl'"),
        (lambda u: fit(u, "student_t", method="itau", df_grid=(0,)), "df_grid"),
        (lambda u: select(u, ("clayton",), criterion="caic"), "criterion"),
        (lambda u: select(u, ("frank?",)), "family"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(_DATA["clayton_d3"])


def test_a_failed_fit_is_flagged_not_raised():
    u = jnp.asarray(_DATA["clayton_d3"]).at[0, 0].set(1.5)
    got = jax.vmap(lambda u: fit(u, "gaussian", method="itau"))(jnp.stack([u, jnp.asarray(_DATA["gaussian_d3"])]))
    np.testing.assert_array_equal(got.converged, [False, True])


@pytest.mark.slow
def test_gaussian_fit_recovers_its_parameters(seed):
    matrix = np.array([[1.0, -0.7, 0.2], [-0.7, 1.0, 0.1], [0.2, 0.1, 1.0]])
    u = gaussian.sample(jax.random.key(seed), gaussian.Params(jnp.asarray(matrix)), (2000, 3))
    for method in ("ml", "itau"):
        assert np.abs(fit(u, "gaussian", method=method).params.correlation - matrix).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("family", "theta", "loglik"),
    [
        ("frank", 105.77, 109.66),
        ("gumbel", 11.81, 78.65),
        pytest.param("clayton", 27.05, 93.33, marks=pytest.mark.slow),
        pytest.param("joe", 12.37, 61.72, marks=pytest.mark.slow),
    ],
)
def test_rows_in_perfect_order(family, theta, loglik):
    """Sample tau 1, yet not equal columns: maxima by a bounded search over the density."""
    a = np.sort(np.random.default_rng(1).random(40))
    b = np.clip(a + 0.02 * np.sin(9 * a), 1e-3, 1 - 1e-3)
    got = fit(np.stack([a, b], 1), family)
    assert got.converged
    assert_close(jnp.stack([got.params.theta, got.loglik]), np.array([theta, loglik]), rtol=1e-3)
    assert not fit(np.stack([a, b], 1), family, method="itau").converged
    assert not fit(np.stack([a, a], 1), family).converged
