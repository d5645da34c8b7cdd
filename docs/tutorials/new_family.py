# %% [markdown]
# # Adding a family
#
# A copula family is a NamedTuple of pure functions. There is no class to inherit from and no registry to edit: a value
# of type `Copula` made in your own file goes wherever the name of a built-in family goes. Here is the family of Ali,
# Mikhail and Haq (1978), which jaxcop does not have:
#
# ```text
# C(u, v) = u v / D,   D = 1 - theta (1 - u) (1 - v),   -1 <= theta < 1
# ```

# %%
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxcop import copulas, correlation, synthesizers
from jaxcop.copulas import Copula, TailDependence
from scipy import stats


class Params(NamedTuple):
    """theta in [-1, 1); 0 is independence."""

    theta: jax.Array | float


# %% [markdown]
# ## The functions
#
# Density, conditional distribution and its inverse, all for points `[..., 2]`. Outside the cube the log-density is
# minus infinity, and a `where` inside keeps gradients finite there. With D as above, the density and P(V <= v | u),
# which is a quadratic in v, are
#
# ```text
# c(u, v) = [1 + theta ((1 + u) (1 + v) - 3) + theta² (1 - u) (1 - v)] / D³
# P(V <= v | u) = v (1 - theta (1 - v)) / D²
# ```


# %%
def logpdf(u, params):
    inside = jnp.all((u > 0) & (u < 1), axis=-1)
    u, v = jnp.unstack(jnp.where(inside[..., None], u, 0.5), axis=-1)
    theta, rest = params.theta, (1 - u) * (1 - v)
    density = jnp.log1p(theta * ((1 + u) * (1 + v) - 3) + theta**2 * rest) - 3 * jnp.log1p(-theta * rest)
    return jnp.where(inside, density, -jnp.inf)


def cdf(u, params):
    u, v = jnp.unstack(jnp.asarray(u), axis=-1)
    return u * v / (1 - params.theta * (1 - u) * (1 - v))


def rosenblatt(u, params):
    u, v = jnp.unstack(jnp.asarray(u), axis=-1)
    given = v * (1 - params.theta * (1 - v)) / (1 - params.theta * (1 - u) * (1 - v)) ** 2
    return jnp.stack([u, given], -1)


def inverse_rosenblatt(w, params):
    u, p = jnp.unstack(jnp.asarray(w), axis=-1)
    b = params.theta * (1 - u)
    square, linear, constant = p * b**2 - params.theta, 2 * p * b * (1 - b) - (1 - params.theta), p * (1 - b) ** 2
    # The root that does not cancel, and not past the edge by rounding.
    v = 2 * constant / (jnp.sqrt(jnp.maximum(linear**2 - 4 * square * constant, 0)) - linear)
    tiny = jnp.finfo(v.dtype).eps / 2
    return jnp.stack([u, jnp.clip(v, tiny, 1 - tiny)], -1)


def sample(key, params, shape):
    tiny = jnp.finfo(jnp.result_type(float)).eps
    return inverse_rosenblatt(jax.random.uniform(key, shape, minval=tiny), params)


# %% [markdown]
# ## What estimation needs
#
# How many parameters, a bijection with the real line, and where to start: from Kendall's tau, whose formula gets
# inverted on a grid,
#
# ```text
# tau = 1 - 2 / (3 theta) - 2 (1 - theta)² log(1 - theta) / (3 theta²)
# ```
#
# A bijection that flattens too early, as `tanh` does, leaves an optimiser that stepped too far without a slope to come
# back on.


# %%
def constrain(vector, dim):
    if dim != 2:
        raise ValueError(f"u: expected 2 columns for the Ali-Mikhail-Haq copula, got {dim}; choose another family")
    return Params(vector[0] / jnp.sqrt(1 + vector[0] ** 2))


def unconstrain(params, dim):
    theta = jnp.asarray(params.theta)
    return (theta / jnp.sqrt(1 - theta**2))[None]


def kendall_tau(params):
    theta = jnp.asarray(params.theta)
    near = jnp.abs(theta) < 0.05  # the closed form cancels here; the series has an error of 1e-7
    safe = jnp.where(near, 0.5, theta)
    exact = 1 - 2 / (3 * safe) - 2 * (1 - safe) ** 2 / (3 * safe**2) * jnp.log1p(-safe)
    return jnp.where(near, theta * (2 / 9 + theta * (1 / 18 + theta / 45)), exact)


def from_kendall_tau(tau):
    grid = jnp.linspace(-0.999, 0.999, 1000)
    return Params(jnp.interp(tau, kendall_tau(Params(grid)), grid))


def start(key, u, mask, shrinkage=None):
    return from_kendall_tau(correlation.masked_kendall_tau(u, mask)[0, 1])


AMH = Copula(
    "amh",
    logpdf,
    sample,
    rosenblatt,
    inverse_rosenblatt,
    cdf,
    kendall_tau,
    from_kendall_tau,
    tail_dependence=lambda params: TailDependence(jnp.zeros(()), jnp.zeros(())),
    num_params=lambda dim: 1,
    constrain=constrain,
    unconstrain=unconstrain,
    start=start,
)

# %% [markdown]
# ## Does it do what it says?
#
# Four checks that need no second implementation: the density is the mixed derivative of the distribution function; the
# transform and its inverse cancel; transformed draws are uniform; tau of a sample is the formula's. Any of them failing
# stops the build.

# %%
truth = Params(0.9)
u = AMH.sample(jax.random.key(0), truth, (1500, 2))
w = AMH.rosenblatt(u, truth)
mixed = jax.vmap(jax.grad(lambda v, u: jax.grad(lambda u: cdf(jnp.stack([u, v]), truth))(u), 0))(u[:, 1], u[:, 0])
np.testing.assert_allclose(jnp.exp(AMH.logpdf(u, truth)), mixed, rtol=1e-3)
np.testing.assert_allclose(AMH.inverse_rosenblatt(w, truth), u, atol=1e-4)
assert stats.kstest(w[:, 1], "uniform").pvalue > 0.001
found = stats.kendalltau(*u.T).statistic
print(f"tau of the sample {found:.3f}, of the formula {AMH.kendall_tau(truth):.3f}")
assert math.isclose(found, AMH.kendall_tau(truth), abs_tol=0.05)

# %%
grid = jnp.linspace(0.01, 0.99, 99)
points = jnp.stack(jnp.meshgrid(grid, grid), -1)
figure, ax = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
ax.scatter(*u[:500].T, s=5, color="0.65", linewidths=0)
lines = ax.contour(grid, grid, AMH.logpdf(points, truth), 12, cmap="cividis")
ax.set(xlabel="$u_1$", ylabel="$u_2$", title="Ali-Mikhail-Haq, theta 0.9", aspect="equal")
figure.colorbar(lines, label="log-density")
plt.show()

# %% [markdown]
# ## Now it is a family like any other
#
# Fitted, with an interval; selected among the others; a synthesizer of tables. `copulas.survival(AMH)`,
# `copulas.rotated(AMH, 90)` and `copulas.mixture_of(AMH, ...)` are families, too.

# %%
fitted = copulas.fit(u, AMH)
limits = copulas.interval(u, AMH, fitted)
low, high = limits.lower.theta, limits.upper.theta
print(f"theta {fitted.params.theta:.3f} [{low:.3f}, {high:.3f}], converged {bool(fitted.converged)}")
print(f"by inversion of tau {copulas.fit(u, AMH, method='itau').params.theta:.3f}")
selection = copulas.select(u, (AMH, "clayton", "frank", "gaussian"))
for row in selection.rows:
    print(f"{row.family:16} AIC/n {row.criterion_per_row:+.4f}")
assert selection.winner == "amh"
assert low < truth.theta < high

# %%
table = np.asarray(jnp.exp(u), "float32")
generator = synthesizers.copula(AMH)
model = generator.fit(jax.random.key(1), table, np.ones(len(table), bool), generator.hyper)
rows = generator.sample(jax.random.key(2), model, 1000)
print(f"tau of 1000 synthetic rows: {stats.kendalltau(*np.asarray(rows).T).statistic:.3f}")

# %% [markdown]
# A family that shall live in jaxcop itself gets a module of its own, a row in `tests/families.py`, where every family
# meets the same invariants in both precisions, and values computed by other software. `CONTRIBUTING.md` says how. What
# the built-in families add to this page is care for the last digits: for theta near its limits, for points near the
# edges, in float32.
