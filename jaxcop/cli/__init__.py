"""The command line: from a CSV file to a model, to synthetic rows, to a verdict.

What a user hands over wrongly ends with one message and exit code 2; files appear whole or not at all, and none is
replaced unless told.
"""

from importlib.metadata import version
from typing import Annotated

try:
    import typer
except ImportError:
    raise SystemExit('jaxcop: the command line needs typer; pip install "jaxcop[cli]"') from None

from jaxcop.cli.compare import compare
from jaxcop.cli.evaluate import evaluate
from jaxcop.cli.model import fit, sample, schema
from jaxcop.cli.report import report
from jaxcop.cli.sweep import sweep

# jax and all that is built on it is imported by the commands that need it: help must not wait for it.

HELP = """Synthetic rows of a small table, with a verdict on them.

Example, from a table to a verdict:

  jaxcop fit train.csv --out model --seed 0

  jaxcop sample model --rows 2000 --out synthetic.csv --seed 1

  jaxcop evaluate --train train.csv --holdout holdout.csv --synthetic synthetic.csv --target y --out report

Exit codes: 0 done; 1 a fault of this program, with a traceback; 2 refused, with a message and nothing written; 3 done,
with a warning in the verdict; 130 interrupted (compare and sweep go on with --resume).
"""
app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"jaxcop {version('jaxcop')}")
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


for _command in (schema, fit, sample, evaluate, compare, sweep, report):
    app.command()(_command)


def main() -> None:
    """Entry point of the command ``jaxcop``."""
    app(prog_name="jaxcop")
