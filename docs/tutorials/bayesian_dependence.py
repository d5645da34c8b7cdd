# %% [markdown]
# # Bayesian dependence
#
# Sixty patients. Does a high body-mass index go with a high blood value, how strongly, and do the highest go together?
# With so few rows the best estimate is the smaller part of the answer. `pip install "jaxcop[bayes]"`.

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np
from IPython.display import Image
from jaxcop import bayes, copulas
from jaxcop.report import bayes_figures
from sklearn.datasets import load_diabetes

frame = load_diabetes(as_frame=True, scaled=False).frame[["bmi", "s5"]].sample(60, random_state=1)
# Rounded values are tied. The rows stand in random order, so "first" breaks ties at random.
u = frame.rank(method="first").to_numpy("float32") / (len(frame) + 1)
figures = Path(tempfile.mkdtemp())

# %% [markdown]
# ## One family
#
# The prior is uniform on Kendall's tau. What does not allow to believe the draws (R-hat, few effective draws,
# divergences) is warned of, and stays in the result as `converged` and `warnings`.

# %%
gumbel = bayes.copula_posterior(jax.random.key(0), u, "gumbel")
print(f"converged: {gumbel.converged}")
for name, s in gumbel.summary.items():
    print(f"{name:6} {s.mean:.2f} [{s.low:.2f}, {s.high:.2f}], R-hat {s.r_hat:.3f}, effective draws {s.effective:.0f}")

# %% [markdown]
# The interval of maximum likelihood beside it leans on a normal approximation.

# %%
fitted = copulas.fit(u, "gumbel")
limits = copulas.interval(u, "gumbel", fitted)
Image(
    bayes_figures.posterior_density(
        figures / "theta.png",
        gumbel.samples["theta"],
        estimate=float(fitted.params.theta),
        interval=(float(limits.lower.theta), float(limits.upper.theta)),
        name="theta of the Gumbel copula",
    ),
    width=640,
)

# %% [markdown]
# ## Which family?
#
# Families are compared by how well they predict rows left out (PSIS-LOO). `difference` is below the best family, with
# its standard error: where the error is as large as the difference, sixty rows do not tell.

# %%
posteriors = [gumbel] + [
    bayes.copula_posterior(jax.random.key(k), u, family) for k, family in enumerate(("clayton", "gaussian"), start=1)
]
for row in bayes.compare(posteriors):
    print(f"{row.family:14} {row.difference:5.1f} ({row.error:.1f}) below the best, weight {row.weight:.2f}")

# %% [markdown]
# ## What it means for the tails
#
# The families agree on the middle of the data and differ in the corners. Each says how likely it is that the blood
# value is among the highest when the body-mass index is. As long as the comparison above cannot choose between them,
# neither can you.


# %%
def tails(posterior):
    copula = copulas.FAMILIES[posterior.family]
    found = jax.vmap(copula.tail_dependence)(posterior.params)
    return tuple(np.asarray(side if side.ndim == 1 else side[:, 0, 1]) for side in found)


Image(
    bayes_figures.tail_dependence(figures / "tails.png", {p.family: tails(p) for p in posteriors}),
    width=640,
)

# %% [markdown]
# An answer that does not bet on one family draws from all of them by their weights; the uncertainty about family and
# parameters is then in the rows.

# %%
rows, _ = bayes.average(jax.random.key(9), posteriors, 20_000)
high = rows[:, 0] > 0.9
print(f"P(blood value in its top tenth | body-mass index in its top tenth): {float((rows[high, 1] > 0.9).mean()):.2f}")
print(f"with independence: 0.10; among the {len(u)} rows: {float((u[u[:, 0] > 0.9, 1] > 0.9).mean()):.2f}")

# %% [markdown]
# Ranks treat the margins as known, which understates what is not known about them. A joint model of margins and copula,
# for numpyro, is in [the guide](../../bayes/).
