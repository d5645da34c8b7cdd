"""What a study of imbalanced regression leaves behind: results.json, report.md and figures."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxcop.metrics.comparison import Difference, paired_difference
from jaxcop.metrics.utility import FOREST
from jaxcop.report import arms as arm_figures
from jaxcop.report.tables import Table, mean_sd, to_markdown, to_rich
from rich.console import Console
from scipy import stats

import outputs
from imbalanced_scores import INVERSE, POPULATION
from imbalanced_study import BASELINE, Study

FORMAT = "jaxcop-imbalanced-1"
PACKAGES = ("jaxcop", "jax", "jaxlib", "optax", "numpy", "scikit-learn", "xgboost")
HIGHER_IS_BETTER = ("r2", "average_precision", "roc_auc", "balanced_accuracy")
LABELS = {
    "weighted_mse": "weighted MSE",
    "rmse": "RMSE",
    "mape": "MAPE",
    "median_absolute_error": "median abs. error",
    "sera": "SERA",
    "r2": "R2",
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "balanced_accuracy": "balanced accuracy",
}
# The first of each is the one that arms are sorted and judged by.
METRICS = {
    POPULATION: ("weighted_mse", "rmse", "mape", "median_absolute_error", "sera", "r2"),
    INVERSE: ("rmse", "mape", "median_absolute_error", "sera", "r2"),
}
LABEL_METRICS = ("average_precision", "roc_auc", "balanced_accuracy")
# The comparisons that the source leaves open, and the step that the balanced loss alone makes.
ABLATIONS = (
    ("kbvae_w", "bvae_w"),
    ("kbvae_w", "vae_w"),
    ("kbvae_w", "kbvae"),
    ("kbvae_w", "kvae_w"),
    ("bvae_w", "bvae"),
    ("kbvae_w", "smoothed_raw"),
    ("kbvae_w", "oversample"),
)


def metrics_of(config: Study, test: str) -> tuple[str, ...]:
    """The metrics of a test set, the one that decides first."""
    return LABEL_METRICS if config.kind == "classification" else METRICS[test]


def matrix(records: Sequence[dict], learner: str, test: str, metric: str) -> dict[str, np.ndarray]:
    """Per arm the metric of every seed in their order, NaN where the arm was lost."""
    chosen = [record for record in records if record["learner"] == learner and record["test"] == test]
    seeds = sorted({record["seed"] for record in chosen})
    found = {record["arm"]: np.full(len(seeds), np.nan) for record in chosen}
    for record in chosen:
        value = record.get(metric)
        found[record["arm"]][seeds.index(record["seed"])] = np.nan if value is None else value
    return found


def difference(scores: np.ndarray, other: np.ndarray, ratio: float) -> Difference | None:
    """Paired difference over the seeds where both are finite; None below two of them."""
    both = np.isfinite(scores) & np.isfinite(other)
    return paired_difference(scores[both], other[both], ratio) if both.sum() > 1 else None


def independent(config: Study) -> bool:
    """Whether seeds share no rows: every seed of the simulation is a table of its own."""
    return config.source == "simulation"


def interval(config: Study, found: Difference) -> tuple[float, float]:
    """The interval that fits the seeds: corrected for shared rows unless every seed has a table of its own."""
    return (found.low, found.high) if independent(config) else (found.corrected_low, found.corrected_high)


def verdict(config: Study, found: Difference, metric: str) -> str:
    """``better``, ``worse`` or ``not shown``, by the interval alone."""
    low, high = interval(config, found)
    if low <= 0 <= high or not np.isfinite([low, high]).all():
        return "not shown"
    return "better" if (low > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def sorted_arms(scores: dict[str, np.ndarray], metric: str) -> list[str]:
    """Arms from best to worst mean."""
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    means = {arm: np.nanmean(v) if np.isfinite(v).any() else np.inf * sign for arm, v in scores.items()}
    return sorted(scores, key=lambda arm: sign * means[arm])


def ranks(scores: dict[str, np.ndarray], metric: str) -> dict[str, float]:
    """Mean rank of each arm over the seeds, 1 the best; a lost table ranks last."""
    table = np.stack(list(scores.values()))
    table = -table if metric in HIGHER_IS_BETTER else table
    ranked = stats.rankdata(np.where(np.isfinite(table), table, np.inf), axis=0)
    return dict(zip(scores, ranked.mean(1), strict=True))


def cell(values: np.ndarray) -> str:
    """Mean (SD) with about three significant digits: the metrics are orders of magnitude apart."""
    size = np.nanmean(np.abs(values)) if np.isfinite(values).any() else 1.0
    return mean_sd(values, int(np.clip(2 - np.floor(np.log10(size or 1.0)), 0, 4)))


def main_table(config: Study, records, learner: str, test: str) -> Table:
    metrics = metrics_of(config, test)
    found = {metric: matrix(records, learner, test, metric) for metric in metrics}
    rank = ranks(found[metrics[0]], metrics[0])
    rows = tuple(
        (arm, *(cell(found[metric][arm]) for metric in metrics), f"{rank[arm]:.1f}")
        for arm in sorted_arms(found[metrics[0]], metrics[0])
    )
    header = ("arm", *(LABELS[metric] for metric in metrics), f"mean rank ({LABELS[metrics[0]]})")
    seeds = len(next(iter(found[metrics[0]].values())))
    return Table(f"Test rows: {test}. Learner: {learner}. Mean (SD) over {seeds} seeds.", header, rows)


def difference_rows(config: Study, found: dict[str, np.ndarray], pairs, metric: str, ratio: float):
    """(label, difference, interval, share of the other arm's mean, wins, losses, verdict) for each pair of arms."""
    rows = []
    for arm, other in pairs:
        if arm not in found or other not in found:
            continue
        paired = difference(found[arm], found[other], ratio)
        if paired is None:
            continue
        low, high = interval(config, paired)
        sign = -1 if metric in HIGHER_IS_BETTER else 1
        gap = sign * (found[arm] - found[other])
        share = paired.mean / np.nanmean(found[other])
        rows.append(
            (
                arm if other == BASELINE else f"{arm} v {other}",
                f"{paired.mean:+.4g}",
                f"[{low:+.4g}, {high:+.4g}]",
                f"{share:+.1%}",
                str(int((gap < 0).sum())),
                str(int((gap > 0).sum())),
                verdict(config, paired, metric),
            )
        )
    return tuple(rows)


DIFFERENCE_HEADER = ("difference", "95 % interval", "relative", "wins", "losses", "verdict")


def _basis(config: Study) -> str:
    if independent(config):
        return "every seed is a simulated table of its own: Student's interval"
    return "seeds are splits of one table: interval corrected for shared rows (Nadeau & Bengio 2003)"


def difference_tables(config: Study, records, learner: str, test: str, ratio: float) -> list[Table]:
    """Against the baseline, and the ablations, by the deciding metric."""
    metric = metrics_of(config, test)[0]
    found = matrix(records, learner, test, metric)
    order = [arm for arm in sorted_arms(found, metric) if arm != BASELINE]
    caption = f"{LABELS[metric]}, test rows: {test}, learner: {learner}; {_basis(config)}."
    tables = []
    for head, pairs in (
        ("Against baseline", [(arm, BASELINE) for arm in order]),
        ("One arm against another", ABLATIONS),
    ):
        rows = difference_rows(config, found, pairs, metric, ratio)
        if rows:
            tables.append(Table(f"{head}. {caption}", ("arm", *DIFFERENCE_HEADER), rows))
    return tables


def band_table(records, learner: str, test: str) -> Table:
    """RMSE per band of relevance, the rarest last."""
    found = [matrix(records, learner, test, f"rmse_band{band}") for band in range(4)]
    count = [matrix(records, learner, test, f"rows_band{band}") for band in range(4)]
    per_band = [np.nanmean(next(iter(part.values()))) for part in count]
    rows = tuple((arm, *(cell(part[arm]) for part in found)) for arm in sorted_arms(found[-1], "rmse"))
    names = ("phi < 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 to 1")
    header = tuple(f"{name} ({rows:.0f} rows)" for name, rows in zip(names, per_band, strict=True))
    caption = f"RMSE per band of relevance (lost: no row in the band). Test rows: {test}. Learner: {learner}."
    return Table(caption, ("arm", *header), rows)


def sentences(config: Study, records, ratio: float) -> list[str]:
    """What may be claimed, one sentence for each learner and test set."""
    found = []
    for learner, test in _pairs(records):
        metric = metrics_of(config, test)[0]
        scores = matrix(records, learner, test, metric)
        order = [arm for arm in sorted_arms(scores, metric) if np.isfinite(scores[arm]).any()]
        best = order[0]
        head = f"{learner}, {test}: best mean {LABELS[metric]} {np.nanmean(scores[best]):.4g} by {best}"
        others = [arm for arm in order if arm != BASELINE]
        judged = {arm: paired for arm in others if (paired := difference(scores[arm], scores[BASELINE], ratio))}
        verdicts = {arm: verdict(config, paired, metric) for arm, paired in judged.items()}
        groups = {name: [arm for arm in verdicts if verdicts[arm] == name] for name in ("better", "worse", "not shown")}
        if best in judged:
            low, high = interval(config, judged[best])
            head += f", {judged[best].mean:+.4g} [{low:+.4g}, {high:+.4g}] against {BASELINE}"
        else:
            head += ": no arm is ahead of it"
        parts = [f"{name}: {', '.join(arms)}" for name, arms in groups.items() if arms]
        found.append(f"{head}. By the interval, {'; '.join(parts)}.")
    return found


def _pairs(records) -> list[tuple[str, str]]:
    return list(dict.fromkeys((record["learner"], record["test"]) for record in records))


def write_figures(out: Path, config: Study, records, ratio: float) -> list[Path]:
    """Box plots of every metric, and the paired differences of the deciding one, for each learner and test set."""
    paths = []
    for learner, test in _pairs(records):
        metrics = metrics_of(config, test)
        stem = f"{learner}_{test.replace(' ', '_')}"
        scores = {metric: matrix(records, learner, test, metric) for metric in metrics}
        panels = {LABELS[m]: values for m, values in scores.items() if np.isfinite(list(values.values())).any()}
        order = (
            list(next(iter(panels.values())))
            if config.kind == "bandwidth"
            else sorted_arms(scores[metrics[0]], metrics[0])
        )
        panels = {label: {arm: values[arm] for arm in order} for label, values in panels.items()}
        title = f"{Path(config.source).stem}: {learner}, test rows: {test}"
        paths.append(arm_figures.boxes(out / f"boxes_{stem}.png", panels, reference=BASELINE, title=title))
        first = scores[metrics[0]]
        shown = {arm: difference(first[arm], first[BASELINE], ratio) for arm in order if arm != BASELINE}
        shown = {arm: paired for arm, paired in shown.items() if paired is not None}
        families = [arm for before, arm in itertools.pairwise(shown) if before.split()[0] != arm.split()[0]]
        paths.append(
            arm_figures.difference_intervals(
                out / f"differences_{stem}.png",
                shown,
                corrected=not independent(config),
                xlabel=f"{LABELS[metrics[0]]} minus that of {BASELINE}, mean and 95 % interval",
                title=f"{title} ({len(next(iter(first.values())))} seeds)",
                lower_is_better=metrics[0] not in HIGHER_IS_BETTER,
                groups=families if config.kind == "bandwidth" else (),
            )
        )
    return paths


def write(out: Path, config: Study, records, ratio: float, seconds: float, console: Console) -> None:
    """Print the tables; write results.json, report.md and the figures."""
    document = {
        "format": FORMAT,
        **outputs.circumstances(config, seconds, PACKAGES),
        "forest": dict(FOREST),
        "records": records,
    }
    (out / "results.json").write_text(json.dumps(outputs.plain(document), indent=1, allow_nan=False) + "\n")
    tables = []
    for learner, test in _pairs(records):
        tables.append(main_table(config, records, learner, test))
        tables += difference_tables(config, records, learner, test, ratio)
        if config.kind != "classification":
            tables.append(band_table(records, learner, test))
    for one in tables:
        console.print(to_rich(one))
    claims = sentences(config, records, ratio)
    pictures = write_figures(out, config, records, ratio)
    head = (
        f"# Imbalanced regression: {Path(config.source).stem}, {config.kind}\n\n{config.num_seeds} seeds from "
        f"{config.first_seed}; {seconds:.0f} s on {jax.devices()[0].device_kind}. Intervals are of one comparison "
        "each: among many arms some leave zero by chance.\n\n"
    )
    images = "\n".join(f"![{path.stem}]({path.name})" for path in pictures)
    body = "\n".join(f"- {claim}" for claim in claims) + "\n\n" + "\n\n".join(map(to_markdown, tables))
    (out / "report.md").write_text(f"{head}{body}\n\n{images}\n")
    for claim in claims:
        console.print(claim, highlight=False)
    console.print(f"{seconds:.0f} s; wrote {out}/: results.json, report.md, {len(pictures)} figures")
