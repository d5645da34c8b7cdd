"""The blast-fragmentation study: generators, controls and their honest scores on the real data.

    python experiments/fragmentation.py                 # the default protocol: no blast on both sides of a split
    python experiments/fragmentation.py --full          # every protocol and every training recipe
    python experiments/fragmentation.py --protocol row  # the split of the 2025 report, beside its own figures
    python experiments/fragmentation.py --full --resume # the same command again goes on where it was stopped

Writes to ``results/fragmentation/``: results.json (every number), report.md, the splits and the figures.
"""

import argparse
import dataclasses
import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxcop import synthesizers
from jaxcop.synthesizers.copula import Regularisation
from jaxcop.tables import Split, leaked_share, load_splits, numeric_table, save_splits
from jaxcop.vae import Config, Hyper
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import blasts
import outputs
import study


@dataclass(frozen=True)
class Study:
    """Everything that decides the numbers; ``results.json`` repeats it."""

    protocols: tuple[str, ...] = (blasts.DEFAULT_PROTOCOL,)
    recipes: tuple[str, ...] = ("real",)
    generators: tuple[str, ...] = ()  # empty: all of them
    stratify: str | None = None
    num_splits: int = 24
    other_splits: int = 5  # of the protocols after the first
    num_seeds: int = 5  # training seeds of each VAE on each split
    num_rows: int = 5000  # synthetic rows per table, as in the report
    num_resamples: int = 5  # draws from one fixed fit, on the first `resample_splits` splits
    resample_splits: int = 3
    recipe_splits: int = 4
    recipe_seeds: int = 2
    epochs: int = 1000
    # Not more than an inner training table has rows:
    batch_size: int = 64
    latent_components: int = 60
    mixture_components: int = 50
    latent_dim: int = 6


RECIPES = {"real": 0.0, "copula": np.inf, "mixed 1:1": 1.0, "mixed 1:2": 2.0, "mixed 1:4": 4.0, "mixed 1:8": 8.0}
"""Copula rows for each real row of the training table; ``copula`` has none of the real rows."""
COPULA_ROWS = 8
REPLICAS = "replicas"
FULL = Study(protocols=("blast", "row", "distinct", "site"), recipes=tuple(RECIPES))

TARGET_COLUMN = 0
COLUMNS = (blasts.TARGET, *blasts.FEATURES)
FAMILIES = ("independence", "gaussian", "student_t", "clayton")
# Prior and schedule of beta.
VAES = {
    "vae": ("normal", "constant"),
    "vae_linear": ("normal", "linear"),
    "vae_sigmoid": ("normal", "sigmoid"),
    "vae_gmm": ("gmm", "linear"),
}
# The recipes are trained with a normal and with a mixture prior; their schedules differ little and would cost minutes.
RECIPE_VAES = ("vae", "vae_gmm")
VAE_GRID = tuple(Hyper(learning_rate=3e-3, beta_max=beta, warmup=0.5, min_scale=0.01) for beta in (0.3, 1.0))
MIXTURE_GRID = tuple(Regularisation(value) for value in (1e-3, 1e-2, 1e-1))


def vae_generator(config: Study, name: str, num_seeds: int, *, shortening: float = 1.0) -> study.Generator:
    """A VAE by name; ``shortening`` keeps the number of steps where a recipe lengthens the table."""
    prior, schedule = VAES[name]
    network = Config(
        latent_dim=config.latent_dim,
        prior=prior,
        num_components=config.latent_components,
        schedule=schedule,
        batch_size=config.batch_size,
        epochs=max(1, round(config.epochs * shortening)),
    )
    return study.Generator(synthesizers.vae(network), VAE_GRID, num_seeds)


def make_generators(config: Study) -> dict[str, study.Generator]:
    """The chosen generators by name, and always the controls."""
    copulas = {f"copula_{family}": study.Generator(synthesizers.copula(family)) for family in FAMILIES[1:]}
    mixture = synthesizers.gaussian_mixture_copula(config.mixture_components)
    everything = {
        "bootstrap": study.Generator(synthesizers.bootstrap()),
        "independent": study.Generator(synthesizers.independent()),
        "smoothed": study.Generator(synthesizers.smoothed()),
        **copulas,
        "gaussian_mixture_copula": study.Generator(mixture, MIXTURE_GRID, config.num_seeds),
        **{name: vae_generator(config, name, config.num_seeds) for name in VAES},
    }
    unknown = sorted(set(config.generators) - set(everything))
    if unknown:
        raise ValueError(f"generators: expected names among {list(everything)}, got {unknown}; check the spelling")
    # The recipes need the copulas that they choose from.
    needed = outputs.CONTROLS if len(config.recipes) == 1 else (*outputs.CONTROLS, *copulas)
    chosen = {*(config.generators or everything), *needed}
    return {name: generator for name, generator in everything.items() if name in chosen}


class Screen:
    """One line of progress per phase, from the first second."""

    def __init__(self, console: Console):
        self.console = console
        columns = (TextColumn("{task.description:<52}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal)

    def phase(self, name: str, total: int) -> Callable[[int, int], object]:
        """Start a phase; what it returns is called with (done, total). A log file gets one line when it starts."""
        if self.progress.disable:
            self.console.print(f"{name} ({total})", highlight=False)
        task = self.progress.add_task(name, total=total)
        return lambda done, total: self.progress.update(task, completed=done, total=total)


def inner_folds(pool, table, splits: Sequence[Split], protocol: str, stratify: str | None):
    """(inner train, inner validation) of every training set, cut by the same protocol; no test row is in them."""
    folds = []
    for split in splits:
        part = pool.iloc[split.train].reset_index(drop=True)
        (inner,) = blasts.make_splits(part, protocol, [split.seed], stratify=stratify)
        folds.append((table[split.train[inner.train]], table[split.train[inner.test]]))
    return folds


class Plan(NamedTuple):
    """One protocol ready to run: everything that can be checked before training has been."""

    config: Study
    protocol: str
    splits: list[Split]
    trains: list[np.ndarray]
    tests: list[np.ndarray]
    folds: list[tuple[np.ndarray, np.ndarray]]
    generators: dict[str, study.Generator]


def plan(config: Study, protocol: str, pool, table: np.ndarray, splits: list[Split]) -> Plan:
    """Cut the inner folds, fit the sizes of batches and mixtures to the smallest of them, and check every table."""
    trains, tests = [table[split.train] for split in splits], [table[split.test] for split in splits]
    folds = inner_folds(pool, table, splits, protocol, config.stratify)
    smallest = min(len(train) for train, _ in folds)
    sizes = ("batch_size", "latent_components", "mixture_components")
    config = dataclasses.replace(config, **{name: min(getattr(config, name), smallest) for name in sizes})
    generators = make_generators(config)
    for generator, train in itertools.product(generators.values(), (*trains, *(fold[0] for fold in folds))):
        generator.synthesizer.check(train, generator.synthesizer.hyper)
    # What cannot be scored is refused now and not after training.
    for side, tables in (("test side", tests), ("inner validation side", [fold[1] for fold in folds])):
        for split, part in zip(splits, tables, strict=True):
            if len(part) < 2 or np.ptp(part[:, TARGET_COLUMN]) == 0:
                raise ValueError(
                    f"protocol {protocol}, seed {split.seed}: expected a {side} of at least 2 rows with different "
                    f"targets, got {len(part)}; choose other splits"
                )
    return Plan(config, protocol, splits, trains, tests, folds, generators)


def run_protocol(planned: Plan, screen: Screen, store: Path | None = None) -> study.Result:
    """Tune, fit, sample and score every generator on every split of one protocol; ``store`` keeps what was fitted."""
    config, protocol, splits, trains, tests, folds, generators = planned
    result, length = study.Result(protocol, splits, config), study.padded_length(trains)

    for name, generator in generators.items():
        hypers = [generator.synthesizer.hyper] * len(splits)
        if generator.grid:
            done = screen.phase(f"{protocol}: {name}: choose on inner folds", len(splits) * len(generator.grid))
            tuned = study.tune(generator, folds, TARGET_COLUMN, config.num_rows, length, done, store)
            hypers = [generator.grid[choice] for choice in tuned.choice]
            result.tuned[name] = tuned
        done = screen.phase(f"{protocol}: {name}: compile and fit", len(splits) * generator.num_seeds)
        fitted = study.fit(generator, trains, hypers, length, done, store)
        result.fitted[name] = fitted
        labels = {"protocol": protocol, "recipe": "real", "generator": name}
        rows = study.sample(generator, fitted, config.num_rows)
        result.add(labels, fitted, rows)
        if generator.num_seeds > 1:
            ensemble = {**labels, "generator": f"{name}_ensemble"}
            study.pool_seeds(ensemble, fitted, rows, generator.num_seeds, result)
        fixed = np.flatnonzero((fitted.split < config.resample_splits) & (fitted.seed == 0))
        for resample in range(1, config.num_resamples):
            rows = study.sample(generator, fitted, config.num_rows, which=fixed, resample=resample)
            result.add(labels, fitted, rows, which=fixed, resample=resample)
        if name in RECIPE_VAES and len(config.recipes) > 1:
            run_recipes(config, name, hypers, trains, result, screen, store)

    compare_rows, compare_test = min(map(len, trains)), min(map(len, tests))
    done, scored = screen.phase(f"{protocol}: score", result.num_tables), 0
    for index, (train, test) in enumerate(zip(trains, tests, strict=True)):
        study.score(result, index, train, test, compare_rows, compare_test, TARGET_COLUMN)
        scored += len(result.tables[index])
        done(scored, result.num_tables)
    return result


def best_copula(result: study.Result, split: int) -> str:
    """The family with the lowest AIC on the training rows of one split."""
    fits = {family: result.fitted[f"copula_{family}"].fitted.copula for family in FAMILIES[1:]}
    aic = {family: 2 * float(fit.num_params[split]) - 2 * float(fit.loglik[split]) for family, fit in fits.items()}
    return min(aic, key=aic.__getitem__)


def run_recipes(
    config: Study, name: str, hypers, trains, result: study.Result, screen: Screen, store: Path | None
) -> None:
    """Train one VAE on copula rows, and on mixtures of real and copula rows, with the numbers chosen for real rows."""
    trains = trains[: config.recipe_splits]
    longest = study.padded_length(trains)
    copula_rows = []
    for index in range(len(trains)):
        family = f"copula_{best_copula(result, index)}"
        generator = study.Generator(synthesizers.copula(family.removeprefix("copula_")))
        rows = study.sample(
            generator, result.fitted[family], COPULA_ROWS * longest, which=[index], resample=config.num_resamples
        )
        copula_rows.append(rows[0])
    for recipe in config.recipes:
        share = RECIPES[recipe]
        if share == 0:
            continue
        only_copula = np.isinf(share)
        count = COPULA_ROWS * longest if only_copula else int(share * longest)
        tables = [
            rows[:count] if only_copula else np.concatenate([real, rows[: int(share * len(real))]])
            for real, rows in zip(trains, copula_rows, strict=True)
        ]
        length = (1 + int(share)) * longest if not only_copula else count
        shortening = longest / length
        generator = vae_generator(config, name, config.recipe_seeds, shortening=shortening)
        done = screen.phase(f"{result.protocol}: {name}: {recipe}", len(trains) * config.recipe_seeds)
        fitted = study.fit(generator, tables, hypers[: len(trains)], length, done, store)
        labels = {"protocol": result.protocol, "recipe": recipe, "generator": name}
        result.add(labels, fitted, study.sample(generator, fitted, config.num_rows))


def parse(arguments: Sequence[str] | None) -> tuple[Study, argparse.Namespace]:
    """The configuration that the command line asks for; bad values end here, before any work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=blasts.PROTOCOLS, action="append", help="default: blast; may be repeated")
    parser.add_argument("--full", action="store_true", help="every protocol and every training recipe")
    parser.add_argument("--generators", nargs="+", metavar="NAME", default=(), help="default: all; controls always run")
    parser.add_argument("--splits", type=int, metavar="N", help="train/test splits")
    parser.add_argument("--seeds", type=int, metavar="N", help="training seeds of each VAE on each split")
    parser.add_argument("--rows", type=int, metavar="N", help="synthetic rows per table")
    parser.add_argument("--epochs", type=int, metavar="N", help="training epochs of each VAE")
    parser.add_argument("--stratify", metavar="COLUMN", help="keep this column's proportions on both sides")
    parser.add_argument("--split-file", type=Path, metavar="FILE", help="use splits saved by an earlier run")
    parser.add_argument("--out", type=Path, default=Path("results/fragmentation"), help="output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote to --out")
    parser.add_argument("--resume", action="store_true", help=f"keep fits in --out/{REPLICAS}, and go on from them")
    options = parser.parse_args(arguments)
    if options.split_file is not None and options.splits is not None:
        raise ValueError("splits: expected either --splits or --split-file, got both; the file has its own number")
    config = FULL if options.full else Study()
    chosen = {
        "protocols": options.protocol,
        "num_splits": options.splits,
        "num_seeds": options.seeds,
        "num_rows": options.rows,
        "epochs": options.epochs,
        "generators": tuple(options.generators),
        "stratify": options.stratify,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if "protocols" in given:
        given["protocols"] = tuple(dict.fromkeys(given["protocols"]))
    config = dataclasses.replace(config, **given)
    for name in ("num_splits", "num_seeds", "epochs"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected at least 1, got {getattr(config, name)}; ask for more")
    if config.num_rows < 300:
        raise ValueError(f"rows: expected at least 300 (the real table has 262), got {config.num_rows}; ask for more")
    make_generators(config)
    if config.recipes != ("real",) and config.generators and not set(RECIPE_VAES) & set(config.generators):
        raise ValueError(f"generators: expected one of {RECIPE_VAES} with --full, got {config.generators}; add one")
    return config, options


def load_or_make_splits(config: Study, protocol: str, pool, path: Path | None) -> list[Split]:
    """The splits of one protocol: from a saved file, or new ones from seeds 0, 1, ..."""
    if path is None:
        count = config.num_splits if protocol == config.protocols[0] else config.other_splits
        return blasts.make_splits(pool, protocol, range(count), stratify=config.stratify)
    splits = [split for split in load_splits(path, pool["uid"].tolist()) if split.protocol == protocol]
    if not splits:
        raise ValueError(f"{path}: expected splits of protocol {protocol!r}, got none; choose another file or protocol")
    identity = pool[blasts.IDENTITY].to_numpy()
    for split in splits:
        # What the file says of itself is not taken on trust.
        share = leaked_share(identity, split.train, split.test)
        if share != split.leaked_share or (share > 0 and protocol != "row"):
            raise ValueError(
                f"{path}: expected the leaked share of its rows, and none under {protocol!r}, got {split.leaked_share} "
                f"for {share} (seed {split.seed}); write the file again"
            )
    return splits


def prepare(config: Study, split_file: Path | None = None):
    """The pool as a data frame and as numbers, and the plan of each protocol; whatever is wrong is refused here."""
    pool = blasts.load_pool()
    table, _ = numeric_table(pool, COLUMNS, target=blasts.TARGET)
    splits = {name: load_or_make_splits(config, name, pool, split_file) for name in config.protocols}
    return pool, table, [plan(config, name, pool, table, group) for name, group in splits.items()]


def eight_columns(pool) -> list[study.CopulaRow]:
    """The copulas on the eight columns of the report."""
    return study.copula_table(numeric_table(pool, blasts.EIGHT)[0], FAMILIES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit code."""
    started = time.perf_counter()
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        config, options = parse(arguments)
        store = options.out / REPLICAS if options.resume else None
        started_before = store is not None and store.is_dir()
        outputs.check_folder(options.out, overwrite=options.overwrite or started_before)
        pool, table, plans = prepare(config, options.split_file)
    except (ValueError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False)
        return 2
    console.print(f"262 rows, {len(COLUMNS)} columns, {pool['blast_id'].nunique()} distinct blasts; {jax.devices()}")
    every_split = [split for planned in plans for split in planned.splits]
    screen, results = Screen(console), []
    with screen.progress:
        eight = eight_columns(pool)
        for planned in plans:
            results.append(run_protocol(planned, screen, store))
            # A later protocol that is stopped takes no finished one with it.
            options.out.mkdir(parents=True, exist_ok=True)
            save_splits(options.out / outputs.SPLITS, every_split, pool["uid"].tolist(), overwrite=True)
            outputs.save(options.out, config, results, eight, time.perf_counter() - started)
            # Every compiled program holds memory maps, of which Linux grants a process 65,530 by default.
            jax.clear_caches()
    outputs.write(options.out, pool, table, COLUMNS, results, eight, time.perf_counter() - started, console)
    return 0


if __name__ == "__main__":
    # Before the first array: one device per core, since XLA runs one small program on one core.
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit("stopped; finished protocols are in the output folder, fits too with --resume") from None
