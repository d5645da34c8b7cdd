"""What ``--given`` says, and that ``fit`` and ``sample`` hand on and report what the package returns."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from jaxcop import synthesizers, tables
from jaxcop.cli import app
from jaxcop.cli._given import read_given
from typer.testing import CliRunner

SCHEMA = tables.Schema(
    (
        tables.Column("x", "continuous", "float64", missing="x"),
        tables.Column("n", "integer", "int64"),
        tables.Column("site", "categorical", "str", ("north", "South", "south", "=")),
        tables.Column("level", "categorical", "int64", (1, 2)),
        tables.Column("wet", "boolean", "bool"),
    )
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=1.5", 1.5),
        ("x=-2..3", (-2.0, 3.0)),
        ("x=..0.5", (-math.inf, 0.5)),
        ("n=4..", (4.0, math.inf)),
        ("x=-1e-3..2.", (-1e-3, 2.0)),
        ("x=", None),
        ("site=North", "north"),
        ("site=South", "South"),
        ("site==", "="),
        ("level=2", 2),
        ("wet=true", True),
    ],
)
def test_text_becomes_values_by_the_kind_of_the_column(text, value):
    name = text.partition("=")[0]
    found = read_given([text], SCHEMA)
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize("text", ["z=1", "x", "x=high", "x=1..b", "site=SOUTH", "site=east", "wet=1", "level=3"])
def test_text_that_says_nothing_is_refused(text):
    with pytest.raises(ValueError, match="--given: expected"):
        read_given([text], SCHEMA)


def test_a_column_is_given_once():
    with pytest.raises(ValueError, match="each column once"):
        read_given(["x=1", "x=2"], SCHEMA)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"site": rng.choice(["p", "q"], 40), "x": rng.normal(size=40).round(2)})
    frame.to_csv(tmp_path / "train.csv", index=False)
    fitted = run("fit", tmp_path / "train.csv", "--out", tmp_path / "model", "--seed", 0, "--synthesizer", "bootstrap")
    assert json.loads(fitted.stdout)["total_rows"] == 40
    return tmp_path / "model"


def run(*args):
    return CliRunner().invoke(app, [*map(str, args), "--json"])


def test_given_reaches_the_sampler_and_its_report_the_user(model, tmp_path, monkeypatch):
    seen = []

    def draw(key, loaded, rows, given):
        seen.append((rows, given))
        report = {"method": "importance", "num_rows": rows, "acceptance": 0.25, "effective_size": 3.0}
        frame = pd.DataFrame({"site": ["p"] * rows, "x": [0.5] * rows})
        return frame, SimpleNamespace(_asdict=lambda: report | {"warning": "worth 3 rows" if rows > 5 else ""})

    monkeypatch.setattr(synthesizers, "sample_table_given", draw)
    for rows, code in ((5, 0), (6, 3)):
        options = ("--rows", rows, "--out", tmp_path / f"{rows}.csv", "--seed", 1)
        result = run("sample", model, *options, "--given", "site=p", "--given", "x=0..1")
        assert result.exit_code == code, result.output
        assert seen[-1] == (rows, {"site": "p", "x": (0.0, 1.0)})
        assert json.loads(result.stdout)["given"]["method"] == "importance"
        assert "Drawn by importance: 25.0% of the proposals kept, worth 3 independent rows" in result.stderr
        assert len(pd.read_csv(tmp_path / f"{rows}.csv")) == rows


def test_rejected_rows_are_reported_and_many_of_them_warned_of(model, tmp_path, monkeypatch):
    for accepted, code in ((90, 0), (40, 3)):

        def draw(key, loaded, rows, *, report, accepted=accepted):
            report.proposed, report.accepted = 100, accepted
            yield pd.DataFrame({"site": ["p"] * rows, "x": [0.5] * rows})

        monkeypatch.setattr(synthesizers, "sample_chunks", draw)
        result = run("sample", model, "--rows", 5, "--out", tmp_path / f"{accepted}.csv", "--seed", 1)
        assert result.exit_code == code, result.output
        assert json.loads(result.stdout)["acceptance"] == accepted / 100
        assert f"{accepted}.0% of the rows drawn kept the constraints" in result.stderr


def test_a_long_table_is_learned_in_part_and_says_so(model, tmp_path):
    options = ("--seed", 0, "--synthesizer", "bootstrap", "--max-rows", 25)
    result = run("fit", tmp_path / "train.csv", "--out", tmp_path / "part", *options)
    assert result.exit_code == 0, result.output
    assert "learning 25 of 40 rows" in result.stderr
    found = json.loads(result.stdout)
    assert (found["rows"], found["total_rows"]) == (25, 40)
