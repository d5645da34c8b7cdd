"""Whole commands in processes of their own: interrupted, killed, resumed, and reports written again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def train(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    frame = pd.DataFrame(
        {"x": x.round(3), "z": rng.normal(size=80).round(3), "y": (2 * x + rng.normal(size=80)).round(3)}
    )
    frame.to_csv(tmp_path / "train.csv", index=False)
    return tmp_path / "train.csv"


def start(cache, *args):
    # A process started in the background may have been told to ignore SIGINT, and its children inherit that. No
    # ``preexec_fn``: jax in this process warns of a fork.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "jaxcop.cli", *map(str, args)],
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process):
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def wait_for(folder: Path, pattern: str, process) -> None:
    for _ in range(3000):
        if any(folder.rglob(pattern)) or process.poll() is not None:
            return
        time.sleep(0.1)
    raise TimeoutError(pattern)


def scores(path):
    document = json.loads(path.read_text())
    return {name: document[name] for name in document if name not in ("versions", "device")}


def test_compare_is_interrupted_and_goes_on(train, tmp_path, cache):
    out = tmp_path / "out"
    command = (
        "compare",
        train,
        "--target",
        "y",
        "--seed",
        0,
        "--folds",
        3,
        "--synthesizer",
        "copula_gaussian",
        "--json",
    )
    process = start(cache, *command, "--out", out)
    wait_for(out, "fold_0.json", process)
    process.send_signal(signal.SIGINT)
    code, text, err = finish(process)
    assert code == 130, err
    assert json.loads(text)["status"] == "interrupted"
    assert "Traceback" not in err
    assert [path.name for path in out.iterdir()] == ["unfinished"]
    first = next(out.rglob("fold_0.json"))
    stamp = first.stat().st_mtime_ns
    code, _, err = finish(start(cache, *command, "--out", out))
    assert (code, "--resume" in err) == (2, True)
    assert first.stat().st_mtime_ns == stamp
    code, text, err = finish(start(cache, *command, "--out", out, "--resume"))
    assert code in (0, 3), err
    assert json.loads(text)["recommended"] == "copula_gaussian"
    assert not (out / "unfinished").exists()
    code, _, err = finish(start(cache, *command, "--out", tmp_path / "whole"))
    assert code in (0, 3), err
    assert scores(out / "comparison.json") == scores(tmp_path / "whole" / "comparison.json")
    # A report from the saved file alone is the same report.
    code, _, err = finish(start(cache, "report", out, "--out", tmp_path / "again"))
    assert code == 0, err
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_sweep_is_killed_and_goes_on(train, tmp_path, cache):
    out = tmp_path / "out"
    command = (
        "sweep", train, "--target", "y", "--seed", 0, "--synthesizer", "vae", "--seeds", 5, "--folds", 2,
        "--set", "beta_max=0.05,0.5", "--json",
    )  # fmt: skip
    process = start(cache, *command, "--out", out)
    wait_for(out, "00000000", process)
    process.kill()
    finish(process)
    assert any(out.rglob("00000000"))
    process = start(cache, *command, "--out", out, "--resume")
    wait_for(out, "sweep.json", process)
    code, text, err = finish(process)
    assert code == 0, err
    found = json.loads(text)
    assert found["chosen"]["beta_max"] in (0.05, 0.5)
    assert sorted(path.name for path in out.iterdir()) == [
        "model",
        "report.html",
        "report.md",
        "sweep.json",
        "sweep.png",
    ]
    code, _, err = finish(start(cache, "sample", out / "model", "--rows", 50, "--seed", 1, "--out", tmp_path / "s.csv"))
    assert code == 0, err
    assert len(pd.read_csv(tmp_path / "s.csv")) == 50
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    code, _, err = finish(start(cache, "report", out))
    assert code == 0, err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_report_of_an_evaluation_is_written_again(train, tmp_path, cache):
    frame = pd.read_csv(train)
    for name, rows in (("a", frame[:50]), ("b", frame[50:]), ("c", frame[10:70])):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    files = ("--train", tmp_path / "a.csv", "--holdout", tmp_path / "b.csv", "--synthetic", tmp_path / "c.csv")
    options = ("--target", "y", "--resamples", 2, "--permutations", 0, "--out", tmp_path / "out", "--json")
    code, text, err = finish(start(cache, "evaluate", *files, *options))
    # The synthetic table is real rows, most of them copies.
    assert code == 3, err
    assert "c repeats its training rows" in json.loads(text)["warnings"]
    code, _, err = finish(start(cache, "report", tmp_path / "out", "--out", tmp_path / "again"))
    assert code == 0, err
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
