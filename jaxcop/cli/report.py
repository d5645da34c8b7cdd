"""``jaxcop report``: a report once more, from its JSON file."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from jaxcop.cli._common import AsJson, Overwrite, check_new_folder, publish, running


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that evaluate, compare or sweep wrote.")],
    out: Annotated[Path | None, typer.Option(help="New folder; default: the same, whose report is replaced.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write Markdown, HTML and figures anew from the saved JSON; nothing is computed again.

    Figures that show rows (of evaluate) are not in the JSON file: they are taken as they are in the folder.

    Example: jaxcop report comparison --out again
    """
    with running("report", as_json) as run:
        found = [folder / name for name in ("evaluation.json", "comparison.json", "sweep.json")]
        found = [path for path in found if path.is_file()]
        if len(found) != 1:
            raise ValueError(
                f"{folder}: expected a folder of evaluate, compare or sweep, got {len(found)} of their JSON files; "
                "check the path"
            )
        if out is not None and out != folder:
            check_new_folder(out, overwrite)
        _check_format(found[0])
        publish(out or folder, lambda scratch: _rebuild(found[0], scratch))
        run.say(f"Wrote {(out or folder) / 'report.html'}.")
        run.found.update({"out": str(out or folder), "kind": found[0].stem})


def _check_format(path: Path) -> None:
    """Refuse a file that another program, or a newer one, wrote."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError):
        written = "no JSON with a format"
    if written != f"jaxcop-{path.stem}-1":
        raise ValueError(f"{path}: expected the format jaxcop-{path.stem}-1, got {written!r}; use what wrote it")


def _rebuild(path: Path, scratch: Path) -> None:
    if path.stem == "evaluation":
        from jaxcop.report import evaluation

        scratch.mkdir()
        for picture in path.parent.glob("*.png"):
            shutil.copy(picture, scratch)
        evaluation.save(evaluation.load(path), scratch)
    elif path.stem == "comparison":
        from jaxcop.report import comparison

        comparison.save(comparison.load(path), scratch)
    else:
        from jaxcop.report import sweep

        sweep.save(sweep.load(path), scratch)
        if (path.parent / "model").exists():
            shutil.copy(path.parent / "model", scratch)
    # As it was computed, with the versions and the device of then.
    shutil.copy(path, scratch)
