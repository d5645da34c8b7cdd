"""Conditional draws of copulas: against rejection sampling and scipy, in the corners, without compiling again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop.copulas import FAMILIES, clayton, conditional, gaussian, gaussian_mixture, student_t
from jaxcop.copulas._truncated import draw, heights, log_interval
from jaxcop.copulas.conditional import Draws
from scipy import special, stats

from families import CASES
from tolerance import assert_close

KNOWN = [case for case in CASES if conditional.is_exact(case.copula)]
QUICK = ("gaussian d=3 float32", "clayton d=3 2.0 float32")
CONDITIONS = (
    {1: (0.8, 1.0)},
    {0: (0.9, 1.0), 1: (0.0, 0.35)},
    {0: (0.95, 1.0), 1: (0.9, 1.0)},
    {0: 0.93},
    {1: 0.2},
    {0: 0.3, 1: (0.5, 0.9)},
)
# Rows of a slab are within 0.002 of the value, which moves the others by less than a test of 2,000 rows sees.
NUM_ROWS, NUM_REJECTION, HALF_SLAB = 2000, 1_000_000, 0.002
NUM_TESTS, LEAST_KEPT = 40, 500


def condition(dim, given, dtype) -> conditional.Condition:
    return conditional.Condition(*(jnp.asarray(end, dtype) for end in conditional.condition(dim, given)))


def run(case, dtype, given, seed=0) -> Draws:
    bounds = condition(case.dim, given, dtype)
    return conditional.sample(jax.random.key(seed), case.copula, case.params(dtype), bounds, NUM_ROWS)


def check_drawn(draws):
    assert draws.filled.all()
    assert draws.exact


def check_inside(points, bounds):
    low, high = (np.asarray(end) for end in bounds)
    assert ((points >= low) & (points <= high)).all()


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for case in KNOWN
        for dtype in ("float32", "float64")
        for name in [f"{case.name} {dtype}"]
    ],
)
def test_draws_are_those_of_rejection(case, dtype):
    everything = np.asarray(
        case.copula.sample(jax.random.key(99), case.params("float64"), (NUM_REJECTION, case.dim)), np.float64
    )
    compared = 0
    for seed, given in enumerate(CONDITIONS):
        draws = run(case, dtype, given, seed)
        points = np.asarray(draws.points)
        assert points.dtype == dtype
        assert points.shape == (NUM_ROWS, case.dim)
        check_drawn(draws)
        assert 0.05 < draws.acceptance <= 1
        check_inside(points, condition(case.dim, given, dtype))
        points, kept = points.astype(np.float64), everything
        for j, wanted in given.items():
            low, high = wanted if isinstance(wanted, tuple) else (wanted - HALF_SLAB, wanted + HALF_SLAB)
            kept = kept[(kept[:, j] >= low) & (kept[:, j] <= high)]
        if len(kept) < LEAST_KEPT:
            continue
        compared += 1
        drawn = [j for j in range(case.dim) if not isinstance(given.get(j), float)]
        # The difference of two columns sees their dependence.
        looks = [(points[:, j], kept[:, j]) for j in drawn]
        looks += [(points[:, j] - points[:, drawn[0]], kept[:, j] - kept[:, drawn[0]]) for j in drawn[1:]]
        for mine, theirs in looks:
            assert stats.ks_2samp(mine, theirs).pvalue > 0.01 / NUM_TESTS, (given, seed)
    # Corners against the dependence hold too few rows of a million to compare with.
    assert compared >= 4


R = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])


@pytest.mark.slow
@pytest.mark.parametrize("df", [None, 1.5])
def test_conditionals_of_scipy(df):
    """Two values given: the third is normal, or t with df + 2 and a scale that grows with the values."""
    copula, params = (gaussian.COPULA, gaussian.Params(jnp.array(R)))
    margin, last, spread = stats.norm, stats.norm, 1.0
    if df is not None:
        copula, params = student_t.COPULA, student_t.Params(jnp.array(R), jnp.array(df))
        margin, last = stats.t(df), stats.t(df + 2)
    values = np.array([0.98, 0.1])
    x, block = margin.ppf(values), R[:2, :2]
    mean = R[2, :2] @ np.linalg.solve(block, x)
    variance = 1 - R[2, :2] @ np.linalg.solve(block, R[:2, 2])
    if df is not None:
        spread = (df + x @ np.linalg.solve(block, x)) / (df + 2)
    draws = conditional.sample(jax.random.key(3), copula, params, conditional.condition(3, {0: 0.98, 1: 0.1}), NUM_ROWS)
    z = (margin.ppf(np.asarray(draws.points[:, 2])) - mean) / np.sqrt(variance * spread)
    assert stats.kstest(z, last.cdf).pvalue > 1e-3
    # Both values and a range beyond 3 deviations, where rejection would keep one row of a thousand.
    edge = float(margin.cdf(mean + 3 * np.sqrt(variance * spread)))
    given = conditional.condition(3, {0: 0.98, 1: 0.1, 2: (edge, 1.0)})
    draws = conditional.sample(jax.random.key(4), copula, params, given, NUM_ROWS)
    check_drawn(draws)
    assert draws.acceptance > 0.2
    z = (margin.ppf(np.asarray(draws.points[:, 2])) - mean) / np.sqrt(variance * spread)
    assert stats.kstest(last.sf(z) / last.sf(3), "uniform").pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("theta", [0.0, 1e-5, 0.3, 6.0, 300.0])
@pytest.mark.parametrize("values", [{0: 0.4}, {0: 1e-4, 1: 0.3}])
def test_clayton_given_values_by_its_rosenblatt_transform(theta, values, dtype):
    params = clayton.Params(jnp.asarray(theta, dtype))
    draws = conditional.sample(jax.random.key(1), clayton.COPULA, params, condition(3, values, dtype), NUM_ROWS)
    check_drawn(draws)
    w = np.asarray(clayton.rosenblatt(jnp.asarray(draws.points, "float64"), clayton.Params(jnp.asarray(theta))))
    for j in range(len(values), 3):
        assert stats.kstest(w[:, j], "uniform").pvalue > 1e-4


@pytest.mark.slow
def test_t_copula_below_one_degree_of_freedom_has_no_tilt_but_is_right():
    params = student_t.Params(jnp.array([[1.0, 0.6], [0.6, 1.0]]), jnp.array(0.6))
    everything = np.asarray(student_t.sample(jax.random.key(0), params, (400_000, 2)))
    given = conditional.condition(2, {0: (0.7, 1.0)})
    draws = conditional.sample(jax.random.key(1), student_t.COPULA, params, given, NUM_ROWS)
    check_drawn(draws)
    kept = everything[everything[:, 0] >= 0.7]
    for j in range(2):
        assert stats.ks_2samp(np.asarray(draws.points[:, j]), kept[:, j]).pvalue > 1e-3


# Log-probabilities near -22,500, and a range of some ten roundings of a float32: there the rows are flagged.
FAR_APART = {0: (0.0, 1e-6), 1: (1 - 1e-6, 1.0)}
NARROW = {0: 1e-6, 1: (0.9, 0.9001)}
CORNERS = (
    {0: 1e-6},
    {0: 1 - 1e-6},
    {0: 1e-6, 1: 1 - 1e-6},
    FAR_APART,
    {0: (1 - 1e-6, 1.0), 1: (1 - 1e-6, 1.0)},
    {0: (0.0, 1e-6), 1: (0.0, 1e-6)},
    NARROW,
)
STRONG = np.full((3, 3), 0.999) + 0.001 * np.eye(3)
HARD = {
    "gaussian": (gaussian.COPULA, gaussian.Params(STRONG)),
    "student_t": (student_t.COPULA, student_t.Params(STRONG, np.array(3.0))),
    "clayton": (clayton.COPULA, clayton.Params(np.array(1000.0))),
    "mixture": (
        gaussian_mixture.copula(2),
        gaussian_mixture.Params(
            np.zeros(2), np.array([[-3.0] * 3, [3.0] * 3]), np.stack([np.linalg.cholesky(STRONG)] * 2)
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_corners_of_strong_dependence_are_filled_and_finite(name, dtype):
    copula, params = HARD[name]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    for given in CORNERS:
        bounds = condition(3, given, dtype)
        draws = conditional.sample(jax.random.key(0), copula, params, bounds, 200)
        if dtype == "float64" or name == "clayton" or given not in (FAR_APART, NARROW):
            check_drawn(draws)
        points = np.asarray(draws.points)[np.asarray(draws.filled)]
        check_inside(points, bounds)
        assert ((points > 0) & (points < 1)).all()


def test_intervals_of_the_normal_far_out(dtype):
    rng = np.random.default_rng(0)
    low = np.concatenate([rng.normal(size=200) * 3, rng.uniform(-300, 300, 200)]).astype(dtype)
    high = (low + np.exp(rng.normal(size=400) * 2) + 1e-3).astype(dtype)
    a, b = low.astype(np.float64), high.astype(np.float64)
    a, b = np.where(a + b > 0, -b, a), np.where(a + b > 0, -a, b)
    expected = special.log_ndtr(b) + np.log1p(-np.exp(special.log_ndtr(a) - special.log_ndtr(b)))
    # Near the centre a narrow interval is a difference of probabilities.
    loose = {"float32": 1e-3, "float64": 1e-9}[dtype]
    assert_close(np.asarray(jax.jit(log_interval)(low, high)), expected, rtol=loose, atol=loose)
    w = rng.uniform(size=400)
    x = np.asarray(jax.jit(draw)(w.astype(dtype), low, high)[0])
    assert ((x >= low) & (x <= high)).all()
    if dtype == "float64":
        scale = np.minimum(high - low, 1 / np.maximum(1, np.abs(b)))
        assert np.abs((x - stats.truncnorm.ppf(w, low, high)) / scale).max() < 1e-5
        # Ends of intervals in the centre and far from it: first and second derivatives.
        ends, step = (np.array([0.3, -9.0, 40.0]), np.array([1.1, -7.5, 41.0])), 1e-6
        at_low, at_high = heights(*ends)
        slope = (log_interval(ends[0] + step, ends[1]) - log_interval(ends[0] - step, ends[1])) / (2 * step)
        assert_close(-at_low, slope, rtol=1e-6, atol=1e-6)
        _, second = jax.jvp(heights, ends, (np.zeros(3), np.ones(3)))
        numeric = (heights(ends[0], ends[1] + step)[1] - heights(ends[0], ends[1] - step)[1]) / (2 * step)
        assert_close(second[1], numeric, rtol=1e-5, atol=1e-6)
        assert (at_high > 0).all()


CLAYTON = clayton.Params(jnp.array(2.0))


def test_other_numbers_and_other_coordinates_compile_nothing():
    sizes = []
    for given in ({0: 0.2}, {1: (0.1, 0.2)}, {0: 0.5, 2: (0.3, 1.0)}):
        first = conditional.sample(jax.random.key(0), clayton.COPULA, CLAYTON, conditional.condition(3, given), 50)
        again = conditional.sample(jax.random.key(0), clayton.COPULA, CLAYTON, conditional.condition(3, given), 50)
        np.testing.assert_array_equal(first.points, again.points)
        sizes.append(conditional._sample._cache_size())
    assert len(set(sizes)) == 1


@pytest.mark.slow
def test_a_batch_of_conditions_under_vmap_is_each_of_them():
    bounds = [conditional.condition(3, given) for given in ({0: 0.2}, {1: (0.9, 1.0)})]
    together = jax.tree.map(lambda *ends: jnp.stack(ends), *bounds)
    key = jax.random.key(5)
    both = jax.jit(jax.vmap(lambda given: conditional.sample(key, clayton.COPULA, CLAYTON, given, 20).points))(together)
    for i, given in enumerate(bounds):
        alone = conditional.sample(key, clayton.COPULA, CLAYTON, given, 20)
        assert_close(both[i], alone.points)


@pytest.mark.slow
def test_what_cannot_be_drawn_is_flagged_and_nan():
    # Beyond what floats hold: the draws stop instead of being others than asked for.
    params = gaussian.Params(jnp.eye(2, dtype="float32").at[0, 1].set(-0.9999999).at[1, 0].set(-0.9999999))
    bounds = condition(2, {0: (0.9999, 1.0), 1: (0.9999, 1.0)}, "float32")
    draws = conditional.sample(jax.random.key(0), gaussian.COPULA, params, bounds, 20)
    points = np.asarray(draws.points)
    assert (np.isnan(points).all(1) == ~np.asarray(draws.filled)).all()
    check_inside(points[np.asarray(draws.filled)], bounds)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({3: 0.5}, "coordinates 0 to 2"),
        ({0: (0.5, 0.4)}, "low < high"),
        ({0: 1.0}, "inside"),
        ({0: float("nan")}, "inside"),
        ({0: (-0.1, 0.4)}, "low < high"),
        ({0: 0.1, 1: 0.2, 2: 0.3}, "leave one free"),
    ],
)
def test_bad_conditions(given, message):
    with pytest.raises(ValueError, match=message):
        conditional.condition(3, given)


def test_other_families_and_shapes_are_refused():
    frank = FAMILIES["frank"]
    with pytest.raises(ValueError, match="expected gaussian"):
        conditional.sample(jax.random.key(0), frank, frank.from_kendall_tau(0.5), conditional.condition(2, {0: 0.5}), 5)
    params = gaussian.Params(jnp.eye(3))
    with pytest.raises(ValueError, match="of shape"):
        conditional.sample(jax.random.key(0), gaussian.COPULA, params, conditional.condition(2, {0: 0.5}), 5)
