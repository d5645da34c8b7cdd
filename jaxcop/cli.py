"""The command line: from a CSV file to a model, to synthetic rows, to a verdict.

What a user hands over wrongly ends with one message and exit code 2; files appear whole or not at all, and none is
replaced unless told.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

try:
    import typer
except ImportError:
    raise SystemExit('jaxcop: the command line needs typer; pip install "jaxcop[cli]"') from None

# jax and all that is built on it is imported by the commands that need it: help must not wait for it.

HELP = """Synthetic rows of a small table, with a verdict on them.

Example, from a table to a verdict:

  jaxcop fit train.csv --out model --seed 0

  jaxcop sample model --rows 2000 --out synthetic.csv --seed 1

  jaxcop evaluate --train train.csv --holdout holdout.csv --synthetic synthetic.csv --target y --out report
"""
SYNTHESIZERS = (
    "gaussian_mixture_copula, copula_gaussian, copula_student_t, vae, vae_gmm; or a control: smoothed, independent, "
    "bootstrap (which repeats the training rows)"
)
app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed and versions give the same result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what --out names.")]
SchemaFile = Annotated[Path | None, typer.Option(help="Schema (see `jaxcop schema`); default: inferred.")]
AllowFormulas = Annotated[
    bool, typer.Option("--allow-formulas", help="Keep texts that a spreadsheet would run, as =cmd(); else refused.")
]


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors of input as one message and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        Console(stderr=True).print(f"[bold red]Error[/]: {_shown(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(2) from None


def _new(path: Path, overwrite: bool) -> None:
    """Refuse, before long work, a path that cannot be written."""
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        raise ValueError(f"{path}: expected a new file, got one that exists; pass --overwrite or another path")
    _place(path)


def _place(path: Path) -> None:
    """Refuse, before long work, a path below what is no folder or cannot be written to."""
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ValueError(f"{path}: expected a folder to write to, got {above}; choose another path")


def _shown(text: str) -> str:
    """Text of a file as it may stand on a terminal: markup and control characters do nothing there."""
    return escape("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))


def _say(text: str) -> None:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _wide():
    """jax in 64 bits: a table's numbers must come back to the last digit."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _version(value: bool) -> None:
    if value:
        typer.echo(f"jaxcop {version('jaxcop')}")
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def schema(
    table: Annotated[Path, typer.Argument(help="CSV file.")],
    out: Annotated[Path, typer.Option(help="New file, .json or .yaml.")],
    overwrite: Overwrite = False,
) -> None:
    """Infer what the columns are, as a file to edit: kinds, decimals, bounds, units, missing values.

    Example: jaxcop schema train.csv --out schema.yaml
    """
    with _refusals():
        from jaxcop import tables

        _new(out, overwrite)
        found = tables.infer_schema(tables.read_csv(table))
        tables.write_schema(out, found, overwrite=overwrite)
        Console().print(_columns(found))


def _columns(found) -> Table:
    shown = Table("column", "kind", "dtype", "details", title=f"{len(found.columns)} columns")
    for c in found.columns:
        details = {
            "categories": ", ".join(map(str, c.categories[:6])) + (", ..." if len(c.categories) > 6 else ""),
            "decimals": c.decimals,
            "increment": c.increment,
            "from": c.lower,
            "to": c.upper,
            "unit": c.unit,
            "missing with": c.missing,
        }
        text = "; ".join(f"{name} {value}" for name, value in details.items() if value not in (None, ""))
        shown.add_row(*map(_shown, (c.name, c.kind, c.dtype, text)))
    return shown


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="CSV file of the training rows.")],
    out: Annotated[Path, typer.Option(help="New file for the model.")],
    seed: Seed,
    synthesizer: Annotated[str, typer.Option(help=SYNTHESIZERS)] = "gaussian_mixture_copula",
    schema: SchemaFile = None,
    overwrite: Overwrite = False,
    allow_formulas: AllowFormulas = False,
) -> None:
    """Learn a table.

    Example: jaxcop fit train.csv --out model --seed 0 --synthesizer vae_gmm --schema schema.yaml
    """
    with _refusals():
        _new(out, overwrite)
        jax = _wide()
        from jaxcop import _checks, checkpoint, synthesizers, tables

        _checks.one_of(synthesizer, synthesizers.NAMED, "--synthesizer")
        frame = tables.read_csv(table)
        found = tables.infer_schema(frame) if schema is None else tables.read_schema(schema)
        if not allow_formulas:
            tables.check_formulas({column.name: column.categories for column in found.columns})
        Console().print(_columns(found))
        with Console(stderr=True).status(f"learning {len(frame)} rows with {synthesizer}"):
            model = synthesizers.fit_table(jax.random.key(seed), frame, found, synthesizer)
            checkpoint.save(out, model, overwrite=overwrite)
        if not getattr(getattr(model.fitted, "copula", None), "converged", True):
            _say("Note: the fit had not converged when its steps were used up; compare with another synthesizer.")
        _say(f"Wrote {out}. It holds the training values of every column: share it as you would share the table.")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="File that `jaxcop fit` wrote.")],
    rows: Annotated[int, typer.Option(min=1, help="How many; ten times the training rows make a good evaluation.")],
    out: Annotated[Path, typer.Option(help="New CSV file.")],
    seed: Seed,
    overwrite: Overwrite = False,
    allow_formulas: AllowFormulas = False,
) -> None:
    """Draw synthetic rows.

    Example: jaxcop sample model --rows 2000 --out synthetic.csv --seed 1
    """
    with _refusals():
        _new(out, overwrite)
        jax = _wide()
        from jaxcop import checkpoint, synthesizers, tables

        loaded = checkpoint.load(model)
        if not isinstance(loaded, synthesizers.TableModel):
            raise ValueError(f"{model}: expected a model of `jaxcop fit`, got a {type(loaded).__name__}; fit one")
        progress = Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=Console(stderr=True))
        with progress:
            task = progress.add_task("rows", total=rows)

            def drawn():
                for frame in synthesizers.sample_chunks(jax.random.key(seed), loaded, rows):
                    yield frame
                    progress.advance(task, len(frame))

            tables.write_csv(out, drawn(), overwrite=overwrite, allow_formulas=allow_formulas)
        _say(f"Wrote {rows} rows to {out}.")


@app.command()
def evaluate(
    train: Annotated[Path, typer.Option(help="CSV file of the rows that were learned.")],
    holdout: Annotated[Path, typer.Option(help="CSV file of real rows that were not.")],
    synthetic: Annotated[list[Path], typer.Option(help="CSV file of synthetic rows; repeat it to compare several.")],
    out: Annotated[Path, typer.Option(help="New folder for report.html, report.md, evaluation.json, figures.")],
    target: Annotated[str | None, typer.Option(help="Column of numbers to predict; without it, no utility.")] = None,
    seed: Seed = 0,
    schema: SchemaFile = None,
    resamples: Annotated[int, typer.Option(min=2, help="Times that rows are drawn anew.")] = 10,
    permutations: Annotated[int, typer.Option(min=0, help="Of each test; 0 leaves p-values out.")] = 199,
    overwrite: Overwrite = False,
) -> None:
    """Judge synthetic rows beside real rows and simple controls.

    Example: jaxcop evaluate --train train.csv --holdout holdout.csv --synthetic synthetic.csv --target y --out report
    """
    with _refusals():
        if out.exists() and not (out.is_dir() and (overwrite or not any(out.iterdir()))):
            raise ValueError(f"{out}: expected a new folder, got one that exists; pass --overwrite or another path")
        _place(out)
        names = [path.stem for path in synthetic]
        if len(set(names)) < len(names):
            raise ValueError(f"--synthetic: expected files of different names, got {names}; rename them")
        import jax

        from jaxcop import evaluation
        from jaxcop.report import evaluation as report

        arrays, columns, dropped = _numbers([train, holdout, *synthetic], schema, target)
        for name in dropped:
            _say(f"Note: column {name!r} is constant in the training rows and is left out.")
        progress = Progress(
            TextColumn("{task.description}"), *Progress.get_default_columns()[1:3], TimeRemainingColumn(),
            console=Console(stderr=True),
        )  # fmt: skip
        with progress, warnings.catch_warnings():
            # What evaluate warns of is a note of the report, too.
            warnings.simplefilter("ignore", UserWarning)
            tasks = {}

            def advance(stage: str, done: int, total: int) -> None:
                task = tasks.setdefault(stage, None) or progress.add_task(stage, total=total)
                tasks[stage] = task
                progress.update(task, completed=done, total=total)

            found = evaluation.evaluate(
                jax.random.key(seed), arrays[0], arrays[1], dict(zip(names, arrays[2:], strict=True)),
                target=target, columns=columns, resamples=resamples, permutations=permutations, progress=advance,
            )  # fmt: skip
        _publish(out, lambda folder: report.save(found, folder))
        report.show_verdicts(found, Console())
        _say(f"Wrote {out / 'report.html'}, with every score.")


def _numbers(paths: list[Path], schema: Path | None, target: str | None):
    """The tables as arrays on one schema without bounds, names of the columns, and names of constant ones left out."""
    from jaxcop import tables

    frames = [tables.read_csv(path) for path in paths]
    wanted = list(frames[0].columns)
    for path, frame in zip(paths, frames, strict=True):
        if set(frame.columns) != set(wanted):
            raise ValueError(f"{path}: expected the columns {wanted}, got {list(frame.columns)}; give all the same")
    together = tables.concatenate(frames)
    found = tables.infer_schema(together) if schema is None else tables.read_schema(schema)
    # Rows out of bounds are for the scores to find, not an error.
    found = replace(found, columns=tuple(replace(column, lower=None, upper=None) for column in found.columns))
    if target is not None and target not in (
        column.name for column in found.columns if column.kind in ("continuous", "integer", "boolean")
    ):
        raise ValueError(f"--target: expected a column of numbers that vary, got {target!r}; choose another")
    # A missing cell is the training rows' median in every table: the same number, and no test row has a say in it.
    arrays, columns = [], tables.array_columns(found)
    for path, frame in zip(paths, frames, strict=True):
        with _at(path):
            arrays.append(tables.encode(frame, found, reference=frames[0]))
    varies = arrays[0].min(axis=0) < arrays[0].max(axis=0)
    kept = [name for name, keep in zip(columns, varies, strict=True) if keep]
    if not kept or (target is not None and target not in kept):
        raise ValueError(f"{paths[0]}: expected {target or 'columns'} to vary, got a constant; check the file")
    dropped = [column.name for column in found.columns if column.name not in kept]
    return [array[:, varies] for array in arrays], tuple(kept), dropped


@contextmanager
def _at(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _publish(folder: Path, write) -> None:
    """``write(temporary)`` beside ``folder``, then renames: no reader sees half a report, and other files stay."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}"))
    try:
        write(scratch / "report")
        if not folder.exists():
            os.rename(scratch / "report", folder)
            return
        for path in sorted((scratch / "report").iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(scratch)


def main() -> None:
    """Entry point of the command ``jaxcop``."""
    app(prog_name="jaxcop")


if __name__ == "__main__":
    main()
