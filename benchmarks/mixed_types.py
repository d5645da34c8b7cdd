"""Categories as codes beside categories spread over their cells: shares and dependence of the synthetic rows.

    python benchmarks/mixed_types.py
    python benchmarks/mixed_types.py --tables cut groups --seeds 2
    python benchmarks/mixed_types.py --csv table.csv

Each synthesizer learns a table twice: ``cells`` spreads codes over their cells and takes them as numbers, ``codes`` is
what ``fit_table`` does (a softmax head, or cut normal variables). Mean over the seeds, of as many synthetic rows as
training rows, against the training rows: total variation of the categories' shares; mean absolute error of Cramér's V
(two categories), of the correlation ratio eta (a category and a number) and of Pearson's correlation (two numbers) over
the pairs; KS distance of the numbers. ``bootstrap`` draws training rows: the error of the number of rows alone. The
default synthesizer, a mixture, knows cells only.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxcop import synthesizers, tables
from jaxcop.synthesizers.tables import DEFAULT, NUMBERS, TAKES_CODES, Kinds
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.datasets import load_diabetes, load_wine

NAMES = (DEFAULT, *TAKES_CODES)
MEASURES = ("TV", "Cramér's V", "eta", "Pearson", "KS")


def cut(rows: int = 300) -> pd.DataFrame:
    """A latent normal of six columns: two numbers, a rare and an even boolean, two ordered categories."""
    rng = np.random.default_rng(0)
    loadings = np.array([[0.9, 0.0], [0.6, 0.6], [0.8, -0.3], [0.1, 0.9], [-0.7, 0.5], [0.5, 0.7]])
    z = rng.normal(size=(rows, 2)) @ loadings.T
    z += rng.normal(size=z.shape) * np.sqrt(1 - (loadings**2).sum(1))
    grade = pd.Categorical.from_codes(np.digitize(z[:, 4], [-1, 0, 1]), list("abcd"), ordered=True)
    size = pd.Categorical.from_codes(np.digitize(z[:, 5], [-0.3, 0.8]), list("xyz"), ordered=True)
    return pd.DataFrame(
        {"p": z[:, 0], "q": np.exp(z[:, 1]), "rare": z[:, 2] > 1.3, "even": z[:, 3] > 0, "grade": grade, "size": size}
    )


def groups(rows: int = 300) -> pd.DataFrame:
    """A category without order that moves two numbers in a circle and another category by chances of its own."""
    rng = np.random.default_rng(0)
    kind = rng.choice(5, rows, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    angle = 2 * np.pi * np.array([0, 2, 4, 1, 3])[kind] / 5
    chances = rng.dirichlet(np.full(4, 0.5), 5)
    other = np.array([rng.choice(4, p=chances[k]) for k in kind])
    return pd.DataFrame(
        {
            "kind": np.array(list("abcde"))[kind],
            "x": 2 * np.cos(angle) + rng.normal(size=rows),
            "y": 2 * np.sin(angle) + rng.normal(size=rows),
            "other": np.array(list("pqrs"))[other],
            "flag": rng.random(rows) < 0.1 + 0.8 * (other % 2),
        }
    )


def wine() -> pd.DataFrame:
    """scikit-learn's wines: the cultivar and six measurements."""
    found = load_wine(as_frame=True).frame
    found["target"] = np.array(["first", "second", "third"])[found["target"]]
    return found[["target", "alcohol", "malic_acid", "magnesium", "flavanoids", "color_intensity", "hue"]]


def diabetes() -> pd.DataFrame:
    """scikit-learn's diabetes table: sex and ten numbers."""
    found = load_diabetes(as_frame=True, scaled=False).frame
    found["sex"] = found["sex"] > 1
    return found


TABLES = {"cut": cut, "groups": groups, "wine": wine, "diabetes": diabetes}


def association(x: np.ndarray, levels: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Cramér's V, eta and Pearson's correlation of the pairs that each is for; 0 where a column is constant."""
    codes, numbers = np.flatnonzero(levels), np.flatnonzero(np.array(levels) == 0)
    hot = {j: np.eye(levels[j])[x[:, j].astype(int)] for j in codes}
    found = {"Cramér's V": [], "eta": [], "Pearson": []}
    for position, j in enumerate(codes):
        for k in codes[position + 1 :]:
            counts = (hot[j].T @ hot[k]).astype(int)
            counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
            found["Cramér's V"].append(stats.contingency.association(counts) if min(counts.shape) > 1 else 0.0)
        for k in numbers:
            share = hot[j].mean(0)
            means = hot[j].T @ (x[:, k] - x[:, k].mean()) / np.maximum(hot[j].sum(0), 1)
            found["eta"].append(np.sqrt((share * means**2).sum() / x[:, k].var()))
    for position, j in enumerate(numbers):
        found["Pearson"] += [np.corrcoef(x[:, j], x[:, k])[0, 1] for k in numbers[position + 1 :]]
    return {name: np.array(values) for name, values in found.items()}


def errors(real: np.ndarray, rows: np.ndarray, levels: tuple[int, ...]) -> list[float]:
    """The measures, NaN where the table has no such columns or pairs."""
    codes, numbers = np.flatnonzero(levels), np.flatnonzero(np.array(levels) == 0)
    shares = [[np.bincount(t[:, j].astype(int), minlength=levels[j]) / len(t) for t in (real, rows)] for j in codes]
    pairs = [association(t, levels) for t in (real, rows)]
    gaps = [np.abs(pairs[0][name] - pairs[1][name]) for name in ("Cramér's V", "eta", "Pearson")]
    parts = [
        [np.abs(a - b).sum() / 2 for a, b in shares],
        *gaps,
        [stats.ks_2samp(real[:, j], rows[:, j]).statistic for j in numbers],
    ]
    return [float(np.mean(part)) if len(part) else np.nan for part in parts]


def run(name: str, frame: pd.DataFrame, seeds: int) -> list[tuple[str, str, np.ndarray]]:
    schema = tables.infer_schema(frame)
    levels = tables.array_levels(schema)
    kinds = Kinds(levels, tables.nominal_columns(schema))
    encoded = tables.encode(frame, schema)
    cells = tables.dequantise(jax.random.key(0), encoded, schema)
    with_codes = np.where(np.array(levels) > 0, np.rint(cells), cells)
    keys = jax.random.split(jax.random.key(1), seeds)
    mask = np.ones(len(encoded), bool)
    limit = np.maximum(levels, 1) - 1
    rng = np.random.default_rng(0)
    draws = [with_codes[rng.integers(0, len(encoded), len(encoded))] for _ in range(seeds)]
    found = [("bootstrap", "", np.array([errors(with_codes, rows, levels) for rows in draws]))]
    for synthesizer in NAMES:
        routes = (("cells", cells, NUMBERS), ("codes", with_codes, kinds))
        for route, x, given in routes if synthesizer in TAKES_CODES else routes[:1]:
            built = synthesizers.NAMED[synthesizer](len(x), given)
            x = jnp.asarray(x, jnp.float32)
            built.check(x, built.hyper)

            def one(key, x, built=built):
                key_fit, key_rows = jax.random.split(key)
                return built.sample(key_rows, built.fit(key_fit, x, mask, built.hyper), len(encoded))

            batch = np.asarray(jax.jit(jax.vmap(one, in_axes=(0, None)))(keys, x), np.float64)
            batch = np.where(np.array(levels) > 0, np.clip(np.rint(batch), 0, limit), batch)
            scores = np.array([errors(with_codes, rows, levels) for rows in batch])
            found.append((synthesizer, route, scores))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    parser.add_argument("--csv", nargs="*", default=[], help="further tables, by path")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    frames = {name: TABLES[name]() for name in options.tables}
    frames |= {path: tables.read_csv(path) for path in options.csv}
    for name, frame in frames.items():
        shown = Table("synthesizer", "route", *MEASURES, title=f"{name}, {len(frame)} rows, {options.seeds} seeds")
        for synthesizer, route, scores in run(name, frame, options.seeds):
            cells = [f"{m:.3f} ({s:.3f})" for m, s in zip(scores.mean(0), scores.std(0), strict=True)]
            shown.add_row(synthesizer, route, *("–" if "nan" in cell else cell for cell in cells))
        Console(width=120).print(shown)


if __name__ == "__main__":
    main()
