"""The command line: a table becomes a model, rows and a verdict; what is wrong ends with one message and code 2."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from jaxcop import _checks, cli, tables
from jaxcop.cli import app
from jaxcop.cli._common import running
from jaxcop.cli._programs import cache_folder
from jaxcop.cli._state import resumable
from jaxcop.evaluation import comparable
from typer.testing import CliRunner


@pytest.fixture
def run(tmp_path_factory, monkeypatch):
    # Programs compiled without optimisation stay out of the user's cache.
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("programs")))

    def run(*args):
        return CliRunner().invoke(app, [str(arg) for arg in args])

    return run


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    n = 90
    x = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "site": np.where(x + rng.normal(size=n) > 0, "north", "south"),
            "x": np.where(rng.random(n) < 0.2, np.nan, x.round(2)),
            "n": rng.integers(0, 9, n),
            "crew": 4,
            "y": (2 * x + 0.1 * rng.normal(size=n)).round(3),
        }
    )
    frame[:60].to_csv(tmp_path / "train.csv", index=False)
    frame[60:].to_csv(tmp_path / "holdout.csv", index=False)
    return tmp_path


def refused(result, *words):
    assert result.exit_code == 2, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output.replace("\n", " ")


def test_from_table_to_rows(run, folder):
    fitted = run("fit", folder / "train.csv", "--out", folder / "model", "--seed", 0, "--synthesizer", "smoothed")
    assert fitted.exit_code == 0, fitted.output
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        drawn = run("sample", folder / "model", "--rows", 150, "--out", folder / name, "--seed", seed)
        assert drawn.exit_code == 0, drawn.output
    train, rows = tables.read_csv(folder / "train.csv"), tables.read_csv(folder / "a.csv")
    assert len(rows) == 150
    assert list(rows.columns) == list(train.columns)
    assert (rows.dtypes == train.dtypes).all()
    assert set(rows["site"]) == {"north", "south"}
    assert (rows["x"].dropna().round(2) == rows["x"].dropna()).all()
    assert 0.05 < rows["x"].isna().mean() < 0.4
    assert (rows["crew"] == 4).all()
    observed = rows.dropna()
    assert observed["x"].corr(observed["y"]) > 0.8
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    assert (folder / "a.csv").read_bytes() != (folder / "c.csv").read_bytes()


def test_an_edited_schema_is_kept_to(run, folder):
    assert run("schema", folder / "train.csv", "--out", folder / "schema.json").exit_code == 0
    tree = json.loads((folder / "schema.json").read_text())
    tree["columns"][4] |= {"lower": -10, "upper": 10, "decimals": 1, "unit": "m"}
    (folder / "schema.json").write_text(json.dumps(tree))
    options = ("--seed", 0, "--synthesizer", "independent", "--schema", folder / "schema.json")
    fitted = run("fit", folder / "train.csv", "--out", folder / "model", *options)
    assert fitted.exit_code == 0, fitted.output
    assert run("sample", folder / "model", "--rows", 50, "--out", folder / "a.csv", "--seed", 1).exit_code == 0
    y = tables.read_csv(folder / "a.csv")["y"]
    assert (y.round(1) == y).all()
    tree["columns"][4]["upper"] = 0
    (folder / "schema.json").write_text(json.dumps(tree))
    refused(run("fit", folder / "train.csv", "--out", folder / "new", *options), "column 'y'", "bounds in the schema")
    assert not (folder / "new").exists()


def test_nothing_is_replaced_unless_told(run, folder):
    for command in (
        ("schema", folder / "train.csv", "--out", folder / "kept"),
        ("fit", folder / "train.csv", "--out", folder / "kept", "--seed", 0),
        ("sample", folder / "model", "--out", folder / "kept", "--seed", 0, "--rows", 3),
        ("evaluate", "--train", folder / "train.csv", "--holdout", folder / "holdout.csv", "--synthetic",
         folder / "train.csv", "--out", folder / "kept"),
    ):  # fmt: skip
        (folder / "kept").write_text("kept")
        refused(run(*command), "exists", "--overwrite")
        assert (folder / "kept").read_text() == "kept"


BAD = {
    "ragged": ("a,b\n1,2\n1,2,3\n", "in line 3"),
    "one row": ("a,b\n1,2\n", "at least 2 rows"),
    "one column": ("a\n1\n2\n", "at least 2 columns that vary"),
    "constant": ("a,b\n1,2\n1,3\n", "at least 2 columns that vary"),
    "huge": ("a,b\n1,2e300\n2,3\n", "finite numbers up to 1e+100"),
    "infinite": ("a,b\n1,inf\n2,3\n", "finite"),
    "beyond float": ("a,b\n1,1e999\n2,3\n", "finite"),
    "identifiers": ("a,b\n" + "".join(f"{i},id{i}\n" for i in range(99)), "identifiers"),
    "formula": ("a,b\n1,=cmd()\n2,x\n3,x\n", "--allow-formulas"),
    "markup": ("a,b\n1,[/red]\n2,3\n4,5\n", "[/red]"),
    "too few rows": ("a,b\n1,2\n2,1\n", "rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_leave_nothing(run, tmp_path, name):
    text, words = BAD[name]
    (tmp_path / "a.csv").write_text(text)
    options = ("--synthesizer", "copula_gaussian") if name == "too few rows" else ()
    refused(run("fit", tmp_path / "a.csv", "--out", tmp_path / "model", "--seed", 0, *options), "Error", words)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_random_bytes_are_refused_or_read(run, tmp_path):
    """Lines with a bit, a byte or a slice changed: a schema is written, or a message and nothing else."""
    rng = np.random.default_rng(0)
    good = b'site,x,ok\n"a, b",0.1,True\nc,2,False\n"d ""e""",,True\n' * 2
    for _ in range(150):
        raw = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            start, stop = sorted(rng.integers(0, len(raw), 2))
            raw[start : min(stop, start + 3)] = rng.bytes(rng.integers(0, 4))
        (tmp_path / "a.csv").write_bytes(raw)
        result = run("schema", tmp_path / "a.csv", "--out", tmp_path / "schema.json", "--overwrite")
        if result.exit_code:
            refused(result, "Error", "expected", "got")
            assert not list(tmp_path.glob("*.json*"))
        (tmp_path / "schema.json").unlink(missing_ok=True)


def test_options_that_cannot_be(run, folder):
    model = folder / "model"
    refused(run("fit", folder / "train.csv", "--out", model, "--seed", 0, "--synthesizer", "gan"), "--synthesizer")
    refused(run("fit", folder / "none.csv", "--out", model, "--seed", 0), "check the path")
    refused(run("fit", folder / "train.csv", "--out", model), "--seed")
    refused(run("sample", folder / "train.csv", "--rows", 3, "--out", folder / "a.csv", "--seed", 0), "checkpoint")
    refused(run("sample", folder / "none", "--rows", 3, "--out", folder / "a.csv", "--seed", 0), "check the path")
    refused(run("sample", folder / "none", "--rows", 0, "--out", folder / "a.csv", "--seed", 0), "--rows")
    (folder / "schema.json").write_text("{}")
    wrong = ("--schema", folder / "schema.json")
    refused(run("fit", folder / "train.csv", "--out", model, "--seed", 0, *wrong), "schema: expected")
    assert {path.name for path in folder.iterdir()} == {"train.csv", "holdout.csv", "schema.json"}


def test_tables_that_cannot_be_compared(run, folder):
    def evaluate(*options):
        result = run("evaluate", "--train", folder / "train.csv", "--out", folder / "report", *options)
        assert not (folder / "report").exists()
        return result

    real = ("--holdout", folder / "holdout.csv")
    (folder / "other.csv").write_text("a,b\n1,2\n2,3\n")
    refused(evaluate(*real, "--synthetic", folder / "other.csv"), "other.csv: expected the columns")
    twice = ("--synthetic", folder / "train.csv", "--synthetic", folder / "train.csv")
    refused(evaluate(*real, *twice), "different names")
    refused(
        evaluate(*real, "--synthetic", folder / "train.csv", "--target", "site"), "target: expected a column of numbers"
    )
    refused(
        evaluate(*real, "--synthetic", folder / "train.csv", "--target", "crew"), "target: expected a column of numbers"
    )
    pd.read_csv(folder / "holdout.csv")[:5].to_csv(folder / "short.csv", index=False)
    refused(evaluate("--holdout", folder / "short.csv", "--synthetic", folder / "train.csv"), "at least 10 rows")


def test_no_other_row_changes_the_training_rows(folder):
    def arrays():
        files = {name: folder / f"{name}.csv" for name in ("train", "holdout")}
        return comparable({name: tables.read_csv(path) for name, path in files.items()}, None, "y")

    before, names, dropped = arrays()
    assert (names, dropped) == (("site", "x", "n", "y", "x missing"), ["crew"])
    holdout = pd.read_csv(folder / "holdout.csv")
    holdout["x"] = holdout["x"] + 50
    holdout.to_csv(folder / "holdout.csv", index=False)
    after, *_ = arrays()
    assert (before[0] == after[0]).all()
    gone = after[1][:, 4] == 1
    assert gone.any()
    assert set(after[1][gone, 1]) == set(before[0][before[0][:, 4] == 1, 1])
    assert (after[1][~gone, 1] > 40).all()


def test_version_and_help_do_not_wait_for_jax(run):
    from jaxcop import __version__

    assert run("--version").output.strip() == f"jaxcop {__version__}"
    for command in ("schema", "fit", "sample", "evaluate", "compare", "sweep", "report"):
        shown = run(command, "--help")
        assert shown.exit_code == 0
        assert f"Example: jaxcop {command}" in shown.output.replace("\n", " ")
    assert "Exit codes: 0 done" in run("--help").output
    program = "import sys, jaxcop.cli; assert not {'jax', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_one_json_object_on_stdout_and_all_text_on_stderr(run, folder):
    written = run("schema", folder / "train.csv", "--out", folder / "a.json", "--json")
    found = json.loads(written.stdout)
    assert found["status"] == "done"
    assert found["columns"][0] == {"name": "site", "kind": "categorical"}
    assert "5 columns" in written.stderr
    again = run("schema", folder / "train.csv", "--out", folder / "a.json", "--json")
    refused(again, "exists")
    assert json.loads(again.stdout)["status"] == "refused"
    assert "expected a new file" in json.loads(again.stdout)["error"]


@pytest.mark.parametrize(
    "error", [ValueError("operands could not be broadcast"), KeyError("x"), ValueError("expected 3, got 4")]
)
def test_a_fault_of_ours_is_not_called_an_error_of_the_input(run, folder, monkeypatch, error):
    """A ValueError without our wording, or raised elsewhere (here: in this file), keeps its traceback: code 1."""

    def read(path):
        raise error

    monkeypatch.setattr(tables, "read_csv", read)
    result = run("schema", folder / "train.csv", "--out", folder / "a.json", "--json")
    assert result.exit_code == 1
    assert result.exception is error
    assert result.stdout == ""


def test_every_message_of_ours_is_known_as_such():
    """``is_refusal`` looks for "expected": each ValueError that this package raises must say it."""
    package = Path(cli.__file__).parents[1]
    silent = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                text = "".join(
                    part.value
                    for part in ast.walk(node.exc)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
                named = getattr(node.exc.func, "id", "") == "ValueError"
                if (
                    named
                    and text
                    and "expected" not in text
                    and not any(isinstance(p, ast.Name) and p.id == "error" for p in ast.walk(node.exc))
                ):
                    silent.append(f"{path.name}:{node.lineno}")
    assert not silent


def test_warnings_make_exit_code_3_and_ctrl_c_130(capsys):
    with pytest.raises(typer.Exit) as end, running("fit", True) as under_way:
        under_way.warn("not good")
    assert end.value.exit_code == 3
    assert json.loads(capsys.readouterr().out) == {"command": "fit", "status": "warning", "warnings": ["not good"]}
    with pytest.raises(typer.Exit) as end, running("fit", True):
        raise KeyboardInterrupt
    assert end.value.exit_code == 130
    assert json.loads(capsys.readouterr().out)["status"] == "interrupted"


def test_what_an_interrupted_run_leaves(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    out = tmp_path / "out"

    def go(end=None, asked=None, **options):
        options = {"resume": False, "overwrite": False} | options
        with resumable(out, asked or {"seed": 0}, tmp_path / "a.csv", **options) as folder:
            before = [path.name for path in folder.glob("part_*")]
            (folder / "part_0").write_text("finished")
            if callable(end):
                end()
            elif end:
                raise end
            (out / "report.html").write_text("done")
        return before

    with pytest.raises(ValueError, match="expected one of"):
        go(lambda: _checks.one_of("a", ("b",), "--target"))
    assert not out.exists()
    with pytest.raises(ValueError, match="of numpy"):
        go(ValueError("of numpy, a fault"))
    assert (out / "unfinished" / "part_0").exists()
    assert go(overwrite=True) == []
    shutil.rmtree(out)
    with pytest.raises(KeyboardInterrupt):
        go(KeyboardInterrupt())
    assert (out / "unfinished" / "part_0").exists()
    with pytest.raises(ValueError, match="--resume or --overwrite"):
        go()
    with pytest.raises(ValueError, match="got another seed"):
        go(asked={"seed": 1}, resume=True)
    assert (out / "unfinished" / "part_0").exists()
    assert go(resume=True) == ["part_0"]
    assert [path.name for path in out.iterdir()] == ["report.html"]
    with pytest.raises(ValueError, match="expected a new folder"):
        go(resume=True)
    assert go(overwrite=True) == []
    with pytest.raises(KeyboardInterrupt):
        go(KeyboardInterrupt(), overwrite=True)
    assert go(asked={"seed": 1}, overwrite=True) == []
    with pytest.raises(KeyboardInterrupt):
        go(KeyboardInterrupt(), overwrite=True)
    (tmp_path / "a.csv").write_text("a,b\n1,3\n")
    with pytest.raises(ValueError, match="got another table"):
        go(resume=True)


def test_long_commands_refuse_early_and_leave_nothing(run, folder):
    train, out = folder / "train.csv", folder / "out"
    refused(run("compare", train, "--out", out, "--seed", 0, "--target", "z"), "target: expected one of")
    refused(run("compare", train, "--out", out, "--seed", 0, "--synthesizer", "gan"), "synthesizer: expected one of")
    refused(run("compare", train, "--out", out, "--seed", 0, "--folds", 12), "at least 10 rows in each")
    refused(run("sweep", train, "--out", out, "--seed", 0, "--set", "beta_max"), "--set: expected name=number")
    refused(run("sweep", train, "--out", out, "--seed", 0, "--set", "a=1", "--set", "a=2"), "each name once")
    refused(run("sweep", train, "--out", out, "--seed", 0, "--group", "x"), "group: expected a label in every row")
    refused(run("report", folder), "expected a folder of evaluate, compare or sweep")
    (folder / "sweep.json").write_text('{"format": "other"}')
    refused(run("report", folder), "expected the format jaxcop-sweep-1, got 'other'")
    assert not out.exists()


def test_places_that_cannot_be_written_and_texts_that_a_terminal_would_obey(run, folder):
    (folder / "file").write_text("kept")
    refused(run("schema", folder / "train.csv", "--out", folder / "file" / "a.json"), "expected a folder to write to")
    refused(run("compare", folder / "train.csv", "--out", folder / "file" / "out", "--seed", 0), "a folder to write to")
    (folder / "link.json").symlink_to(folder / "nowhere")
    refused(run("schema", folder / "train.csv", "--out", folder / "link.json"), "exists")
    (folder / "odd.csv").write_text("a\x1b[31m,a\x1b[31m\n1,2\n")
    odd = run("schema", folder / "odd.csv", "--out", folder / "a.json")
    refused(odd, "\\x1b")
    assert "\x1b" not in odd.output


def test_shell_completion():
    environment = os.environ | {"_JAXCOP_COMPLETE": "source_bash"}
    command = [sys.executable, "-m", "jaxcop.cli"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "complete -o default -F" in shown.stdout
    environment |= {"_JAXCOP_COMPLETE": "complete_bash", "COMP_WORDS": "jaxcop com", "COMP_CWORD": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["compare"]


def test_where_programs_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jaxcop" / "programs"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "jaxcop" / "programs"


@pytest.mark.slow
def test_from_table_to_verdict(run, folder):
    fitted = run("fit", folder / "train.csv", "--out", folder / "model", "--seed", 0)
    assert fitted.exit_code == 0, fitted.output
    assert run("sample", folder / "model", "--rows", 600, "--out", folder / "a.csv", "--seed", 1).exit_code == 0
    files = ("--train", folder / "train.csv", "--holdout", folder / "holdout.csv", "--synthetic", folder / "a.csv")
    options = ("--target", "y", "--out", folder / "report", "--resamples", 3, "--permutations", 19)
    command = ("evaluate", *files, *options)
    judged = run(*command)
    # 3: done, and none is recommended.
    assert judged.exit_code in (0, 3), judged.output
    assert "'crew' is constant" in judged.output
    found = json.loads((folder / "report" / "evaluation.json").read_text())
    assert found["columns"] == ["site", "x", "n", "y", "x missing"]
    assert found["leaked_share"] == 0
    assert (folder / "report" / "report.html").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    refused(run(*command), "exists")
    (folder / "report" / "notes.txt").write_text("mine")
    assert run(*command, "--overwrite").exit_code == judged.exit_code
    assert (folder / "report" / "notes.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copula_gaussian", "copula_student_t", "vae", "vae_gmm", "bootstrap"])
def test_every_synthesizer_by_name(run, folder, name):
    fitted = run("fit", folder / "train.csv", "--out", folder / "model", "--seed", 0, "--synthesizer", name)
    assert fitted.exit_code == 0, fitted.output
    assert run("sample", folder / "model", "--rows", 100, "--out", folder / "a.csv", "--seed", 1).exit_code == 0
    rows = tables.read_csv(folder / "a.csv")
    schema = tables.infer_schema(tables.read_csv(folder / "train.csv"))
    assert len(tables.encode(rows, schema)) == 100
