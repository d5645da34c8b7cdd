"""Rank correlations, repair of correlation matrices, and their unconstrained coordinates."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop._numerics import as_float, concrete


def _rows(x, name: str) -> Array:
    x = x if concrete(x) is None else _checks.table(x, name)
    return as_float(x)


def check_correlation(correlation, name: str = "correlation", *, definite: bool = True) -> Array:
    """Return ``correlation`` as a float array, or say why it is no (positive definite) correlation matrix."""
    correlation = as_float(correlation)
    if correlation.ndim != 2 or correlation.shape[0] != correlation.shape[1] or correlation.shape[0] < 2:
        raise ValueError(
            f"{name}: expected a square matrix of at least 2 rows, got shape {correlation.shape}; pass one matrix"
        )
    values = concrete(correlation)
    if values is None:
        return correlation
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite entries, got NaN or infinity; look for constant columns")
    tolerance = 32 * np.finfo(values.dtype).eps
    if np.abs(values - values.T).max() > tolerance:
        raise ValueError(
            f"{name}: expected a symmetric matrix, got entries that differ by "
            f"{np.abs(values - values.T).max():.3g} across the diagonal; average it with its transpose"
        )
    if definite:
        if np.abs(np.diagonal(values) - 1).max() > tolerance:
            raise ValueError(
                f"{name}: expected ones on the diagonal, got {np.diagonal(values)}; divide a covariance by its scales"
            )
        try:
            np.linalg.cholesky(values.astype(np.float64))
        except np.linalg.LinAlgError:
            smallest = np.linalg.eigvalsh(values.astype(np.float64))[0]
            raise ValueError(
                f"{name}: expected a positive definite matrix, got smallest eigenvalue {smallest:.3g}; "
                "repair it with nearest_correlation(..., min_eigenvalue=...) or shrink"
            ) from None
    return correlation


# Up to here comparing all pairs is as fast as sorting, compiles in a tenth of the time, and counts exactly in float32.
_FEW_ROWS = 512


def _concordance_by_pairs(x, mask):
    """Concordant minus discordant pairs of every two columns, each pair of rows counted twice."""

    def step(total, inputs):
        row, counts = inputs
        sign = jnp.where((mask & counts)[:, None], jnp.sign(row - x), 0)
        return total + sign.T @ sign, None

    return jax.lax.scan(step, jnp.zeros((x.shape[1], x.shape[1]), x.dtype), (x, mask))[0]


def _unwrap(wrapped, rough):
    """A count from its lower 32 bits, which are exact, and a float that tells how often they wrapped around."""
    wrapped = wrapped.astype(rough.dtype)
    return wrapped + 2.0**32 * jnp.round((rough - wrapped) / 2.0**32)


def _concordance_of_groups(a, b, mask, num_groups, dtype):
    """Concordant minus discordant pairs of two columns of group numbers: lower 32 bits, and rounded."""
    table = jnp.zeros((num_groups, num_groups), jnp.int32).at[a, b].add(mask.astype(jnp.int32))
    above = jax.lax.associative_scan(jnp.add, table) - table
    up_to = jax.lax.associative_scan(jnp.add, above, axis=1)
    excess = 2 * up_to - above - up_to[:, -1:]
    return jnp.sum(table * excess, dtype=jnp.int32), jnp.sum(table.astype(dtype) * excess.astype(dtype))


def _concordance_by_ranks(x, mask):
    """As :func:`_concordance_by_pairs`, each pair of rows counted once, in O(n**(4/3)) for every two columns.

    A sorted column falls into windows, and these into groups: the rows of a window, or a run of ties that crosses
    windows. Let g be the sign of the difference of two rows by group, and w that within a group, so that w + g is the
    sign itself. Then (w_a + g_a) (w_b + g_b) = g_a g_b + w_b (w_a + g_a) + w_a g_b: a contingency table, and
    comparisons of the rows of a window, since w = 0 between windows.
    """
    num_rows, dim = x.shape
    size = int(4 * num_rows ** (1 / 3))
    row = jnp.arange(num_rows, dtype=jnp.int32)[:, None]
    counts = row < jnp.sum(mask, dtype=jnp.int32)
    x = jnp.where(mask[:, None], x, jnp.inf)
    order = jnp.argsort(x, axis=0).astype(jnp.int32)
    ordered = jnp.take_along_axis(x, order, 0)
    new = jnp.concatenate([jnp.ones((1, dim), bool), ordered[1:] != ordered[:-1]])
    first = jax.lax.cummax(jnp.where(new, row, 0))
    last = jax.lax.cummin(jnp.where(jnp.roll(new, -1, 0), row, num_rows - 1), reverse=True)
    group = 2 * (first // size) + (first // size != last // size)
    rank, group_of = (
        jnp.zeros_like(order).at[order, np.arange(dim)].set(v, unique_indices=True) for v in (first, group)
    )

    def windows(values, fill):
        widths = ((0, -num_rows % size),) + ((0, 0),) * (values.ndim - 1)
        return jnp.moveaxis(jnp.pad(values, widths, constant_values=fill).reshape(-1, size, *values.shape[1:]), 1, -1)

    # In the windows of each column: of the columns after it the ranks, of those before it the groups.
    others = windows(jnp.where(np.triu(np.ones((dim, dim), bool)), rank[order], group_of[order]), 0)
    own, own_group = windows(first, 0), windows(jnp.where(counts, group, -1), -1)

    def compare(total, place):
        value, own_value, own_group_value = (v[..., place, None] for v in (others, own, own_group))
        sign = jnp.where((own_group == own_group_value) & (own_group >= 0), jnp.sign(own - own_value), 0)
        return total + jnp.sum(jnp.where(others > value, sign[..., None, :], 0), -1, dtype=jnp.int32), None

    near = jnp.sum(jax.lax.scan(compare, jnp.zeros_like(others[..., 0]), jnp.arange(size))[0], 0, dtype=jnp.int32)
    num_groups = 2 * -(-num_rows // size)
    a, b = np.tril_indices(dim, -1)
    far, rough = jax.lax.map(
        lambda pair: _concordance_of_groups(pair[0], pair[1], mask, num_groups, x.dtype),
        (group_of.T[a], group_of.T[b]),
    )
    pairs = _unwrap(far + near[a, b] + near[b, a], rough)
    lower = jnp.where(counts, first, 0)
    untied = _unwrap(jnp.sum(lower, 0, dtype=jnp.int32), jnp.sum(lower.astype(x.dtype), 0))
    return jnp.diag(untied).at[a, b].set(pairs).at[b, a].set(pairs)


@jax.jit
def masked_kendall_tau(x: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Float[Array, "d d"]:
    """:func:`kendall_tau` of the rows where ``mask`` is true, without checks, for compiled code.

    NaN for a column that is constant over those rows; what the other rows hold is of no account.
    """
    concordance = _concordance_by_pairs if x.shape[0] <= _FEW_ROWS else _concordance_by_ranks
    total = concordance(x, mask)
    scale = jnp.sqrt(jnp.diagonal(total))
    # The roots may round the diagonal over 1.
    return jnp.clip(total / scale[:, None] / scale, -1, 1)


def kendall_tau(x: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """Kendall's tau-b of every pair of columns, ties corrected for.

    tau_b = (concordant - discordant) / sqrt(untied pairs in a * untied pairs in b), counted exactly.
    O(n**(4/3)) work for each pair of columns. Raises ValueError for fewer than 2 rows, non-finite values or constant
    columns. Source: Kendall (1945).

    >>> x = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    >>> print(kendall_tau(x).round(4))
    [[1.     0.3333]
     [0.3333 1.    ]]
    """
    x = _rows(x, "x")
    return masked_kendall_tau(x, jnp.ones(x.shape[0], bool))


def mean_ranks(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Ranks 1 .. n within each column, the mean rank for ties; without checks, for compiled code."""
    if x.shape[0] > _FEW_ROWS:
        return jax.scipy.stats.rankdata(x, axis=0).astype(x.dtype)
    below, up_to = (compare(x[None], x[:, None]).sum(axis=1) for compare in (jnp.less, jnp.less_equal))
    return (below + up_to + 1).astype(x.dtype) / 2


@jax.jit
def _spearman(x):
    return jnp.corrcoef(mean_ranks(x), rowvar=False).astype(x.dtype)


def spearman(x: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """Spearman's rho of every pair of columns: Pearson's correlation of average ranks.

    Raises ValueError for fewer than 2 rows, non-finite values or constant columns. Source: Spearman (1904).

    >>> x = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    >>> print(spearman(x).round(4))
    [[1.  0.5]
     [0.5 1. ]]
    """
    return _spearman(_rows(x, "x"))


def _blend(correlation: Array, weight: Array) -> Array:
    eye = jnp.eye(correlation.shape[0], dtype=correlation.dtype)
    return (1 - weight) * correlation + weight * eye


def raise_smallest_eigenvalue(correlation: Float[Array, "d d"], least: float) -> Float[Array, "d d"]:
    """Move a correlation matrix towards the identity as far as its smallest eigenvalue needs to reach ``least`` < 1.

    >>> print(raise_smallest_eigenvalue(jnp.array([[1.0, 1.0], [1.0, 1.0]]), 0.25))
    [[1.   0.75]
     [0.75 1.  ]]
    """
    smallest = jnp.linalg.eigvalsh(correlation)[0]
    return _blend(correlation, jnp.clip((least - smallest) / (1 - jnp.minimum(smallest, least)), 0, 1))


def _nearest_correlation(matrix, num_steps, min_eigenvalue):
    matrix = (matrix + matrix.T) / 2
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)

    def positive_part(a):
        values, vectors = jnp.linalg.eigh(a)
        return (vectors * jnp.maximum(values, 0)) @ vectors.T

    def step(_, state):
        current, correction = state
        shifted = current - correction
        positive = positive_part(shifted)
        return jnp.where(eye > 0, 1, positive), positive - shifted

    current, _ = jax.lax.fori_loop(0, num_steps, step, (matrix, jnp.zeros_like(matrix)))
    # Rescaling keeps the sign of the eigenvalues, which resetting the diagonal does not.
    positive = positive_part(current)
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(positive), jnp.finfo(matrix.dtype).tiny))
    positive = positive / scale[:, None] / scale
    positive = jnp.where(eye > 0, 1, (positive + positive.T) / 2)
    lifted = raise_smallest_eigenvalue(positive, min_eigenvalue)
    return jax.lax.stop_gradient(jnp.where(min_eigenvalue > 0, lifted, positive))


_nearest_correlation_jit = jax.jit(_nearest_correlation, static_argnames="num_steps")


def nearest_correlation(
    matrix: Float[Array, "d d"], *, num_steps: int = 100, min_eigenvalue: float = 0.0
) -> Float[Array, "d d"]:
    """Nearest correlation matrix in the Frobenius norm, by alternating projections with Dykstra's correction.

    The result has a unit diagonal and is positive semidefinite to rounding. With ``min_eigenvalue`` > 0 it is then
    moved towards the identity just as far as that eigenvalue needs, which makes it positive definite. Not
    differentiated: the gradient through a repair is zero. Raises ValueError if the matrix is not square, finite and
    symmetric. Source: Higham (2002), algorithm 3.3.

    >>> a = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    >>> print(nearest_correlation(a).round(4))
    [[1.     0.7607 0.1573]
     [0.7607 1.     0.7607]
     [0.1573 0.7607 1.    ]]
    """
    matrix = check_correlation(matrix, "matrix", definite=False)
    return _nearest_correlation_jit(matrix, num_steps, min_eigenvalue)


def shrinkage_intensity(correlation: Float[Array, "d d"], num_obs: int) -> Float[Array, ""]:
    """Intensity of shrinkage towards the identity that minimises the expected squared error of sin(pi tau / 2).

    lambda = sum var(r_ij) / sum r_ij**2 over i < j, clipped to [0, 1], with var(r) = (pi/2)**2 (1 - r**2) var(tau)
    and the variance of tau under a normal dependence,
    var(tau) = 2 / (n (n-1)) [1 - 4 asin(r)**2/pi**2 + 2 (n-2) (1/9 - 4 asin(r/2)**2/pi**2)].
    Sources: Schäfer and Strimmer (2005) for lambda; Esscher (1924) for var(tau).

    >>> print(round(float(shrinkage_intensity(np.array([[1.0, 0.5], [0.5, 1.0]]), 100)), 4))
    0.0263
    """
    correlation = check_correlation(correlation, definite=False)
    n = jnp.asarray(num_obs, correlation.dtype)
    r = jnp.clip(correlation[jnp.tril_indices(correlation.shape[0], -1)], -1, 1)
    spread = 1 - (2 / jnp.pi * jnp.arcsin(r)) ** 2 + 2 * (n - 2) * (1 / 9 - (2 / jnp.pi * jnp.arcsin(r / 2)) ** 2)
    variance = (jnp.pi / 2) ** 2 * (1 - r**2) * 2 / (n * (n - 1)) * spread
    signal = jnp.sum(r**2)
    return jnp.where(signal > 0, jnp.clip(jnp.sum(variance) / jnp.where(signal > 0, signal, 1), 0, 1), 1.0)


def shrink(
    correlation: Float[Array, "d d"], *, intensity: float | None = None, num_obs: int | None = None
) -> Float[Array, "d d"]:
    """Move a correlation matrix towards the identity, (1 - intensity) R + intensity I.

    Give either ``intensity`` in [0, 1] or ``num_obs``, from which :func:`shrinkage_intensity` estimates it.
    Raises ValueError for neither or both, and for an intensity outside [0, 1].

    >>> print(shrink(np.array([[1.0, 0.5], [0.5, 1.0]]), intensity=0.1))
    [[1.   0.45]
     [0.45 1.  ]]
    """
    correlation = check_correlation(correlation, definite=False)
    if num_obs is not None and intensity is None:
        return _blend(correlation, shrinkage_intensity(correlation, num_obs))
    if num_obs is not None or intensity is None:
        raise ValueError("shrink: expected either intensity or num_obs, got both or neither; pass one of them")
    value = concrete(intensity)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"intensity: expected a number in [0, 1], got {intensity!r}; 0 keeps the matrix")
    return _blend(correlation, jnp.asarray(intensity, correlation.dtype))


@jax.jit(static_argnames="dim")
def _cholesky_from_vector(vector, dim):
    rows, columns = np.tril_indices(dim, -1)
    v = jnp.zeros((dim, dim), vector.dtype).at[rows, columns].set(vector)
    magnitude = jnp.abs(v)
    log_sech = math.log(2) - magnitude - jnp.log1p(jnp.exp(-2 * magnitude))
    log_sech = jnp.where(np.tri(dim, k=-1, dtype=bool), log_sech, 0)
    remaining = jnp.exp(jnp.cumsum(log_sech, -1) - log_sech)
    return jnp.tril(remaining * jnp.where(np.eye(dim, dtype=bool), 1, jnp.tanh(v)))


def cholesky_from_vector(vector: Float[Array, "k"], dim: int) -> Float[Array, "d d"]:
    """Lower Cholesky factor of the correlation matrix with unconstrained coordinates ``vector``.

    Row i holds partial correlations z = tanh(vector): L_ij = z_ij prod_{k<j} sqrt(1 - z_ik**2), in row order of the
    lower triangle; k = d (d-1)/2. sqrt(1 - tanh**2) is taken as sech, which does not saturate in float32.
    Source: Lewandowski, Kurowicka and Joe (2009).
    """
    vector = as_float(vector)
    if vector.shape != (dim * (dim - 1) // 2,):
        raise ValueError(
            f"vector: expected shape ({dim * (dim - 1) // 2},) for dim {dim}, got {vector.shape}; one entry per pair"
        )
    return _cholesky_from_vector(vector, dim)


@jax.jit
def _gram(factor):
    return jnp.where(np.eye(factor.shape[0], dtype=bool), 1, factor @ factor.T)


def from_vector(vector: Float[Array, "k"], dim: int) -> Float[Array, "d d"]:
    """Correlation matrix with unconstrained coordinates ``vector`` (see :func:`cholesky_from_vector`).

    >>> print(from_vector(np.array([0.5]), 2).round(4))
    [[1.     0.4621]
     [0.4621 1.    ]]
    """
    return _gram(cholesky_from_vector(vector, dim))


@jax.jit
def _to_vector(correlation):
    dim = correlation.shape[0]
    factor = jnp.linalg.cholesky(correlation)
    right = jax.lax.cumsum(factor**2, axis=1, reverse=True) - factor**2
    rows, columns = np.tril_indices(dim, -1)
    return jnp.arcsinh(factor[rows, columns] / jnp.sqrt(right[rows, columns]))


def to_vector(correlation: Float[Array, "d d"]) -> Float[Array, "k"]:
    """Unconstrained coordinates of a positive definite correlation matrix, the inverse of :func:`from_vector`.

    atanh(z_ij) = asinh(L_ij / sqrt(sum_{k>j} L_ik**2)): the sum to the right of j never cancels.
    Raises ValueError for a matrix that is not a positive definite correlation.

    >>> print(to_vector(np.array([[1.0, 0.4621], [0.4621, 1.0]])).round(3))
    [0.5]
    """
    return _to_vector(check_correlation(correlation))
