"""A comparison of synthesizers on the screen and in a folder: comparison.json, report.md, report.html, figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxcop.evaluation import CONTROLS, METRICS
from jaxcop.evaluation.compare import Compared, Fold
from jaxcop.evaluation.recommend import Recommendation, recommend, rule_text
from jaxcop.report import arms, figures
from jaxcop.report.page import Page, machine, number, numeric, plain, write
from jaxcop.report.tables import Table, to_rich

FORMAT = "jaxcop-comparison-1"
FILE = "comparison.json"
SHOWN = {
    "Scores": ("tstr_rmse", "tstr_r2", "ks", "ad", "mmd", "spearman", "coverage", "c2st_xgboost"),
    "Signs of copying": ("dcr_ratio", "authenticity", "exact_copies", "dcr_share", "membership_auc"),
}
SHORT = {
    "tstr_rmse": "TSTR RMSE",
    "tstr_r2": "TSTR R2",
    "ks": "KS",
    "ad": "AD",
    "mmd": "MMD²",
    "spearman": "Spearman error",
    "coverage": "coverage",
    "c2st_xgboost": "C2ST AUC",
    "dcr_ratio": "distance ratio",
    "authenticity": "authenticity",
    "exact_copies": "exact copies",
    "dcr_share": "closer to training",
    "membership_auc": "membership AUC",
}


def tables(found: Compared, advice: Recommendation) -> list[Table]:
    """Scores and signs of copying as mean (standard error over folds), paired differences, and the folds."""
    generators = [*found.synthesizers, *CONTROLS, "holdout"]
    shown = []
    for heading, wanted in SHOWN.items():
        metrics = [m for m in wanted if any(m in own for fold in found.folds for own in fold.scores.values())]
        rows = [(_label(name), *(_cell(found.values(name, metric)) for metric in metrics)) for name in generators]
        rows = [row for row in rows if set(row[1:]) != {number(np.nan)}]
        caption = f"{heading}: mean (standard error) over {len(found.folds)} folds; controls in brackets."
        if heading == "Scores":
            if found.target is not None:
                values = (_cell(np.array([numeric(f.ceiling.get(m[5:])) for f in found.folds])) for m in metrics[:2])
                rows.append(("real training rows (TRTR)", *values, *(number(np.nan) for _ in metrics[2:])))
            rows.append(("real v real", *(_floor(found, metric) for metric in metrics)))
        shown.append(Table(caption, ("generator", *(SHORT[m] for m in metrics)), tuple(rows)))
    label = METRICS[advice.score].label
    rows = tuple(
        (_label(name), number(d.mean), f"[{number(d.corrected_low)}, {number(d.corrected_high)}]")
        for name, d in advice.differences.items()
    )
    caption = (
        f"{label} minus that of {advice.reference}, paired by fold (above 0: worse), with the corrected 95 % interval "
        "of Nadeau and Bengio (2003), which allows for the rows that folds share."
    )
    shown.append(Table(caption, ("generator", "difference", "95 % interval"), rows))
    rows = tuple(
        (str(k + 1), str(f.train), str(f.holdout), f"{f.leaked_share:.1%}", ", ".join(f.dropped) or "none")
        for k, f in enumerate(found.folds)
    )
    header = ("fold", "rows learned", "rows scored", "of which nearly also learned", "columns left out")
    shown.append(Table("Folds.", header, rows))
    return shown


def _label(name: str) -> str:
    return f"({name})" if name in (*CONTROLS, "holdout") else name


def _cell(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return number(np.nan)
    error = f" ({number(finite.std(ddof=1) / np.sqrt(finite.size))})" if finite.size > 1 else ""
    lost = f", {values.size - finite.size} lost" if finite.size < values.size else ""
    return f"{number(finite.mean())}{error}{lost}"


def _floor(found: Compared, metric: str) -> str:
    return _cell(np.array([fold.floors[metric][0] if metric in fold.floors else np.nan for fold in found.folds]))


def show(found: Compared, advice: Recommendation, console: Console) -> None:
    """Print the scores that a screen has room for, the recommendation and its rule."""
    metrics = (advice.score, "ks", "c2st_xgboost", "dcr_ratio")
    generators = (*found.synthesizers, *CONTROLS)
    rows = [(_label(name), *(_cell(found.values(name, metric)) for metric in metrics)) for name in generators]
    caption = f"Mean (standard error) over {len(found.folds)} folds; controls in brackets."
    console.print(to_rich(Table(caption, ("generator", *(SHORT[m] for m in metrics)), tuple(rows))))
    for sentence in advice.sentences:
        console.print(sentence, style="bold" if sentence.startswith("Recommended") else None, markup=False)
    console.print(f"\n{rule_text(found)}", style="dim", markup=False)


def save(found: Compared, folder: str | Path) -> list[Path]:
    """Write everything into ``folder``, and return the paths; existing files of those names are replaced."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    advice = recommend(found)
    group = f", whole values of {found.group} held out" if found.group else ""
    page = Page(
        "Comparison of synthesizers",
        f"{found.num_rows} rows, {len(found.folds)} folds{group}"
        f"{f'; target {found.target}' if found.target else ''}; seed of the folds {found.seed}.",
        (),
        False,
        {"Recommendation": advice.sentences},
        tables(found, advice),
        [rule_text(found)],
    )
    alarms = {sentence for sentence in advice.sentences if any(w[1:] in sentence for w in advice.warnings)}
    return write(folder, page, _draw(found, advice, folder), alarms.__contains__, FILE, to_json(found, advice))


def _draw(found: Compared, advice: Recommendation, folder: Path) -> dict[str, Path]:
    label = METRICS[advice.score].label
    drawn = {
        f"{label}: difference to {advice.reference}": arms.difference_intervals(
            folder / "differences.png",
            advice.differences,
            corrected=True,
            xlabel=f"{label}, difference (95 % interval, corrected)",
            title=f"against {advice.reference}, lower is better",
        )
    }
    names = [n for n in (*found.synthesizers, *CONTROLS) if np.isfinite(found.values(n, advice.score)).any()]
    panels = {
        SHORT[metric]: {name: found.values(name, metric) for name in names}
        for metric in SHOWN["Scores"]
        if any(np.isfinite(found.values(name, metric)).any() for name in names)
    }
    drawn["Scores over the folds"] = arms.boxes(
        folder / "scores.png", panels, reference="smoothed", title="One score per fold"
    )
    if found.target is not None:
        drawn["What a model learns from the rows, fold by fold"] = figures.utility_by_generator(
            folder / "utility.png",
            {name: found.values(name, "tstr_r2") for name in names},
            np.array([fold.ceiling["r2"] for fold in found.folds]),
            ylabel=f"TSTR R2 of {found.target}",
            title="Trained on synthetic rows, tested on the fold",
            controls=CONTROLS,
        )
    return drawn


def to_json(found: Compared, advice: Recommendation) -> dict[str, Any]:
    """Everything, under ``"format": "jaxcop-comparison-1"``; NaN and infinity are null."""
    return {
        "format": FORMAT,
        **machine(),
        **plain(found._asdict() | {"folds": [fold._asdict() for fold in found.folds]}),
        "recommendation": plain(
            advice._asdict() | {"differences": {name: d._asdict() for name, d in advice.differences.items()}}
        ),
    }


def load(path: str | Path) -> Compared:
    """What ``save`` wrote; the recommendation follows from it."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    folds = tuple(
        Fold(
            **{name: fold[name] for name in ("train", "holdout", "leaked_share", "dropped", "failures")},
            scores={g: {m: numeric(v) for m, v in own.items()} for g, own in fold["scores"].items()},
            floors={m: [numeric(v) for v in own] for m, own in fold["floors"].items()},
            ceiling={m: numeric(v) for m, v in fold["ceiling"].items()},
        )
        for fold in document["folds"]
    )
    kept = {name: document[name] for name in ("target", "group", "num_rows", "seed")}
    return Compared(synthesizers=tuple(document["synthesizers"]), folds=folds, **kept)
