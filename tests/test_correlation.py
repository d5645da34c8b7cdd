"""Rank correlations, repair, shrinkage and the unconstrained coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jaxcop import correlation
from jaxcop.copulas import gaussian

from families import REFERENCE, reference
from tolerance import assert_close


def _tied(seed, n=60, d=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x[:, 1] = np.round(x[:, 0] + x[:, 1])
    x[:, 2] = np.round(2 * x[:, 2] - x[:, 1]) / 2
    return x


@pytest.mark.parametrize(("ours", "scipy_name"), [("kendall_tau", "kendalltau"), ("spearman", "spearmanr")])
def test_rank_correlation_with_ties(ours, scipy_name, seed, dtype):
    x = _tied(seed).astype(dtype)
    got = getattr(correlation, ours)(x)
    assert got.dtype == dtype
    other = getattr(scipy.stats, scipy_name)
    expected = [[other(x[:, i], x[:, j]).statistic for j in range(4)] for i in range(4)]
    assert_close(got, expected, rtol={"float32": 1e-6, "float64": 1e-12}[dtype], atol=1e-7)


@pytest.mark.parametrize("dataset", ["clayton_d3", "gaussian_d3", "t_d3"])
def test_rank_correlation_reference(dataset):
    x = np.array(REFERENCE["fit_cases"]["datasets"][dataset])
    stats = REFERENCE["fit_cases"]["rank_stats"][dataset]
    assert_close(correlation.kendall_tau(x), stats["kendall_tau_b"], rtol=1e-13)
    assert_close(correlation.spearman(x), stats["spearman_rho"], rtol=1e-13)


def _scipy_tau(x):
    return [[scipy.stats.kendalltau(a, b).statistic for b in x.T] for a in x.T]


# each side of the number of rows from which pairs are counted by sorting; n (n - 1) / 2 is above 2**31 in the second
@pytest.mark.parametrize("n", [512, 70_001])
def test_kendall_tau_counts_every_pair(n, dtype):
    x = np.random.default_rng(n).normal(size=(n, 3))
    x[:, 1] += 20 * x[:, 0]
    x[:, 2] = np.round(10 * x[:, 2] - 40 * x[:, 0]) / 10
    x = x.astype(dtype)
    assert_close(correlation.kendall_tau(x), _scipy_tau(x), rtol={"float32": 2e-7, "float64": 1e-14}[dtype])


@pytest.mark.parametrize("n", [60, 600])
def test_masked_kendall_tau_is_that_of_the_other_rows(n):
    paddings = np.array([0.5, np.inf, np.nan])
    batch, masks = np.stack([_tied(i, n) for i in range(3)]), np.random.default_rng(2).random((3, n)) < 0.7
    batch[1, :, 3] = batch[1, :, 1] > 0
    batch[2, masks[2], 2] = 1.0
    expected = np.array([_scipy_tau(x[mask]) for x, mask in zip(batch, masks, strict=True)])
    assert np.isnan(expected).sum() == 7
    padded = np.where(masks[..., None], batch, paddings[:, None, None])
    got = jax.jit(jax.vmap(correlation.masked_kendall_tau))(padded, masks)
    assert_close(got, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("ours", ["kendall_tau", "spearman"])
def test_rank_correlation_vmap_and_jit(ours):
    function = getattr(correlation, ours)
    batch = jnp.stack([_tied(0), _tied(1)])
    assert_close(jax.vmap(function)(batch), jnp.stack([function(x) for x in batch]))
    assert_close(jax.jit(function)(batch[0]), function(batch[0]))


def test_higham_reference(dtype):
    (case,) = reference("nearest_correlation", "pd_repair")
    got = correlation.nearest_correlation(np.array(case["A"], dtype))
    assert got.dtype == dtype
    assert_close(got, case["value_matrix"], rtol=2e-6, atol=1e-8)
    assert_close(jnp.linalg.norm(got - np.array(case["A"])), case["distance_fro"], rtol=2e-6, dtype="float64")


def test_nearest_correlation_of_a_correlation_is_itself():
    matrix = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.3], [0.2, -0.3, 1.0]])
    assert_close(correlation.nearest_correlation(matrix), matrix, rtol=1e-13)


def test_nearest_correlation_properties(seed, dtype):
    rng = np.random.default_rng(seed)
    a = np.clip(rng.uniform(-1.2, 1.2, size=(8, 8)), -1, 1)
    a = (np.triu(a, 1) + np.triu(a, 1).T + np.eye(8)).astype(dtype)
    eps = np.finfo(dtype).eps
    got = correlation.nearest_correlation(a)
    assert_close(jnp.diagonal(got), np.ones(8), rtol=0)
    assert np.linalg.eigvalsh(np.float64(got))[0] > -20 * eps
    lifted = correlation.nearest_correlation(a, min_eigenvalue=0.01)
    assert abs(np.linalg.eigvalsh(np.float64(lifted))[0] - 0.01) < 50 * eps
    # closer than the usual shortcut of clipped eigenvalues and a rescaled diagonal
    values, vectors = np.linalg.eigh(a)
    clipped = (vectors * np.maximum(values, 0)) @ vectors.T
    scale = np.sqrt(np.diagonal(clipped))
    assert np.linalg.norm(got - a) < np.linalg.norm(clipped / np.outer(scale, scale) - a)
    batch = jnp.stack([a, a.T])
    assert_close(jax.vmap(correlation.nearest_correlation)(batch)[0], got, rtol=1e-4, atol=100 * eps)


def test_nearest_correlation_has_no_gradient():
    gradient = jax.grad(lambda m: jnp.sum(correlation.nearest_correlation(m)))(jnp.ones((3, 3)))
    assert_close(gradient, np.zeros((3, 3)))


def test_shrink():
    matrix = np.array([[1.0, 0.8], [0.8, 1.0]])
    assert_close(correlation.shrink(matrix, intensity=0.05), [[1, 0.76], [0.76, 1]])
    estimated = correlation.shrinkage_intensity(matrix, 100)
    assert_close(correlation.shrink(matrix, num_obs=100), matrix - float(estimated) * (matrix - np.eye(2)))
    assert correlation.shrinkage_intensity(np.eye(3), 100) == 1
    with pytest.raises(ValueError, match="either intensity or num_obs"):
        correlation.shrink(matrix)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        correlation.shrink(matrix, intensity=1.5)


def test_shrinkage_intensity_matches_the_sampling_variance():
    r, n = 0.6, 50
    params = gaussian.Params(jnp.array([[1.0, r], [r, 1.0]]))
    u = gaussian.sample(jax.random.key(0), params, (4000, n, 2))
    estimates = jnp.sin(jnp.pi / 2 * jax.vmap(correlation.kendall_tau)(u)[:, 0, 1])
    expected = float(jnp.var(estimates)) / r**2
    # delta method at n = 50, and 2.2 % noise of the variance itself
    assert abs(float(correlation.shrinkage_intensity(params.correlation, n)) / expected - 1) < 0.15


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_vector_round_trip(dim, dtype):
    vector = jax.random.normal(jax.random.key(1), (dim * (dim - 1) // 2,), dtype)
    matrix = correlation.from_vector(vector, dim)
    assert matrix.dtype == dtype
    assert_close(jnp.diagonal(matrix), np.ones(dim), rtol=0)
    back = correlation.to_vector(matrix)
    # near singular matrices lose digits by their condition number
    condition = np.linalg.cond(np.float64(matrix))
    assert_close(back, vector, rtol=0, atol=20 * condition * np.finfo(dtype).eps)


def test_cholesky_from_vector_does_not_saturate_in_float32():
    factor = correlation.cholesky_from_vector(jnp.asarray([12.0], "float32"), 2)
    assert_close(factor[1, 1], 1 / np.cosh(12.0))
    gradient = jax.grad(lambda v: correlation.cholesky_from_vector(v, 2)[1, 1])(jnp.asarray([12.0], "float32"))
    assert_close(gradient[0], -np.tanh(12.0) / np.cosh(12.0))
    jacobian = jax.jit(jax.jacobian(lambda v: correlation.from_vector(v, 3)))
    for far in (0.0, 40.0, -40.0):
        assert jnp.isfinite(jacobian(jnp.full(3, far, "float32"))).all()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite"),
        (np.array([[2.0, 0.5], [0.5, 1.0]]), "ones on the diagonal"),
        (np.array([[1.0, 1.0], [1.0, 1.0]]), "positive definite"),
        (np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]), "nearest_correlation"),
    ],
)
def test_bad_matrices(matrix, message):
    with pytest.raises(ValueError, match=message):
        correlation.to_vector(matrix)


def test_bad_tables():
    with pytest.raises(ValueError, match="NaN"):
        correlation.kendall_tau(np.array([[1.0, np.nan], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="constant"):
        correlation.kendall_tau(np.array([[1.0, 2.0], [2.0, 2.0]]))
    with pytest.raises(ValueError, match="shape"):
        correlation.spearman(np.arange(3.0))
    with pytest.raises(ValueError, match="symmetric"):
        correlation.nearest_correlation(np.array([[1.0, 0.5], [0.4, 1.0]]))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        correlation.from_vector(np.zeros(2), 3)
