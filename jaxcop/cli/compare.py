"""``jaxcop compare``: which synthesizer for this table."""

from pathlib import Path
from typing import Annotated

import typer

from jaxcop.cli._common import AsJson, Overwrite, Resume, SchemaFile, Seed, Target, progress, publish, running
from jaxcop.cli._programs import start_jax
from jaxcop.cli._state import resumable


def compare(
    table: Annotated[Path, typer.Argument(help="CSV file of real rows.")],
    out: Annotated[Path, typer.Option(help="New folder for report.html, report.md, comparison.json, figures.")],
    seed: Seed,
    target: Target = None,
    synthesizer: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeat it to compare several; default: gaussian_mixture_copula, copula_gaussian, vae_gmm. The "
            "controls smoothed, bootstrap and independent are always among them."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the table; each is held out once.")] = 5,
    group: Annotated[
        str | None, typer.Option(help="Column whose values stay in one fold (a site); it is not modelled.")
    ] = None,
    schema: SchemaFile = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare synthesizers by cross-validation and recommend one, by a rule that is printed.

    Ctrl-C leaves the finished folds in the folder "unfinished" of --out: the same command with --resume goes on.
    Exit code 3: no synthesizer beats the control `smoothed`, none can be recommended, or rows leak between folds.

    Example: jaxcop compare train.csv --target y --out comparison --seed 0 --folds 5 --synthesizer vae_gmm
    """
    with running("compare", as_json) as run:
        jax = start_jax()
        from jaxcop import evaluation, tables
        from jaxcop.evaluation.recommend import recommend
        from jaxcop.report import comparison as report

        frame = tables.read_csv(table)
        names = tuple(synthesizer or evaluation.SYNTHESIZERS)
        known = None if schema is None else tables.read_schema(schema)
        asked = {
            "command": "compare", "target": target, "synthesizer": list(names), "folds": folds, "group": group,
            "seed": seed, "schema": repr(known),
        }  # fmt: skip
        with resumable(out, asked, table, resume=resume, overwrite=overwrite) as store, progress() as advance:
            found = evaluation.compare(
                jax.random.key(seed), frame, target=target, names=names, schema=known, num_folds=folds, group=group,
                progress=advance, store=store,
            )  # fmt: skip
            publish(out, lambda folder: report.save(found, folder))
        advice = recommend(found)
        report.show(found, advice, run.screen)
        for text in advice.warnings:
            run.warn(text)
        run.say(f"Wrote {out / 'report.html'}.")
        run.found.update({"out": str(out), "recommended": advice.name, "sentences": list(advice.sentences)})
        run.found["beats_smoothed"] = list(advice.beats)
