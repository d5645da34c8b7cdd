"""Student's t against mpmath, scipy and the reference quantiles."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.test_util import check_grads
from jaxcop import _student_t
from jaxcop._student_t import student_t_cdf, student_t_quantile

from families import reference
from tolerance import assert_close

_PPF = reference("student_t_ppf", "special")
_P, _DF, _VALUE, _BY_P, _BY_DF = (
    np.array([float(c[k]) for c in _PPF]) for k in ("p", "nu", "value", "dq_dp", "dq_dnu")
)

_DIFFERENCES = {"order": 1, "modes": ("rev",), "rtol": 1e-5, "eps": 1e-6}
# Enough p at one df for the series to be used.
_MANY = np.concatenate(
    [np.geomspace(1e-12, 0.4, 150), 0.5 + 0.1 * np.linspace(-1, 1, 51) ** 3, 1 - np.geomspace(1e-12, 0.4, 50)]
)


@jax.jit
def _value_and_slopes(p, df):
    value, by_p = jax.jvp(lambda p: student_t_quantile(p, df), (p,), (jnp.ones_like(p),))
    return value, by_p, jax.jvp(lambda df: student_t_quantile(p, df), (df,), (jnp.ones_like(df),))[1]


def _exact_slope(p, df):
    # -F_df / f at the quantile, by mpmath's own differences in 40 digits
    mpmath.mp.dps = 40
    x = mpmath.mpf(float(scipy.stats.t.ppf(p, df)))

    def log_density(v):
        return mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2

    def tail(v):
        return mpmath.betainc(v / 2, mpmath.mpf(1) / 2, 0, v / (v + x**2), regularized=True) / 2

    density = mpmath.exp(log_density(mpmath.mpf(df)) - (df + mpmath.mpf(1)) / 2 * mpmath.log1p(x**2 / df))
    return float((mpmath.diff(tail, mpmath.mpf(df)) if x > 0 else -mpmath.diff(tail, mpmath.mpf(df))) / density)


@jax.jit
def _gradients(p, df):
    return jax.grad(lambda p, df: jnp.sum(student_t_quantile(p, df)), (0, 1))(p, df)


def _exact_cdf(x, df):
    # scipy.stats.t.cdf is wrong in the eleventh digit near the centre
    mpmath.mp.dps = 40
    x, df = mpmath.mpf(float(x)), mpmath.mpf(float(df))
    tail = mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + x**2), regularized=True) / 2
    return float(tail if x < 0 else 1 - tail)


def test_quantile_reference_values():
    assert_close(student_t_quantile(_P, _DF), _VALUE, rtol=1e-11)


def test_quantile_reference_derivatives():
    by_p, by_df = _gradients(_P, _DF)
    representable = np.isfinite(_BY_P)
    assert representable.sum() >= len(_P) - 6
    assert_close(by_p[representable], _BY_P[representable], rtol=1e-11)
    ok = np.isfinite(_BY_DF) & representable
    assert_close(by_df[ok], _BY_DF[ok], rtol=1e-9)


def test_quantile_float32():
    rng = np.random.default_rng(3)
    p = np.concatenate([10 ** rng.uniform(-12, -0.3, 2000), rng.uniform(0.3, 1 - 1e-6, 2000)]).astype("float32")
    df = np.exp(rng.uniform(np.log(0.5), np.log(1e4), p.size)).astype("float32")
    expected = student_t_quantile(p.astype("float64"), df.astype("float64"))
    got = student_t_quantile(p, df)
    assert got.dtype == jnp.float32
    assert_close(got, expected, rtol=2e-5)
    # The score integral keeps a few digits less, and near the centre it is close to zero.
    for part, whole in zip(_gradients(p, df), _gradients(p.astype("float64"), df.astype("float64")), strict=True):
        assert_close(part, whole, rtol=2e-4, atol=1e-7)


def test_quantile_against_scipy():
    rng = np.random.default_rng(0)
    p = scipy.special.expit(rng.uniform(-27, 27, 3000))
    df = np.exp(rng.uniform(np.log(0.5), np.log(1e4), p.size))
    # scipy itself is good to about 1e-12 here
    assert_close(student_t_quantile(p, df), scipy.stats.t.ppf(p, df), rtol=1e-11)


@pytest.mark.parametrize("df", [0.5, 2.0, 4.0, 6.0, 8.0, 300.0, 1e4])
def test_many_quantiles_at_one_df(df):
    value, by_p, by_df = _value_and_slopes(_MANY, df)
    # scipy loses digits near the centre (1e-6 at df = 4): there, the series of the quantile.
    tails, centre = np.abs(_MANY - 0.5) > 0.01, np.abs(_MANY - 0.5) < 0.002
    assert_close(value[tails], scipy.stats.t.ppf(_MANY[tails], df), rtol=1e-11)
    t = (_MANY[centre] - 0.5) / scipy.stats.t.pdf(0, df)
    r = 1 / df
    assert_close(value[centre], t * (1 + (1 + r) * t**2 / 6 + (1 + r) * (7 + r) * t**4 / 120), rtol=1e-11)
    assert_close(by_p, 1 / scipy.stats.t.pdf(scipy.stats.t.ppf(_MANY, df), df), rtol=1e-10)
    some = [3, 60, 140, 160, 172, 190, 230, 249]
    assert_close(by_df[np.array(some)], [_exact_slope(_MANY[i], df) for i in some], rtol=1e-8)


def test_many_quantiles_in_float32():
    p = _MANY.astype("float32")
    p = p[(p > 0) & (p < 1)]
    for df in np.float32([0.5, 4, 300]):
        value, by_p, by_df = _value_and_slopes(p, df)
        expected, expected_by_p, expected_by_df = _value_and_slopes(p.astype("float64"), np.float64(df))
        assert value.dtype == by_p.dtype == by_df.dtype == jnp.float32
        assert_close(value, expected, rtol=2e-5)
        assert_close(by_p, expected_by_p, rtol=1e-4)
        assert_close(by_df, expected_by_df, rtol=1e-4)


def test_series_reference():
    ok = (_DF >= 0.5) & np.isfinite(_BY_P) & np.isfinite(_BY_DF)
    assert ok.sum() > 20

    @jax.jit
    @jax.vmap
    def series(p, df):
        return jax.value_and_grad(lambda p, df: _student_t._quantile_from_series(p[None], df)[0][0], (0, 1))(p, df)

    value, (by_p, by_df) = series(_P[ok], _DF[ok])
    assert_close(value, _VALUE[ok], rtol=1e-11)
    assert_close(by_p, _BY_P[ok], rtol=1e-10)
    assert_close(by_df, _BY_DF[ok], rtol=1e-8)


@pytest.mark.slow
def test_second_derivatives_of_many_quantiles():
    @jax.jit
    def second(p, df):
        by_df = jax.jvp(lambda df: _value_and_slopes(p, df), (df,), (jnp.ones_like(df),))[1]
        return by_df[1:], jax.jvp(lambda p: _value_and_slopes(p, df), (p,), (jnp.ones_like(p),))[1][2]

    df, step = 3.0, 1e-3
    (by_p_df, by_df_df), by_df_p = second(_MANY, df)
    high, low = _value_and_slopes(_MANY, df + step), _value_and_slopes(_MANY, df - step)
    assert_close(by_p_df, (high[1] - low[1]) / (2 * step), rtol=1e-5, atol=1e-9)
    assert_close(by_df_df, (high[2] - low[2]) / (2 * step), rtol=1e-5, atol=1e-9)
    assert_close(by_df_p, by_p_df, rtol=1e-7)


def test_many_quantiles_at_the_edges(dtype):
    p = np.full(200, 0.25, dtype)
    p[:6] = 0, 0.5, 1, -0.1, 1.5, np.nan
    np.testing.assert_array_equal(student_t_quantile(p, 3.0)[:6], [-np.inf, 0, np.inf, np.nan, np.nan, np.nan])
    p[:6] = np.finfo(dtype).tiny
    value, _, by_df = _value_and_slopes(p, jnp.asarray(0.1, dtype))
    assert -np.finfo(dtype).max <= float(value[0]) < -np.finfo(dtype).max / 10
    assert jnp.isfinite(by_df).all()


def test_quantile_edges_and_saturation(dtype):
    got = student_t_quantile(jnp.asarray([0.0, 0.5, 1.0, -0.1, 1.5, jnp.nan], dtype), 3.0)
    np.testing.assert_array_equal(got, [-np.inf, 0, np.inf, np.nan, np.nan, np.nan])
    assert got.dtype == dtype
    tiny = float(np.finfo(dtype).tiny)
    assert -np.finfo(dtype).max <= float(student_t_quantile(jnp.asarray(tiny, dtype), 0.1)) < -np.finfo(dtype).max / 10


@pytest.mark.parametrize("df", [0.5, 4.0])
def test_quantile_gradients_by_differences(df):
    check_grads(
        jax.jit(student_t_quantile),
        (jnp.array([0.01, 0.26, 0.6, 0.9]), df),
        order=1,
        rtol=1e-5,
        eps=1e-6,
        modes=("rev",),
    )


@pytest.mark.slow
def test_second_derivative_in_df():
    df = 2.0
    slope = jax.jit(jax.grad(student_t_quantile, 1))
    expected = (slope(0.1, df + 1e-4) - slope(0.1, df - 1e-4)) / 2e-4
    assert_close(jax.jit(jax.grad(jax.grad(student_t_quantile, 1), 1))(0.1, df), expected, rtol=1e-6)


def test_cdf_against_mpmath_and_inverse(dtype):
    x = np.array([-1e6, -30.0, -3.0, -0.7, -1e-6, 0.0, 1e-3, 0.5, 2.0, 40.0], dtype)[:, None]
    df = np.array([0.5, 1.0, 2.0, 4.0, 33.0, 1e4], dtype)
    got = student_t_cdf(x, df)
    assert got.dtype == dtype
    expected = np.vectorize(_exact_cdf)(x, df)
    assert_close(got, expected, rtol={"float32": 2e-5, "float64": 1e-11}[dtype], atol=1e-30)
    assert_close(student_t_quantile(got[2:4], df), np.broadcast_to(x[2:4], (2, 6)), rtol=1e-4)


@jax.jit
def _cdf_and_slopes(x, df):
    value, by_x = jax.jvp(lambda x: student_t_cdf(x, df), (x,), (jnp.ones_like(x),))
    return value, by_x, jax.jvp(lambda df: student_t_cdf(x, df), (df,), (jnp.ones_like(df),))[1]


@jax.jit
@jax.vmap
def _each_cdf_and_slopes(x, df):
    return student_t_cdf(x, df), jax.grad(student_t_cdf)(x, df), jax.grad(student_t_cdf, 1)(x, df)


# Enough x at one df for the series to be used.
_MANY_X = np.concatenate([-np.geomspace(1e-9, 1e12, 100), [0.0], np.geomspace(1e-9, 1e3, 60)])


@pytest.mark.parametrize("df", [0.1, 0.5, 2.0, 4.5, 33.0, 1e4, 1e6])
def test_many_cdfs_at_one_df(df):
    got = _cdf_and_slopes(_MANY_X, df)
    some = np.arange(0, 161, 10)
    assert_close(got[0][some], np.vectorize(_exact_cdf)(_MANY_X[some], df), rtol=1e-11, atol=1e-300)
    value, by_x, by_df = _each_cdf_and_slopes(_MANY_X, np.full(161, df))
    assert_close(got[0], value, rtol=1e-11, atol=1e-300)
    assert_close(got[1], by_x, rtol=1e-11, atol=1e-300)
    assert_close(got[2], by_df, rtol=1e-9, atol=1e-300)


def test_many_cdfs_in_float32():
    x = _MANY_X.astype("float32")
    for df in np.float32([0.5, 4, 300, 1e4]):
        got = _cdf_and_slopes(x, df)
        for part, expected in zip(got, _cdf_and_slopes(x.astype("float64"), np.float64(df)), strict=True):
            assert part.dtype == jnp.float32
            assert_close(part, expected, rtol=1e-4, atol=1e-36)


def test_many_cdfs_at_the_edges(dtype):
    info = np.finfo(dtype)
    x = np.zeros(161, dtype)
    x[:7] = -np.inf, -info.max, -info.tiny, 0, info.max, np.inf, np.nan
    for df in (0.1, 3.0, 1e6):
        value, by_x, by_df = (np.array(part) for part in _cdf_and_slopes(x, jnp.asarray(df, dtype)))
        np.testing.assert_array_equal(value[[0, 2, 3, 5, 6]], [0, 0.5, 0.5, 1, np.nan])
        assert 0 <= value[1] == 1 - value[4] < 1e-3
        assert np.isfinite(by_x[:6]).all()
        assert np.isfinite(by_df[:6]).all()


def test_second_derivatives_of_many_cdfs():
    @jax.jit
    def second(x, df):
        by_df = jax.jvp(lambda df: _cdf_and_slopes(x, df), (df,), (jnp.ones_like(df),))[1]
        return by_df[1:], jax.jvp(lambda x: _cdf_and_slopes(x, df), (x,), (jnp.ones_like(x),))[1]

    df, step = 3.0, 1e-3
    (by_x_df, by_df_df), (_, by_x_x, by_df_x) = second(_MANY_X, df)
    high, low = _cdf_and_slopes(_MANY_X, df + step), _cdf_and_slopes(_MANY_X, df - step)
    assert_close(by_x_df, (high[1] - low[1]) / (2 * step), rtol=1e-5, atol=1e-9)
    assert_close(by_df_df, (high[2] - low[2]) / (2 * step), rtol=1e-5, atol=1e-9)
    assert_close(by_df_x, by_x_df, rtol=1e-7, atol=1e-300)
    density = _cdf_and_slopes(_MANY_X, df)[1]
    assert_close(by_x_x, -(df + 1) * _MANY_X / (df + _MANY_X**2) * density, atol=1e-300)


def test_cdf_gradients_by_differences():
    check_grads(
        jax.jit(student_t_cdf),
        (jnp.array([-4.0, -0.3, 0.0, 0.2, 5.0]), jnp.array(2.0)),
        order=1,
        rtol=1e-5,
        eps=1e-6,
        modes=("rev",),
    )


@pytest.mark.parametrize("df", [0.5, 1.0, 3.0, 40.0, 1e4, 1e6])
def test_log_density_against_scipy(df, dtype):
    x = np.array([0.0, 1e-3, 1.0, 30.0, 1e8], dtype)
    got = _student_t.student_t_logpdf(jnp.asarray(x), jnp.asarray(df, dtype))
    mpmath.mp.dps = 30
    v = mpmath.mpf(df)
    constant = mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2
    expected = [float(constant - (v + 1) / 2 * mpmath.log1p(mpmath.mpf(float(t)) ** 2 / v)) for t in x]
    assert_close(got, expected, rtol=20 * np.finfo(dtype).eps, atol=5 * np.finfo(dtype).eps)
    assert jnp.isfinite(_student_t.student_t_logpdf(jnp.asarray(np.finfo(dtype).max / 2), jnp.asarray(df, dtype)))


def test_scalars_follow_the_array():
    assert student_t_quantile(np.float32([0.2]), 4.0).dtype == jnp.float32
    assert student_t_cdf(np.float32([0.2]), 4).dtype == jnp.float32


def test_vmap_equals_loop():
    p, df = jnp.array([0.1, 0.4, 0.99]), jnp.array([1.0, 5.0, 60.0])
    assert_close(
        jax.vmap(student_t_quantile)(p, df), [float(student_t_quantile(a, b)) for a, b in zip(p, df, strict=True)]
    )
