"""``jaxcop schema``, ``fit`` and ``sample``: what the columns are, a model of them, rows of the model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jaxcop.cli._common import (
    SYNTHESIZERS,
    AllowFormulas,
    AsJson,
    Overwrite,
    SchemaFile,
    Seed,
    check_new,
    progress,
    running,
    shown,
)
from jaxcop.cli._given import read_given
from jaxcop.cli._programs import start_jax


def schema(
    table: Annotated[Path, typer.Argument(help="CSV file.")],
    out: Annotated[Path, typer.Option(help="New file, .json or .yaml.")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Infer what the columns are, as a file to edit: kinds, decimals, bounds, units, missing values.

    Example: jaxcop schema train.csv --out schema.yaml
    """
    with running("schema", as_json) as run:
        from jaxcop import tables

        check_new(out, overwrite)
        found = tables.infer_schema(tables.read_csv(table))
        tables.write_schema(out, found, overwrite=overwrite)
        run.screen.print(_columns(found))
        run.found.update({"out": str(out), "columns": [{"name": c.name, "kind": c.kind} for c in found.columns]})


def _columns(found) -> Table:
    screen = Table("column", "kind", "dtype", "details", title=f"{len(found.columns)} columns")
    for c in found.columns:
        details = {
            "categories": ", ".join(map(str, c.categories[:6])) + (", ..." if len(c.categories) > 6 else ""),
            "decimals": c.decimals,
            "increment": c.increment,
            "from": c.lower,
            "to": c.upper,
            "unit": c.unit,
            "missing with": c.missing,
            "zeros of their own": "yes" if c.zero_inflated else None,
        }
        text = "; ".join(f"{name} {value}" for name, value in details.items() if value not in (None, ""))
        screen.add_row(*map(shown, (c.name, c.kind, c.dtype, text)))
    return screen


def fit(
    table: Annotated[Path, typer.Argument(help="CSV file of the training rows.")],
    out: Annotated[Path, typer.Option(help="New file for the model.")],
    seed: Seed,
    synthesizer: Annotated[str, typer.Option(help=SYNTHESIZERS)] = "gaussian_mixture_copula",
    schema: SchemaFile = None,
    max_rows: Annotated[
        int, typer.Option(min=1, help="Of a longer table as many rows, drawn at random, are learned.")
    ] = 50_000,
    overwrite: Overwrite = False,
    allow_formulas: AllowFormulas = False,
    as_json: AsJson = False,
) -> None:
    """Learn a table.

    Example: jaxcop fit train.csv --out model --seed 0 --synthesizer vae_gmm --schema schema.yaml
    """
    with running("fit", as_json) as run:
        check_new(out, overwrite)
        jax = start_jax()
        from jaxcop import _checks, checkpoint, synthesizers, tables

        _checks.one_of(synthesizer, synthesizers.NAMED, "--synthesizer")
        frame, total = tables.read_sample(table, max_rows, seed)
        if total > len(frame):
            run.say(f"Note: learning {len(frame)} of {total} rows, drawn at random; --max-rows takes more.")
        found = tables.infer_schema(frame) if schema is None else tables.read_schema(schema)
        if not allow_formulas:
            tables.check_formulas({column.name: column.categories for column in found.columns})
        run.screen.print(_columns(found))
        with Console(stderr=True).status(f"learning {len(frame)} rows with {synthesizer}"):
            model = synthesizers.fit_table(jax.random.key(seed), frame, found, synthesizer)
            checkpoint.save(out, model, overwrite=overwrite)
        converged = bool(getattr(getattr(model.fitted, "copula", None), "converged", True))
        if not converged:
            run.say("Note: the fit had not converged when its steps were used up; compare with another synthesizer.")
        run.say(f"Wrote {out}. It holds the training values of every column: share it as you would share the table.")
        run.found.update({"out": str(out), "synthesizer": synthesizer, "seed": seed, "rows": len(frame)})
        run.found.update({"total_rows": total, "converged": converged})


def sample(
    model: Annotated[Path, typer.Argument(help="File that `jaxcop fit` wrote.")],
    rows: Annotated[int, typer.Option(min=1, help="How many; ten times the training rows make a good evaluation.")],
    out: Annotated[Path, typer.Option(help="New CSV file.")],
    seed: Seed,
    given: Annotated[
        list[str] | None,
        typer.Option(help="name=value, name=low..high (either may be left out), name=category, or name= (missing)."),
    ] = None,
    overwrite: Overwrite = False,
    allow_formulas: AllowFormulas = False,
    as_json: AsJson = False,
) -> None:
    """Draw synthetic rows.

    Repeat --given for several columns: every row then meets all of them.
    Exit code 3: more than half of the rows broke the constraints, or rows with --given are worth few independent ones.

    Example: jaxcop sample model --rows 2000 --out synthetic.csv --seed 1 --given rock=granite --given depth=2..5
    """
    with running("sample", as_json) as run:
        check_new(out, overwrite)
        jax = start_jax()
        from jaxcop import checkpoint, synthesizers, tables

        loaded = checkpoint.load(model)
        if not isinstance(loaded, synthesizers.TableModel):
            raise ValueError(f"{model}: expected a model of `jaxcop fit`, got a {type(loaded).__name__}; fit one")
        wanted = read_given(given or [], loaded.schema)
        key, acceptance = jax.random.key(seed), synthesizers.Acceptance()
        run.found.update({"out": str(out), "rows": rows, "seed": seed, "synthesizer": loaded.synthesizer})
        with progress() as advance:

            def drawn():
                count = 0
                advance("rows", 0, rows)
                if wanted:
                    frame, report = synthesizers.sample_table_given(key, loaded, rows, wanted)
                    run.found["given"] = report._asdict()
                    parts = [frame]
                else:
                    parts = synthesizers.sample_chunks(key, loaded, rows, report=acceptance)
                for frame in parts:
                    yield frame
                    count += len(frame)
                    advance("rows", count, rows)

            tables.write_csv(out, drawn(), overwrite=overwrite, allow_formulas=allow_formulas)
        run.say(f"Wrote {rows} rows to {out}.")
        if wanted:
            report = run.found["given"]
            run.say(
                f"Drawn by {report['method']}: {report['acceptance']:.1%} of the proposals kept, worth "
                f"{report['effective_size']:.0f} independent rows."
            )
            if report["warning"]:
                run.warn(report["warning"])
        else:
            run.found["acceptance"] = acceptance.rate
            if acceptance.rate < 1:
                run.say(f"{acceptance.rate:.1%} of the rows drawn kept the constraints; the others were drawn anew.")
            if acceptance.retrain:
                run.warn("more than half of the rows broke the constraints: fit again, or another synthesizer")
