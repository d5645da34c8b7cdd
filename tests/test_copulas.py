"""Every family against the reference, scipy and itself: one table of cases, many invariants."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats
from jaxcop import copulas
from jaxcop.copulas import blend, clayton, frank, gaussian, independence, joe, mixture_of, student_t, survival
from jaxcop.correlation import kendall_tau

from families import (
    ARCHIMEDEAN,
    BUILT,
    CASES,
    REFERENCE,
    STUDENT_T_TWO,
    from_reference,
    points,
    reference,
    reference_slopes,
)
from tolerance import assert_close

# One case per family, where a family costs a compilation; combinators cost that of all their parts.
one_per_family = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow) if case.name.startswith(("blend", "gumbel 90")) else case
        for case in {case.copula.name: case for case in CASES}.values()
    ],
    ids=lambda case: case.name,
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
_LOGPDF = [
    c
    for c in REFERENCE["logpdf_cases"]
    if c["family"] in BUILT and (c["family"] != "clayton" or c["params"]["theta"] >= 0)
]
# Conditioning on the correlation: u is exact, 1 - rho keeps ten digits, and so does what is divided by it.
_NEAR_SINGULAR = {"logpdf/student_t/103": 1e-7}
# Slopes of -100 and 100 nearly cancel.
_CANCELS = {"logpdf/frank/053": 1e-12}


# One compilation per family, shape and dtype.
_VALUE_AND_GRADIENTS = {name: jax.jit(jax.value_and_grad(module.logpdf, (0, 1))) for name, module in BUILT.items()}


# Every dimension is one more compilation.
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if c["dim"] > 8 or c["dim"] == 5 else c for c in _LOGPDF],
    ids=lambda case: case["id"],
)
def test_logpdf_reference(case):
    _, params = from_reference(case)
    value, (by_u, by_params) = _VALUE_AND_GRADIENTS[case["family"]](jnp.asarray(case["u"]), params)
    assert_close(value, float(case["value"]), rtol=1e-9)
    slopes = reference_slopes(by_params)
    for name, expected in case.get("dlogpdf_dparam", {}).items():
        assert_close(slopes[name], expected, rtol=1e-9)
    if "dlogpdf_du" in case:
        assert_close(
            by_u, case["dlogpdf_du"], rtol=_NEAR_SINGULAR.get(case["id"], 1e-9), atol=_CANCELS.get(case["id"], 0)
        )


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if c["dim"] > 3 else c for c in _LOGPDF],
    ids=lambda case: case["id"],
)
def test_logpdf_float32(case):
    module, params = from_reference(case, "float32")
    # coordinates that float32 rounds to 0 or 1 are moved to its last value inside
    u = jnp.clip(jnp.asarray(case["u"], "float32"), 1e-30, np.float32(1 - 6e-8))
    exact = module.Params(*(np.asarray(p, "float64") for p in params))
    elliptical = hasattr(params, "correlation")
    if elliptical and np.linalg.eigvalsh(exact.correlation)[0] <= 0:
        pytest.skip("the correlation rounds to a singular matrix")
    got, slopes = _VALUE_AND_GRADIENTS[case["family"]](u, params)
    assert got.dtype == jnp.float32
    assert all(bool(jnp.isfinite(part).all()) for part in jax.tree.leaves(slopes))
    # Against float64 at the same rounded inputs. Rounding in L enters with the condition number of R.
    expected = float(module.logpdf(np.asarray(u, "float64"), exact))
    condition = np.linalg.cond(exact.correlation) if elliptical else 1
    terms = 20 + 2 * case["dim"] + 10 * abs(expected) + condition * (1 + abs(expected))
    assert abs(float(got) - expected) <= 6e-8 * (case.get("cond_u_rel", 0) + terms)


@pytest.mark.parametrize("name", ["logpdf", "cdf", "rosenblatt"])
def test_clayton_is_exact_and_differentiable_at_the_extremes(name, dtype):
    u = jnp.asarray([[0.3, 0.7, 0.5], [1e-6, 1e-6, 0.9], [0.99, 0.999, 0.9]], dtype)
    function = getattr(clayton, name)
    jacobian = jax.jit(jax.jacobian(function, (0, 1)))
    for theta in (0.0, 1e-12, 1e-4, 0.3, 50.0, 1000.0):
        params = clayton.Params(jnp.asarray(theta, dtype))
        for part in jax.tree.leaves((function(u, params), jacobian(u, params))):
            assert bool(jnp.isfinite(part).all()), theta


def test_clayton_at_independence(dtype):
    u = jnp.asarray([0.3, 0.7, 0.5], dtype)
    value, (by_u, by_params) = _VALUE_AND_GRADIENTS["clayton"](u, clayton.Params(jnp.asarray(0.0, dtype)))
    assert_close(value, 0.0)
    assert_close(by_u, np.zeros(3))
    # the slope in theta is the sum over pairs of (1 + log u_i) (1 + log u_j), whose terms cancel to a hundredth here
    a = 1 + np.log([0.3, 0.7, 0.5])
    assert_close(by_params.theta, (a.sum() ** 2 - (a**2).sum()) / 2, rtol=500 * np.finfo(dtype).eps)


def test_student_t_survives_squares_that_overflow():
    u = jnp.asarray([1e-15, 1e-12, 1 - 6e-8], "float32")
    params = student_t.Params(jnp.asarray([[1, 0.5, 0.3], [0.5, 1, 0.4], [0.3, 0.4, 1]], "float32"), jnp.float32(0.5))
    expected = student_t.logpdf(np.float64(u), student_t.Params(*(np.float64(p) for p in params)))
    assert_close(student_t.logpdf(u, params), expected)


@one_per_family
def test_outside_the_cube(case, dtype):
    u = np.array(points(case.dim, 6, dtype))
    u[0, 0], u[1, 1], u[2, 0], u[3, 1], u[4, 0] = 0, 1, -0.2, 1.5, np.nan
    value = case.copula.logpdf(u, case.params(dtype))
    assert value.dtype == dtype
    np.testing.assert_array_equal(np.isneginf(value), [True] * 5 + [False])
    if dtype == "float64":
        slope = jax.jit(jax.grad(lambda u: jnp.sum(case.copula.logpdf(u, case.params())[5:])))(jnp.asarray(u))
        assert jnp.isfinite(slope).all()


@pytest.mark.parametrize("family", ["gaussian", "student_t"])
def test_logpdf_against_scipy(family):
    (case,) = (c for c in CASES if c.copula.name == family and c.dim == 3)
    u, matrix = np.array(points(3, 50)), case.arrays.correlation
    if family == "gaussian":
        x = scipy.stats.norm.ppf(u)
        expected = scipy.stats.multivariate_normal(cov=matrix).logpdf(x) - scipy.stats.norm.logpdf(x).sum(1)
    else:
        x = scipy.stats.t.ppf(u, 4)
        expected = scipy.stats.multivariate_t(shape=matrix, df=4).logpdf(x) - scipy.stats.t.logpdf(x, 4).sum(1)
    assert_close(case.copula.logpdf(u, case.params()), expected, rtol=1e-11)


@pytest.mark.parametrize("case", [STUDENT_T_TWO, *(c for c in CASES if c.dim == 2)], ids=lambda case: case.name)
def test_density_integrates_to_the_margin(case):
    # int c(u, v) dv = 1, by the trapezoidal rule in x = Phi^-1(v), which is spectral here
    x = np.linspace(-8, 8, 4001)
    weights = scipy.stats.norm.pdf(x) * (x[1] - x[0])
    for u in (0.05, 0.5, 0.97):
        grid = np.stack([np.full_like(x, u), scipy.stats.norm.cdf(x)], 1)
        inside = grid[:, 1] < 1
        total = np.sum(np.exp(case.copula.logpdf(grid[inside], case.params())) * weights[inside])
        assert abs(total - 1) < 1e-7


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow)
        if case.name not in ("independence d=3", "gaussian d=3", "gumbel d=3 2.0")
        else case
        for case in {case.copula.name: case for case in CASES}.values()
    ],
    ids=lambda case: case.name,
)
def test_jit_vmap_and_batches(case):
    module, params, u = case.copula, case.params(), points(case.dim, 6)
    # A combinator's other functions are sums and reflections of those of its parts, and take long to compile.
    others = (module.rosenblatt, module.inverse_rosenblatt, module.cdf) if module.name in BUILT else ()
    for function in (module.logpdf, *others):
        if function is None:
            continue
        whole = function(u, params)
        assert_close(jax.jit(jax.vmap(function, (0, None)))(u, params), whole, rtol=1e-10)
    assert_close(jax.jit(module.logpdf)(u, params), module.logpdf(u, params), rtol=1e-12)
    batched = module.logpdf(u.reshape(2, 3, -1), params)
    assert_close(batched.ravel(), module.logpdf(u, params), rtol=1e-12)
    assert_close(batched[0, 0], module.logpdf(u[0], params), rtol=1e-10)


@one_per_family
def test_parameters_on_a_batch_axis(case):
    if not case.has_params:
        pytest.skip("no parameters")
    params, u = case.params(), points(case.dim)
    batch = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    expected = case.copula.logpdf(u, params)
    assert_close(jax.vmap(case.copula.logpdf, (None, 0))(u, batch)[1], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        # The others in float32, mixtures, and families that are here with three columns take long to compile.
        pytest.param(case, dtype, marks=pytest.mark.slow)
        if case.name.startswith(("blend", "gaussian mixture"))
        or (dtype == "float32" and case.name not in ("gaussian d=3", "clayton d=3 2.0"))
        or case.name in ("clayton d=2 0.01", "frank d=2 -3.0", "joe d=2 6.0", "frank d=3 5.0", "joe d=3 2.0")
        else (case, dtype)
        for case in CASES
        for dtype in ("float64", "float32")
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_rosenblatt_inverts_and_is_the_density(case, dtype):
    module, params, w = case.copula, case.params(dtype), points(case.dim, 6, dtype)
    u = module.inverse_rosenblatt(w, params)
    assert u.dtype == dtype
    # where the dependence is strong one ulp of u is many of w
    loose = 1e4 if "clayton d=5" in case.name else 300
    assert_close(module.rosenblatt(u, params), w, rtol=loose * np.finfo(dtype).eps)
    assert_close(module.inverse_rosenblatt(module.rosenblatt(u, params), params), u, rtol=loose * np.finfo(dtype).eps)
    if dtype == "float64":
        # the Jacobian is triangular and its determinant the density
        jacobian = jax.jit(jax.vmap(jax.jacfwd(module.rosenblatt), (0, None)))(u, params)
        assert_close(jnp.linalg.slogdet(jacobian)[1], module.logpdf(u, params), rtol=1e-8, atol=1e-10)
        assert_close(jnp.triu(jacobian, 1), np.zeros(jacobian.shape))


def _conditional_of_two(family: str, u, v, theta):
    """P(V <= v | u) in the digits of mpmath."""
    u, v, theta = mpmath.mpf(u), mpmath.mpf(v), mpmath.mpf(theta)
    if family == "gumbel":
        x, y = -mpmath.log(u), -mpmath.log(v)
        norm = (x**theta + y**theta) ** (1 / theta)
        return mpmath.exp(x - norm) * (norm / x) ** (1 - theta)
    a, b = (mpmath.exp(theta * mpmath.log1p(-value)) for value in (u, v))
    one_minus_b = -mpmath.expm1(theta * mpmath.log1p(-v))
    return (a * one_minus_b + b) ** (1 / theta - 1) * a / (1 - u) * one_minus_b


@pytest.mark.parametrize("family", ["gumbel", "joe"])
def test_inverse_of_a_pair_over_the_whole_range(family, dtype):
    info = np.finfo(dtype)
    ends = np.array([1e-300 if dtype == "float64" else 1e-37, 1e-10, 0.3, 0.7, 0.999, 1 - float(info.epsneg)], dtype)
    w = np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2)
    with mpmath.workdps(60):
        for theta in np.array([1, 1 + 1e-6, 1.3, 3, 30, 1000], dtype):
            got = np.array(BUILT[family].inverse_rosenblatt(w, BUILT[family].Params(theta)))[:, 1]
            for (u, goal), v in zip(w, got, strict=True):
                off = 100 * float(info.eps) * (1 - np.log(float(v)))
                low, high = (mpmath.mpf(float(v)) * (1 + sign * off) for sign in (-1, 1))
                where = (theta, u, goal, v)
                assert v <= 2 * info.tiny or _conditional_of_two(family, float(u), low, float(theta)) <= float(goal), (
                    where
                )
                assert high >= 1 or _conditional_of_two(family, float(u), high, float(theta)) >= float(goal), where


@pytest.mark.parametrize("quantity", ["hfunc1", "rosenblatt", "copula_cdf"])
def test_distribution_reference(quantity):
    for case in reference(quantity, *BUILT):
        module, params = from_reference(case)
        function = module.cdf if quantity == "copula_cdf" else module.rosenblatt
        got = function(np.array(case["u"]), params)
        assert_close(got[1] if quantity == "hfunc1" else got, case["value"], rtol=1e-12, err_msg=case["id"])


@pytest.mark.parametrize(
    ("family", "theta"),
    [pytest.param("clayton", 2.0, marks=pytest.mark.slow), ("gumbel", 2.0), ("frank", 5.0), ("joe", 2.0)],
)
def test_slopes_at_equal_coordinates(family, theta):
    """The density is symmetric and smooth there; ranks are full of such points."""
    module = BUILT[family]
    params = module.Params(jnp.asarray(theta)) if hasattr(module, "Params") else module.from_kendall_tau(0.5)
    params = params._replace(theta=jnp.asarray(theta))
    u, h = np.array([0.3, 0.3]), 1e-4

    def value(a, b):
        return float(module.logpdf(jnp.array([a, b]), params))

    slope = (value(0.3 + h, 0.3) - value(0.3 - h, 0.3)) / (2 * h)
    assert_close(jax.grad(module.logpdf)(u, params), np.array([slope, slope]), rtol=1e-5)
    bend = (value(0.3 + h, 0.3) - 2 * value(0.3, 0.3) + value(0.3 - h, 0.3)) / h**2
    mixed = sum(s * t * value(0.3 + s * h, 0.3 + t * h) for s in (-1, 1) for t in (-1, 1)) / (4 * h**2)
    curvature = jax.hessian(module.logpdf)(u, params)
    assert_close(curvature, np.array([[bend, mixed], [mixed, bend]]), rtol=1e-4)
    # and in theta: what rank-corrected standard errors are made of
    crossed = jax.jacfwd(lambda theta: jax.grad(module.logpdf)(u, params._replace(theta=theta)))(params.theta)
    others = jax.grad(module.logpdf)(np.array([0.3 + 1e-7, 0.3]), params._replace(theta=params.theta + h))
    before = jax.grad(module.logpdf)(np.array([0.3 + 1e-7, 0.3]), params._replace(theta=params.theta - h))
    assert_close(crossed, (others - before) / (2 * h), rtol=1e-4, atol=1e-5)


def test_joe_near_independence(dtype):
    """tau'(1) = 0.5797363 by mpmath: theta = 1 + 1.7249 tau, with a slope at tau = 0 itself."""
    tau = np.geomspace(1e-6 if dtype == "float32" else 1e-12, 1e-4, 300).astype(dtype)
    slope = 1 / 0.5797363
    excess = np.asarray(jax.vmap(lambda t: joe.from_kendall_tau(t).theta)(tau)) - 1
    np.testing.assert_allclose(excess, slope * tau, rtol=2e-3, atol=4 * np.finfo(dtype).eps)
    slopes = jax.vmap(jax.grad(lambda t: joe.from_kendall_tau(t).theta))(np.append(0, tau).astype(dtype))
    np.testing.assert_allclose(slopes, slope, rtol=2e-3)


def test_clayton_h_is_the_derivative_of_the_cdf():
    u, params = jnp.array([0.3, 0.8]), clayton.Params(3.0)
    assert_close(clayton.rosenblatt(u, params)[1], jax.grad(clayton.cdf)(u, params)[0], rtol=1e-12)


def test_tau_reference():
    for case in reference("kendall_tau", *ARCHIMEDEAN):
        module, params = from_reference(case)
        # near independence tau of the Joe copula keeps absolute digits only
        absolute = 1e-15 if case["family"] == "joe" else 0
        assert_close(module.kendall_tau(params), case["value"], rtol=1e-13, atol=absolute, err_msg=case["id"])
        assert_close(module.from_kendall_tau(case["value"]).theta, params.theta, rtol=1e-12, err_msg=case["id"])
    for case in reference("theta_from_tau", *ARCHIMEDEAN):
        theta = BUILT[case["family"]].from_kendall_tau(case["tau"]).theta
        assert_close(theta, case["value"], rtol=1e-12, err_msg=case["id"])
    for case in reference("kendall_tau", "gaussian/student_t"):
        for module, extra in ((gaussian, ()), (student_t, (4.0,))):
            rho = case["params"]["rho"]
            tau = module.kendall_tau(module.Params(jnp.array([[1.0, rho], [rho, 1.0]]), *extra))
            assert_close(tau[0, 1], case["value"], rtol=1e-14)
            assert_close(module.from_kendall_tau(tau).correlation[0, 1], rho, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, marks=pytest.mark.slow) if c.name in ("gaussian mixture d=3", "frank d=3 5.0") else c
        for c in CASES
        if c.has_params and c.copula.kendall_tau
    ],
    ids=lambda case: case.name,
)
def test_tau_gradient_is_finite(case):
    value, slope = jax.jacobian(case.copula.kendall_tau)(case.params()), case.copula.tail_dependence(case.params())
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((value, slope)))


@pytest.mark.parametrize(
    ("family", "theta", "tau"),
    [
        ("frank", 2.9, lambda t: 1 - 4 / t * (1 - mpmath.quad(lambda x: x / mpmath.expm1(x), [0, t]) / t)),
        (
            "joe",
            1.7,
            lambda t: 1 - 4 * mpmath.nsum(lambda k: 1 / (k * (t * k + 2) * (t * (k - 1) + 2)), [1, mpmath.inf]),
        ),
    ],
)
def test_curvature_of_the_inverse_of_tau(family, theta, tau):
    """The second derivative of an inverse function is -tau'' / tau'**3."""
    slope, bend = (float(mpmath.diff(tau, theta, order)) for order in (1, 2))
    module = BUILT[family]
    got = jax.grad(jax.grad(lambda t: module.from_kendall_tau(t).theta))(float(tau(theta)))
    assert_close(got, -bend / slope**3, rtol=1e-8)


@pytest.mark.slow
def test_inverse_of_a_mixture_in_its_corners():
    """A second component of the other tails leaves parts of the corner to rounding: finite and inside all the same."""
    params = student_t.Params(jnp.array([[1, 0.9], [0.9, 1]]), 3.0)
    both = mixture_of(student_t.COPULA, survival(student_t.COPULA))
    ends = np.array([1e-12, 1e-9, 1e-6, 0.5, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12])
    w = np.stack(np.meshgrid(ends, ends, indexing="ij"), -1)
    u = both.inverse_rosenblatt(w, blend.Params(np.zeros(2), (params, params)))
    assert bool(((u > 0) & (u < 1)).all())
    assert_close(both.rosenblatt(u, blend.Params(np.zeros(2), (params, params))), w, atol=1e-4)


@pytest.mark.parametrize("family", ARCHIMEDEAN)
def test_no_dependence_is_independence(family):
    params = BUILT[family].from_kendall_tau(jnp.asarray(0.0))
    assert_close(BUILT[family].logpdf(points(8), params), np.zeros(7), atol=1e-12)


def test_tail_dependence_reference():
    for case in reference("tail_dependence_upper", "gumbel"):
        module, params = from_reference(case)
        assert_close(module.tail_dependence(params).upper, case["value"], rtol=1e-13)
        assert module.tail_dependence(params).lower == 0
    for case in reference("tail_dependence_lower", "clayton"):
        got = clayton.tail_dependence(clayton.Params(jnp.asarray(case["params"]["theta"])))
        assert_close(got.lower, case["value"], rtol=1e-12)
        assert got.upper == 0
    for case in reference("tail_dependence", "student_t"):
        _, params = from_reference(case)
        got = student_t.tail_dependence(params)
        # rho = 0.999999: 1 - rho has ten digits
        assert_close(got.lower[0, 1], case["value"], rtol=1e-10)
        assert_close(got.upper[0, 0], 1.0)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, marks=pytest.mark.slow)
        if dtype == "float32" and case.copula.name not in ("gaussian", "clayton")
        else (case, dtype)
        for case in CASES
        for dtype in ("float64", "float32")
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_constrain_inverts_unconstrain(case, dtype):
    module, params = case.copula, case.params(dtype)
    vector = module.unconstrain(params, case.dim)
    assert vector.shape == (module.num_params(case.dim),)
    assert vector.dtype == dtype or not case.has_params
    back = module.constrain(vector, case.dim)
    # Weights are known up to a constant, the Gaussian mixture up to the units of its columns: compare the densities.
    u = points(case.dim, dtype=dtype)
    for got, expected in zip(jax.tree.leaves(back), jax.tree.leaves(params), strict=True):
        assert got.dtype == dtype
        if case.copula.name in BUILT:
            assert_close(got, expected, rtol=100 * np.finfo(dtype).eps)
    assert_close(module.logpdf(u, back), module.logpdf(u, params), rtol=1e4 * np.finfo(dtype).eps)


def _corners(q: float, dim: int):
    """Points (u, q, ..) and (u, 1 - q, ..) and the weights of u in the integrals over (0, q) and (1 - q, 1)."""
    s, weights = np.polynomial.legendre.leggauss(100)
    s, weights = (s + 1) / 2, weights / 2
    points = np.full((2, 100, dim), 0.5)
    points[0, :, 0], points[1, :, 0] = q * s**3, 1 - q * s**3
    points[0, :, 1], points[1, :, 1] = q, 1 - q
    return points.reshape(-1, dim), 3 * q * s**2 * weights


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow)
        if case.name.startswith(("independence", "gaussian d=2", "clayton d=5", "joe d=2", "blend", "gumbel 90"))
        or case.name in ("clayton d=2 0.01", "gaussian mixture d=3", "gumbel d=2 1.1", "survival clayton d=3")
        or case.name.startswith("frank d=2")
        else case
        for case in CASES
    ],
    ids=lambda case: case.name,
)
def test_samples_follow_the_copula(case):
    """Twenty seeds: every p-value is held against one per cent over the number of all checks of all cases."""
    params, num, seeds, q = case.params(), 3000, 20, 0.02
    keys = jax.vmap(jax.random.key)(np.arange(seeds))
    u = jax.jit(jax.vmap(lambda key: case.copula.sample(key, params, (num, case.dim))))(keys)
    assert bool(((u > 0) & (u < 1)).all())
    # One call for the draws and for the corners: P(U_1 <= q, U_2 <= q) = int_0^q P(U_2 <= q | u_1) du_1.
    corners, weights = _corners(q, case.dim)
    w = np.array(case.copula.rosenblatt(np.concatenate([np.reshape(u, (-1, case.dim)), corners]), params))
    lower, upper = w[seeds * num :, 1].reshape(2, -1)
    u, w = np.array(u), w[: seeds * num].reshape(seeds, num, case.dim)
    small = []
    for name, x in (("margin", u), ("rosenblatt", w)):
        for seed, column in np.ndindex(seeds, case.dim):
            small.append((scipy.stats.kstest(x[seed, :, column], "uniform").pvalue, name, seed, column))
    pairs = list(zip(*np.triu_indices(case.dim, 1), strict=True))
    # The coordinates of w are independent, which fixes the spread of tau; that of u is taken from the seeds.
    sd = np.sqrt(2 * (2 * num + 5) / (9 * num * (num - 1)))
    independent = np.array([kendall_tau(x) for x in w]) / sd
    small += [(2 * scipy.stats.norm.sf(abs(z[i, j])), "independence", i, j) for z in independent for i, j in pairs]
    if case.copula.kendall_tau is not None:
        taus = np.array([kendall_tau(x) for x in u])
        expected = np.broadcast_to(case.copula.kendall_tau(params), (case.dim, case.dim))
        small += [(scipy.stats.ttest_1samp(taus[:, i, j], expected[i, j]).pvalue, "tau", i, j) for i, j in pairs]
    for name, side, probability in (("lower", u < q, weights @ lower), ("upper", u > 1 - q, weights @ (1 - upper))):
        count = int(side[..., :2].all(-1).sum())
        small.append((scipy.stats.binomtest(count, seeds * num, probability).pvalue, name, count, probability))
    assert min(small)[0] > 0.01 / (len(small) * len(CASES)), min(small)


@one_per_family
def test_samples_in_float32(case):
    if case.copula.name == "independence":
        pytest.skip("draws have the default dtype")
    u = case.copula.sample(jax.random.key(0), case.params("float32"), (2000, case.dim))
    assert u.dtype == jnp.float32
    assert bool(((u > 0) & (u < 1)).all())
    assert scipy.stats.kstest(np.array(u[:, -1]), "uniform").pvalue > 1e-4


def test_strong_clayton_samples_do_not_underflow_in_float32():
    u = clayton.sample(jax.random.key(0), clayton.Params(jnp.float32(50.0)), (20000, 2))
    assert bool((u > 1e-6).all())
    assert abs(scipy.stats.kendalltau(u[:, 0], u[:, 1]).statistic - 50 / 52) < 0.005


def test_survival_cdf_in_several_dimensions():
    u = points(5)
    assert_close(survival(independence.COPULA).cdf(u, independence.Params()), jnp.prod(u, -1), rtol=1e-13, atol=1e-15)
    u, params = points(3), clayton.Params(2.0)
    twice = survival(survival(clayton.COPULA))
    assert_close(twice.cdf(u, params), clayton.cdf(u, params), rtol=1e-13, atol=1e-14)
    with pytest.raises(ValueError, match="at most 10 columns"):
        survival(clayton.COPULA).cdf(np.full(11, 0.5), params)


def test_tails_of_a_mixture_of_scalars_and_matrices():
    both = mixture_of(gaussian.COPULA, clayton.COPULA)
    params = blend.Params(np.log([0.25, 0.75]), (gaussian.Params(np.eye(3)), clayton.Params(1.0)))
    lower, upper = both.tail_dependence(params)
    assert_close(lower, np.eye(3) + 0.375 * (1 - np.eye(3)))
    assert_close(upper, np.eye(3))


def test_contract_is_complete():
    assert set(copulas.FAMILIES) == set(BUILT)
    assert all(callable(function) or function is None for case in CASES for function in case.copula[1:])
    for name, copula in copulas.FAMILIES.items():
        assert copula.name == name
        for field, function in copula._asdict().items():
            assert field == "name" or function is None or getattr(BUILT[name], field) is function


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clayton.logpdf(np.array([0.5]), clayton.Params(1.0)), "d >= 2"),
        (lambda: clayton.logpdf(np.array([0.5, 0.5]), clayton.Params(-0.5)), ">= 0"),
        (lambda: clayton.logpdf(np.array([0.5, 0.5]), clayton.Params(np.nan)), "finite"),
        (lambda: clayton.cdf(np.array([0.5, 1.0]), clayton.Params(1.0)), "strictly between 0 and 1"),
        (lambda: clayton.rosenblatt(np.array([0.5, np.nan]), clayton.Params(1.0)), "NaN"),
        (lambda: clayton.from_kendall_tau(-0.1), "tau"),
        (lambda: clayton.from_kendall_tau(1.0), "tau"),
        (lambda: frank.from_kendall_tau(-1.0), "-1 < tau"),
        (lambda: clayton.sample(jax.random.key(0), clayton.Params(1.0), (5,)[:0]), "shape"),
        (lambda: gaussian.logpdf(np.array([0.5, 0.5, 0.5]), gaussian.Params(np.eye(2))), "2 columns"),
        (lambda: gaussian.logpdf(np.array([0.5, 0.5]), gaussian.Params(np.array([[1, 0.5], [0.4, 1]]))), "symmetric"),
        (lambda: gaussian.logpdf(np.array([0.5, 0.5]), gaussian.Params(np.ones((2, 2)))), "positive definite"),
        (lambda: gaussian.sample(jax.random.key(0), gaussian.Params(np.eye(2)), (5, 3)), r"\(\.\.\., 2\)"),
        (lambda: gaussian.from_kendall_tau(np.array([[1, 2.0], [2.0, 1]])), r"\[-1, 1\]"),
        (lambda: gaussian.from_kendall_tau(np.array([[1, 0.2], [0.3, 1]])), "symmetric"),
        (lambda: gaussian.from_kendall_tau(np.array([[0.5, 0.2], [0.2, 1]])), "ones on the diagonal"),
        (lambda: gaussian.unconstrain(gaussian.Params(np.eye(2)), 3), "dim: expected 2"),
        (lambda: student_t.logpdf(np.array([0.5, 0.5]), student_t.Params(np.eye(2), 0.0)), "df"),
        (lambda: student_t.from_kendall_tau(np.eye(2), df=-1.0), "df"),
        (lambda: student_t.unconstrain(student_t.Params(np.eye(2), 1e6), 2), "df"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_raises_inside_jit():
    value = jax.jit(lambda theta: clayton.logpdf(jnp.array([0.5, 1.5]), clayton.Params(theta)))(-1.0)
    assert value == -np.inf
