"""One evaluation on the screen and in a folder: evaluation.json, report.md, report.html and the figures.

The HTML file holds its figures and needs no network.
"""

import base64
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jinja2
import numpy as np
from rich.console import Console

from jaxcop.evaluation import CONTROLS, METRICS, Evaluation, Score
from jaxcop.evaluation.verdict import RULE
from jaxcop.report import evaluation_figures, figures
from jaxcop.report.tables import Table, to_markdown, to_rich

FORMAT = "jaxcop-evaluation-1"
PACKAGES = ("jaxcop", "jax", "numpy", "scikit-learn", "xgboost")
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
    paths = [folder / name for name in FILES]
    paths[0].write_text(json.dumps(to_json(evaluation), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    paths[1].write_text(_markdown(evaluation, pictures), encoding="utf-8")
    paths[2].write_text(_html(evaluation, pictures), encoding="utf-8")
    return [*paths, *pictures.values()]


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the tables, as JSON types under ``"format": "jaxcop-evaluation-1"``; NaN and infinity are null."""
    return {
        "format": FORMAT,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "device": str(jax.devices()[0]),
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


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _label(generator: str) -> str:
    return f"({generator})" if generator in (*CONTROLS, "holdout") else generator


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else NOT_MEASURED


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


def _draw(evaluation: Evaluation, folder: Path) -> dict[str, Path]:
    """Figures by caption."""
    names, train = evaluation.columns, evaluation.train
    drawn = {
        "Every distance against that of two real samples": evaluation_figures.calibration(
            folder / "calibration.png", evaluation.scores, controls=CONTROLS
        )
    }
    rows = min(len(train), *(len(table) for table in evaluation.synthetic.values()))
    if len(names) > 1:
        drawn["Principal components of the real rows, equally many rows of each table"] = (
            evaluation_figures.principal_components(
                folder / "components.png", train, evaluation.synthetic, num_rows=rows
            )
        )
    tables_by_source = {"real": train, **evaluation.synthetic}
    drawn["Empirical distribution of every column"] = figures.ecdf_by_group(
        folder / "ecdf.png",
        np.concatenate(list(tables_by_source.values())),
        np.repeat(list(tables_by_source), [len(table) for table in tables_by_source.values()]),
        names,
    )
    for number, (name, table) in enumerate(evaluation.synthetic.items()):
        if len(names) > 1:
            drawn[f"Spearman correlations, {name}"] = evaluation_figures.correlations(
                folder / f"correlations_{number}.png", train, table, names, title=name
            )
            drawn[f"Pairs of columns, {name}"] = figures.pair_plot(
                folder / f"pairs_{number}.png", train, table[: 10 * len(train)], names, title=name
            )
    if evaluation.blends:
        drawn["Blends of real and synthetic rows"] = evaluation_figures.blend_curves(
            folder / "blends.png", evaluation.blends, target=str(evaluation.target)
        )
    return drawn


def _settings(evaluation: Evaluation) -> Sequence[str]:
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evaluation.sizes._asdict().items())
    return [f"Sizes: {sizes}.", *(f"{name}: {value}" for name, value in evaluation.settings.items()), RULE]


def _markdown(evaluation: Evaluation, pictures: dict[str, Path]) -> str:
    parts = ["# Evaluation of synthetic rows", *(f"**Note.** {note}" for note in evaluation.notes)]
    for verdict in evaluation.verdicts:
        parts += [f"## Verdict: {verdict.generator}", *(f"- {sentence}" for sentence in verdict.sentences)]
    parts += ["## Scores", *map(to_markdown, tables(evaluation)), "## Figures"]
    parts += [f"![{caption}]({path.name})" for caption, path in pictures.items()]
    parts += ["## Settings", *(f"- {line}" for line in _settings(evaluation))]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def _html(evaluation: Evaluation, pictures: dict[str, Path]) -> str:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("jaxcop.report", "."), autoescape=True)
    encoded = {caption: base64.b64encode(path.read_bytes()).decode() for caption, path in pictures.items()}
    return environment.get_template("evaluation.html.jinja").render(
        evaluation=evaluation,
        tables=tables(evaluation),
        pictures=encoded,
        settings=_settings(evaluation),
        is_alarm=_is_alarm,
    )
