"""The VAE beside ctgan's TVAE and the VAE-BGM recipe: CPU seconds per fitted model, and fidelity on three tables.

    python -m venv peers
    peers/bin/pip install -e ".[experiments]" ctgan mlxtend
    peers/bin/python benchmarks/vae_against_peers.py
    peers/bin/python benchmarks/vae_against_peers.py --tables blast --splits 2 --seeds 1

Every model learns the training rows of the same splits (80 % of the rows; on the blast table no blast is on both sides)
and draws as many rows. Scores, as METRICS names them: mean KS and AD distance over the columns, PRDC coverage and mean
absolute correlation error against the training rows; TSTR and TRTR are R2 of XGBoost on the test rows. CPU seconds are
of the process, all threads together: compilation is part of ours, shared by ``--count`` seeds trained in one program.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxcop import metrics, sweep, synthesizers
from jaxcop.metrics.utility import Job, regress_each, utility_many
from jaxcop.tables import group_split, numeric_table, row_split
from jaxcop.vae import Config, Hyper
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_diabetes

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import blasts

# The arms of the fragmentation study with the numbers chosen there, and option A of the project plan.
STUDY = {"latent_dim": 6, "epochs": 1000}
HYPER = Hyper(learning_rate=3e-3, beta_max=1.0, warmup=0.5, min_scale=0.01)
ARMS = {
    "vae": synthesizers.vae(Config(**STUDY), hyper=HYPER),
    "vae_gmm": synthesizers.vae(Config(**STUDY, prior="gmm", num_components=60, schedule="linear"), hyper=HYPER),
    "option A": synthesizers.vae(Config(), scaling="standardise"),
}
CONTROLS = {
    "(smoothed)": synthesizers.smoothed(),
    "(bootstrap)": synthesizers.bootstrap(),
    "(independent)": synthesizers.independent(),
}
TARGETS = {"KS": "<= .12", "AD": "<= .13", "coverage": ">= .90", "correlation": "<= .08", "TSTR / TRTR": ">= .80"}


def load(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A table with its target in the first column, and the group of every row where rows belong together."""
    if name == "blast":
        pool = blasts.load_pool()
        table, _ = numeric_table(pool, (blasts.TARGET, *blasts.FEATURES), target=blasts.TARGET)
        return table, pool["blast_id"].to_numpy()
    if name == "diabetes":
        x, y = load_diabetes(return_X_y=True, scaled=False)
    else:
        from mlxtend.data import autompg_data

        x, y = autompg_data()
        x = x[:, :-1]  # the last column stands for the name of the car
    return np.column_stack([y, x]).astype(float), None


def ours(tables, splits: np.ndarray, seeds: np.ndarray, synthesizer) -> np.ndarray:
    """Rows of every replica (a split and a seed), as many as the longest training table has."""
    x, mask = sweep.stack([table.astype(np.float32) for table in tables])
    keys = jax.vmap(lambda seed, split: jax.random.fold_in(jax.random.key(seed), split))(seeds, splits)
    hyper = jax.tree.map(lambda value: np.full(len(seeds), value, np.float32), synthesizer.hyper)
    fitted = sweep.replicate(synthesizer.fit, keys, x[splits], mask[splits], hyper)
    return np.asarray(sweep.replicate(synthesizer.sample, keys, fitted, static=(x.shape[1],)))


def tvae(train: np.ndarray, num_rows: int, seed: int) -> np.ndarray:
    """ctgan's TVAE at its defaults, 300 epochs."""
    import torch
    from ctgan import TVAE

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    np.random.seed(seed)  # noqa: NPY002, the generator that ctgan draws from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TVAE()
        model.fit(pd.DataFrame(train, columns=[str(i) for i in range(train.shape[1])]))
        return model.sample(num_rows).to_numpy()


def vae_bgm(train: np.ndarray, num_rows: int, seed: int) -> np.ndarray:
    """VAE-BGM (Apellániz, Parras & Zazo 2024) with the numbers of its authors' program, written anew.

    z-scores; 50 hidden units, 5 latent variables, bounded by 10; decoder with a mean and a standard deviation below 0.1
    a column, dropout 0.2; Adam at 1e-3, up to 1,000 epochs of batches of 500 in order, stopped by a fifth of the rows;
    then scikit-learn's mixture, best of 10 starts, on the latent means. Negative rows of positive columns are redrawn.
    """
    import torch
    from sklearn.mixture import BayesianGaussianMixture
    from sklearn.model_selection import train_test_split

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    location, scale, hidden, latent = train.mean(0), train.std(0), 50, 5
    columns, linear = train.shape[1], torch.nn.Linear
    learned, stopping = (
        torch.tensor(part, dtype=torch.float32)
        for part in train_test_split((train - location) / scale, test_size=0.2, random_state=0)
    )
    encoder = torch.nn.Sequential(linear(columns, hidden), torch.nn.ReLU(), linear(hidden, 2 * latent), torch.nn.Tanh())
    layers = linear(latent, hidden), torch.nn.ReLU(), torch.nn.Dropout(0.2), linear(hidden, 2 * columns)
    decoder = torch.nn.Sequential(*layers)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def encode(x):
        return (10 * encoder(x)).split(latent, -1)

    def decode(z):
        mean, raw = decoder(z).split(columns, -1)
        return torch.distributions.Normal(mean, (torch.sigmoid(raw) * (10 - 1e-3) + 1e-3) / 100)

    def negative_elbo(x):
        mean, log_var = encode(x)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        return (-decode(z).log_prob(x).sum() - 0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()) / len(x)

    best, waited = np.inf, 0
    for _ in range(1000):
        total = 0.0
        for batch in learned.split(500):
            decoder.train()
            optimiser.zero_grad()
            negative_elbo(batch).backward()
            optimiser.step()
            decoder.eval()
            with torch.no_grad():
                total += negative_elbo(stopping).item()
        best, waited = (total, 0) if total < best else (best, waited + (total > best + 2))
        if waited == 30:
            break
    with torch.no_grad():
        means, log_vars = encode(learned)
        mixture = BayesianGaussianMixture(
            n_components=latent, n_init=10, max_iter=5000, reg_covar=1e-5, random_state=seed
        )
        mixture.fit(means.numpy())
        kept = np.empty((0, columns))
        while len(kept) < num_rows:
            codes = torch.tensor(mixture.sample(num_rows)[0], dtype=torch.float32)
            z = codes + torch.exp(log_vars.mean(0) / 2) * torch.randn_like(codes)
            rows = decode(z).sample().numpy() * scale + location
            kept = np.concatenate([kept, rows[(rows[:, train.min(0) >= 0] >= 0).all(1)]])
    return kept[:num_rows]


PEERS = {"TVAE": ("ctgan", tvae), "VAE-BGM": ("torch", vae_bgm)}
"""By name: the package they need, and rows of a fit."""


def scores(train: np.ndarray, test: np.ndarray, rows: list[np.ndarray], seed: int) -> list[dict[str, float]]:
    real = jnp.asarray(train, np.float32)
    tstr = utility_many([Job(table, test, 0, seed) for table in rows])
    trtr = regress_each(train, [test], 0, seed=seed)[0].r2
    found = []
    for table, utility in zip(rows, tstr, strict=True):
        part = jnp.asarray(table[: len(train)], np.float32)
        found.append(
            {
                "KS": float(np.mean(metrics.ks(real, part))),
                "AD": float(np.mean(metrics.anderson_darling(real, part).distance)),
                "coverage": float(metrics.prdc(real, part).coverage),
                "correlation": float(metrics.correlation_error(real, part).pearson.mean),
                "TSTR": utility.r2,
                "TRTR": trtr,
            }
        )
    return found


def costs(train: np.ndarray, count: int, peers) -> dict[str, float]:
    """CPU seconds per model: of ``count`` seeds in one program for each arm, compiled anew, and of each peer."""
    found = {}
    for arm, synthesizer in ARMS.items():
        jax.clear_caches()
        start = time.process_time()
        ours([train], np.zeros(count, int), np.arange(1000, 1000 + count), synthesizer)
        found[arm] = (time.process_time() - start) / count
    for name, (_, rows_of) in peers.items():
        start = time.process_time()
        rows_of(train, len(train), 0)
        found[name] = time.process_time() - start
    return found


def main() -> None:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=("blast", "diabetes", "autompg"), default=None)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-seeds", type=int, default=None, help="fits of each peer a split, if fewer than --seeds")
    parser.add_argument("--count", type=int, default=32, help="seeds in the program whose CPU time is measured")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    peers, versions = {}, []
    for name, (package, rows_of) in PEERS.items():
        try:
            versions.append(f"{package} {metadata.version(package)}")
            peers[name] = package, rows_of
        except metadata.PackageNotFoundError:
            versions.append(f"{package} missing")
    console.print(f"jax {jax.__version__}, {len(jax.devices())} devices, {platform.machine()}, {', '.join(versions)}")
    cost = {}
    for name in options.tables or ("blast", "diabetes", "autompg"):
        table, groups = load(name)
        cut = [
            row_split(np.arange(len(table)), seed=s) if groups is None else group_split(groups, seed=s)
            for s in range(options.splits)
        ]
        trains, tests = [table[s.train] for s in cut], [table[s.test] for s in cut]
        split, seed = (a.ravel() for a in np.meshgrid(range(len(cut)), range(options.seeds), indexing="ij"))
        tables = {arm: list(ours(trains, split, seed, synthesizer)) for arm, synthesizer in ARMS.items()}
        for control, synthesizer in CONTROLS.items():
            tables[control] = list(ours(trains, split, seed, synthesizer))
        # Real rows never seen, as a table of their own: what cannot be told from training rows but by chance.
        tables["(holdout)"] = tests
        for peer, (_, rows_of) in peers.items():
            fewer = options.peer_seeds or options.seeds
            try:
                tables[peer] = [rows_of(trains[s], len(trains[s]), k) for s in range(len(cut)) for k in range(fewer)]
            except ValueError as error:  # of ctgan, on tables that it cannot map back
                console.print(f"{peer} failed on {name}: {error}")
        shown = Table("model", *TARGETS, title=f"{name}: {len(table)} rows; mean (SD)", box=None)
        shown.add_row("wanted", *TARGETS.values())
        for model, rows in tables.items():
            records = []
            for s in range(len(cut)):
                fits = len(rows) // len(cut)
                records += scores(trains[s], tests[s], rows[s * fits : (s + 1) * fits], s)
            columns = {key: np.array([record[key] for record in records]) for key in records[0]}
            ratio = columns["TSTR"].mean() / columns["TRTR"].mean()
            cells = [f"{columns[key].mean():.3f} ({columns[key].std(ddof=1):.3f})" for key in list(TARGETS)[:4]]
            utility = f"{ratio:.2f} = {columns['TSTR'].mean():.3f} / {columns['TRTR'].mean():.3f}"
            # Trained on the test rows themselves, its utility says nothing.
            shown.add_row(f"{model}, {len(rows)} fits", *cells, "–" if rows is tests else utility)
        console.print(shown)
        if not cost:
            cost = costs(trains[0], options.count, peers)
            for model, seconds in cost.items():
                ratio = "".join(f", {peer} / this {cost[peer] / seconds:.1f}" for peer in peers)
                console.print(f"{model}: {seconds:.2f} CPU s a model, sampling included{ratio}", highlight=False)


if __name__ == "__main__":
    main()
