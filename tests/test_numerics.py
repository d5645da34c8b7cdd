"""Special functions against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jaxcop import _numerics

from tolerance import assert_close


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (_numerics.expm1_remainder, lambda x: (mpmath.expm1(x) - x) / x**2),
        (_numerics.log1p_remainder, lambda x: (x - mpmath.log1p(x)) / x**2),
        (_numerics.log1p_ratio, lambda x: mpmath.log1p(x) / x),
    ],
)
def test_remainders(function, exact, dtype):
    x = np.array([1e-12, 1e-5, 0.01, 0.0499, 0.0501, 0.3, 0.499, 0.501, 0.9, 3.0, -1e-8, -0.04, -0.3, -0.7], dtype)
    mpmath.mp.dps = 50
    assert_close(
        function(jnp.asarray(x)), [float(exact(mpmath.mpf(float(v)))) for v in x], rtol=50 * np.finfo(dtype).eps
    )
    slope = jax.jit(jax.vmap(jax.grad(function)))(jnp.asarray(x))
    expected = [float(mpmath.diff(exact, mpmath.mpf(float(v)))) for v in x]
    assert_close(slope, expected, rtol=2e3 * np.finfo(dtype).eps)
    assert jnp.isfinite(jax.jit(jax.grad(jax.grad(function)))(jnp.zeros((), dtype)))


def test_normal_cdf_in_both_tails_and_its_slope(dtype):
    x = np.linspace(-37 if dtype == "float64" else -12.8, 9, 2001).astype(dtype)
    value, slope = jax.vmap(jax.value_and_grad(_numerics.normal_cdf))(x)
    assert value.dtype == slope.dtype == dtype
    # The rounding of x is that of x**2 / 2 in the tail.
    allowed = 6 * np.finfo(dtype).eps * np.maximum(1, x.astype(float) ** 2)
    assert (np.abs(np.asarray(value, float) / scipy.special.ndtr(x.astype(float)) - 1) < allowed).all()
    normal = x > -12  # in float32 the density of what lies beyond is denormal
    assert (np.abs(np.asarray(slope, float) / scipy.stats.norm.pdf(x.astype(float)) - 1) < allowed)[normal].all()
