"""What the fragmentation study leaves behind: results.json, report.md and figures."""

import dataclasses
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from jaxcop.metrics.comparison import Difference, paired_difference
from jaxcop.metrics.utility import XGBOOST
from jaxcop.report import figures
from jaxcop.report.tables import Table, column, mean_sd, numbers, to_markdown, to_rich
from rich.console import Console

import blasts
import study

SPLITS = "splits.json"
FORMAT = "jaxcop-fragmentation-1"
PACKAGES = ("jaxcop", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "xgboost", "blastfrag")
CONTROLS = ("bootstrap", "independent", "smoothed")
SCREEN = ("R2", "RMSE", "KS", "AD", "MMD²", "FAED", "DCR ratio")
"""Columns of the main table that the screen has room for; the report has them all."""

# Columns of the main table: heading, metric.
METRICS = {
    "R2": "tstr_r2",
    "RMSE": "tstr_rmse",
    "KS": "ks",
    "AD": "ad",
    "TV": "tv",
    "range": "range_coverage",
    "MMD²": "mmd",
    "FAED": "faed",
    "FAED/floor": "faed_ratio",
    "DCR ratio": "dcr_ratio",
    "TRTS R2": "trts_r2",
}
# Zhao (2025), sections 4.2 to 4.4: random rows, spread over draws from one checkpoint only.
REPORTED = (
    ("vanilla", "real", ".434", "2.489", "", ""),
    ("annealed", "real", ".646", "1.967", ".164", ""),
    ("GMM prior", "real", ".736", "1.698", ".160", ".436"),
    ("vanilla", "copula", "-.613", "4.203", "", ""),
    ("vanilla", "mixed 1:1", ".289", "2.791", "", ""),
    ("vanilla", "mixed 1:2", ".385", "2.596", "", ""),
    ("vanilla", "mixed 1:4", ".253", "2.859", "", ""),
    ("vanilla", "mixed 1:8", "-.359", "3.857", "", ""),
)


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds files, unless the caller allows to replace what an earlier run wrote there."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder, got a file; name another --out")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ValueError(
            f"{out}: expected an empty or new folder, got one with files; pass --overwrite or another --out"
        )


def _select(records: Sequence[dict], **labels) -> list[dict]:
    return [record for record in records if all(record.get(name) == value for name, value in labels.items())]


def per_split(records: Sequence[dict], metric: str, num_splits: int) -> np.ndarray:
    """Mean of one metric over the training seeds of each split; draws beyond the first do not count."""
    first = _select(records, resample=0)
    values = [column(_select(first, split=split), metric) for split in range(num_splits)]
    return np.array([np.nanmean(part) if np.isfinite(part).any() else np.nan for part in values])


def _caption(result: study.Result) -> str:
    leaked = np.mean([split.leaked_share for split in result.splits])
    seeds = sorted({record["seed"] for record in result.records})
    return (
        f"Protocol {result.protocol}: {len(result.splits)} splits, up to {len(seeds)} training seeds; mean (SD) "
        f"over all fits. Test rows whose blast is also in train: {leaked:.0%}. Ceiling (train real, test real) on the "
        f"same splits: R2 {mean_sd(column(result.ceilings, 'trtr_r2'))}, "
        f"RMSE {mean_sd(column(result.ceilings, 'trtr_rmse'))}. Distances are to the training rows."
    )


def main_table(result: study.Result, columns: Sequence[str] = tuple(METRICS)) -> Table:
    """Generators by TSTR R2, controls in brackets, `holdout` last (it has no TSTR: it is the test set)."""
    metrics = [METRICS[name] for name in columns]
    real = _select(result.records, recipe="real", resample=0)
    names = sorted({record["generator"] for record in real}, key=lambda n: -np.nanmean(_values(real, n, "tstr_r2")))
    rows = []
    for name in names:
        rows.append((_label(name), *(mean_sd(_values(real, name, metric)) for metric in metrics)))
    rows.append(("(holdout)", *(mean_sd(column(result.holdout, metric)) for metric in metrics)))
    return Table(_caption(result), ("generator", *columns), tuple(rows))


def _label(name: str) -> str:
    return f"({name})" if name in CONTROLS else name


def _values(records, generator: str, metric: str) -> list[float]:
    return column(_select(records, generator=generator), metric)


def differences(result: study.Result) -> dict[str, Difference]:
    """TSTR R2 minus the TRTR R2 of the same split, per generator trained on real rows."""
    real = _select(result.records, recipe="real")
    ceiling = np.array(column(result.ceilings, "trtr_r2"))
    ratio = float(np.mean([len(split.test) / len(split.train) for split in result.splits]))
    found = {}
    for name in dict.fromkeys(record["generator"] for record in real):
        scores = per_split(_select(real, generator=name), "tstr_r2", len(result.splits))
        kept = np.isfinite(scores)
        if kept.any():
            found[name] = paired_difference(scores[kept], ceiling[kept], ratio)
    return dict(sorted(found.items(), key=lambda item: -item[1].mean))


def difference_table(result: study.Result) -> Table:
    """Each generator against training on the real rows of the same split, with two intervals."""
    rows = []
    for name, d in differences(result).items():
        intervals = [
            f"[{low:+.3f}, {high:+.3f}]" for low, high in ((d.low, d.high), (d.corrected_low, d.corrected_high))
        ]
        rows.append((_label(name), f"{d.mean:+.3f}", *intervals, str(d.num_splits)))
    caption = (
        f"Protocol {result.protocol}: TSTR R2 minus TRTR R2, paired by split. The first 95 % interval takes the "
        "splits as independent; the second allows for the rows that training sets share (Nadeau & Bengio 2003)."
    )
    return Table(caption, ("generator", "difference", "95 % interval", "corrected", "splits"), tuple(rows))


def spread_table(result: study.Result) -> Table:
    """Standard deviations of the main scores between splits, training seeds and draws."""
    rows = []
    for name in dict.fromkeys(record["generator"] for record in result.records):
        records = _select(result.records, generator=name, recipe="real")
        cells = []
        for metric in ("tstr_r2", "ks", "mmd"):
            cells += [f"{value:.4f}" if np.isfinite(value) else "–" for value in study.spread(records, metric)]
        rows.append((_label(name), *cells))
    caption = (
        f"Protocol {result.protocol}: what the numbers depend on, as standard deviations: between splits, between "
        "training seeds of one split, and between draws from one fixed fit. The last alone is what the report prints."
    )
    header = [f"{metric} {part}" for metric in ("R2", "KS", "MMD²") for part in ("split", "seed", "draw")]
    return Table(caption, ("generator", *header), tuple(rows))


def _recipe_table(result: study.Result) -> Table | None:
    others = [record for record in result.records if record["recipe"] != "real"]
    if not others:
        return None
    splits = {record["split"] for record in others}
    rows = []
    for name in dict.fromkeys(record["generator"] for record in others):
        for recipe in dict.fromkeys(["real", *(record["recipe"] for record in others)]):
            part = [
                r for r in _select(result.records, generator=name, recipe=recipe, resample=0) if r["split"] in splits
            ]
            cells = [mean_sd(column(part, METRICS[metric])) for metric in SCREEN]
            rows.append((f"{name}, {recipe}", *cells))
    caption = (
        f"Protocol {result.protocol}, training recipes on the first {len(splits)} splits: real rows, rows of the "
        "copula with the lowest AIC on the training rows, and mixtures (real : copula)."
    )
    return Table(caption, ("generator, recipe", *SCREEN), tuple(rows))


def _reported_table() -> Table:
    caption = (
        "The 2025 report's own figures, protocol row (most test rows have a copy in train: read them against the "
        "ceiling of the table above). Its MMD is most likely the square root of a biased estimate: compare mmd_biased "
        "in results.json, not MMD²."
    )
    rows = tuple((f"{variant}, {recipe}", *figures) for variant, recipe, *figures in REPORTED)
    return Table(caption, ("generator, recipe", "R2", "RMSE", "MMD", "FAED"), rows)


def tuning_table(result: study.Result) -> Table:
    """What was chosen on the inner folds, and how often."""
    rows = []
    for name, tuned in result.tuned.items():
        for index, choice in enumerate(tuned.grid):
            chosen = int((tuned.choice == index).sum())
            rows.append((f"{name}: {numbers(choice)}", mean_sd(tuned.rmse[:, index]), str(chosen)))
    caption = (
        f"Protocol {result.protocol}: choices on the inner validation fold of each training set (lowest RMSE of a "
        "regressor trained on synthetic rows of a model fitted to the rest); the test rows are not in it."
    )
    return Table(caption, ("generator and choice", "inner RMSE", "splits that chose it"), tuple(rows))


def copula_tables(results: Sequence[study.Result], eight: Sequence[study.CopulaRow]) -> tuple[Table, Table]:
    """Fits of the copulas on the training rows, and on the report's eight columns."""
    rows = []
    for result in results:
        for name, fitted in result.fitted.items():
            if name.startswith("copula_"):
                fit = fitted.fitted.copula
                loglik, n = np.asarray(fit.loglik), np.array([len(split.train) for split in result.splits])
                cells = mean_sd(loglik / n), mean_sd((2 * np.asarray(fit.num_params) - 2 * loglik) / n)
                rows.append((f"{result.protocol}: {name.removeprefix('copula_')}", *cells))
        rows.append((f"{result.protocol}: independence", "0", "0"))
    caption = (
        "Copulas on the training rows (7 columns, maximum pseudo-likelihood): log-likelihood and AIC per row, mean "
        "(SD) over splits. AIC is not strictly valid for rank margins."
    )
    first = Table(caption, ("protocol: family", "LL/n", "AIC/n"), tuple(rows))
    table = tuple(
        (
            f"{row.family}, {row.method}",
            str(row.num_params),
            f"{row.loglik:+.3f}",
            f"{row.aic:+.3f}",
            str(row.converged),
        )
        for row in eight
    )
    caption = (
        f"Copulas on all 262 rows of the report's eight columns ({', '.join(blasts.EIGHT)}), rank margins. The "
        "report prints AIC/n 2.56 (Clayton), 6.44 (Student-t), 8.19 (Gaussian): independence, with 0, beats all three."
    )
    return first, Table(caption, ("family, method", "k", "LL/n", "AIC/n", "converged"), table)


def write_figures(
    out: Path, pool, table: np.ndarray, columns: Sequence[str], results: Sequence[study.Result]
) -> list[Path]:
    """Every picture of the study."""
    return data_figures(out, pool) + [
        path for result in results for path in result_figures(out, table, columns, result)
    ]


def data_figures(out: Path, pool) -> list[Path]:
    """The pool by source: distributions and rank correlations."""
    labels = [blasts.LABELS.get(name, name) for name in blasts.CORE]
    core = pool[list(blasts.CORE)].to_numpy()
    groups = pool["dataset"].to_numpy()
    log = [blasts.LABELS["X50"], blasts.LABELS["PF"]]
    return [
        figures.ecdf_by_group(out / "ecdf_by_source.png", core, groups, labels, log=log),
        figures.spearman_heatmaps(out / "spearman_by_source.png", core, groups, list(blasts.CORE)),
    ]


def result_figures(out: Path, table: np.ndarray, columns: Sequence[str], result: study.Result) -> list[Path]:
    """One protocol: training curves, real against synthetic rows, scores by generator."""
    paths = []
    real = _select(result.records, recipe="real", resample=0)
    curves = {
        name: np.asarray(fitted.fitted.trained.info.elbo)
        for name, fitted in result.fitted.items()
        if name.startswith("vae")
    }
    if curves:
        path = out / f"training_curves_{result.protocol}.png"
        paths.append(figures.training_curves(path, curves, ylabel="ELBO (nats per row)"))
    shown = next(name for name in differences(result) if name not in CONTROLS or len(result.fitted) == len(CONTROLS))
    rows = next(t for label, t in result.tables[0] if label["generator"] == shown and label["recipe"] == "real")
    train = table[result.splits[0].train]
    names = [blasts.LABELS.get(name, name) for name in columns]
    title = f"{shown}, protocol {result.protocol}, split 0: training rows and as many synthetic rows"
    path = out / f"pairs_{result.protocol}_{shown}.png"
    paths.append(figures.pair_plot(path, train, rows[: len(train)], names, title=title))
    scores = {
        name: per_split(_select(real, generator=name), "tstr_r2", len(result.splits)) for name in differences(result)
    }
    leaked = np.mean([split.leaked_share for split in result.splits])
    paths.append(
        figures.utility_by_generator(
            out / f"tstr_{result.protocol}.png",
            scores,
            np.array(column(result.ceilings, "trtr_r2")),
            ylabel="TSTR R2",
            title=f"Protocol {result.protocol}: {leaked:.0%} of the test rows have a copy in train",
            controls=[name for name in CONTROLS if name in scores],
        )
    )
    return paths


def plain(value):
    """Arrays and NamedTuples as what JSON knows; NaN and infinity as null."""
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", None)):
        value = dict(zip(fields, value, strict=True))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray | jax.Array):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def circumstances(config, seconds: float, packages: Sequence[str] = PACKAGES) -> dict:
    """What every results.json says of its run: versions, device, configuration, learner."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "device": [str(device) for device in jax.devices()],
        "machine": platform.machine(),
        "seconds": seconds,
        "config": dataclasses.asdict(config),
        "xgboost": dict(XGBOOST),
    }


def save(out, config, results, eight, seconds: float) -> None:
    """Write results.json: every number so far."""
    document = {
        "format": FORMAT,
        **circumstances(config, seconds),
        "reported": REPORTED,
        "eight_columns": eight,
        "protocols": {
            result.protocol: {
                "config": dataclasses.asdict(result.config),
                "leaked_share": [split.leaked_share for split in result.splits],
                "tuning": result.tuned,
                "records": result.records,
                "ceilings": result.ceilings,
                "holdout": result.holdout,
                "differences": differences(result),
            }
            for result in results
        },
    }
    (out / "results.json").write_text(json.dumps(plain(document), indent=1, allow_nan=False) + "\n")


def write(out, pool, table, columns, results, eight, seconds: float, console: Console) -> None:
    """Print the tables; write report.md and the figures."""
    tables = []
    for result in results:
        console.print(to_rich(main_table(result, SCREEN)))
        tables.append(main_table(result))
        shown = [
            _reported_table() if result.protocol == "row" else None,
            difference_table(result),
            _recipe_table(result),
            spread_table(result),
        ]
        shown = [one for one in shown if one is not None]
        for one in shown:
            console.print(to_rich(one))
        tables += shown
        if result.tuned:
            tables.append(tuning_table(result))
    for one in copula_tables(results, eight):
        console.print(to_rich(one))
        tables.append(one)
    pictures = write_figures(out, pool, table, columns, results)
    regressor = ", ".join(f"{name} {value}" for name, value in XGBOOST.items())
    head = (
        f"# Blast fragmentation\n\nTarget {columns[0]} from {', '.join(columns[1:])}; 262 rows that are 110 distinct "
        f"blasts. Regressor: XGBoost ({regressor}). {seconds:.0f} s on {jax.devices()[0].device_kind}.\n"
    )
    images = "\n".join(f"![{path.stem}]({path.name})" for path in pictures)
    (out / "report.md").write_text(head + "\n" + "\n\n".join(map(to_markdown, tables)) + "\n\n" + images + "\n")
    console.print(f"{seconds:.0f} s; wrote {out}/: results.json, report.md, {SPLITS}, {len(pictures)} figures")
