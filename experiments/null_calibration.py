"""Do the metrics tell the truth when there is nothing to tell? Real against real, many times over.

    python experiments/null_calibration.py

Two samples of one normal population, again and again: every metric's mean and spread beside published ones, whether
permutation p-values are uniform, and how often the intervals of the comparisons hold the true value. Writes
results/null_calibration/: results.json, report.md and a figure.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop import metrics
from jaxcop.evaluation import METRICS, suite
from jaxcop.metrics.comparison import paired_difference
from jaxcop.report import figures
from jaxcop.report.tables import Table, to_markdown, to_rich
from matplotlib.figure import Figure
from rich.console import Console
from scipy import stats

from outputs import check_folder


@dataclass(frozen=True)
class Calibration:
    """What is drawn; ``rows`` and ``columns`` are those of the published floors."""

    draws: int = 200
    rows: int = 262
    columns: int = 6
    holdout_rows: int = 64
    permutations: int = 99
    comparisons: int = 200
    resamples: int = 10
    seed: int = 0


# Mean, standard deviation and the number of pairs behind them, of two normal samples of 262 rows and six columns, by
# scipy, scikit-learn, prdc and POT; the provenance is in tests/reference/README.md.
PUBLISHED = {
    "ks": (0.0733, 0.0231, 1500),
    "a2": (0.9982, 0.7643, 1500),
    "ad": (0.0823, 0.0291, 1500),
    "wasserstein": (0.1103, 0.0395, 1500),
    "mmd": (4e-05, 0.0012, 200),
    "frechet": (0.12658, 0.03834, 200),
    "precision": (0.94992, 0.01707, 200),
    "recall": (0.94939, 0.01659, 200),
}


def floors(config: Calibration) -> dict[str, np.ndarray]:
    """Every distance of ``draws`` pairs of tables."""
    rng = np.random.default_rng(config.seed)
    shape = (config.draws, config.rows, config.columns)
    first, second = rng.normal(size=(2, *shape)).astype(np.float32)
    autoencoders = metrics.fit_autoencoders(jax.random.key(config.seed), jnp.asarray(first[0]))
    return suite.pairs(autoencoders, first, second)


def p_values(config: Calibration) -> dict[str, np.ndarray]:
    """One p-value a metric and draw, hold-out rows against as many synthetic ones again of the same population."""
    rng = np.random.default_rng(config.seed + 1)
    found = []
    for draw in range(config.draws):
        holdout, synthetic = rng.normal(size=(2, config.holdout_rows, config.columns)).astype(np.float32)
        key = jax.random.key(draw)
        found.append(suite.p_values(key, holdout, synthetic[None], config.permutations))
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def coverage(config: Calibration) -> tuple[int, int]:
    """How many 95 % intervals of a difference in KS hold the difference that endless resampling gives.

    Generator A draws from the population, B from one that is shifted by a tenth of a standard deviation.
    """
    rng = np.random.default_rng(config.seed + 2)
    size = suite.comparison_rows(config.rows // 2)
    ks = jax.jit(jax.vmap(lambda real, rows: metrics.ks(real, rows).mean(-1)))
    held = 0
    for _ in range(config.comparisons):
        train = rng.normal(size=(config.rows, config.columns)).astype(np.float32)

        def gains(num, train=train):
            real = np.stack([train[rng.permutation(len(train))[:size]] for _ in range(num)])
            rows = rng.normal(size=(2, *real.shape)).astype(np.float32)
            return np.asarray(ks(real, rows[1] + np.float32(0.1)) - ks(real, rows[0]), float)

        truth = gains(400).mean()
        some = gains(config.resamples)
        interval = paired_difference(some, np.zeros(len(some)), 0.0)
        held += interval.low <= truth <= interval.high
    return int(held), config.comparisons


def floor_table(config: Calibration, found: dict[str, np.ndarray]) -> Table:
    rows = []
    for name, values in found.items():
        cells = (
            f"{values.mean():.4f}",
            f"{values.std(ddof=1):.4f}",
            *(f"{np.quantile(values, q):.4f}" for q in (0.05, 0.95)),
        )
        mean, sd, pairs = PUBLISHED.get(name, (np.nan,) * 3)
        error = np.hypot(values.std(ddof=1) / np.sqrt(len(values)), sd / np.sqrt(pairs))
        published = (f"{mean:.4f}", f"{(values.mean() - mean) / error:+.1f}") if np.isfinite(mean) else ("–", "–")
        rows.append((METRICS[name].label, *(cell.replace("-", "−") for cell in (*cells, *published))))
    caption = f"{config.draws} pairs of {config.rows} rows and {config.columns} columns of one normal population."
    return Table(caption, ("metric", "mean", "SD", "5 %", "95 %", "published mean", "difference / SE"), tuple(rows))


def p_table(config: Calibration, found: dict[str, np.ndarray]) -> Table:
    rows = []
    rng = np.random.default_rng(config.seed)
    for name, values in found.items():
        count = int((values <= 0.05).sum())
        low, high = stats.binomtest(count, len(values)).proportion_ci()
        # A p-value of k / (permutations + 1) is spread over its step, so that it is continuous.
        spread = values - rng.random(len(values)) / (config.permutations + 1)
        cells = (f"{count / len(values):.3f} [{low:.3f}, {high:.3f}]", f"{stats.kstest(spread, 'uniform').pvalue:.3f}")
        rows.append((METRICS[name].label, *cells))
    caption = (
        f"{config.draws} permutation tests of {config.holdout_rows} v {config.holdout_rows} rows of one population. "
        "Nominal: 0.05; the last column tests uniformity, each metric on its own. A statistic of few values (KS of so "
        "few rows is a whole number of steps) ties with its permutations, which makes its p-values too large, on the "
        "safe side, and not uniform."
    )
    return Table(caption, ("metric", "share of p ≤ 0.05 [95 % interval]", "KS test of uniformity, p"), tuple(rows))


def draw_p_values(path: Path, found: dict[str, np.ndarray]) -> Path:
    """Distribution functions of the p-values around the diagonal."""
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=figures.GREY, lw=1)
    for k, (name, values) in enumerate(found.items()):
        colour, style = figures.COLOURS[k % len(figures.COLOURS)], figures.STYLES[k // len(figures.COLOURS)]
        axes.ecdf(values, label=METRICS[name].label, lw=1.3, color=colour, ls=style)
    axes.set(xlabel="permutation p-value", ylabel="share of draws ≤ p", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("two samples of one population: the diagonal is right", fontsize=10, loc="left")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figures.save(figure, path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Calibration()
    parser.add_argument("--draws", type=int, default=defaults.draws)
    parser.add_argument("--comparisons", type=int, default=defaults.comparisons)
    parser.add_argument("--out", type=Path, default=Path("results/null_calibration"))
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        if min(options.draws, options.comparisons) < 2:
            raise ValueError("draws, comparisons: expected at least 2, got fewer; raise them")
        check_folder(options.out, overwrite=options.overwrite)
    except ValueError as error:
        console.print(str(error), style="red")
        return 2
    config = Calibration(draws=options.draws, comparisons=options.comparisons)
    options.out.mkdir(parents=True, exist_ok=True)
    console.print(f"{config.draws} pairs of tables ...")
    distances = floors(config)
    floor = floor_table(config, distances)
    console.print(to_rich(floor))
    console.print(f"{config.draws} permutation tests ...")
    found = p_values(config)
    uniform = p_table(config, found)
    console.print(to_rich(uniform))
    console.print(f"{config.comparisons} intervals ...")
    held, total = coverage(config)
    low, high = stats.binomtest(held, total).proportion_ci()
    sentence = (
        f"{held} of {total} intervals of a difference in KS over {config.resamples} resamples hold the true "
        f"difference: {held / total:.1%} [{low:.1%}, {high:.1%}], nominal 95 %."
    )
    console.print(sentence)
    picture = draw_p_values(options.out / "p_values.png", found)
    parts = ["# Real against real", to_markdown(floor), to_markdown(uniform), f"![p-values]({picture.name})", sentence]
    (options.out / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    document = {
        "format": "jaxcop-null-calibration-1",
        "config": asdict(config),
        "floors": {name: values.tolist() for name, values in distances.items()},
        "p_values": {name: values.tolist() for name, values in found.items()},
        "intervals": {"held": held, "total": total},
    }
    (options.out / "results.json").write_text(json.dumps(document) + "\n", encoding="utf-8")
    console.print(f"wrote {options.out}/: results.json, report.md, {picture.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
