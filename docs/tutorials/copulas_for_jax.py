# %% [markdown]
# # Copulas for JAX people
#
# You know `jit`, `vmap` and `grad`. A copula is a density on the unit cube with uniform margins: what is left of a
# joint distribution when the columns' own distributions are taken out. In jaxcop it is a few pure functions, so
# everything that you know applies to it.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
from jaxcop.copulas import clayton, fit, gumbel, mixture_of, pseudo_observations, select, survival

params = clayton.Params(2.0)  # a NamedTuple of arrays, nothing else
u = clayton.sample(jax.random.key(0), params, (500, 2))
print("log-density:", clayton.logpdf(u[:3], params))
print("its slope in theta:", jax.grad(lambda theta: clayton.logpdf(u, clayton.Params(theta)).mean())(1.5))

# %% [markdown]
# ## Pictures of densities
#
# `vmap` over parameters, as for any function. Clayton holds the low values together, Gumbel the high ones; `survival`
# turns a copula around.

# %%
grid = jnp.linspace(0.01, 0.99, 99)
points = jnp.stack(jnp.meshgrid(grid, grid), -1)
turned = survival(clayton.COPULA)
panels = {
    "Clayton, tau 0.5": clayton.logpdf(points, params),
    "Gumbel, tau 0.5": gumbel.logpdf(points, gumbel.from_kendall_tau(0.5)),
    "survival(Clayton), tau 0.5": turned.logpdf(points, params),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", sharey=True)
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    image = ax.contourf(grid, grid, values, levels=jnp.linspace(-5, 3, 17), cmap="cividis", extend="both")
    ax.set(title=title, xlabel="$u_1$", aspect="equal")
axes[0].set_ylabel("$u_2$")
figure.colorbar(image, ax=axes, label="log-density", shrink=0.9)
plt.show()

# %% [markdown]
# ## A fit with your own optimiser
#
# `constrain` maps the real line onto the legal parameters, so that any optimiser of optax can walk there. `fit` does
# this for you, from a good starting point and with a flag that says whether it arrived.

# %%
optimiser = optax.adam(0.1)


@jax.jit
@jax.value_and_grad
def loss(vector):
    return -clayton.logpdf(u, clayton.constrain(vector, 2)).mean()


vector = jnp.zeros(1)
state = optimiser.init(vector)
for _ in range(300):
    value, slope = loss(vector)
    change, state = optimiser.update(slope, state)
    vector = optax.apply_updates(vector, change)
found = fit(u, "clayton")
by_hand = clayton.constrain(vector, 2).theta
print(f"by hand {by_hand:.4f}, by fit {found.params.theta:.4f}, converged {bool(found.converged)}")

# %% [markdown]
# ## A thousand fits in one program
#
# The fit itself is a pure function of the rows: `vmap` it over bootstrap tables.

# %%
tables = jax.vmap(lambda key: jax.random.choice(key, u, (len(u),)))(jax.random.split(jax.random.key(1), 1000))
fits = jax.jit(jax.vmap(partial(fit, family="clayton")))(tables)
low, high = jnp.quantile(fits.params.theta, jnp.array([0.025, 0.975]))
print(f"all converged: {bool(fits.converged.all())}; 95 % of the thetas lie in [{low:.2f}, {high:.2f}]")

# %% [markdown]
# ## Gradients through samples
#
# `inverse_rosenblatt` maps independent uniforms to draws, smoothly in the parameters. So an expectation has a gradient
# through its sample: here that of the probable loss when two columns are low together, and how it grows with theta.

# %%
w = jax.random.uniform(jax.random.key(2), (20_000, 2))


def shortfall(theta):
    draws = clayton.inverse_rosenblatt(w, clayton.Params(theta))
    return jnp.maximum(0.2 - draws.mean(-1), 0).mean()


value, slope = jax.value_and_grad(shortfall)(2.0)
step = 0.05
difference = (shortfall(2.0 + step) - shortfall(2.0 - step)) / (2 * step)
print(f"shortfall {value:.5f}, its slope {slope:.5f}; by central differences {difference:.5f}")

# %% [markdown]
# ## From rows to a family
#
# Rows of a table are not uniform: `pseudo_observations` takes ranks, `method="mpl"` does it on the way. Independence is
# always among the candidates. Combinators make new families; here one with both tails.

# %%
x = jnp.exp(clayton.sample(jax.random.key(3), params, (400, 2)))  # any increasing margins
both_tails = mixture_of(clayton.COPULA, survival(clayton.COPULA))
for row in select(x, ("clayton", "gumbel", "gaussian", "student_t", both_tails), method="mpl").rows:
    print(f"{row.family:36} AIC/n {row.criterion_per_row:+.3f}")
print("ranks of two rows:", *pseudo_observations(x)[:2])

# %% [markdown]
# The families, their domains and limits stand in [the guide](../../copulas/); a family of your own is [a page
# away](../new_family/).
