"""A folder that an interrupted command can go on from: what was asked for, and the parts that are finished."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from jaxcop.cli._common import check_new_folder, is_refusal

NAME = "unfinished"
"""The folder inside --out; it is gone when the command has finished."""


@contextmanager
def resumable(out: Path, asked: dict, table: Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """The folder for finished parts, in ``out``; it stays where the command is killed, interrupted or at fault.

    Raises ValueError where ``out`` holds a run that was interrupted and neither ``resume`` nor ``overwrite`` is given,
    files of something else, or a run of other options, another table or another version.
    """
    folder = out / NAME
    asked = asked | {
        "table": hashlib.sha256(table.read_bytes()).hexdigest(),
        "versions": {name: version(name) for name in ("jaxcop", "jax")},
    }
    if folder.is_dir() and resume and not overwrite:
        before = _read(folder / "asked.json")
        other = sorted(name for name in asked if before.get(name) != asked[name])
        if other:
            raise ValueError(
                f"{out}: expected the interrupted run of the same command, got another {', '.join(other)}; repeat its "
                "options, or start again with --overwrite"
            )
    elif folder.is_dir() and not overwrite:
        raise ValueError(f"{out}: expected a new folder, got an interrupted run; pass --resume or --overwrite")
    else:
        check_new_folder(out, overwrite)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    try:
        yield folder
    except ValueError as error:
        # What was refused leaves nothing behind.
        if is_refusal(error):
            _clear(out)
        raise
    _clear(out)


def _clear(out: Path) -> None:
    shutil.rmtree(out / NAME)
    if not any(out.iterdir()):
        out.rmdir()


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
