"""Special functions against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
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
