"""What all commands share: options, exit codes, what people read and what machines read, progress, whole files."""

import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

DONE, FAULT, REFUSED, WARNING, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes; a fault is an exception that nothing here catches."""

PACKAGE = Path(__file__).parents[1]
SYNTHESIZERS = (
    "gaussian_mixture_copula, copula_gaussian, copula_student_t, vae, vae_gmm; or a control: smoothed, independent, "
    "bootstrap (which repeats the training rows)"
)
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed and versions give the same result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what --out names.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of the same command.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; all text goes to stderr.")]
SchemaFile = Annotated[Path | None, typer.Option(help="Schema (see `jaxcop schema`); default: inferred.")]
AllowFormulas = Annotated[
    bool, typer.Option("--allow-formulas", help="Keep texts that a spreadsheet would run, as =cmd(); else refused.")
]
Target = Annotated[str | None, typer.Option(help="Column of numbers to predict; without it, no utility.")]


class Run(NamedTuple):
    """One command under way: ``screen`` for people, ``found`` for machines; ``found["warnings"]`` make exit code 3."""

    screen: Console
    found: dict[str, Any]

    def say(self, text: str) -> None:
        """A line on stderr, as it is."""
        Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A line on stderr that also makes the exit code 3."""
        Console(stderr=True).print(f"[bold yellow]Warning[/]: {shown(text)}", highlight=False, soft_wrap=True)
        self.found["warnings"].append(text)


@contextmanager
def running(command: str, as_json: bool) -> Iterator[Run]:
    """Carry out a command: what it leaves in ``found`` is printed if wanted, and its end becomes an exit code."""
    run = Run(Console(stderr=as_json), {"command": command, "status": "done", "warnings": []})
    code = DONE
    try:
        yield run
        if run.found["warnings"]:
            run.found["status"], code = "warning", WARNING
    except (ValueError, OSError) as error:
        if not is_refusal(error):
            raise
        Console(stderr=True).print(f"[bold red]Error[/]: {shown(str(error))}", soft_wrap=True, highlight=False)
        run.found.update({"status": "refused", "error": str(error)})
        code = REFUSED
    except KeyboardInterrupt:
        run.say("Interrupted.")
        run.found["status"], code = "interrupted", INTERRUPTED
    if as_json:
        typer.echo(json.dumps(run.found, allow_nan=False))
    if code:
        raise typer.Exit(code)


def is_refusal(error: Exception) -> bool:
    """Whether an error says what is wrong with the input; any other is a fault of this program, and is shown as one.

    Our own messages are raised in this package and say what was expected; numpy, pandas and jax raise ValueError, too.
    """
    if isinstance(error, OSError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return "expected" in str(error) and bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """``advance(stage, done, total)``, a bar for each stage with the time that is left, on stderr."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield advance


def shown(text: str) -> str:
    """Text of a file as it may stand on a terminal: markup and control characters do nothing there."""
    return escape("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse, before long work, a path that cannot be written."""
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        raise ValueError(f"{path}: expected a new file, got one that exists; pass --overwrite or another path")
    _check_place(path)


def check_new_folder(path: Path, overwrite: bool) -> None:
    """Refuse, before long work, a folder that holds files or cannot be made."""
    if path.exists() and not (path.is_dir() and (overwrite or not any(path.iterdir()))):
        raise ValueError(f"{path}: expected a new folder, got one that exists; pass --overwrite or another path")
    _check_place(path)


def _check_place(path: Path) -> None:
    """Refuse a path below what is no folder or cannot be written to."""
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ValueError(f"{path}: expected a folder to write to, got {above}; choose another path")


def publish(folder: Path, write: Callable[[Path], object]) -> None:
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
