"""Relevance of a target value: 0 for common values, 1 for those that matter, monotone in between."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcop import _checks
from jaxcop._numerics import as_float, concrete
from jaxcop.imbalanced.density import check_target

BOX_PLOT_COEFFICIENT = 1.5


class ControlPoints(NamedTuple):
    """Where relevance is known: ``y`` increasing, ``phi`` in [0, 1], ``slope`` its derivative there."""

    y: Float[np.ndarray, " k"]
    phi: Float[np.ndarray, " k"]
    slope: Float[np.ndarray, " k"]


def control_points(points) -> ControlPoints:
    """Control points of the caller's own: rows (y, phi) or (y, phi, slope), slope 0 where it is not given.

    Raises ValueError for fewer than two points, y that does not increase, phi outside [0, 1], relevance that is zero
    everywhere, NaN.

    >>> control_points([(10, 0), (50, 1)]).phi.tolist()
    [0.0, 1.0]
    """
    array = _checks.table(points, "points", allow_constant=True)
    if array.shape[1] not in (2, 3):
        raise ValueError(f"points: expected rows (y, phi) or (y, phi, slope), got {array.shape[1]} numbers a row")
    y, phi = array[:, 0], array[:, 1]
    if (np.diff(y) <= 0).any():
        raise ValueError(f"points: expected y that increases, got {y.tolist()}; sort them and drop repeated ones")
    if phi.min() < 0 or phi.max() > 1:
        raise ValueError(f"points: expected phi between 0 and 1, got {phi.tolist()}; rescale it")
    if phi.max() == 0:
        raise ValueError("points: expected relevance above 0 somewhere, got 0 at every point; give a point with phi 1")
    slope = array[:, 2] if array.shape[1] == 3 else np.zeros_like(y)
    return ControlPoints(y, phi, slope)


def hinges(y: Float[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Tukey's lower hinge, the median and the upper hinge: the median of each half, the middle row in both.

    The box plot of the source has these and not interpolated quartiles, which decide on other outliers where n is
    small. Source: Tukey 1977, section 2C.

    >>> hinges(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 60.0]))
    (2.0, 3.5, 5.0)
    """
    ordered = np.sort(y)
    half = -(-len(ordered) // 2)
    return float(np.median(ordered[:half])), float(np.median(ordered)), float(np.median(ordered[-half:]))


def automatic_points(y: Float[np.ndarray, " n"], *, coefficient: float = BOX_PLOT_COEFFICIENT) -> ControlPoints:
    """Control points from a box plot: relevance 0 at the median, 1 at the whisker of each side that has outliers.

    The whiskers are the most extreme values within ``coefficient`` times the distance of the hinges (see
    :func:`hinges`) from them (the adjacent values); a side without outliers has relevance 0 up to its extreme.

    Raises:
        ValueError: a constant or discrete target, NaN, or no outlier on either side, where relevance is 0 everywhere.

    Source: Ribeiro 2011; Ribeiro & Moniz 2020.

    >>> import numpy as np
    >>> automatic_points(np.append(np.arange(11.0), 40.0)).y.tolist()
    [0.0, 5.5, 10.0]
    """
    y = check_target(y)
    low, median, high = hinges(y)
    _checks.positive(coefficient, "coefficient")
    reach = coefficient * (high - low)
    inside = y[(y >= low - reach) & (y <= high + reach)]
    left = (inside.min(), 1.0) if y.min() < low - reach else (y.min(), 0.0)
    right = (inside.max(), 1.0) if y.max() > high + reach else (y.max(), 0.0)
    if left[1] == right[1] == 0:
        raise ValueError(
            f"y: expected outliers beyond {coefficient} times the hinge distance, got none, so relevance "
            "is 0 everywhere; give control points of your own, e.g. control_points([(median, 0), (rare value, 1)])"
        )
    # A side without rows between its whisker and the median has nothing to interpolate.
    points = [point for point in (left, (median, 0.0), right) if point[0] != median or point[1] == 0]
    unique = {float(value): phi for value, phi in points}
    if len(unique) < 2 or max(unique.values()) == 0:
        raise ValueError(
            "y: expected values between the median and the outliers, got none (most rows share one value); give "
            "control points of your own"
        )
    return control_points(sorted(unique.items()))


def relevance(y: Float[ArrayLike, "*b"], points: ControlPoints) -> Float[Array, "*b"]:
    """Relevance phi(y) in [0, 1]: monotone cubic Hermite between the control points, constant outside of them.

    Slopes that would overshoot are shortened (Fritsch & Carlson 1980). With slope 0 at the points a segment is
    3 t^2 - 2 t^3. Source: Ribeiro 2011.

    >>> import jax.numpy as jnp
    >>> relevance(jnp.array([0.0, 1.0, 1.5, 2.0, 9.0]), control_points([(1, 0), (2, 1)])).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return _hermite(as_float(y), points)


@jax.jit
def _hermite(y, points: ControlPoints):
    knots, phi, slope = (jnp.asarray(part, y.dtype) for part in points)
    width, rise = jnp.diff(knots), jnp.diff(phi)
    secant = rise / width
    safe = jnp.where(secant == 0, 1, secant)
    start, end = (jnp.maximum(jnp.where(secant == 0, 0, part / safe), 0) for part in (slope[:-1], slope[1:]))
    length = jnp.hypot(start, end)
    shorten = jnp.where(length > 3, 3 / jnp.where(length > 3, length, 1), 1) * secant
    start, end = start * shorten, end * shorten
    k = jnp.clip(jnp.searchsorted(knots, y, side="right") - 1, 0, len(width) - 1)
    t = jnp.clip((y - knots[k]) / width[k], 0, 1)
    value = phi[k] + rise[k] * t**2 * (3 - 2 * t)
    value += width[k] * t * (1 - t) * (start[k] * (1 - t) - end[k] * t)
    return jnp.clip(value, 0, 1)


def check_relevance(phi) -> None:
    """Refuse relevance outside [0, 1] or zero everywhere; nothing is checked while jax traces."""
    values = concrete(phi)
    if values is None:
        return
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            "phi: expected relevance between 0 and 1, got values outside or NaN; compute it by relevance()"
        )
    if values.max() == 0:
        raise ValueError("phi: expected relevance above 0 somewhere, got 0 everywhere; give other control points")
