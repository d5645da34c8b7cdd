"""The two-stage pipeline of the project plan on the blast data: a copula's rough rows, refined by a VAE, filtered.

    python experiments/pipeline.py

For every split: the copula of lowest AIC on the training rows draws 5,000 rough rows; a VAE (option A: 64 and 32
units, latent 16, beta 0.5, 300 epochs) learns them and draws from its prior. Where a column of A misses the KS target,
a 10-component Gaussian mixture on the latent codes draws instead (option B), and of both the one is kept that is better
on two of KS, AD and the utility gap, all against the training rows: the test rows choose nothing. Rows outside the
physical constraints are dropped; a model that loses more than half of its rows is flagged for retraining.

Writes tables, results.json and a figure to ``results/pipeline/``.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop import metrics, synthesizers, vae
from jaxcop.metrics.utility import Job, regress_each, utility_many
from jaxcop.report import figures
from jaxcop.report.tables import Table, column, to_markdown, to_rich
from jaxcop.tables import numeric_table
from rich.console import Console

import blasts
import outputs
import study
from fragmentation import COLUMNS, FAMILIES, TARGET_COLUMN, Screen, best_copula


@dataclass(frozen=True)
class Pipeline:
    """Everything that decides the numbers; ``results.json`` repeats it."""

    protocol: str = blasts.DEFAULT_PROTOCOL
    num_splits: int = 5
    num_seeds: int = 3
    rough_rows: int = 5000
    num_rows: int = 5000  # drawn from each option, before the filter
    epochs: int = 300
    ks_target: float = 0.15
    ad_target: float = 0.22
    worst_rejection: float = 0.5


class Choice(NamedTuple):
    """What happened to one split and training seed."""

    split: int
    seed: int
    copula: str
    kept: str
    worst_ks: dict[str, float]
    ad: dict[str, float]
    gap: dict[str, float]
    rejected: dict[str, float]
    retrain: bool


def allowed(rows: np.ndarray) -> np.ndarray:
    """Which rows are physically possible: finite, positive, and burden <= spacing."""
    spacing = COLUMNS.index("S/B")
    return np.isfinite(rows).all(-1) & (rows > 0).all(-1) & (rows[..., spacing] >= 1)


def filtered(rows: np.ndarray, num_rows: int) -> tuple[np.ndarray, float]:
    """``num_rows`` allowed rows, repeated where too few are left, and the share that was rejected."""
    keep = allowed(rows)
    if not keep.any():
        return rows[:num_rows], 1.0
    return np.resize(rows[keep], (num_rows, rows.shape[1])), float(1 - keep.mean())


def compare(train: np.ndarray, options: dict[str, np.ndarray], ceiling: float, seed: int):
    """Worst KS of a column, mean AD distance, and RMSE above ``ceiling`` of each option, all on the training rows."""
    real = jnp.asarray(train, np.float32)
    worst, ad, gap = {}, {}, {}
    scores = utility_many([Job(rows, train, TARGET_COLUMN, seed) for rows in options.values()])
    for (name, rows), score in zip(options.items(), scores, strict=True):
        part = jnp.asarray(rows[: len(real)], np.float32)
        worst[name] = float(np.max(metrics.ks(real, part)))
        ad[name] = float(np.mean(metrics.anderson_darling(real, part).distance))
        gap[name] = score.rmse - ceiling
    return worst, ad, gap


def choose(worst: dict[str, float], ad: dict[str, float], gap: dict[str, float], target: float) -> str:
    """``option_a`` if it meets the target or is better on two of the three, else ``option_b``."""
    if worst["option_a"] < target:
        return "option_a"
    wins = sum(part["option_b"] < part["option_a"] for part in (worst, ad, gap))
    return "option_b" if wins >= 2 else "option_a"


def run(config: Pipeline, pool, table: np.ndarray, screen: Screen) -> tuple[study.Result, list[Choice]]:
    """Every stage on every split, scored on its test rows beside the controls."""
    splits = blasts.make_splits(pool, config.protocol, range(config.num_splits))
    trains, tests = [table[split.train] for split in splits], [table[split.test] for split in splits]
    result, choices = study.Result(config.protocol, splits, config), []
    controls = {name: study.Generator(getattr(synthesizers, name)()) for name in outputs.CONTROLS}
    families = {f"copula_{family}": study.Generator(synthesizers.copula(family)) for family in FAMILIES[1:]}
    length = study.padded_length(trains)
    for name, generator in {**controls, **families}.items():
        done = screen.phase(f"{name}: fit", len(splits))
        result.fitted[name] = study.fit(generator, trains, [generator.synthesizer.hyper] * len(splits), length, done)
        if name in controls:
            rows = study.sample(generator, result.fitted[name], config.num_rows)
            result.add(_labels(config, name), result.fitted[name], rows)

    chosen = [best_copula(result, index) for index in range(len(splits))]
    rough = []
    for index, family in enumerate(chosen):
        fitted = result.fitted[f"copula_{family}"]
        rough.append(study.sample(families[f"copula_{family}"], fitted, config.rough_rows, which=[index])[0])
        one = study.Fitted(None, np.array([index]), np.array([0]))
        result.add(_labels(config, "rough_copula"), one, rough[-1][None])

    network = vae.Config(epochs=config.epochs)
    mixed = synthesizers.vae(network, posterior_mixture=vae.PosteriorMixture())
    plain = synthesizers.vae(network)
    generator = study.Generator(mixed, (), config.num_seeds)
    done = screen.phase("option A and B: compile and fit", len(splits) * config.num_seeds)
    fitted = study.fit(generator, rough, [mixed.hyper] * len(splits), config.rough_rows, done)
    result.fitted["vae"] = fitted
    # The same networks: A draws from the prior, B from the mixture of their latent codes.
    prior = fitted._replace(fitted=fitted.fitted._replace(latent=()))
    drawn = {
        "option_a": study.sample(generator._replace(synthesizer=plain), prior, config.num_rows),
        "option_b": study.sample(generator, fitted, config.num_rows),
    }
    ceilings = [regress_each(train, [train], TARGET_COLUMN, seed=index)[0].rmse for index, train in enumerate(trains)]
    done = screen.phase("choose and filter", len(fitted.split))
    for position, (split, seed) in enumerate(zip(fitted.split.tolist(), fitted.seed.tolist(), strict=True)):
        kept_rows, rejected = {}, {}
        for name, rows in drawn.items():
            kept_rows[name], rejected[name] = filtered(rows[position], config.num_rows)
        worst, ad, gap = compare(trains[split], kept_rows, ceilings[split], split)
        best = choose(worst, ad, gap, config.ks_target)
        retrain = rejected[best] > config.worst_rejection
        choices.append(Choice(split, seed, chosen[split], best, worst, ad, gap, rejected, retrain))
        one = study.Fitted(None, np.array([split]), np.array([seed]))
        for name, rows in {**kept_rows, "pipeline": kept_rows[best]}.items():
            result.add(_labels(config, name), one, rows[None])
        done(position + 1, len(fitted.split))

    sizes = min(map(len, trains)), min(map(len, tests))
    done = screen.phase("score on test rows", len(splits))
    for index, (train, test) in enumerate(zip(trains, tests, strict=True)):
        study.score(result, index, train, test, *sizes, TARGET_COLUMN)
        done(index + 1, len(splits))
    return result, choices


def _labels(config: Pipeline, name: str) -> dict:
    return {"protocol": config.protocol, "recipe": "real", "generator": name}


def choice_table(config: Pipeline, choices: Sequence[Choice]) -> Table:
    """One line per split and seed."""
    rows = [
        (
            f"{c.split}, {c.seed}",
            c.copula,
            *(f"{part['option_a']:.3f} / {part['option_b']:.3f}" for part in (c.worst_ks, c.ad, c.gap)),
            f"{c.rejected['option_a']:.1%} / {c.rejected['option_b']:.1%}",
            c.kept + (", RETRAIN" if c.retrain else ""),
        )
        for c in choices
    ]
    met = np.mean([c.worst_ks[c.kept] < config.ks_target for c in choices])
    met_ad = np.mean([c.ad[c.kept] < config.ad_target for c in choices])
    caption = (
        f"Option A / option B against the training rows. Kept tables whose worst column has KS < {config.ks_target}: "
        f"{met:.0%}; whose mean AD distance is < {config.ad_target}: {met_ad:.0%}. "
        f"Flagged for retraining: {sum(c.retrain for c in choices)} of {len(choices)}."
    )
    heads = ("split, seed", "copula", "worst KS", "AD", "RMSE gap", "rejected", "kept")
    return Table(caption, heads, tuple(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; returns the exit code."""
    started = time.perf_counter()
    default = Pipeline()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=blasts.PROTOCOLS, default=default.protocol)
    parser.add_argument("--splits", type=int, default=default.num_splits, metavar="N", help="train/test splits")
    parser.add_argument("--seeds", type=int, default=default.num_seeds, metavar="N", help="training seeds per split")
    parser.add_argument("--rough", type=int, default=default.rough_rows, metavar="N", help="rows from the copula")
    parser.add_argument("--rows", type=int, default=default.num_rows, metavar="N", help="rows from each option")
    parser.add_argument("--epochs", type=int, default=default.epochs, metavar="N", help="training epochs of the VAE")
    parser.add_argument("--out", type=Path, default=Path("results/pipeline"), help="output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote to --out")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        for name in ("splits", "seeds", "epochs"):
            if getattr(options, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(options, name)}; ask for more")
        for name in ("rough", "rows"):
            if getattr(options, name) < 300:
                raise ValueError(
                    f"{name}: expected at least 300 (the real table has 262), got {getattr(options, name)}"
                )
        outputs.check_folder(options.out, overwrite=options.overwrite)
        pool = blasts.load_pool()
        table, _ = numeric_table(pool, COLUMNS, target=blasts.TARGET)
    except (ValueError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False)
        return 2
    config = Pipeline(options.protocol, options.splits, options.seeds, options.rough, options.rows, options.epochs)
    screen = Screen(console)
    with screen.progress:
        result, choices = run(config, pool, table, screen)
    write(options.out, config, result, choices, time.perf_counter() - started, console)
    return 0


def write(out: Path, config: Pipeline, result: study.Result, choices, seconds: float, console: Console) -> None:
    """Print the tables; write report.md, results.json and the figure."""
    out.mkdir(parents=True, exist_ok=True)
    for screen_table in (outputs.main_table(result, outputs.SCREEN), choice_table(config, choices)):
        console.print(to_rich(screen_table))
    scores = {
        name: outputs.per_split([r for r in result.records if r["generator"] == name], "tstr_r2", len(result.splits))
        for name in outputs.differences(result)
    }
    figures.utility_by_generator(
        out / "tstr.png",
        scores,
        np.array(column(result.ceilings, "trtr_r2")),
        ylabel="TSTR R2",
        title=f"Two-stage pipeline, protocol {result.protocol}",
        controls=outputs.CONTROLS,
    )
    tables = [outputs.main_table(result), choice_table(config, choices)]
    text = "# Two-stage pipeline\n\n" + "\n\n".join(map(to_markdown, tables)) + "\n\n![tstr](tstr.png)\n"
    (out / "report.md").write_text(text)
    document = {
        "config": asdict(config),
        "seconds": seconds,
        "choices": choices,
        "records": result.records,
        "ceilings": result.ceilings,
        "holdout": result.holdout,
    }
    (out / "results.json").write_text(json.dumps(outputs.plain(document), indent=1, allow_nan=False) + "\n")
    console.print(f"{seconds:.0f} s; wrote {out}/: results.json, report.md, tstr.png")


if __name__ == "__main__":
    # Before the first array: one device per core, since XLA runs one small program on one core.
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    raise SystemExit(main())
