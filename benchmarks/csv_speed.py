"""From a CSV file to a verdict: time and peak memory of each command, and of files of a million rows.

    python benchmarks/csv_speed.py
    python benchmarks/csv_speed.py --rows 100000 --draws 100000 --resamples 2 --permutations 9      # a quick look

Each line is a process of its own, imports and compilation included. `fit`, `sample` and `evaluate` run on a table of
300 x 10, first with an empty compilation cache, then on another table of the same width with the cache that this left.
Then a long file: read, drawn from and fitted, sampled from.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from jaxcop import tables

SMALL, SUBSAMPLE, CHUNK = 300, 2000, 100_000

READ = "import sys; from jaxcop import tables; print(tables.read_csv(sys.argv[1]).shape)"
FIT = """
import sys, jax
jax.config.update("jax_enable_x64", True)
from jaxcop import checkpoint, synthesizers, tables
frame, total = tables.read_sample(sys.argv[1], int(sys.argv[2]), seed=0)
checkpoint.save(sys.argv[3], synthesizers.fit_table(jax.random.key(0), frame, tables.infer_schema(frame)))
"""


def piece(rng, rows: int) -> pd.DataFrame:
    """Ten columns of every kind, some of them dependent, some cells missing."""
    z = rng.multivariate_normal(np.zeros(6), 0.4 + 0.6 * np.eye(6), rows)
    frame = pd.DataFrame(np.exp(z / 2).round(3), columns=[f"x{j}" for j in range(6)])
    frame["count"] = rng.poisson(np.exp(z[:, 0] / 2) * 4)
    frame["rock"] = np.where(z[:, 1] > 0.5, "granite", np.where(z[:, 2] > 0, "marl", "gneiss"))
    frame["wet"] = z[:, 3] + rng.normal(size=rows) > 0
    frame["depth"] = np.where(rng.random(rows) < 0.1, np.nan, (z[:, 4] + 5).round(2))
    return frame


def pieces(seed: int, rows: int):
    rng = np.random.default_rng(seed)
    for start in range(0, rows, CHUNK):
        yield piece(rng, min(CHUNK, rows - start))


def measure(name: str, arguments: list, environment: dict[str, str]) -> None:
    """Run it, and print its seconds and its peak memory."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status) not in (0, 3):  # 3 is a warning
            output.seek(0)
            raise SystemExit(f"{name} failed:\n{output.read().decode(errors='replace')[-3000:]}")
    # ru_maxrss counts KiB on Linux, bytes on macOS.
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"{name:<52} {seconds:8.1f} s {peak:8.0f} MiB", flush=True)


def main(rows: int, draws: int, resamples: int, permutations: int) -> None:
    folder = Path(tempfile.mkdtemp())
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment = {**os.environ, **cache}
    command = ("-m", "jaxcop.cli")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; a process each")
    try:
        for seed, label in enumerate(("empty cache", "next table of the width")):
            train, holdout, model, drawn = (
                folder / f"{name}{seed}" for name in ("train.csv", "hold.csv", "model", "s.csv")
            )
            tables.write_csv(train, pieces(seed, SMALL))
            tables.write_csv(holdout, pieces(seed + 10, SMALL // 3))
            start = time.perf_counter()
            measure(f"fit {SMALL} x 10, {label}", [*command, "fit", train, "--out", model, "--seed", 0], environment)
            options = ["--rows", SMALL * 10, "--out", drawn, "--seed", 1]
            measure(f"sample {SMALL * 10} rows, {label}", [*command, "sample", model, *options], environment)
            options = ["--train", train, "--holdout", holdout, "--synthetic", drawn, "--target", "x0"]
            numbers = ["--resamples", resamples, "--permutations", permutations, "--out", folder / f"report{seed}"]
            measure(f"evaluate, {label}", [*command, "evaluate", *options, *numbers], environment)
            print(f"{f'from CSV to report, {label}':<52} {time.perf_counter() - start:8.1f} s")
        long, model = folder / "long.csv", folder / "long_model"
        tables.write_csv(long, pieces(2, rows))
        size = long.stat().st_size / 2**20
        measure(f"read {rows} x 10 ({size:.0f} MiB)", ["-c", READ, long], environment)
        measure(f"fit {SUBSAMPLE} of {rows} rows", ["-c", FIT, long, SUBSAMPLE, model], environment)
        options = ["--rows", draws, "--out", folder / "drawn.csv", "--seed", 1]
        measure(f"sample {draws} rows", [*command, "sample", model, *options], environment)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long file")
    parser.add_argument("--draws", type=int, default=1_000_000, help="synthetic rows of the long file's model")
    parser.add_argument("--resamples", type=int, default=10, help="of evaluate")
    parser.add_argument("--permutations", type=int, default=199, help="of evaluate")
    chosen = parser.parse_args()
    main(chosen.rows, chosen.draws, chosen.resamples, chosen.permutations)
