# %% [markdown]
# # Five minutes with a CSV file
#
# From a table in a file to synthetic rows and a verdict on them, with three commands and no code. `pip install
# "jaxcop[cli]"` is all you need. What you read here was run when this page was built.
#
# The table: 442 patients, their age, sex, body-mass index, blood pressure, a blood value, and how far their diabetes
# had gone a year later (Efron et al. 2004, as shipped by scikit-learn). We empty some cells, as tables from real life
# are, and keep a quarter of the rows back. The model must never see those: they are what it is judged by.

# %%
import os
import tempfile

import numpy as np
import pandas as pd
from IPython.display import Image
from sklearn.datasets import load_diabetes

os.environ.pop("FORCE_COLOR", None)  # Jupyter asks for colours and moving bars; a page wants plain text
os.environ["COLUMNS"] = "110"
os.chdir(tempfile.mkdtemp())
table = load_diabetes(as_frame=True, scaled=False).frame[["age", "sex", "bmi", "bp", "s5", "target"]]
table = table.sample(frac=1, random_state=0).rename(columns={"s5": "blood", "target": "progression"})
table["sex"] = table["sex"].map({1: "first", 2: "second"})  # the source does not say which is which
table.loc[np.random.default_rng(0).random(len(table)) < 0.08, "bp"] = np.nan
table[:331].to_csv("train.csv", index=False)
table[331:].to_csv("holdout.csv", index=False)
table.head()

# %% [markdown]
# ## Learn
#
# What each column is gets inferred, and printed: look at it once. Where it is wrong, `jaxcop schema train.csv --out
# schema.yaml` writes it to a file that you correct and hand over with `--schema`.

# %% language="bash"
# jaxcop fit train.csv --out model --seed 0

# %% [markdown]
# ## Draw
#
# As many rows as you like. Ten times the training rows make a good evaluation.

# %% language="bash"
# jaxcop sample model --rows 3310 --out synthetic.csv --seed 1

# %% [markdown]
# Columns, decimals and empty cells are as they were.

# %%
synthetic = pd.read_csv("synthetic.csv")
print(f"empty cells of bp: {table['bp'][:331].isna().mean():.1%} real, {synthetic['bp'].isna().mean():.1%} synthetic")
synthetic.head()

# %% [markdown]
# ## Judge
#
# The last command compares the synthetic rows with the training rows and with the rows kept back, and puts three simple
# controls beside them. (Fewer repetitions than by default, since this page must build quickly; leave both options out.)
# It ends with exit code 3 where there is something to warn of, as here.

# %% language="bash"
# jaxcop evaluate --train train.csv --holdout holdout.csv --synthetic synthetic.csv --target progression \
#   --out report --resamples 3 --permutations 99 || test $? -eq 3

# %% [markdown]
# `report/report.html` has every score and figure in one file. One of the figures: each distance of the synthetic rows,
# measured in what two samples of *real* rows differ by. Points within the band are as good as real rows.

# %%
Image("report/calibration.png", width=760)

# %% [markdown]
# No default is best for every table: `--synthesizer vae_gmm` is another model, and `jaxcop evaluate` takes
# `--synthetic` several times. Next: [what the verdict means](../verdict/), and [what is read, the schema, and the same
# as functions](../../csv/).
