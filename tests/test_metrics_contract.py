"""What every metric promises: jit, vmap, replicas, dtypes, gradients, errors. One row per metric.

All tables have one shape, since most of the time goes into compiling.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop.metrics import _inputs

from metric_cases import METRICS
from tolerance import assert_close

every_metric = pytest.mark.parametrize("name", METRICS)


def tables(n=30, m=40, d=3, replicas=()):
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, d)), rng.normal(0.3, 1.2, size=(*replicas, m, d))


def compare(actual, expected, **tolerance):
    jax.tree.map(lambda a, b: assert_close(a, b, **tolerance), actual, expected)


@every_metric
def test_jit_equals_eager_and_raises_on_no_value(name):
    metric, (real, synthetic) = METRICS[name].function, tables()
    compiled = jax.jit(metric)
    # The rounding of a sum may differ between programs; a sum near 0 has no relative accuracy.
    compare(compiled(real, synthetic), metric(real, synthetic), atol=1e-14)
    jax.block_until_ready(compiled(real, synthetic * np.nan))
    constant = np.where(np.arange(3) == 1, 4.0, real)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(compiled(constant, synthetic)))


@every_metric
def test_replicas_and_vmap_equal_singles(name):
    metric, (real, synthetic) = METRICS[name].function, tables(replicas=(2, 2))
    batch = metric(real, synthetic)
    pairs = jax.vmap(metric)(np.stack([real, real + 1]), synthetic[0])
    for i in range(2):
        compare(jax.tree.map(lambda value, i=i: value[0, i], batch), metric(real, synthetic[0, i]), atol=1e-14)
        compare(jax.tree.map(lambda value, i=i: value[i], pairs), metric(real + i, synthetic[0, i]), atol=1e-14)


@every_metric
def test_dtype_is_kept_and_float32_is_accurate(name):
    metric = METRICS[name].function
    real, synthetic = (table.astype("float32") for table in tables())
    single, double = metric(real, synthetic), metric(real.astype("float64"), synthetic.astype("float64"))
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {np.dtype("float64")}
    # Values near 0 are differences of numbers of order 1 (mmd, frechet): absolute there.
    compare(single, double, rtol=1e-5, atol=2e-6)


@every_metric
def test_integers_are_taken_as_floats(name):
    real, synthetic = (np.round(3 * table).astype(int) for table in tables())
    compare(METRICS[name].function(real, synthetic), METRICS[name].function(real * 1.0, synthetic * 1.0))


@pytest.mark.parametrize("name", [name for name in METRICS if name != "fidelity"])  # the sum of the others
def test_gradients_are_finite_at_ties_copies_and_collapse(name):
    metric, (real, _) = METRICS[name].function, tables()
    copies = real[np.arange(40) % 30]

    def total(real, synthetic):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(metric(real, synthetic)))

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))
    for synthetic in (copies, np.round(copies), np.broadcast_to(real[:1], copies.shape)):
        for gradient in gradients(real, synthetic):
            assert jnp.isfinite(gradient).all()


@every_metric
def test_collapsed_generator_is_scored(name):
    real, synthetic = tables()
    values = METRICS[name].function(real, np.zeros_like(synthetic))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(values))


@every_metric
def test_new_values_do_not_retrace(name, monkeypatch):
    metric, traces = METRICS[name].function, []
    original = _inputs.over_replicas
    monkeypatch.setattr(_inputs, "over_replicas", lambda *args: traces.append(1) or original(*args))
    real, synthetic = tables(n=17)  # a shape of no other test, so that the first call is a trace
    for shift in range(3):
        metric(real + shift, synthetic)
    assert len(traces) == 1


@every_metric
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda x, y: (x[:, 0], y), r"real: expected shape \(rows, columns\)"),
        (lambda x, y: (x[None], y), r"real: expected shape \(rows, columns\)"),
        (lambda x, y: (x, y[:, 0]), r"synthetic: expected shape \(\*replicas, rows, columns\)"),
        (lambda x, y: (x, y[:, :2]), "synthetic: expected 3 columns as in real, got 2"),
        (lambda x, y: (x, y[:1]), "synthetic: expected at least 2 rows"),
        (lambda x, y: (x[:1], y), "real: expected at least 2 rows"),
        (lambda x, y: (x, y[None][:0]), "synthetic: expected at least 2 rows"),
        (lambda x, y: (x, np.where(y == y[3, 1], np.nan, y)), r"synthetic: expected finite values.*columns \[1\]"),
        (lambda x, y: (np.where(x == x[3, 2], np.inf, x), y), r"real: expected finite values.*columns \[2\]"),
        (lambda x, y: (x.astype(str), y.astype("U9") + "a"), "expected numbers only"),
    ],
)
def test_bad_input_is_refused(name, damage, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name].function(*damage(*tables()))


@every_metric
def test_shapes_are_checked_under_jit_too(name):
    real, synthetic = tables()
    with pytest.raises(ValueError, match="synthetic: expected 3 columns"):
        jax.jit(METRICS[name].function)(real, synthetic[:, :2])


@every_metric
def test_constant_real_column(name):
    real, synthetic = tables()
    real[:, 1] = 2
    if METRICS[name].needs_spread:
        with pytest.raises(ValueError, match=r"real: expected columns that vary.*\[1\]"):
            METRICS[name].function(real, synthetic)
    else:
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(METRICS[name].function(real, synthetic)))


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.smooth and name != "fidelity"])
def test_gradient_equals_finite_differences(name):
    real, synthetic = tables()

    def total(rows):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(METRICS[name].function(real, rows)))

    gradient = jax.jit(jax.grad(total))(synthetic)
    assert jnp.abs(gradient).max() > 0
    for place in np.ndindex(synthetic[:8].shape):
        step = np.zeros_like(synthetic)
        step[place] = 1e-6
        slope = (total(synthetic + step) - total(synthetic - step)) / 2e-6
        assert_close(gradient[place], slope, rtol=1e-5, atol=1e-8)
