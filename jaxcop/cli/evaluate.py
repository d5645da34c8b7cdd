"""``jaxcop evaluate``: synthetic rows beside real rows and controls."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from jaxcop.cli._common import AsJson, Overwrite, SchemaFile, Seed, Target, check_new_folder, progress, publish, running
from jaxcop.cli._programs import start_jax


def evaluate(
    train: Annotated[Path, typer.Option(help="CSV file of the rows that were learned.")],
    holdout: Annotated[Path, typer.Option(help="CSV file of real rows that were not.")],
    synthetic: Annotated[list[Path], typer.Option(help="CSV file of synthetic rows; repeat it to compare several.")],
    out: Annotated[Path, typer.Option(help="New folder for report.html, report.md, evaluation.json, figures.")],
    target: Target = None,
    seed: Seed = 0,
    schema: SchemaFile = None,
    resamples: Annotated[int, typer.Option(min=2, help="Times that rows are drawn anew.")] = 10,
    permutations: Annotated[int, typer.Option(min=0, help="Of each test; 0 leaves p-values out.")] = 199,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Judge synthetic rows beside real rows and simple controls.

    Exit code 3: a table repeats its training rows, hold-out rows leaked, or no table earns a recommendation.

    Example: jaxcop evaluate --train train.csv --holdout holdout.csv --synthetic synthetic.csv --target y --out report
    """
    with running("evaluate", as_json) as run:
        check_new_folder(out, overwrite)
        names = [path.stem for path in synthetic]
        if len(set(names)) < len(names):
            raise ValueError(f"--synthetic: expected files of different names, got {names}; rename them")
        jax = start_jax(wide=False)
        from jaxcop import evaluation, tables
        from jaxcop.report import evaluation as report

        # Names for messages: one file may have two roles.
        files = {f"--train {train}": train, f"--holdout {holdout}": holdout}
        files |= {f"--synthetic {path}": path for path in synthetic}
        frames = {name: tables.read_csv(path) for name, path in files.items()}
        arrays, columns, dropped = evaluation.comparable(
            frames, None if schema is None else tables.read_schema(schema), target
        )
        for name in dropped:
            run.say(f"Note: column {name!r} is constant in the training rows and is left out.")
        with progress() as advance, warnings.catch_warnings():
            # What evaluate warns of is a note of the report, too.
            warnings.simplefilter("ignore", UserWarning)
            found = evaluation.evaluate(
                jax.random.key(seed), arrays[0], arrays[1], dict(zip(names, arrays[2:], strict=True)),
                target=target, columns=columns, resamples=resamples, permutations=permutations, progress=advance,
            )  # fmt: skip
        publish(out, lambda folder: report.save(found, folder))
        report.show_verdicts(found, run.screen)
        run.say(f"Wrote {out / 'report.html'}, with every score.")
        run.found.update(
            {
                "out": str(out),
                "leaked_share": found.leaked_share,
                "verdicts": {
                    v.generator: {"recommended": v.recommended, "memorizes": v.memorizes, "sentences": v.sentences}
                    for v in found.verdicts
                },
            }
        )
        if found.leaked_share:
            run.warn(f"{found.leaked_share:.1%} of the hold-out rows are also among the training rows")
        for verdict in found.verdicts:
            if verdict.memorizes:
                run.warn(f"{verdict.generator} repeats its training rows")
        if not any(verdict.recommended for verdict in found.verdicts):
            run.warn("no synthetic table earns a recommendation on this split")
