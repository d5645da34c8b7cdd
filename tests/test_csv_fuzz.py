"""Five hundred malformed tables, schemas, models and paths: one message each, exit code 2, and no file left behind."""

import json
import random
from pathlib import Path

import pytest
from jaxcop import tables
from jaxcop.cli import app
from typer.testing import CliRunner

import malformed

CASES, DEFAULT = 500, 100


def _contents(folder: Path) -> dict:
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


def check(seed: int, folder: Path) -> None:
    name, arguments = malformed.command(seed, folder)
    before = _contents(folder)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    where = (seed, name, arguments, result.output[-2000:], result.exception)
    assert result.exit_code == 2, where
    assert isinstance(result.exception, SystemExit), where
    assert "Traceback" not in result.output, where
    assert "Error" in result.output, where
    # What was expected, or what typer or the system says of a path; never a page of the file.
    assert any(word in result.output for word in ("expected", "[Errno", "Invalid value")), where
    assert len(result.output) < 3000, where
    assert not any(letter < " " and letter not in "\n\t\r" for letter in result.output), where
    assert _contents(folder) == before, where


def test_the_good_table_is_good(tmp_path):
    """Else every case would be refused for the wrong reason."""
    (tmp_path / "good.csv").write_text(malformed.GOOD)
    (tmp_path / "schema.json").write_text(json.dumps(malformed.good_schema()))
    frame, schema = tables.read_csv(tmp_path / "good.csv"), tables.read_schema(tmp_path / "schema.json")
    assert tables.decode(tables.encode(frame, schema), schema).equals(frame)
    chance = random.Random(0)
    for _ in range(30):
        (tmp_path / "a.csv").write_text(malformed.text_of(malformed.cells_of(chance)))
        assert len(tables.infer_schema(tables.read_csv(tmp_path / "a.csv")).columns) >= 2


@pytest.mark.parametrize("part", range(4))
def test_malformed_input_is_refused(tmp_path, part):
    for seed in range(part, DEFAULT, 4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check(seed, folder)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_five_hundred_are_refused(tmp_path, part):
    for seed in range(part, CASES, 8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check(seed, folder)
