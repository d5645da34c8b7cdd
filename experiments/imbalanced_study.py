"""Arms of imbalanced regression over seeds: splits, training as replicas, and the tables drawn."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxcop import imbalanced, sweep
from jaxcop.categories import Levels
from jaxcop.imbalanced import Config, ControlPoints, Hyper
from jaxcop.imbalanced.density import check_target
from jaxcop.imbalanced.resampling import runs
from jaxcop.synthesizers import Synthesizer, imbalanced_arms
from jaxcop.tables import row_split

import imbalanced_tables
import study
from imbalanced_tables import Data

LEARNERS = ("xgboost", "forest", "ridge")
BASELINE = "baseline"
# Streams of the keys beside those of `study`: the draw of the test rows and that of the resamplers.
TEST_DRAW, RESAMPLE = 4, 5


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything that decides the numbers; ``results.json`` repeats it."""

    kind: str = "arms"
    source: str = "simulation"  # or "blast", or the path of a table
    target: str = "Y"
    columns: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()  # control points of relevance; empty: from the training targets
    first_seed: int = 1000
    num_seeds: int = 20
    num_rows: int = 3000  # of the simulation
    test_share: float = 0.3
    epochs: int = 2000
    batch_size: int = 128
    learning_rate: float = 0.01
    beta_x: float = 1.0
    beta_y: float = 3.0
    beta_kl: float = 1e-6
    alpha: float = 0.5  # weights in the loss
    draw_alpha: float = 0.5  # rows drawn from the training table
    alpha_score: float = 0.5  # weights of the weighted squared error
    alpha_test: float = 1.0  # test rows drawn by inverse density
    balance_all: float = 0.0
    hidden: tuple[int, ...] | None = None
    latent_dim: int | None = None
    rule: str = "silverman"
    multiplier: float = 1.0
    adaptive: bool = False
    mixing: bool = True
    resamplers: bool = True
    learners: tuple[str, ...] = LEARNERS
    arms: tuple[str, ...] = ()  # empty: all
    multipliers: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # of the bandwidth study
    rare_quantile: float = 0.9  # the label of the classification study

    @property
    def seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.num_seeds)


class Variant(NamedTuple):
    """An arm as it is scored: its synthesizer and its numbers."""

    synthesizer: Synthesizer
    hyper: Any


class Case(NamedTuple):
    """One seed: training and test rows, target last; rows of the test draw; control points of the training targets."""

    seed: int
    train: np.ndarray
    test: np.ndarray
    drawn: np.ndarray
    points: ControlPoints


def load(config: Study, seed: int) -> Data:
    """The table of a seed: a new one for the simulation, the same one otherwise."""
    if config.source == "simulation":
        return imbalanced_tables.simulate(seed, config.num_rows)
    if config.source == "blast":
        return imbalanced_tables.blast()
    return imbalanced_tables.read(Path(config.source), config.target, config.columns, config.categorical)


def key(seed: int, purpose: int):
    """The key of one seed and purpose."""
    return study.keys([seed], [0], purpose)[0]


def control_points(config: Study, y: np.ndarray, seed: int) -> ControlPoints:
    """Those of the study, or of a box plot of the training targets."""
    if config.points:
        return imbalanced.control_points(config.points)
    try:
        return imbalanced.automatic_points(y)
    except ValueError as error:
        raise ValueError(f"seed {seed}, training target: {error}; here by --points") from error


def cases(config: Study) -> tuple[list[Case], Levels]:
    """Splits and test draws of every seed. What cannot be scored is refused here, before any training."""
    found, levels = [], ()
    for seed in config.seeds:
        data = load(config, seed)
        table, levels = data.table.astype(np.float32), data.levels
        check_target(table[:, -1], f"target {data.columns[-1]}")
        split = row_split(np.arange(len(table)), seed=seed, test_size=config.test_share)
        train, test = table[split.train], table[split.test]
        points = control_points(config, train[:, -1], seed)
        drawn = np.asarray(imbalanced.inverse_density_draw(key(seed, TEST_DRAW), test[:, -1], config.alpha_test))
        found.append(Case(seed, train, test, drawn, points))
    return found, levels


def network(config: Study) -> tuple[Config, Hyper]:
    """Architecture and numbers of the full method."""
    names = ("learning_rate", "beta_x", "beta_y", "beta_kl", "alpha", "balance_all", "draw_alpha", "multiplier")
    shape = Config(config.hidden, config.latent_dim, epochs=config.epochs, batch_size=config.batch_size)
    return shape, Hyper(**{name: getattr(config, name) for name in names})


def variants(config: Study, levels: Levels) -> dict[str, Variant]:
    """What is compared, by name; ``baseline`` is always among them."""
    shape, hyper = network(config)

    def arms(**options):
        chosen = {"rule": config.rule, "adaptive": config.adaptive, "mixing": config.mixing, **options}
        made = imbalanced_arms(shape, hyper=hyper, levels=levels if any(levels) else None, **chosen)
        return {name: Variant(arm, arm.hyper) for name, arm in made.items()}

    found = arms()
    known = [*found, *imbalanced.RESAMPLERS]
    unknown = sorted(set(config.arms) - set(known))
    if unknown:
        raise ValueError(f"arms: expected names among {known}, got {unknown}; check the spelling")
    if config.kind == "bandwidth":
        chosen = config.arms or ("smoothed_raw", "kbvae", "kbvae_w")
        grid = {BASELINE: found[BASELINE]}
        for name in chosen:
            for value in config.multipliers:
                variant = arms(rule="silverman", adaptive=False)[name]
                grid[f"{name} x{value:g}"] = variant._replace(hyper=variant.hyper._replace(multiplier=value))
            for label, options in (
                ("scott", {"rule": "scott", "adaptive": False}),
                ("released", {"rule": "released", "adaptive": False}),
                ("adaptive", {"rule": "silverman", "adaptive": True}),
            ):
                variant = arms(**options)[name]
                grid[f"{name} {label}"] = variant._replace(hyper=variant.hyper._replace(multiplier=1.0))
        return grid
    return {name: variant for name, variant in found.items() if not config.arms or name in {*config.arms, BASELINE}}


def check(config: Study, all_cases: Sequence[Case], levels: Levels) -> None:
    """Refuse what cannot be trained, on every training table."""
    for variant, case in itertools.product(variants(config, levels).values(), all_cases):
        variant.synthesizer.check(case.train, variant.hyper)
    if resamplers(config):
        for case in all_cases:
            # No rare row, and they have nothing to resample: to be known before the training.
            runs(case.train[:, -1], np.asarray(imbalanced.relevance(case.train[:, -1], case.points)))


def _trained_alone(hyper):
    """Numbers that decide the training: arms that differ by the bandwidth alone share it."""
    return hyper._replace(multiplier=1.0) if hasattr(hyper, "multiplier") else hyper


def draw_tables(
    config: Study,
    chosen: dict[str, Variant],
    trains: Sequence[np.ndarray],
    seeds: Sequence[int],
    phase: Callable[[str, int], Callable[[int, int], object]],
    store: Path | None = None,
) -> dict[str, np.ndarray]:
    """Tables [seeds, rows, columns] of every arm: arms are grouped so that each network is trained once per seed."""
    x, mask = sweep.stack(list(trains))
    groups: dict[Any, list[Any]] = {}
    for variant in chosen.values():
        hypers = groups.setdefault(variant.synthesizer.fit, [])
        if _trained_alone(variant.hyper) not in hypers:
            hypers.append(_trained_alone(variant.hyper))
    fitted, count = {}, len(trains)
    for fit, hypers in groups.items():
        which, seed = (axis.ravel() for axis in np.meshgrid(range(len(hypers)), range(count), indexing="ij"))
        hyper = jax.tree.map(lambda *values: np.asarray(values, np.float32)[which], *hypers)  # noqa: B023
        name = next(name for name, variant in chosen.items() if variant.synthesizer.fit is fit)
        done = phase(f"fit {name}: {len(hypers)} settings", len(which))
        keys = study.keys(np.asarray(seeds)[seed], np.zeros_like(seed), study.FIT)
        found = sweep.replicate(fit, keys, x[seed], mask[seed], hyper, progress=done, store=store)
        found = jax.tree.map(np.asarray, found)
        for position, one in enumerate(hypers):
            part = slice(position * count, (position + 1) * count)
            fitted[fit, one] = jax.tree.map(lambda leaf: leaf[part], found)  # noqa: B023
    tables = {}
    done = phase("draw tables", len(chosen))
    keys = study.keys(np.asarray(seeds), np.zeros(count, int), study.SAMPLE)
    for position, (name, variant) in enumerate(chosen.items()):
        part = fitted[variant.synthesizer.fit, _trained_alone(variant.hyper)]
        if hasattr(part, "rows"):
            multiplier = np.full(count, variant.hyper.multiplier, np.float32)
            part = part._replace(rows=part.rows._replace(multiplier=multiplier))
        rows = sweep.replicate(variant.synthesizer.sample, keys, part, static=(x.shape[1],))
        tables[name] = np.asarray(rows)
        done(position + 1, len(chosen))
    return tables


def resamplers(config: Study) -> list[str]:
    """The resamplers that take part."""
    if not config.resamplers or config.kind != "arms":
        return []
    return [name for name in imbalanced.RESAMPLERS if not config.arms or name in config.arms]


def resampled(config: Study, case: Case) -> dict[str, np.ndarray]:
    """The tables of the resamplers for one seed; they know nothing of categories and treat codes as numbers."""
    phi = np.asarray(imbalanced.relevance(case.train[:, -1], case.points))
    return {
        name: imbalanced.RESAMPLERS[name](jax.random.fold_in(key(case.seed, RESAMPLE), k), case.train, phi)
        for k, name in enumerate(resamplers(config))
    }
