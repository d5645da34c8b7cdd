"""Imbalanced regression: DAVID, every arm of its ablation and resampling, compared with no augmentation.

    python experiments/imbalanced.py simulation                      # 12 arms, 6 resamplers, 20 seeds, 3 learners
    python experiments/imbalanced.py simulation --quick              # the same on 3 seeds, a short training
    python experiments/imbalanced.py table abalone.csv --target Rings --categorical Sex --test-share 0.6
    python experiments/imbalanced.py blast                           # the blast table, target X50
    python experiments/imbalanced.py simulation --study bandwidth    # how much the bandwidth matters
    python experiments/imbalanced.py simulation --study classification
    python experiments/imbalanced.py simulation --resume             # the same command goes on where it was stopped

Writes to ``results/imbalanced/<name>/``: results.json (every number), report.md and figures. An arm is only said to
win by the interval of its paired difference from ``baseline``, the training rows as they are.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxcop.checkpoint import write_whole
from jaxcop.imbalanced.bootstrap import RULES
from rich.console import Console

import imbalanced_outputs
import imbalanced_scores
import imbalanced_study
import imbalanced_tables
import outputs
from fragmentation import Screen
from imbalanced_study import LEARNERS, Study

STUDIES = ("arms", "bandwidth", "classification")
SIMULATION = Study()
# The numbers of the source for real tables.
TABLE = Study(learning_rate=1e-3, batch_size=64, beta_y=10.0, test_share=0.4, first_seed=0)
QUICK = {"num_seeds": 3, "epochs": 100, "learners": ("xgboost", "ridge")}
SCORED, FITS, CONFIG = "scored", "replicas", "study.json"
# The arms of the classification study, whose target is a label.
CLASSIFICATION_ARMS = ("baseline", "oversample", "smoothed_raw", "bvae_w", "kbvae", "kbvae_w")


def parse(arguments: Sequence[str] | None) -> tuple[Study, argparse.Namespace]:
    """The study that the command line asks for; bad values end here, before any work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--study", choices=STUDIES, default="arms")
    common.add_argument("--quick", action="store_true", help="3 seeds, 100 epochs, two learners")
    common.add_argument("--seeds", type=int, metavar="N", help="how many; each is a split (and a simulated table)")
    common.add_argument("--first-seed", type=int, metavar="N")
    common.add_argument("--epochs", type=int, metavar="N")
    common.add_argument("--batch-size", type=int, metavar="N")
    common.add_argument("--learning-rate", type=float, metavar="X")
    common.add_argument("--beta-y", type=float, metavar="X", help="weight of the target in the loss")
    common.add_argument("--beta-kl", type=float, metavar="X")
    common.add_argument("--balance-all", type=float, metavar="X", help="1: weight every term of the loss, not y alone")
    common.add_argument("--alpha", type=float, metavar="X", help="exponent of the weights in the loss")
    common.add_argument("--draw-alpha", type=float, metavar="X", help="exponent of the weights rows are drawn by")
    common.add_argument("--alpha-score", type=float, metavar="X", help="exponent of the weighted squared error")
    common.add_argument("--alpha-test", type=float, metavar="X", help="exponent of the inverse-density test draw")
    common.add_argument("--test-share", type=float, metavar="X", help="share of the rows that are tested")
    common.add_argument("--rule", choices=RULES, help="bandwidth rule")
    common.add_argument("--multiplier", type=float, metavar="X", help="of the bandwidth")
    common.add_argument("--multipliers", type=float, nargs="+", metavar="X", help="those of --study bandwidth")
    common.add_argument("--adaptive", action="store_true", help="a bandwidth for every row")
    common.add_argument("--no-mixing", action="store_true", help="all drawn rows synthetic, first draws too")
    common.add_argument("--no-resamplers", action="store_true", help="without SMOTER, SMOGN, WERCS and the others")
    common.add_argument("--hidden", type=int, nargs="+", metavar="N", help="layer widths; with --latent")
    common.add_argument("--latent", type=int, metavar="N", help="latent size; with --hidden")
    common.add_argument("--arms", nargs="+", metavar="NAME", help="default: all; baseline always runs")
    common.add_argument("--learners", nargs="+", choices=LEARNERS)
    common.add_argument(
        "--points", type=float, nargs=2, action="append", metavar=("Y", "PHI"), help="control point of relevance"
    )
    common.add_argument("--rare-quantile", type=float, metavar="X", help="where the label of classification begins")
    common.add_argument("--out", type=Path, help="output folder; default: results/imbalanced/<name>")
    common.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote to --out")
    common.add_argument("--resume", action="store_true", help="keep fits and scores in --out, and go on from them")
    source = parser.add_subparsers(dest="source", required=True)
    simulation = source.add_parser("simulation", parents=[common], help="the simulation of the source")
    simulation.add_argument("--rows", type=int, metavar="N", help="rows of each simulated table")
    table = source.add_parser("table", parents=[common], help="a CSV file with a header")
    table.add_argument("path", type=Path)
    table.add_argument("--target", required=True, metavar="COLUMN")
    table.add_argument("--columns", nargs="+", metavar="COLUMN", help="features; default: all others")
    table.add_argument("--categorical", nargs="+", metavar="COLUMN", default=(), help="features that are categories")
    source.add_parser("blast", parents=[common], help="the distinct blasts, target X50")
    options = parser.parse_args(arguments)
    config = configure(options)
    if options.out is None:
        name = Path(config.source).stem + ("" if config.kind == "arms" else f"-{config.kind}")
        options.out = Path("results/imbalanced") / (name + ("-quick" if options.quick else ""))
    return config, options


def configure(options: argparse.Namespace) -> Study:
    """Defaults of the source, then those of --quick, then what was asked for."""
    base = SIMULATION if options.source == "simulation" else TABLE
    declared = imbalanced_tables.BLAST_POINTS if options.source == "blast" else None
    given = {
        "kind": options.study,
        "source": str(options.path) if options.source == "table" else options.source,
        "target": getattr(options, "target", "X50" if options.source == "blast" else "Y"),
        "columns": tuple(options.columns) if getattr(options, "columns", None) else None,
        "categorical": tuple(getattr(options, "categorical", ())),
        "num_seeds": options.seeds,
        "num_rows": getattr(options, "rows", None),
        "points": tuple(map(tuple, sorted(options.points))) if options.points else declared,
        "hidden": tuple(options.hidden) if options.hidden else None,
        "latent_dim": options.latent,
        "mixing": False if options.no_mixing else None,
        "adaptive": True if options.adaptive else None,
        "resamplers": False if options.no_resamplers else None,
        **{name: tuple(value) for name in ("arms", "learners", "multipliers") if (value := getattr(options, name))},
    }
    plain = (
        "first_seed epochs batch_size learning_rate beta_y beta_kl balance_all alpha draw_alpha alpha_score alpha_test "
        "test_share rule multiplier rare_quantile"
    )
    given |= {name: getattr(options, name) for name in plain.split()}
    given = {name: value for name, value in given.items() if value is not None}
    if options.study != "arms":
        given.setdefault("learners", ("xgboost",))
    if options.study == "classification":
        given.setdefault("arms", CLASSIFICATION_ARMS)
    config = dataclasses.replace(base, **{**(QUICK if options.quick else {}), **given})
    for name in ("num_seeds", "epochs", "batch_size"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected at least 1, got {getattr(config, name)}; ask for more")
    if config.num_seeds < 2:
        raise ValueError("seeds: expected at least 2, since one difference has no interval, got 1; ask for more")
    for name in ("alpha", "draw_alpha", "alpha_score", "alpha_test"):
        if not getattr(config, name) >= 0:
            raise ValueError(f"{name}: expected at least 0, got {getattr(config, name)}; 0 turns the weights off")
    if not 0 < config.rare_quantile < 1:
        raise ValueError(f"rare_quantile: expected a number between 0 and 1, got {config.rare_quantile}; 0.9 is usual")
    return config


def prepare(config: Study, options: argparse.Namespace):
    """Splits of every seed, checked; the folder, and the records of an earlier run that is resumed."""
    kept = options.out / CONFIG
    going_on = options.resume and kept.is_file()
    outputs.check_folder(options.out, overwrite=options.overwrite or going_on)
    asked = json.loads(json.dumps(dataclasses.asdict(config)))
    if going_on and json.loads(kept.read_text()) != asked:
        raise ValueError(f"{kept}: expected the study that was started there, got other options; name another --out")
    cases, levels = imbalanced_study.cases(config)
    imbalanced_study.check(config, cases, levels)
    options.out.mkdir(parents=True, exist_ok=True)
    if not going_on and (options.out / SCORED).is_dir():
        for old in (options.out / SCORED).glob("*.json"):
            old.unlink()
    kept.write_text(json.dumps(asked, indent=1) + "\n")
    return cases, levels


def run(config: Study, cases, levels, screen: Screen, out: Path, *, resume: bool) -> list[dict]:
    """Every record; with ``resume`` each seed is kept as soon as it is scored."""
    store = out / FITS if resume else None
    seeds = [case.seed for case in cases]
    trains = [case.train for case in cases]
    tasks = {"regression": (trains, levels)}
    cuts = [float(np.quantile(train[:, -1], config.rare_quantile)) for train in trains]
    if config.kind == "classification":
        labelled = [
            np.c_[train[:, :-1], imbalanced_scores.label_of(train[:, -1], cut)].astype(np.float32)
            for train, cut in zip(trains, cuts, strict=True)
        ]
        tasks["classification"] = (labelled, (*levels[:-1], 2))
    drawn = {
        task: imbalanced_study.draw_tables(
            config, imbalanced_study.variants(config, task_levels), tables, seeds, screen.phase, store
        )
        for task, (tables, task_levels) in tasks.items()
    }
    records, done = [], screen.phase("train and score learners", len(cases))
    for index, case in enumerate(cases):
        path = out / SCORED / f"{case.seed}.json"
        if resume and path.is_file():
            found = json.loads(path.read_text())
        elif config.kind == "classification":
            tables = {task: {name: rows[index] for name, rows in arms.items()} for task, arms in drawn.items()}
            task_levels = {task: one for task, (_, one) in tasks.items()}
            found = imbalanced_scores.score_labels(config, case, cuts[index], tables, task_levels)
        else:
            tables = {name: rows[index] for name, rows in drawn["regression"].items()}
            tables |= imbalanced_study.resampled(config, case)
            found = imbalanced_scores.score_seed(config, case, tables, levels)
        if resume:
            text = json.dumps(outputs.plain(found))
            write_whole(path, lambda temporary, text=text: Path(temporary).write_text(text))
        records += found
        done(index + 1, len(cases))
    return records


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit code."""
    started = time.perf_counter()
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        config, options = parse(arguments)
        cases, levels = prepare(config, options)
    except (ValueError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False, markup=True)
        return 2
    case = cases[0]
    console.print(
        f"{config.source}: {len(cases)} seeds from {config.first_seed}, {len(case.train)} training and "
        f"{len(case.test)} test rows, {case.train.shape[1] - 1} features; {jax.devices()}"
    )
    screen = Screen(console)
    with screen.progress:
        records = run(config, cases, levels, screen, options.out, resume=options.resume)
    ratio = len(case.test) / len(case.train)
    imbalanced_outputs.write(options.out, config, records, ratio, time.perf_counter() - started, console)
    return 0


if __name__ == "__main__":
    # Before the first array: one device per core, since XLA runs one small program on one core.
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit("stopped; with --resume the same command goes on from the fits and scores it kept") from None
