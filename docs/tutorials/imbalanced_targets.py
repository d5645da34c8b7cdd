# %% [markdown]
# # Imbalanced targets
#
# Rare values of a target are often the ones that matter, and a learner sees few of them. Resample, add noise, train a
# VAE: which of it helps? The answer begins with the rows as they are, on several tables, scored where it is rare *and*
# where it is common.

# %%
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from jaxcop import imbalanced, sweep, synthesizers
from jaxcop.metrics.comparison import paired_difference
from jaxcop.metrics.utility import predict
from jaxcop.report import arms as arm_figures
from jaxcop.report.figures import COLOURS


def draw(seed: int, rows: int) -> np.ndarray:
    """Four features and a target that is large where the first two are large together; the target comes last."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    y = np.exp(0.7 * (x[:, 0] + x[:, 1])) + 0.3 * rng.normal(size=rows)
    return np.c_[x, y].astype("float32")


tables = 8
trains = np.stack([draw(seed, 300) for seed in range(tables)])
tests = [draw(1000 + seed, 2000) for seed in range(tables)]

# %% [markdown]
# ## How rare is rare?
#
# Relevance says where the target matters, from 0 to 1, by a box plot of it unless you give points of your own.

# %%
y = trains[0][:, -1]
points = imbalanced.automatic_points(y)
phi = np.asarray(imbalanced.relevance(y, points))
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.hist(y, 40, color=COLOURS[5])
ax.set(xlabel="target", ylabel="training rows")
other = ax.twinx()
other.plot(np.sort(y), np.sort(phi), color=COLOURS[1], lw=2)
other.set(ylabel="relevance (line)", ylim=(-0.02, 1.02))
plt.show()
print(f"{(phi > 0.75).mean():.0%} of the rows have a relevance above 0.75")

# %% [markdown]
# ## Five ways to train
#
# `baseline` trains on the rows as they are. `oversample` draws rare rows more often, `smoothed_raw` also moves them a
# little, `kbvae_w` (DAVID) moves them in the latent space of a VAE whose loss is balanced. All tables are fitted side
# by side.

# %%
config = imbalanced.Config(epochs=200, batch_size=60)
every = synthesizers.imbalanced_arms(config, hyper=imbalanced.Hyper(learning_rate=0.01))
chosen = ("baseline", "oversample", "smoothed_raw", "kbvae_w")
keys = jax.random.split(jax.random.key(0), (2, tables))
masks = np.ones(trains.shape[:2], bool)
augmented = {}
for name in chosen:
    arm = every[name]
    arm.check(trains[0], arm.hyper)
    hyper = jax.tree.map(lambda number: np.full(tables, number, "float32"), arm.hyper)
    fitted = sweep.replicate(arm.fit, keys[0], trains, masks, hyper)
    augmented[name] = np.asarray(sweep.replicate(arm.sample, keys[1], fitted, static=(trains.shape[1],)))
    print(f"{name:13} share of targets above 4: {(augmented[name][..., -1] > 4).mean():.2f}")
augmented["smogn"] = [
    imbalanced.smogn(jax.random.key(k), x, np.asarray(imbalanced.relevance(x[:, -1], points)))
    for k, x in enumerate(trains)
]

# %% [markdown]
# ## Where it helps and what it costs
#
# XGBoost learns from each table. Its error is taken on fresh rows, apart for common and for rare targets, and compared
# with `baseline` on the same table: left of zero is better, hollow markers show no difference.


# %%
def errors(train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    found = predict(train, test, target_column=4, seed=0)
    relevance = imbalanced.relevance(test[:, -1], points)
    bands = np.asarray(imbalanced.by_relevance(test[:, -1], found, relevance).rmse)
    return bands[0], bands[-1]


scores = {name: np.array([errors(a, t) for a, t in zip(rows, tests, strict=True)]) for name, rows in augmented.items()}
folder = Path(tempfile.mkdtemp())
pictures = []
for column, band in enumerate(("common targets, relevance below 0.25", "rare targets, relevance above 0.75")):
    base = scores["baseline"][:, column]
    differences = {
        name: paired_difference(found[:, column], base, 0.0) for name, found in scores.items() if name != "baseline"
    }
    print(f"{band}: RMSE of baseline {base.mean():.2f}")
    for name, d in differences.items():
        print(f"    {name:13} {d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]")
    path = folder / f"{column}.png"
    label = "RMSE less that of baseline, mean and 95 % interval"
    pictures.append(arm_figures.difference_intervals(path, differences, corrected=False, xlabel=label, title=band))
Image(pictures[0], width=680)

# %%
Image(pictures[1], width=680)

# %% [markdown]
# Read both figures together: an arm that gains on rare targets pays for it on common ones, and an arm can pay and gain
# nothing. What is a good bargain depends on what an error costs you; `imbalanced.sera` and `imbalanced.weighted_mse`
# put it into one number. Eight small tables of one simulation are a demonstration. The comparison with twelve arms,
# twenty seeds, three learners and real tables, on some of which nothing helped, is [in the
# guide](../../imbalanced/#what-was-found).
