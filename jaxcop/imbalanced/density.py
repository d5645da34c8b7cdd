"""How rare a target value is: kernel density of the target and the weights that follow from it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from jaxcop import _checks
from jaxcop._numerics import as_float, concrete

# Fewer distinct values than this are classes: a kernel density of them says nothing about rarity.
MIN_DISTINCT = 10


def check_target(y, name: str = "y") -> np.ndarray:
    """Return the target as a one-dimensional array, or refuse it.

    Raises ValueError for another shape, NaN, a constant, and fewer than ``MIN_DISTINCT`` distinct values.
    """
    array = np.asarray(y)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {array.shape}; give the target column alone")
    array = _checks.table(array[:, None], name)[:, 0]
    distinct = len(np.unique(array))
    if distinct < MIN_DISTINCT:
        raise ValueError(
            f"{name}: expected a continuous target of at least {MIN_DISTINCT} distinct values, got {distinct}; "
            "declare it as classes (levels) or take a target that is measured"
        )
    return array


def check_alpha(alpha, name: str = "alpha") -> None:
    """Refuse an exponent below 0, which would weight common rows up."""
    for value in np.ravel(np.asarray(alpha)):
        _checks.positive(float(value), name, allow_zero=True)


def log_density(
    points: Float[ArrayLike, " m"], data: Float[ArrayLike, " n"], mask: Bool[ArrayLike, " n"] | None = None
) -> Float[Array, " m"]:
    r"""Log of the Gaussian kernel density of ``data`` at ``points``, bandwidth s n^(-1/5) (s with n - 1).

    Rows where ``mask`` is false do not count. Source: Scott 1992; the same estimate as ``scipy.stats.gaussian_kde``.

    >>> import jax.numpy as jnp
    >>> round(float(jnp.exp(log_density(jnp.zeros(1), jnp.array([-1.0, 1.0])))[0]), 4)
    0.233
    """
    points, data = as_float(points), as_float(data)
    return _log_density(points, data, jnp.ones(data.shape, bool) if mask is None else jnp.asarray(mask))


@jax.jit
def _log_density(points, data, mask):
    count = mask.sum().astype(data.dtype)
    mean = jnp.where(mask, data, 0).sum() / count
    scale = jnp.sqrt(jnp.where(mask, (data - mean) ** 2, 0).sum() / (count - 1)) * count**-0.2
    exponents = jnp.where(mask, -0.5 * ((points[:, None] - data) / scale) ** 2, -jnp.inf)
    return logsumexp(exponents, axis=1) - jnp.log(count * scale * math.sqrt(2 * math.pi))


def density_weights(
    y: Float[ArrayLike, " n"], alpha: float | Float[Array, ""], mask: Bool[ArrayLike, " n"] | None = None
) -> Float[Array, " n"]:
    r""":math:`w_i \propto f(y_i)^{-\alpha}`, summing to 1: the rarer the target, the larger the weight.

    f is the kernel density of :func:`log_density`; alpha 0 gives equal weights, 1 the weights under which the target
    is about uniform. Rows where ``mask`` is false get 0. Runs under ``jit``; values are checked outside of it.

    Raises:
        ValueError: NaN, a constant or discrete target, alpha below 0.

    Source: Stocksieker, Pommeret & Charpentier 2024, section 3.2.

    >>> import numpy as np
    >>> w = density_weights(np.append(np.linspace(0, 1, 20), 5.0), 0.5)
    >>> bool(w[-1] > 1.5 * w[:-1].max()), round(float(w.sum()), 6)
    (True, 1.0)
    """
    values = concrete(y), concrete(alpha), concrete(mask)
    if values[0] is not None and (mask is None or values[2] is not None):
        check_target(values[0] if mask is None else values[0][values[2]])
    if values[1] is not None:
        check_alpha(values[1])
    y = as_float(y)
    mask = jnp.ones(y.shape, bool) if mask is None else jnp.asarray(mask)
    return _weights(y, alpha, mask)


@jax.jit
def _weights(y, alpha, mask):
    alpha = jnp.asarray(alpha, y.dtype)
    return jax.nn.softmax(jnp.where(mask, -alpha * _log_density(y, y, mask), -jnp.inf))


def class_weights(
    labels: Float[ArrayLike, " n"],
    num_classes: int,
    alpha: float | Float[Array, ""],
    mask: Bool[ArrayLike, " n"] | None = None,
) -> Float[Array, " n"]:
    r""":math:`w_i \propto (n_{c(i)} / n)^{-\alpha}`, summing to 1: :func:`density_weights` for a target of classes.

    ``labels`` are 0, 1, ..., ``num_classes`` - 1.

    >>> import jax.numpy as jnp
    >>> [round(float(w), 4) for w in class_weights(jnp.array([0, 0, 0, 1]), 2, 1.0)]
    [0.1667, 0.1667, 0.1667, 0.5]
    """
    mask = jnp.ones(jnp.shape(labels), bool) if mask is None else jnp.asarray(mask)
    one_hot = jax.nn.one_hot(jnp.asarray(labels).astype(int), num_classes) * mask[:, None]
    share = (one_hot @ one_hot.sum(0)) / mask.sum()
    return jax.nn.softmax(jnp.where(mask, -alpha * jnp.log(jnp.where(mask, share, 1)), -jnp.inf))
