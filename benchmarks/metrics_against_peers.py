"""The fidelity and memorisation suite: alone, in a batch, and beside sdmetrics and syntheval.

    python -m venv peers
    peers/bin/pip install -e . sdmetrics syntheval
    peers/bin/python benchmarks/metrics_against_peers.py

Times are medians of several warm runs in one process; what the first call takes beyond them is compilation. A ratio is
printed only where the values agree to 1e-6. A peer that is not installed is reported as missing.
"""

import argparse
import importlib
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata

import jax
import numpy as np
import pandas as pd
from jaxcop import metrics
from rich.console import Console
from rich.table import Table

ROWS, COLUMNS, BATCH, REPEATS = 262, 8, 50, 5


def version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} missing"


def seconds(call, repeats: int = REPEATS) -> tuple[float, float]:
    """Seconds of the first call beyond the later ones, and the median of those."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    later = statistics.median(times[1:])
    return max(times[0] - later, 0.0), later


def tables(seed: int, count: int) -> np.ndarray:
    """Correlated, skewed columns."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(0).normal(size=(COLUMNS, COLUMNS))
    return np.exp(rng.normal(size=(count, ROWS, COLUMNS)) @ mix / 4)


def suite(train, holdout, synthetic, encoders):
    """Every fidelity and memorisation metric of the package."""
    return (
        metrics.fidelity(train, synthetic),
        metrics.correlation_error(train, synthetic),
        metrics.tail_dependence_error(train, synthetic),
        metrics.prdc(train, synthetic),
        metrics.alpha_beta(train, synthetic),
        metrics.faed(jax.random.key(0), encoders, train, synthetic),
        metrics.dcr(train, synthetic),
        metrics.nndr(train, synthetic),
        metrics.authenticity(train, synthetic),
        metrics.dcr_share(train, holdout, synthetic),
        metrics.membership_auc(train, holdout, synthetic),
    )


def alone_and_in_a_batch(table: Table) -> None:
    (train, holdout), batch = tables(1, 2), tables(2, BATCH)
    encoders = metrics.fit_autoencoders(jax.random.key(0), train)
    fit = seconds(lambda: metrics.fit_autoencoders(jax.random.key(0), train))
    one = seconds(lambda: suite(train, holdout, batch[:1], encoders))
    many = seconds(lambda: suite(train, holdout, batch, encoders))
    shape = f"{ROWS} x {COLUMNS}"
    table.add_row(f"autoencoders of faed, {shape}", f"{fit[0]:.2f}", f"{fit[1]:.4f}", "", "", "once a training table")
    table.add_row(f"suite, one table, {shape}", f"{one[0]:.2f}", f"{one[1]:.4f}", "", "", "aim: under 0.5 s")
    share = many[1] / (BATCH * one[1])
    table.add_row(
        f"suite, {BATCH} tables", f"{many[0]:.2f}", f"{many[1]:.4f}", "", "", f"{share:.2f} of {BATCH} single calls"
    )


MEMORY = r"""
import pathlib, re, jax
from jaxcop import metrics
x = jax.random.normal(jax.random.key(0), (2, 20_000, 8))
print(float(metrics.mmd(x[0], x[1]).unbiased))
print(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def memory(table: Table) -> None:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    peak = int(done.stdout.split()[1]) / 2**10
    note = f"peak {peak:.0f} MiB of the process, {time.perf_counter() - start:.1f} s with its start"
    table.add_row("mmd, 20,000 v 20,000 rows", "", "", "", "", note)


def one_pair() -> tuple[np.ndarray, np.ndarray, pd.DataFrame, pd.DataFrame]:
    """A real and a synthetic table, as arrays and as frames."""
    arrays = [tables(seed, 1)[0] for seed in (1, 2)]
    return (*arrays, *(pd.DataFrame(x, columns=[f"c{j}" for j in range(COLUMNS)]) for x in arrays))


def beside_sdmetrics(table: Table) -> None:
    try:
        single = importlib.import_module("sdmetrics.single_column")
        pairs = importlib.import_module("sdmetrics.column_pairs")
    except ImportError:
        table.add_row("shared metrics", "", "", "sdmetrics", "missing", "")
        return
    real, fake, left, right = one_pair()
    names = list(left)
    places = [(i, j) for i in range(COLUMNS) for j in range(i)]

    def columns(metric):
        return np.array([metric.compute(left[name], right[name]) for name in names])

    def by_pairs():
        found = [
            pairs.CorrelationSimilarity.compute(left[[names[i], names[j]]], right[[names[i], names[j]]], "Pearson")
            for i, j in places
        ]
        return 2 * (1 - np.array(found))

    cases = {
        "KS of every column": (lambda: metrics.ks(real, fake), lambda: 1 - columns(single.KSComplement)),
        "range coverage": (lambda: metrics.range_coverage(real, fake), lambda: columns(single.RangeCoverage)),
        "Pearson error, all pairs": (
            lambda: metrics.correlation_error(real, fake).pearson.mean,
            lambda: by_pairs().mean(),
        ),
    }
    for name, (ours, theirs) in cases.items():
        row(table, name, ours, "sdmetrics", theirs)


def beside_syntheval(table: Table) -> None:
    try:
        peer = importlib.import_module("syntheval.metrics.utility.metric_kolmogorov_smirnov").KolmogorovSmirnovTest
    except ImportError:
        table.add_row("shared metrics", "", "", "syntheval", "missing", "")
        return
    real, fake, left, right = one_pair()
    found = peer(left, right, cat_cols=[], num_cols=list(left), do_preprocessing=False, verbose=False)
    row(table, "KS, mean", lambda: metrics.ks(real, fake).mean(), "syntheval", lambda: found.evaluate()["avg stat"])


def row(table: Table, name: str, ours, peer: str, theirs) -> None:
    compile_s, later = seconds(ours)
    other = seconds(theirs, 3)[1]
    agree = np.allclose(np.asarray(ours()), theirs(), atol=1e-6)
    note = f"{other / later:.1f} times as fast" if agree else f"values differ: {np.asarray(ours())} v {theirs()}"
    table.add_row(name, f"{compile_s:.2f}", f"{later:.5f}", peer, f"{other:.5f}", note)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    jax.config.update("jax_enable_x64", True)
    print(", ".join(version(name) for name in ("jaxcop", "jax", "numpy", "sdmetrics", "syntheval")))
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{jax.devices()[0]}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}{load}")
    table = Table("what", "compile s", "jaxcop s", "peer", "peer s", "")
    for part in (alone_and_in_a_batch, memory, beside_sdmetrics, beside_syntheval):
        part(table)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
