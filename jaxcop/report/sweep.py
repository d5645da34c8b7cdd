"""A sweep over seeds and numbers on the screen and in a folder: sweep.json, report.md, report.html, a figure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxcop.evaluation import METRICS
from jaxcop.report import arms
from jaxcop.report.page import Page, machine, number, numeric, plain, write
from jaxcop.report.tables import Table, numbers, to_rich
from jaxcop.table_sweep import Swept

FORMAT = "jaxcop-sweep-1"
FILE = "sweep.json"
RULES = {
    "lowest": "the lowest mean over folds, of the means over seeds",
    "one_standard_error": "the first choice whose mean over folds is within one standard error (over folds) of the "
    "lowest; put the simplest first",
}


def table(found: Swept) -> Table:
    """Each choice: mean, standard error over folds, spread over folds and over training seeds, and fits lost."""
    rows = []
    for index, label in enumerate(_labels(found)):
        scores = found.scores[:, :, index]
        lost = int((~np.isfinite(scores)).sum())
        mean = scores.mean(0)
        rows.append(
            (
                label,
                number(float(mean.mean()), 4),
                number(_sd(mean) / np.sqrt(len(mean)), 4),
                number(_sd(mean), 4),
                number(float(np.mean([_sd(column) for column in scores.T])), 4),
                str(lost) if lost else "none",
                "chosen" if index == found.choice else "",
            )
        )
    seeds, folds, _ = found.scores.shape
    caption = (
        f"{METRICS[found.metric].label} of {found.synthesizer}, {seeds} seeds on {folds} folds, lower is better. "
        f"Rule: {RULES[found.rule]}."
    )
    return Table(caption, ("choice", "mean", "standard error", "SD, folds", "SD, seeds", "lost", ""), tuple(rows))


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else float("nan")


def _labels(found: Swept) -> list[str]:
    """The numbers that vary; all of them where none does."""
    if len(found.grid) == 1:
        return [numbers(found.grid[0]) if found.grid[0] else "no numbers to choose"]
    varied = [name for name in found.grid[0]._fields if len({getattr(hyper, name) for hyper in found.grid}) > 1]
    return [", ".join(f"{name} {getattr(hyper, name):g}" for name in varied) for hyper in found.grid]


def sentences(found: Swept) -> tuple[str, ...]:
    """What was chosen and what a reader must know about it."""
    lost = int((~np.isfinite(found.scores)).sum())
    said = [f"Chosen: {_labels(found)[found.choice]}."]
    if len(found.grid) > 1:
        said.append(
            "The score of the best of several choices flatters it: judge the model on rows that this sweep had not."
        )
    if lost:
        said.append(f"{lost} of {found.scores.size} fits diverged.")
    return tuple(said)


def show(found: Swept, console: Console) -> None:
    """Print the table and what was chosen."""
    console.print(to_rich(table(found)))
    for sentence in sentences(found):
        console.print(sentence, markup=False)


def save(found: Swept, folder: str | Path) -> list[Path]:
    """Write everything into ``folder``, and return the paths; existing files of those names are replaced."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = _labels(found)
    label = METRICS[found.metric].label
    values = {name: found.scores[:, :, index].ravel() for index, name in enumerate(labels)}
    pictures = {
        "Every fit": arms.boxes(
            folder / "sweep.png",
            {label: values},
            reference=labels[found.choice],
            title=f"{found.synthesizer}: one score a seed and fold, lower is better",
        )
    }
    seeds, folds, choices = found.scores.shape
    lead = f"{found.synthesizer}: {choices} choices, {seeds} training seeds, {folds} folds."
    page = Page("Sweep over seeds and numbers", lead, (), False, {"Choice": sentences(found)}, [table(found)], [])
    return write(folder, page, pictures, lambda sentence: "diverged" in sentence, FILE, to_json(found))


def to_json(found: Swept) -> dict[str, Any]:
    """Everything, under ``"format": "jaxcop-sweep-1"``; a score that is not finite is null."""
    fields = list(getattr(found.grid[0], "_fields", ()))
    return {
        "format": FORMAT,
        **machine(),
        **plain({name: getattr(found, name) for name in ("synthesizer", "target", "metric", "rule", "choice")}),
        "fields": fields,
        "grid": plain([[float(value) for value in hyper] for hyper in found.grid]),
        "scores": plain(found.scores),
    }


def load(path: str | Path) -> Swept:
    """What ``save`` wrote."""
    from jaxcop.synthesizers import NAMED

    document = json.loads(Path(path).read_text(encoding="utf-8"))
    own = NAMED[document["synthesizer"]](1000).hyper
    grid = tuple(
        own._replace(**dict(zip(document["fields"], row, strict=True))) if row else () for row in document["grid"]
    )
    scores = np.array([[[numeric(v) for v in row] for row in seed] for seed in document["scores"]])
    kept = {name: document[name] for name in ("synthesizer", "target", "metric", "rule", "choice")}
    return Swept(grid=grid, scores=np.where(np.isnan(scores), np.inf, scores), **kept)
