"""One evaluation on the screen and in a folder: evaluation.json, report.md, report.html and the figures.

The HTML file holds its figures and needs no network.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxcop.evaluation import CONTROLS, METRICS, Comparison, Evaluation, Objective, Score, Sizes, Verdict
from jaxcop.evaluation.verdict import RULE
from jaxcop.metrics.augmentation import BlendCurve
from jaxcop.metrics.utility import Scores
from jaxcop.report import evaluation_figures, figures
from jaxcop.report.page import Page, machine, numeric, write
from jaxcop.report.page import number as _number
from jaxcop.report.page import plain as _plain
from jaxcop.report.tables import Table, to_rich

FORMAT = "jaxcop-evaluation-1"
HEADINGS = {
    "fidelity": "Fidelity, column by column and together",
    "dependence": "Dependence",
    "coverage": "Coverage and precision",
    "detection": "Detection",
    "memorisation": "Memorisation",
    "utility": "Utility",
}
FILES = ("evaluation.json", "report.md", "report.html")
NOT_MEASURED = "–"


def tables(evaluation: Evaluation) -> list[Table]:
    """One table per kind of metric: metrics down, real-v-real and generators across, as value (SD over resamples)."""
    generators = list(dict.fromkeys(score.generator for score in evaluation.scores))
    by_place = {(score.generator, score.metric): score for score in evaluation.scores}
    found = []
    for section, heading in HEADINGS.items():
        metrics = [m for m, kind in METRICS.items() if kind.section == section and (generators[0], m) in by_place]
        if not metrics:
            continue
        with_floor = any(np.isfinite(by_place[generators[0], m].floor) for m in metrics)
        names = [name for name in generators if any((name, m) in by_place for m in metrics)]
        header = ("metric", *(("real v real [5 %, 95 %]",) if with_floor else ()), *map(_label, names))
        rows = []
        for metric in metrics:
            floor = (_floor(by_place[generators[0], metric]),) if with_floor else ()
            cells = (_cell(by_place.get((name, metric))) for name in names)
            rows.append((METRICS[metric].label, *floor, *cells))
        found.append(Table(f"{heading}. {_caption(evaluation, section)}", header, tuple(rows)))
    if evaluation.stacking:
        rows = [
            (_label(name), _number(s.r2), _number(s.rmse), _number(s.mae)) for name, s in evaluation.stacking.items()
        ]
        ceiling = evaluation.ceilings["stacking"]
        rows.append(("TRTR", _number(ceiling.r2), _number(ceiling.rmse), _number(ceiling.mae)))
        caption = "TSTR by a second learner, random forest and XGBoost stacked; the first resample of each."
        found.append(Table(caption, ("trained on", "R2", "RMSE", "MAE"), tuple(rows)))
    for name, objectives in evaluation.objectives.items():
        words = {True: "met", False: "not met", None: "not measured"}
        rows = tuple((o.name, o.target, o.value, words[o.met]) for o in objectives)
        found.append(Table(f"Objectives of the plan, {name}.", ("objective", "target", "value", "met"), rows))
    return found


def show(evaluation: Evaluation, console: Console) -> None:
    """Print every table and the verdicts; signs of copying and leaks in red."""
    for table in tables(evaluation):
        console.print(to_rich(table))
    show_verdicts(evaluation, console)


def show_verdicts(evaluation: Evaluation, console: Console) -> None:
    """Print the notes and the verdicts alone, for a screen that is too narrow for tables."""
    for note in evaluation.notes:
        console.print(note, style="bold red" if evaluation.leaked_share else "yellow")
    for verdict in evaluation.verdicts:
        console.print(f"\n{verdict.generator}", style="bold")
        for sentence in verdict.sentences:
            console.print(sentence, style="bold red" if _is_alarm(sentence) else None)
    console.print(f"\n{RULE}", style="dim")


def save(evaluation: Evaluation, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write evaluation.json, report.md, report.html and the figures into ``folder``, and return their paths.

    Raises FileExistsError where one of those files exists, unless ``overwrite``; other files are left alone.
    """
    folder = Path(folder)
    existing = [name for name in FILES if (folder / name).exists()]
    if existing and not overwrite:
        raise FileExistsError(
            f"{folder}: expected none of {list(FILES)}, got {existing}; move them or pass overwrite=True"
        )
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _draw(evaluation, folder)
    return write(folder, _page(evaluation), pictures, _is_alarm, FILES[0], to_json(evaluation))


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the tables, as JSON types under ``"format": "jaxcop-evaluation-1"``; NaN and infinity are null."""
    return {
        "format": FORMAT,
        **machine(),
        "columns": list(evaluation.columns),
        "target": evaluation.target,
        "sizes": evaluation.sizes._asdict(),
        "synthetic_rows": {name: len(table) for name, table in evaluation.synthetic.items()},
        "leaked_share": evaluation.leaked_share,
        "notes": list(evaluation.notes),
        "settings": _plain(evaluation.settings),
        "scores": _plain([score._asdict() for score in evaluation.scores]),
        "ceilings": _plain({name: score._asdict() for name, score in evaluation.ceilings.items()}),
        "stacking": _plain({name: score._asdict() for name, score in evaluation.stacking.items()}),
        "blends": _plain(
            {
                name: {"shares": blend.shares}
                | {part: getattr(blend, part)._asdict() for part in ("fixed", "added", "ceiling")}
                for name, blend in evaluation.blends.items()
            }
        ),
        "objectives": _plain({name: [o._asdict() for o in found] for name, found in evaluation.objectives.items()}),
        "verdicts": _plain(
            [v._asdict() | {"comparisons": [c._asdict() for c in v.comparisons]} for v in evaluation.verdicts]
        ),
    }


def _label(generator: str) -> str:
    return f"({generator})" if generator in (*CONTROLS, "holdout") else generator


def _floor(score: Score) -> str:
    if not np.isfinite(score.floor):
        return NOT_MEASURED
    return f"{_number(score.floor)} [{_number(score.floor_low)}, {_number(score.floor_high)}]"


def _cell(score: Score | None) -> str:
    if score is None or not np.isfinite(score.value):
        return NOT_MEASURED
    p = f", p {score.p_value:.3f}" if np.isfinite(score.p_value) else ""
    return f"{_number(score.value)} ({_number(score.sd)}){p}"


def _caption(evaluation: Evaluation, section: str) -> str:
    sizes = evaluation.sizes
    if section == "memorisation":
        return (
            "Controls in brackets. (holdout) is what fresh real rows give, (bootstrap) what a pure memoriser gives; "
            "share and AUC are 0.5 for a generator that knows no row."
        )
    if section == "utility":
        ceiling = evaluation.ceilings["xgboost"]
        return (
            f"XGBoost learns {evaluation.target} from {sizes.learned} synthetic rows and is tested on {sizes.holdout} "
            f"hold-out rows. Ceiling TRTR: R2 {_number(ceiling.r2)}, RMSE {_number(ceiling.rmse)}, MAE "
            f"{_number(ceiling.mae)}. TRTS rewards easy data: never read it alone."
        )
    permuted = f" p: {sizes.permutations} permutations against the hold-out rows." if sizes.permutations else ""
    if section in ("coverage", "detection"):
        permuted = ""
    return (
        f"{sizes.compared} training rows v {sizes.compared} synthetic rows; value (SD over {sizes.resamples} "
        f"resamples), controls in brackets.{permuted}"
    )


def _is_alarm(sentence: str) -> bool:
    return sentence.startswith(("It repeats", "It stays closer")) or "are also among the training rows" in sentence


def load(path: str | Path) -> Evaluation:
    """The evaluation of an evaluation.json, without the rows of its tables, which are not in the file."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))

    def array(values) -> np.ndarray:
        return np.vectorize(numeric, otypes=[float])(np.array(values, dtype=object))

    def scores(by_name: dict) -> dict[str, Scores]:
        return {name: Scores(**{k: numeric(v) for k, v in own.items()}) for name, own in by_name.items()}

    empty = np.empty((0, len(document["columns"])))
    blends = {
        name: BlendCurve(
            shares=array(own["shares"]),
            **{
                part: Scores(**{k: array(v) for k, v in own[part].items()})  # pyright: ignore[reportArgumentType]
                for part in ("fixed", "added", "ceiling")
            },
        )
        for name, own in document["blends"].items()
    }
    verdicts = tuple(
        Verdict(
            generator=own["generator"],
            sentences=tuple(own["sentences"]),
            comparisons=tuple(Comparison(**comparison) for comparison in own["comparisons"]),
            beyond_noise=tuple(own["beyond_noise"]),
            memorizes=own["memorizes"],
            recommended=own["recommended"],
        )
        for own in document["verdicts"]
    )
    return Evaluation(
        columns=tuple(document["columns"]),
        target=document["target"],
        sizes=Sizes(**document["sizes"]),
        leaked_share=document["leaked_share"],
        notes=tuple(document["notes"]),
        scores=tuple(map(_score, document["scores"])),
        ceilings=scores(document["ceilings"]),
        stacking=scores(document["stacking"]),
        blends=blends,
        objectives={name: [Objective(**own) for own in found] for name, found in document["objectives"].items()},
        verdicts=verdicts,
        settings=document["settings"],
        train=empty,
        holdout=empty,
        synthetic=dict.fromkeys(document["synthetic_rows"], empty),
    )


def _score(own: dict[str, Any]) -> Score:
    numbers = {name: numeric(value) for name, value in own.items() if name not in ("generator", "metric")}
    return Score(generator=own["generator"], metric=own["metric"], **numbers)


def _draw(evaluation: Evaluation, folder: Path) -> dict[str, Path]:
    """Figures by caption."""
    drawn = {
        "Every distance against that of two real samples": evaluation_figures.calibration(
            folder / "calibration.png", evaluation.scores, controls=CONTROLS
        )
    }
    drawn |= _draw_rows(evaluation, folder)
    if evaluation.blends:
        drawn["Blends of real and synthetic rows"] = evaluation_figures.blend_curves(
            folder / "blends.png", evaluation.blends, target=str(evaluation.target)
        )
    return drawn


def _draw_rows(evaluation: Evaluation, folder: Path) -> dict[str, Path]:
    """Figures of the rows; of an evaluation that was loaded, those that are in the folder."""
    names, train, tables_by_name = evaluation.columns, evaluation.train, evaluation.synthetic
    captions = {
        "Principal components of the real rows, equally many rows of each table": "components.png",
        "Empirical distribution of every column": "ecdf.png",
    }
    for number, name in enumerate(tables_by_name):
        captions[f"Spearman correlations, {name}"] = f"correlations_{number}.png"
        captions[f"Pairs of columns, {name}"] = f"pairs_{number}.png"
    paths = {caption: folder / file for caption, file in captions.items()}
    if not len(train):
        return {caption: path for caption, path in paths.items() if path.exists()}
    by_source = {"real": train, **tables_by_name}
    figures.ecdf_by_group(
        folder / "ecdf.png",
        np.concatenate(list(by_source.values())),
        np.repeat(list(by_source), [len(table) for table in by_source.values()]),
        names,
    )
    if len(names) > 1:
        rows = min(len(train), *map(len, tables_by_name.values()))
        evaluation_figures.principal_components(folder / "components.png", train, tables_by_name, num_rows=rows)
        for number, (name, table) in enumerate(tables_by_name.items()):
            correlations, pairs = (folder / f"{kind}_{number}.png" for kind in ("correlations", "pairs"))
            evaluation_figures.correlations(correlations, train, table, names, title=name)
            figures.pair_plot(pairs, train, table[: 10 * len(train)], names, title=name)
    return {caption: path for caption, path in paths.items() if path.exists()}


def _settings(evaluation: Evaluation) -> Sequence[str]:
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evaluation.sizes._asdict().items())
    return [f"Sizes: {sizes}.", *(f"{name}: {value}" for name, value in evaluation.settings.items()), RULE]


def _page(evaluation: Evaluation) -> Page:
    sizes = evaluation.sizes
    lead = (
        f"{sizes.train} training rows, {sizes.holdout} hold-out rows, columns {', '.join(evaluation.columns)}"
        f"{f'; target {evaluation.target}' if evaluation.target else ''}."
    )
    sections = {f"Verdict: {verdict.generator}": verdict.sentences for verdict in evaluation.verdicts}
    return Page(
        "Evaluation of synthetic rows",
        lead,
        evaluation.notes,
        bool(evaluation.leaked_share),
        sections,
        tables(evaluation),
        list(_settings(evaluation)),
    )
