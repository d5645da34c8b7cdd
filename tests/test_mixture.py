"""Gaussian mixtures against scipy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from jaxcop import mixture
from scipy import stats
from sklearn.mixture import GaussianMixture

from tolerance import assert_close


def make(seed, dtype, covariance, num_components=3, dim=2):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(num_components, dim)) * 3
    if covariance == "diagonal":
        scale = rng.uniform(0.3, 1.5, (num_components, dim))
    else:
        scale = np.tril(rng.normal(size=(num_components, dim, dim))) * 0.3
        scale[:, range(dim), range(dim)] = rng.uniform(0.3, 1.5, (num_components, dim))
    return mixture.Params(*(jnp.asarray(part, dtype) for part in (rng.normal(size=num_components), means, scale)))


def covariances(params):
    scale = np.asarray(params.scale, np.float64)
    return np.stack([np.diag(s**2) if s.ndim == 1 else s @ s.T for s in scale])


def weights(params):
    return np.asarray(jax.nn.softmax(params.logits), np.float64)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_logpdf_matches_scipy_in_value_and_gradient(seed, dtype, covariance):
    params = make(seed, dtype, covariance)
    x = np.random.default_rng(seed).normal(size=(5, 4, 2)).astype(dtype) * 3
    parts = [
        w * stats.multivariate_normal(m, s).pdf(x)
        for w, m, s in zip(weights(params), params.means, covariances(params), strict=True)
    ]
    # float32: the whitened distance is a sum of squares up to about 100.
    rtol = 2e-4 if dtype == "float32" else 1e-9
    assert_close(mixture.logpdf(x, params), np.log(sum(parts)).astype(dtype), rtol=rtol, atol=rtol)
    if dtype == "float64":
        check_grads(lambda x, p: mixture.logpdf(x, p).sum(), (x, params), order=1, modes=["rev"])


def test_logpdf_far_from_every_component_is_finite_with_finite_gradient(dtype):
    params = make(0, dtype, "diagonal")
    far = jnp.full(2, 1e3, dtype)
    assert np.isfinite(mixture.logpdf(far, params))
    assert np.isfinite(jax.grad(mixture.logpdf)(far, params)).all()


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_samples_have_the_moments_of_the_mixture(key, dtype, covariance):
    params = make(1, dtype, covariance)
    x = np.asarray(mixture.sample(key, params, (40_000, 2)), np.float64)
    assert x.dtype == np.float64
    w, m = weights(params), np.asarray(params.means, np.float64)
    mean = w @ m
    second = np.einsum("k,kij->ij", w, covariances(params) + np.einsum("ki,kj->kij", m, m)) - np.outer(mean, mean)
    error = np.sqrt(np.diag(second) / len(x))
    assert (np.abs(x.mean(0) - mean) < 5 * error).all()
    np.testing.assert_allclose(np.cov(x.T), second, atol=0.05 * np.abs(second).max())


def test_em_never_lowers_the_penalised_likelihood_and_reaches_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(-3, 1, (80, 2)), rng.normal(3, 0.5, (60, 2)), rng.normal([0, 5], 0.7, (60, 2))])
    fitted = mixture.fit(jax.random.key(seed), x, num_components=3, regularisation=1e-6)
    # EM is monotone; the regularisation is small enough to leave that visible.
    assert (np.diff(fitted.loglik) > -1e-6).all()
    reference = GaussianMixture(3, reg_covar=1e-6, tol=1e-8, max_iter=500, n_init=5, random_state=0).fit(x)
    assert_close(mixture.logpdf(x, fitted.params).mean(), reference.score(x), rtol=1e-4)
    order, other = np.argsort(fitted.params.means[:, 0]), np.argsort(reference.means_[:, 0])
    assert_close(fitted.params.means[order], reference.means_[other], rtol=1e-2, atol=1e-2)
    assert_close(covariances(fitted.params)[order], reference.covariances_[other], rtol=0.05, atol=0.02)
    assert bool(fitted.converged)


def test_masked_rows_do_not_count(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(dtype)
    mask = np.arange(50) < 30
    other = np.where(mask[:, None], x, 99).astype(dtype)
    fits = [
        mixture.fit_masked(
            jax.random.key(0), jnp.asarray(rows), jnp.asarray(mask), num_components=2, regularisation=1e-2, num_steps=20
        )
        for rows in (x, other)
    ]
    jax.tree.map(lambda a, b: assert_close(a, b) if a.dtype != bool else None, *fits)


def test_more_components_than_distinct_rows_stay_finite():
    x = np.repeat(np.eye(3), 10, axis=0)
    fitted = mixture.fit(jax.random.key(0), x, num_components=8, regularisation=1e-2)
    assert np.isfinite(mixture.logpdf(x, fitted.params)).all()


def test_bad_input():
    x = np.random.default_rng(0).normal(size=(10, 2))
    with pytest.raises(ValueError, match="num_components: expected 1 to 10"):
        mixture.fit(jax.random.key(0), x, num_components=11)
    with pytest.raises(ValueError, match="regularisation: expected a finite number above 0"):
        mixture.fit(jax.random.key(0), x, regularisation=0.0)
    with pytest.raises(ValueError, match="NaN or infinity in columns \\[1\\]"):
        mixture.fit(jax.random.key(0), np.where(np.arange(20).reshape(10, 2) == 3, np.nan, x))


def test_an_offset_far_from_zero_changes_nothing():
    x = np.random.default_rng(0).normal(size=(200, 2)).astype("f4")
    key = jax.random.key(0)
    near, far = (mixture.fit(key, x + np.float32(offset), num_components=2) for offset in (0, 4096))
    assert bool(np.isfinite(far.loglik).all())
    np.testing.assert_allclose(far.params.means - 4096, near.params.means, atol=2e-2)
    np.testing.assert_allclose(far.loglik[-1], near.loglik[-1], rtol=1e-2)


def test_too_few_steps():
    with pytest.raises(ValueError, match="num_steps"):
        mixture.fit(jax.random.key(0), np.random.default_rng(0).normal(size=(20, 2)), num_steps=1, num_components=1)
