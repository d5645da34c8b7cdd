"""Weighted and smoothed bootstrap: bandwidths, kernels, draws of rows, and the rule that mixes real and drawn rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcop import _checks
from jaxcop._numerics import as_float, concrete
from jaxcop.imbalanced.density import density_weights

RULES = ("silverman", "scott", "released")
# The adaptive kernel compares this many rows at a time with all others, which bounds the memory.
PILOT_ROWS = 512


def bandwidth(count, dim: int, rule: str = "silverman"):
    r"""The factor h of a kernel with covariance :math:`h^2 \, Cov`, for ``count`` rows of ``dim`` dimensions.

    ``silverman``: :math:`h = (n (d + 2) / 4)^{-1/(d+4)}`; ``scott``: :math:`h = n^{-1/(d+4)}`; ``released``: the code
    that came with DAVID squares Silverman's factor twice and multiplies by 0.1, H = 0.1 h^4 Cov, hence
    :math:`\sqrt{0.1} h^2`.

    Sources: Silverman 1986, section 4.3.2; Scott 1992; Stocksieker, Pommeret & Charpentier 2024 (released code).

    >>> round(bandwidth(100, 2), 4), round(bandwidth(100, 3, "scott"), 4), round(bandwidth(100, 2, "released"), 4)
    (0.4642, 0.5179, 0.0681)
    """
    _checks.one_of(rule, RULES, "rule")
    if rule == "scott":
        return count ** (-1 / (dim + 4))
    silverman = (count * (dim + 2) / 4) ** (-1 / (dim + 4))
    return silverman if rule == "silverman" else 0.1**0.5 * silverman**2


@jax.jit
def covariance_root(z: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Float[Array, "d d"]:
    """A root A of the covariance (n - 1) of the rows where ``mask`` is true: A A' = Cov.

    By eigenvalues: a column that repeats another makes the covariance singular, which Cholesky's root cannot take.
    """
    count = mask.sum()
    centred = jnp.where(mask[:, None], z - jnp.where(mask[:, None], z, 0).sum(0) / count, 0)
    values, vectors = jnp.linalg.eigh(centred.T @ centred / (count - 1))
    return vectors * jnp.sqrt(jnp.maximum(values, 0))


@partial(jax.jit, static_argnames="sensitivity")
def adaptive_factors(
    z: Float[Array, "n d"], mask: Bool[Array, " n"], factor: float | Float[Array, ""], *, sensitivity: float = 0.5
) -> Float[Array, " n"]:
    r"""Bandwidth factors per row, :math:`\lambda_i = (f(z_i) / g)^{-a}`: wide kernels where rows are few.

    f is the kernel density with covariance ``factor``^2 Cov, g the geometric mean of f over the rows, a the
    ``sensitivity`` (1/2: Abramson's square-root law; 0: one bandwidth). Source: Silverman 1986, section 5.3.
    """
    count = mask.sum()
    root = factor * covariance_root(z, mask)
    values = jnp.linalg.norm(root, axis=0)
    # In the coordinates of the kernel the density is one of standard normals; directions without spread drop out.
    wide = values > jnp.finfo(z.dtype).eps * values.max()
    white = jnp.where(mask[:, None], z, 0) @ (root / jnp.where(wide, values, 1) ** 2) * wide
    squares = (white**2).sum(1)

    def log_kernel_sum(row):
        distance = squares + (row**2).sum() - 2 * white @ row
        return jax.nn.logsumexp(jnp.where(mask, -0.5 * jnp.maximum(distance, 0), -jnp.inf))

    log_f = jax.lax.map(log_kernel_sum, white, batch_size=min(PILOT_ROWS, len(z)))
    centred = jnp.where(mask, log_f - jnp.where(mask, log_f, 0).sum() / count, 0)
    return jnp.exp(-sensitivity * centred)


@partial(jax.jit, static_argnames="num_rows")
def draw_rows(key: Key[Array, ""], weights: Float[Array, " n"], num_rows: int) -> Int[Array, " m"]:
    """Row numbers drawn with replacement, P(i) proportional to ``weights``."""
    return jax.random.choice(key, weights.shape[0], (num_rows,), p=weights / weights.sum())


@jax.jit
def is_first(index: Int[Array, " m"]) -> Bool[Array, " m"]:
    """Whether a row number appears for the first time.

    >>> import jax.numpy as jnp
    >>> is_first(jnp.array([3, 1, 3, 3, 0])).tolist()
    [True, True, False, False, True]
    """
    order = jnp.argsort(index, stable=True)
    ordered = index[order]
    new = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])
    return jnp.zeros(index.shape, bool).at[order].set(new)


@jax.jit
def mix(index: Int[Array, " m"], rows: Float[Array, "n d"], synthetic: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """The mixing rule: the first draw of a row is the real row, each repeat is synthetic.

    ``synthetic[i]`` was made from ``rows[index[i]]``. Source: Stocksieker, Pommeret & Charpentier 2024 (the "TirMix"
    of the released code).
    """
    return jnp.where(is_first(index)[:, None], rows[index], synthetic)


def smoothed_draw(
    key: Key[Array, ""],
    z: Float[Array, "n d"],
    index: Int[Array, " m"],
    root: Float[Array, "d d"],
    factors: Float[Array, " n"] | None = None,
) -> Float[Array, "m d"]:
    """``z[index]`` + N(0, root root'), the kernel of row i scaled by ``factors[i]`` if given."""
    noise = jax.random.normal(key, (index.shape[0], z.shape[1]), z.dtype) @ root.T
    return z[index] + (noise if factors is None else factors[index][:, None] * noise)


def smoothed_bootstrap(
    key: Key[Array, ""],
    z: Float[ArrayLike, "n d"],
    weights: Float[ArrayLike, " n"],
    num_rows: int,
    *,
    rule: str = "silverman",
    multiplier: float | Float[ArrayLike, ""] = 1.0,
    adaptive: bool = False,
) -> Float[Array, "m d"]:
    r"""Draws from the weighted kernel density of the rows of ``z``: a row i ~ ``weights`` plus N(0, H_i).

    :math:`H_i = (m h \lambda_i)^2 Cov(z)` with h by ``rule`` (:func:`bandwidth`), m the ``multiplier`` and
    :math:`\lambda_i` = 1, or that of :func:`adaptive_factors`. Cov takes all rows alike, as the source does.

    Raises:
        ValueError: NaN, a constant column, weights of another length, negative or all zero, an unknown rule, a
            negative multiplier.

    Source: Stocksieker, Pommeret & Charpentier 2024, section 3.3; Silverman 1986, section 6.4.1.

    >>> import jax
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(50, 2))
    >>> smoothed_bootstrap(jax.random.key(0), z, np.ones(50), 7).shape
    (7, 2)
    """
    _checks.one_of(rule, RULES, "rule")
    values, number = concrete(z), concrete(multiplier)
    if values is not None:
        _checks.table(values, "z")
    if number is not None:
        _checks.positive(float(number), "multiplier", allow_zero=True)
    check_weights(weights, jnp.shape(z)[0])
    z, weights = as_float(z), as_float(weights)
    return _smoothed_bootstrap(key, z, weights, multiplier, num_rows=num_rows, rule=rule, adaptive=adaptive)


@partial(jax.jit, static_argnames=("num_rows", "rule", "adaptive"))
def _smoothed_bootstrap(key, z, weights, multiplier, *, num_rows, rule, adaptive):
    every = jnp.ones(len(z), bool)
    factor = jnp.asarray(multiplier * bandwidth(len(z), z.shape[1], rule), z.dtype)
    key_rows, key_noise = jax.random.split(key)
    # Zero bandwidth is the plain bootstrap: a pilot density of width 0 is none.
    pilot = jnp.where(factor > 0, factor, 1)
    factors = adaptive_factors(z, every, pilot) if adaptive else None
    index = draw_rows(key_rows, weights, num_rows)
    return smoothed_draw(key_noise, z, index, factor * covariance_root(z, every), factors)


def check_weights(weights, num_rows: int, name: str = "weights") -> None:
    """Refuse weights that are not one finite number of at least 0 a row, one of them above 0."""
    values = concrete(weights)
    if jnp.shape(weights) != (num_rows,):
        raise ValueError(f"{name}: expected shape ({num_rows},), got {jnp.shape(weights)}; give one value a row")
    if values is not None and not (np.isfinite(values).all() and (values >= 0).all() and (values > 0).any()):
        raise ValueError(f"{name}: expected finite values of at least 0, one above 0; check how they were computed")


def inverse_density_draw(
    key: Key[Array, ""], y: Float[ArrayLike, " n"], alpha: float, num_rows: int | None = None
) -> Int[Array, " m"]:
    """Row numbers drawn with P(i) proportional to f(y_i)^-alpha: a test set in which rare targets are common.

    It is no sample of the population: a score on it answers another question than one on all rows. Drawn with
    replacement, as many as there are rows unless ``num_rows`` says otherwise.

    >>> import jax
    >>> import numpy as np
    >>> y = np.append(np.linspace(0, 1, 99), 9.0)
    >>> bool((inverse_density_draw(jax.random.key(0), y, 1.0) == 99).mean() > 0.03)
    True
    """
    weights = density_weights(y, alpha)
    return draw_rows(key, weights, len(weights) if num_rows is None else num_rows)
