"""The Gaussian-mixture copula: the dependence of a Gaussian mixture, each coordinate sent through its own margin.

Its margins are exactly uniform, whatever the mixture. Shifting or scaling a coordinate of the mixture changes nothing:
the unconstrained coordinates fix the first component at mean 0 and unit variances.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import log_ndtr, logsumexp, ndtri
from jaxtyping import Array, Bool, Float

from jaxcop import correlation, mixture
from jaxcop._numerics import as_float, concrete, normal_cdf, open_unit, promote
from jaxcop.copulas._archimedean import solve_increasing
from jaxcop.copulas._contract import Copula, TailDependence, check_inside, check_points, check_shape, split_cube
from jaxcop.mixture import Params

_NODES, _WEIGHTS = (np.asarray(part) for part in np.polynomial.legendre.leggauss(32))


def _check(params: Params) -> Params:
    params = Params(*promote(*params))
    count, dim = params.means.shape if params.means.ndim == 2 else (0, 0)
    if dim < 2 or params.logits.shape != (count,) or params.scale.shape != (count, dim, dim):
        raise ValueError(
            "params: expected logits [k], means [k, d] and lower Cholesky factors [k, d, d] with d >= 2, got "
            f"{params.logits.shape}, {params.means.shape} and {params.scale.shape}; see jaxcop.mixture.Params"
        )
    values = concrete(params.scale)
    if values is not None and not (np.diagonal(values, axis1=1, axis2=2) > 0).all():
        raise ValueError("scale: expected positive diagonals, got some at or below 0; pass Cholesky factors")
    return params


def _margins(params):
    """Log-weights [k], means and standard deviations [k, d] of the margins."""
    return jax.nn.log_softmax(params.logits), params.means, jnp.linalg.norm(params.scale, axis=-1)


def _cdf_sides(x, log_weights, means, deviations):
    """Log of both tails of a univariate mixture; components on the axis before the last of ``x``'s shape."""
    z = (x[..., None, :] - means) / deviations
    return logsumexp(log_weights + log_ndtr(z), -2), logsumexp(log_weights + log_ndtr(-z), -2)


def _cdf(x, log_weights, means, deviations):
    return jnp.sum(jnp.exp(log_weights) * normal_cdf((x[..., None, :] - means) / deviations), -2)


def _log_density(x, log_weights, means, deviations):
    z = (x[..., None, :] - means) / deviations
    return logsumexp(log_weights - z**2 / 2 - jnp.log(deviations), -2) - float(np.log(2 * np.pi)) / 2


@jax.custom_jvp
def _quantile(u, log_weights, means, deviations):
    """x with cdf(x) = u, elementwise: Newton's method on the logit of the distribution function."""
    weights = jnp.exp(log_weights)
    centre = jnp.sum(weights * means, -2)
    spread = jnp.sqrt(jnp.sum(weights * (deviations**2 + (means - centre[..., None, :]) ** 2), -2))
    goal = jnp.log(u) - jnp.log1p(-u)

    def excess(x):
        lower, upper = _cdf_sides(x, log_weights, means, deviations)
        return lower - upper - goal

    return solve_increasing(excess, centre + spread * ndtri(u))


@_quantile.defjvp
def _quantile_jvp(primals, tangents):
    u, *margin = primals
    x = _quantile(u, *margin)
    _, moved = jax.jvp(lambda *m: _cdf(x, *m), tuple(margin), tuple(tangents[1:]))
    return x, (tangents[0] - moved) * jnp.exp(-_log_density(x, *margin))


def _to_mixture(u, params):
    log_weights, means, deviations = _margins(params)
    return _quantile(u, log_weights[:, None], means, deviations)


def _to_uniform(x, params):
    log_weights, means, deviations = _margins(params)
    return open_unit(_cdf(x, log_weights[:, None], means, deviations))


@jax.jit
def _logpdf(u, params):
    inside, safe = split_cube(u)
    x = _to_mixture(safe, params)
    log_weights, means, deviations = _margins(params)
    margins = jnp.sum(_log_density(x, log_weights[:, None], means, deviations), -1)
    return jnp.where(inside, mixture.logpdf(x, params) - margins, -jnp.inf)


def logpdf(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b"]:
    """Log-density log f(x) - sum log f_j(x_j) at x_j = F_j**-1(u_j), F_j the margins of the mixture f.

    -inf outside the open cube. Derivatives pass through the inverse margins by the implicit function theorem.
    Raises ValueError unless the shapes are those of a mixture with Cholesky factors. Source: Tewari, Giering and
    Raghunathan (2011).

    >>> one = Params(jnp.zeros(1), jnp.zeros((1, 2)), jnp.array([[[1.0, 0.0], [0.5, 0.75**0.5]]]))
    >>> print(logpdf(jnp.array([0.3, 0.7]), one).round(4))
    -0.1312
    """
    params = _check(params)
    u = check_points(u, dim=params.means.shape[1])
    return _logpdf(u.astype(jnp.result_type(u, params.means)), params)


def _conditional_parts(x, params):
    """Standardised residuals [*b, k, d] of every component, and log posterior weights given the coordinates before."""
    log_weights, means, scale = jax.nn.log_softmax(params.logits), params.means, params.scale
    factor = solve_triangular(scale, jnp.broadcast_to(jnp.eye(scale.shape[-1], dtype=x.dtype), scale.shape), lower=True)
    z = jnp.einsum("kij,...kj->...ki", factor, x[..., None, :] - means)
    density = -(z**2) / 2 - jnp.log(jnp.diagonal(scale, axis1=1, axis2=2))
    before = jnp.cumsum(density, -1) - density + log_weights[:, None]
    return z, before - logsumexp(before, -2, keepdims=True)


@jax.jit
def _rosenblatt(u, params):
    z, log_weights = _conditional_parts(_to_mixture(u, params), params)
    return jnp.sum(jnp.exp(log_weights) * normal_cdf(z), -2)


def rosenblatt(u: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Conditional distributions in column order: mixtures of normals, weighted by the coordinates before.

    >>> one = Params(jnp.zeros(1), jnp.zeros((1, 2)), jnp.array([[[1.0, 0.0], [0.5, 0.75**0.5]]]))
    >>> print(rosenblatt(jnp.array([0.3, 0.7]), one).round(4))
    [0.3    0.8181]
    """
    params = _check(params)
    u = check_inside(u, dim=params.means.shape[1])
    return _rosenblatt(u.astype(jnp.result_type(u, params.means)), params)


@jax.jit
def _inverse_rosenblatt(w, params):
    log_weights, means, scale = jax.nn.log_softmax(params.logits), params.means, params.scale
    log_posterior = jnp.broadcast_to(log_weights, (*w.shape[:-1], len(log_weights)))
    residuals = jnp.zeros((*w.shape[:-1], *means.shape), w.dtype)
    columns = []
    for j in range(w.shape[-1]):
        centre = means[:, j] + jnp.sum(residuals * scale[:, j], -1)
        deviation = scale[:, j, j]
        posterior = log_posterior - logsumexp(log_posterior, -1, keepdims=True)
        x = _quantile(w[..., j : j + 1], posterior[..., None], centre[..., None], deviation[:, None])
        z = (x - centre) / deviation
        log_posterior = posterior - z**2 / 2 - jnp.log(deviation)
        residuals = residuals.at[..., j].set(z)
        columns.append(x[..., 0])
    return _to_uniform(jnp.stack(columns, -1), params)


def inverse_rosenblatt(w: Float[Array, "*b d"], params: Params) -> Float[Array, "*b d"]:
    """Inverse of :func:`rosenblatt`, one coordinate after another, with exact derivatives.

    >>> one = Params(jnp.zeros(1), jnp.zeros((1, 2)), jnp.array([[[1.0, 0.0], [0.5, 0.75**0.5]]]))
    >>> print(inverse_rosenblatt(jnp.array([0.3, 0.8181]), one).round(3))
    [0.3 0.7]
    """
    params = _check(params)
    w = check_inside(w, dim=params.means.shape[1], name="w")
    return _inverse_rosenblatt(w.astype(jnp.result_type(w, params.means)), params)


def sample(key: Array, params: Params, shape: tuple[int, ...]) -> Float[Array, "*b d"]:
    """Draws of shape ``(*b, d)``: rows of the mixture through their margins.

    >>> print(sample(jax.random.key(0), Params(jnp.zeros(1), jnp.zeros((1, 3)), jnp.eye(3)[None]), (5, 3)).shape)
    (5, 3)
    """
    params = _check(params)
    return _to_uniform(mixture.sample(key, params, check_shape(shape, dim=params.means.shape[1])), params)


def kendall_tau(params: Params) -> Float[Array, "d d"]:
    """2 P(X and X' are concordant) - 1 over pairs of components, by bivariate normal probabilities.

    The difference of two draws is normal; Phi2(h, k, r) = Phi(h) Phi(k) + int_0^{asin r} exp(-(h**2 + k**2
    - 2 h k sin t) / (2 cos(t)**2)) dt / (2 pi) by 32 nodes. Source: Drezner and Wesolowsky (1990).

    >>> print(kendall_tau(Params(jnp.zeros(1), jnp.zeros((1, 2)), jnp.array([[[1.0, 0], [0.5, 0.75**0.5]]]))).round(4))
    [[1.     0.3333]
     [0.3333 1.    ]]
    """
    return _kendall_tau(_check(params))


@jax.jit
def _kendall_tau(params):
    weights = jax.nn.softmax(params.logits)
    covariance = params.scale @ jnp.swapaxes(params.scale, 1, 2)
    total = covariance[:, None] + covariance
    deviation = jnp.sqrt(jnp.diagonal(total, axis1=2, axis2=3))
    h = (params.means[:, None] - params.means) / deviation
    diagonal = np.eye(h.shape[-1], dtype=bool)
    r = jnp.where(diagonal, 0, total / deviation[..., :, None] / deviation[..., None, :])
    h, k, half = h[..., :, None, None], h[..., None, :, None], (jnp.arcsin(r) / 2)[..., None]
    angle = half * (1 + jnp.asarray(_NODES, r.dtype))
    kernel = jnp.exp(-(h**2 + k**2 - 2 * h * k * jnp.sin(angle)) / (2 * jnp.cos(angle) ** 2))
    integral = jnp.sum(half * jnp.asarray(_WEIGHTS, r.dtype) * kernel, -1) / (2 * np.pi)
    h, k = h[..., 0], k[..., 0]
    concordant = normal_cdf(h) * normal_cdf(k) + normal_cdf(-h) * normal_cdf(-k) + 2 * integral
    return jnp.where(diagonal, 1, 2 * jnp.einsum("k,l,klij->ij", weights, weights, concordant) - 1)


def tail_dependence(params: Params) -> TailDependence:
    """Zero in both tails of every pair, as for each component.

    >>> print(tail_dependence(Params(jnp.zeros(1), jnp.zeros((1, 2)), jnp.eye(2)[None])).upper)
    [[1. 0.]
     [0. 1.]]
    """
    eye = jnp.eye(_check(params).means.shape[1], dtype=params.means.dtype)
    return TailDependence(eye, eye)


@cache
def copula(num_components: int) -> Copula:
    """The family with ``num_components`` components; equal arguments give the same value.

    ``copulas.fit`` starts it from expectation-maximisation on normal scores and needs a ``key``.

    >>> copula(3).num_params(2)
    13
    """
    if num_components < 1:
        raise ValueError(f"num_components: expected at least 1, got {num_components}; ask for more")

    def num_params(dim: int) -> int:
        """k - 1 weights, k d means and k d (d+1)/2 covariances, less the 2 d that the margins undo."""
        return num_components - 1 + num_components * (dim + dim * (dim + 1) // 2) - 2 * dim

    def constrain(vector: Float[Array, "n"], dim: int) -> Params:
        vector = as_float(vector)
        pairs, others = dim * (dim - 1) // 2, num_components - 1
        logits, means, diagonal, lower = jnp.split(vector, np.cumsum([others, others * dim, others * dim]))
        rows, columns = np.tril_indices(dim, -1)
        scale = jnp.zeros((others, dim, dim), vector.dtype)
        scale = scale.at[:, rows, columns].set(lower[pairs:].reshape(others, pairs))
        scale = scale + jnp.exp(diagonal.reshape(others, dim))[:, :, None] * np.eye(dim, dtype=vector.dtype)
        first = correlation.cholesky_from_vector(lower[:pairs], dim)
        zeros = jnp.zeros((1, dim), vector.dtype)
        return Params(
            jnp.concatenate([zeros[0, :1], logits]),
            jnp.concatenate([zeros, means.reshape(others, dim)]),
            jnp.concatenate([first[None], scale]),
        )

    def unconstrain(params: Params, dim: int) -> Float[Array, "n"]:
        params = _check(params)
        unit = jnp.linalg.norm(params.scale[0], axis=-1)
        means = (params.means[1:] - params.means[0]) / unit
        scale = params.scale / unit[:, None]
        rows, columns = np.tril_indices(dim, -1)
        first = jnp.where(np.eye(dim, dtype=bool), 1, scale[0] @ scale[0].T)
        parts = (
            params.logits[1:] - params.logits[0],
            means.ravel(),
            jnp.log(jnp.diagonal(scale[1:], axis1=1, axis2=2)).ravel(),
            correlation.to_vector(first),
            scale[1:, rows, columns].ravel(),
        )
        return jnp.concatenate(parts)

    def start(key, u: Float[Array, "n d"], mask: Bool[Array, "n"], shrinkage=None) -> Params:
        if key is None:
            raise ValueError("key: expected a random key for the Gaussian-mixture copula, got None; pass key=")
        scores = jnp.where(mask[:, None], ndtri(u), 0)
        return mixture.fit_masked(
            key, scores, mask, num_components=num_components, regularisation=1e-2, num_steps=100
        ).params

    return Copula(
        f"gaussian_mixture_{num_components}",
        logpdf,
        sample,
        rosenblatt,
        inverse_rosenblatt,
        None,
        kendall_tau,
        None,
        tail_dependence,
        num_params,
        constrain,
        unconstrain,
        start,
    )
