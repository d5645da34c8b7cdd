"""Standard errors, intervals and held-out likelihood: reference values, theory, and counted coverage."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop.copulas import clayton, cross_validated, fit, gaussian, held_out, inference, pseudo_observations
from scipy import stats

import interval_coverage
from families import REFERENCE
from tolerance import assert_close

_CASES = REFERENCE["fit_cases"]
_DATA = {name: np.array(rows) for name, rows in _CASES["datasets"].items()}
_TWO = _DATA["clayton_d3"][:, :2]
_KEY = jax.random.key(0)
_REFERENCE_FITS = [
    ("gaussian", 3),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (("clayton", 2), ("frank", 2), ("gumbel", 2), ("joe", 2), ("t", 3))
    ),
]


def _flat(params):
    """In the order of the reference: correlations of pairs 12, 13, 23, then df."""
    if hasattr(params, "theta"):
        return np.atleast_1d(params.theta)
    upper = np.asarray(params.correlation)[np.triu_indices(len(params.correlation), 1)]
    return np.append(upper, params.df) if hasattr(params, "df") else upper


@pytest.mark.parametrize(("family", "dim"), _REFERENCE_FITS)
def test_observed_information_reference(family, dim):
    case = next(c for c in _CASES["fits"] if c["family"] == family and c["dim"] == dim)
    u, name = _DATA[case["dataset"]][:, :dim], {"t": "student_t"}.get(family, family)
    got = inference.standard_errors(u, name, fit(u, name))
    assert got.valid
    assert (got.method, got.estimator, got.num_failed) == ("observed", "ml", 0)
    assert_close(_flat(got.params), case["se_observed_information"], rtol=1e-6)
    if dim == 3:
        assert (np.diagonal(got.params.correlation) == 0).all()


def _clayton_by_hand(u, theta):
    """Standard error of theta with known margins and with ranks, by double loops and numerical derivatives."""

    def score(a, b, theta):
        h = 1e-30
        t = theta + 1j * h
        log_c = np.log(1 + t) - (1 + t) * np.log(a * b) - (2 + 1 / t) * np.log(a**-t + b**-t - 1)
        return log_c.imag / h

    a, b = u.T
    h = 1e-6
    information = -np.sum(score(a, b, theta + h) - score(a, b, theta - h)) / (2 * h)
    by_a = (score(a + h * a, b, theta) - score(a - h * a, b, theta)) / (2 * h * a)
    by_b = (score(a, b + h * b, theta) - score(a, b - h * b, theta)) / (2 * h * b)
    rows = score(a, b, theta) + [np.mean((a >= x) * by_a) + np.mean((b >= y) * by_b) for x, y in u]
    return information**-0.5, np.sqrt(np.sum((rows - rows.mean()) ** 2)) / information


def test_rank_correction_by_hand_with_ties():
    x = np.round(_TWO, 1)
    fitted = fit(x, "clayton", method="mpl")
    known, ranked = _clayton_by_hand(np.array(pseudo_observations(x)), float(fitted.params.theta))
    got = inference.standard_errors(x, "clayton", fitted, method="rank")
    assert (got.valid, got.estimator) == (True, "mpl")
    assert_close(got.params.theta, ranked, rtol=1e-6)
    assert ranked > 1.1 * known


@pytest.mark.slow
def test_rank_error_of_a_correlation_is_the_textbook_one():
    r, n = 0.6, 4000
    truth = gaussian.Params(jnp.asarray([[1, r], [r, 1]]))
    u = np.array(gaussian.sample(jax.random.key(0), truth, (n, 2)))
    fitted = fit(u, "gaussian")
    got = inference.standard_errors(u, "gaussian", fitted, method="rank").params.correlation[0, 1]
    # Klaassen and Wellner (1997)
    assert_close(got * np.sqrt(n), 1 - r**2, rtol=0.05)


@pytest.mark.parametrize(
    ("estimator", "parametric", "method"),
    [pytest.param("ml", True, "observed", marks=pytest.mark.slow), ("mpl", False, "rank")],
)
def test_bootstrap_agrees_with_asymptotics(estimator, parametric, method):
    fitted = fit(_TWO, "clayton", method=estimator)
    expected = inference.standard_errors(_TWO, "clayton", fitted, method=method)
    limits = inference.interval(
        _TWO,
        "clayton",
        fitted,
        level=0.9,
        method="bootstrap",
        key=jax.random.key(0),
        num_resamples=200,
        estimator=estimator,
        parametric=parametric,
    )
    got = limits.errors
    assert (bool(got.valid), int(got.num_failed), got.estimator) == (True, 0, estimator)
    assert_close(got.params.theta, expected.params.theta, rtol=0.2)
    assert_close(got.covariance, expected.covariance, rtol=0.4)
    replicates = np.array(got.replicates.params.theta)
    assert_close(got.params.theta, replicates.std(ddof=1), rtol=1e-9)
    assert_close(jnp.stack([limits.lower.theta, limits.upper.theta]), np.quantile(replicates, [0.05, 0.95]), rtol=1e-9)


@pytest.mark.slow
def test_resamples_of_the_same_rows_are_the_refits_one_by_one(monkeypatch):
    # Positive dependence is interpolated; where maxima lie outside the range, and at independence, an edge of the
    # family, every resample is refitted.
    edge = np.stack([_TWO[:, 0], 1 - _TWO[:, 1]], 1)
    rows = jax.vmap(lambda i: jax.random.randint(jax.random.fold_in(_KEY, i), (100,), 0, 100))(np.arange(21))
    refit = jax.jit(jax.vmap(lambda u, start: inference.refit(u, clayton.COPULA, start), (0, None)))
    for u, reach, num in ((_TWO, 10.0, 20), (_TWO, 0.5, 21), (edge, 10.0, 20)):
        monkeypatch.setattr(inference, "_REACH", reach)
        fitted = fit(u, "clayton")
        got = inference.standard_errors(
            u, "clayton", fitted, method="bootstrap", estimator="ml", parametric=False, key=_KEY, num_resamples=num
        ).replicates
        expected = jax.tree.map(lambda leaf, num=num: leaf[:num], refit(jnp.asarray(u)[rows], fitted.params))
        np.testing.assert_array_equal(got.converged, expected.converged)
        assert_close(got.params.theta, expected.params.theta, rtol=1e-6, atol=1e-6)
        assert_close(got.loglik, expected.loglik, rtol=1e-9, atol=1e-9)
    assert (got.params.theta < 0.2).all()


def test_replicates_that_fail_are_counted_and_left_out():
    def sample(key, params, shape):
        return jnp.where(jax.random.uniform(key) < 0.3, jnp.nan, clayton.sample(key, params, shape))

    fitted = fit(_TWO, "clayton")
    broken = clayton.COPULA._replace(sample=sample)
    options = {"method": "bootstrap", "key": jax.random.key(0), "num_resamples": 40, "estimator": "ml"}
    got = inference.standard_errors(_TWO, broken, fitted, **options)
    good = np.array(got.replicates.converged)
    assert 5 < got.num_failed == 40 - good.sum() < 20
    assert got.valid
    assert_close(got.params.theta, np.array(got.replicates.params.theta)[good].std(ddof=1), rtol=1e-9)


def test_intervals_in_closed_form():
    z = stats.norm.ppf(0.95)
    fitted = fit(_TWO, "clayton")
    got = inference.interval(_TWO, "clayton", fitted, level=0.9)
    theta, error = float(fitted.params.theta), float(got.errors.params.theta)
    # theta = log(1 + exp(v)), so dv = dtheta / (1 - exp(-theta))
    spread = z * error / -np.expm1(-theta)
    for side, sign in ((got.lower, -1), (got.upper, 1)):
        assert_close(side.theta, np.log1p(np.expm1(theta) * np.exp(sign * spread)), rtol=1e-9)
    u = _DATA["gaussian_d3"]
    fitted = fit(u, "gaussian")
    got = inference.interval(u, "gaussian", fitted, level=0.9)
    matrix, off = np.array(fitted.params.correlation), ~np.eye(3, dtype=bool)
    spread = z * np.array(got.errors.params.correlation)[off] / (1 - matrix[off] ** 2)
    for side, sign in ((got.lower, -1), (got.upper, 1)):
        assert (np.diagonal(side.correlation) == 1).all()
        assert_close(side.correlation[off], np.tanh(np.arctanh(matrix[off]) + sign * spread), rtol=1e-9)


def test_an_edge_of_the_family_is_not_valid():
    u = np.stack([_TWO[:, 0], 1 - _TWO[:, 1]], 1)
    fitted = fit(u, "clayton")
    assert fitted.converged
    assert not inference.standard_errors(u, "clayton", fitted).valid
    # a fit to ranks is no maximum of the likelihood of the values
    other = fitted._replace(params=clayton.Params(jnp.asarray(1.0)))
    assert not inference.standard_errors(_TWO, "clayton", other).valid
    empty = inference.standard_errors(u, "independence", fit(u, "independence"), method="rank")
    assert empty.valid
    assert empty.covariance.shape == (0, 0)


def test_float32_agrees():
    u = _TWO.astype("float32")
    got = inference.interval(u, "clayton", fit(u, "clayton"))
    expected = inference.interval(_TWO, "clayton", fit(_TWO, "clayton"))
    assert got.errors.valid
    assert got.lower.theta.dtype == got.errors.params.theta.dtype == jnp.float32
    assert_close(got.lower.theta, expected.lower.theta, rtol=1e-3)


@pytest.mark.slow
def test_coverage_of_each_error_and_of_the_wrong_one():
    held, valid = interval_coverage.coverage(clayton.COPULA, clayton.Params(jnp.asarray(2.0)), 100, 200, 0.95, 0)
    assert np.asarray(valid).all()
    known, ranks, wrong = np.asarray(held).sum(0)
    assert stats.binomtest(int(known), 200, 0.95).pvalue > 1e-3
    assert stats.binomtest(int(ranks), 200, 0.95).pvalue > 1e-3
    assert stats.binomtest(int(wrong), 200, 0.95).pvalue < 1e-3


@pytest.mark.parametrize(
    "case",
    [c if c["family"] == "clayton" else pytest.param(c, marks=pytest.mark.slow) for c in _CASES["xv"]],
    ids=lambda c: c["family"],
)
def test_leave_one_out_reference(case):
    got = cross_validated(_TWO, case["family"])
    assert got.converged.all()
    assert got.per_fold.shape == (100,)
    assert_close(got.loglik, case["value"], rtol=1e-6)


@pytest.mark.slow
def test_folds_by_hand():
    x = np.round(_TWO, 2)
    fold = np.arange(100) % 4
    got = cross_validated(x, "gaussian", folds=fold, key=jax.random.key(0))
    for k in range(4):
        train, test = x[fold != k], x[fold == k]
        params = fit(train, "gaussian", method="mpl").params
        u = (np.sum(train[None] <= test[:, None], 1) + 0.5) / 76
        assert_close(got.per_fold[k], jnp.sum(gaussian.logpdf(u, params)), rtol=1e-6)
    drawn = cross_validated(x, "gaussian", folds=4, key=jax.random.key(0))
    assert drawn.converged.all()
    assert 0 < abs(float(drawn.loglik - got.loglik)) < 10


def test_test_rows_change_nothing_that_is_fitted():
    train, test = _TWO[:75], _TWO[75:]
    got = held_out(train, test, "gaussian")
    other = held_out(train, 10 * test[:1] - 3, "gaussian")
    alone = fit(train, "gaussian", method="mpl")
    for fitted in (got.fit, other.fit):
        np.testing.assert_array_equal(fitted.params.correlation, alone.params.correlation)
    np.testing.assert_array_equal(
        held_out(train, np.concatenate([test[:1], 9 + test]), "gaussian").per_row[0], got.per_row[0]
    )
    u = (np.sum(train[None] <= test[:, None], 1) + 0.5) / 76
    assert_close(got.per_row, gaussian.logpdf(u, alone.params), rtol=1e-12)
    assert np.isfinite(other.loglik)
    assert_close(held_out(train, test, "gaussian", fitted=alone).loglik, np.sum(got.per_row), rtol=1e-12)


_ERRORS, _FOLDS = inference.standard_errors, cross_validated


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u, f: _ERRORS(u, "clayton", f, method="hessian"), "method"),
        (lambda u, f: _ERRORS(u, "claiton", f), "family"),
        (lambda u, f: _ERRORS(u * 3, "clayton", f), "strictly between 0 and 1"),
        (lambda u, f: _ERRORS(u, "clayton", f, estimator="mpl"), "estimator"),
        (lambda u, f: _ERRORS(u, "clayton", f, method="bootstrap", key=_KEY), "estimator"),
        (lambda u, f: _ERRORS(u, "clayton", f, method="bootstrap", estimator="ml"), "key"),
        (
            lambda u, f: _ERRORS(u, "clayton", f, method="bootstrap", estimator="ml", key=_KEY, num_resamples=1),
            "num_resamples",
        ),
        (lambda u, f: inference.interval(u, "clayton", f, level=95), "level"),
        (lambda u, f: _FOLDS(u, "clayton", folds=1, key=_KEY), "2 <= folds <= 100"),
        (lambda u, f: _FOLDS(u, "clayton", folds=5), "key"),
        (lambda u, f: _FOLDS(u, "clayton", folds=np.ones(100)), "0..k-1"),
        (lambda u, f: _FOLDS(u, "clayton", folds=np.arange(99)), "shape"),
        (lambda u, f: _FOLDS(u[:3], "clayton"), "at least 3 rows outside"),
        (lambda u, f: held_out(u, u[:, :1], "clayton"), "2 columns"),
        (lambda u, f: held_out(u, u * np.nan, "clayton"), "x_test: expected finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(_TWO, fit(_TWO, "clayton"))


@pytest.mark.slow
def test_a_bootstrap_in_three_columns_comes_to_an_end():
    """Batches of triangular solves used to wait for each other for ever; a process of its own can be stopped."""
    script = (
        "import jax, jax.numpy as jnp; jax.config.update('jax_enable_x64', True)\n"
        "from jaxcop.copulas import fit, standard_errors, student_t\n"
        "params = student_t.Params(0.5 * jnp.eye(3) + 0.5, jnp.asarray(4.0))\n"
        "u = student_t.sample(jax.random.key(0), params, (500, 3))\n"
        "options = {'method': 'bootstrap', 'estimator': 'ml', 'parametric': False, 'num_resamples': 1000}\n"
        "found = standard_errors(u, 'student_t', fit(u, 'student_t'), key=jax.random.key(1), **options)\n"
        "print(found.replicates.loglik.shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "(1000,)\n"
