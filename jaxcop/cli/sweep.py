"""``jaxcop sweep``: seeds and numbers of one synthesizer, and a model with those that were chosen."""

from pathlib import Path
from typing import Annotated

import typer

from jaxcop.cli._common import AsJson, Overwrite, Resume, SchemaFile, Seed, Target, progress, publish, running
from jaxcop.cli._programs import start_jax
from jaxcop.cli._state import resumable

RULE_NAMES = "lowest mean score, or one_standard_error: the first choice within one standard error of it"


def sweep(
    table: Annotated[Path, typer.Argument(help="CSV file of the training rows.")],
    out: Annotated[Path, typer.Option(help="New folder for report.html, report.md, sweep.json, a figure, the model.")],
    seed: Seed,
    synthesizer: Annotated[str, typer.Option(help="vae, vae_gmm, gaussian_mixture_copula, ...")] = "vae_gmm",
    numbers: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value,value,...: values to try; repeat it for all combinations of several."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Times that each choice is trained on each fold.")] = 5,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the table; each is held out once.")] = 5,
    group: Annotated[
        str | None, typer.Option(help="Column whose values stay in one fold (a site); it is not modelled.")
    ] = None,
    target: Target = None,
    rule: Annotated[str, typer.Option(help=RULE_NAMES)] = "lowest",
    schema: SchemaFile = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train one synthesizer with many seeds and numbers, choose by cross-validation, and write the best model.

    All fits are one compiled program. The model file is --out/model, fitted to all rows with the chosen numbers.
    Ctrl-C leaves the finished fits in the folder "unfinished" of --out: the same command with --resume goes on.
    Exit code 3: a fit diverged.

    Example: jaxcop sweep train.csv --target y --out swept --seed 0 --synthesizer vae_gmm --set beta_max=0.1,0.5
    """
    with running("sweep", as_json) as run:
        values = _values(numbers or [])
        jax = start_jax()
        from jaxcop import checkpoint, synthesizers, tables
        from jaxcop.report import sweep as report
        from jaxcop.table_sweep import sweep_table
        from jaxcop.tables.folds import group_labels

        frame = tables.read_csv(table)
        groups = None
        if group is not None:
            groups, frame = group_labels(frame, group), frame.drop(columns=group)
        known = tables.infer_schema(frame) if schema is None else tables.read_schema(schema)
        asked = {
            "command": "sweep", "target": target, "synthesizer": synthesizer, "set": values, "seeds": seeds,
            "folds": folds, "group": group, "rule": rule, "seed": seed, "schema": repr(known),
        }  # fmt: skip
        key_search, key_model = jax.random.split(jax.random.key(seed))
        with resumable(out, asked, table, resume=resume, overwrite=overwrite) as store, progress() as advance:
            found = sweep_table(
                key_search, frame, known, synthesizer, values, target=target, num_seeds=seeds, num_folds=folds,
                groups=groups, rule=rule, progress=advance, store=store,
            )  # fmt: skip
            model = synthesizers.fit_table(key_model, frame, known, synthesizer, hyper=found.hyper)

            def write(folder: Path) -> None:
                report.save(found, folder)
                checkpoint.save(folder / "model", model)

            publish(out, write)
        report.show(found, run.screen)
        lost = sum(score == float("inf") for score in found.scores.ravel())
        if lost:
            run.warn(f"{lost} of {found.scores.size} fits diverged")
        run.say(f"Wrote {out / 'report.html'} and {out / 'model'}, which holds the training values of every column.")
        chosen = found.hyper._asdict() if found.hyper else {}
        run.found.update({"out": str(out), "model": str(out / "model"), "synthesizer": synthesizer})
        run.found["chosen"] = {name: float(value) for name, value in chosen.items()}


def _values(texts: list[str]) -> dict[str, list[float]]:
    """``name=1,2`` as numbers by name."""
    values = {}
    for text in texts:
        name, _, listed = text.partition("=")
        try:
            values[name.strip()] = [float(value) for value in listed.split(",")]
        except ValueError:
            raise ValueError(f"--set: expected name=number,number,..., got {text!r}; as beta_max=0.1,0.5") from None
    if len(values) < len(texts):
        raise ValueError(f"--set: expected each name once, got {texts}; list its values after one name")
    return values
