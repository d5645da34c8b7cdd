"""jaxcop beside pyvinecopulib, rcopula, scipy and TensorFlow Probability: one process, the same inputs, float64.

    python -m venv peers
    peers/bin/pip install -e . pyvinecopulib rcopula tfp-nightly
    peers/bin/python benchmarks/against_peers.py
    peers/bin/python benchmarks/against_peers.py --only loglik tau

Every row checks first that the values agree (log-likelihoods to 1e-8, h-inverses and quantiles to 1e-6, taus to 1e-12,
fits to 1e-3; samples to five standard errors of Kendall's tau) and prints a ratio of times only if they do. Times are
medians of several runs, blocked until ready; compilation is apart. JAX uses all cores, the peers one. A peer that is
not installed is reported as missing.
"""

import argparse
import functools
import importlib
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxcop import correlation
from jaxcop._student_t import student_t_quantile
from jaxcop.copulas import FAMILIES, clayton, fit, frank, gaussian, gumbel, joe, standard_errors, student_t
from rich.console import Console
from rich.table import Table

NUM_POINTS, REPEATS = 1_000_000, 5
BOOTSTRAP, PEER_REFITS = 1_000, 20
TFP_POINTS = 100_000
# Kendall's tau is about one half. Correlation, and degrees of freedom, or theta.
PARAMETERS = {
    "gaussian": (0.7,),
    "student_t": (0.7, 4.0),
    "clayton": (2.0,),
    "gumbel": (2.0,),
    "frank": (5.7,),
    "joe": (2.9,),
}


def optional(name: str):
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


pv, rcopula, tfp = (optional(name) for name in ("pyvinecopulib", "rcopula", "tensorflow_probability.substrates.jax"))


def version(*distributions: str) -> str:
    for name in distributions:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            pass
    return f"{distributions[0]} missing"


def seconds(call, repeats: int = REPEATS) -> float:
    """Median time of a call that has been warmed up."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compiled(function, *args, repeats: int = REPEATS):
    """The value, and the seconds of the first call beyond those of the later ones, and of the later ones."""
    start = time.perf_counter()
    value = jax.block_until_ready(function(*args))
    first = time.perf_counter() - start
    later = seconds(lambda: function(*args), repeats)
    return value, max(first - later, 0.0), later


def params_of(family: str, parameters):
    """The parameters of a pair from their plain numbers, which may be traced."""
    if family in ("gaussian", "student_t"):
        matrix = jnp.eye(2) + parameters[0] * (1 - jnp.eye(2))
        return gaussian.Params(matrix) if family == "gaussian" else student_t.Params(matrix, parameters[1])
    module = {"clayton": clayton, "gumbel": gumbel, "frank": frank, "joe": joe}[family]
    return module.Params(parameters[0])


def bicop(family: str):
    """The pair copula of pyvinecopulib with the same parameters, or None."""
    if pv is None:
        return None
    name = {"student_t": "student"}.get(family, family)
    return pv.Bicop(family=getattr(pv.BicopFamily, name), parameters=np.array(PARAMETERS[family])[:, None])


def points(family: str, count: int = NUM_POINTS) -> np.ndarray:
    return np.asarray(
        FAMILIES[family].sample(jax.random.key(0), params_of(family, jnp.array(PARAMETERS[family])), (count, 2))
    )


def close(ours, theirs, tolerance: float, floor: float = 0.0) -> bool:
    """Whether all differences are within ``tolerance`` of the peer's value, or of ``floor`` where that is larger."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return bool(np.all(np.abs(ours - theirs) <= tolerance * np.maximum(np.abs(theirs), floor)))


class Report:
    """The table: one row per measurement, with a ratio only where the values agree."""

    def __init__(self):
        self.table = Table("what", "compile s", "jaxcop s", "peer", "peer s", "values", "peer / jaxcop", box=None)

    def row(self, what, compile_s, ours, peer, theirs=None, agree=None, note=""):
        values, shown, ratio = "missing", "", ""
        if theirs is not None:
            values = ("agree" if agree else "DIFFER") + (f"; {note}" if note else "")
            shown, ratio = f"{theirs:.4f}", f"{theirs / ours:.2f}" if agree else "none"
        self.table.add_row(what, f"{compile_s:.2f}", f"{ours:.4f}", peer, shown, values, ratio)
        # At once, so that a run that is stopped has told what it measured.
        print(f"... {what}: jaxcop {ours:.4f} s, {peer} {shown} s, ratio {ratio}", file=sys.stderr, flush=True)

    def memory(self, what: str, note: str):
        self.table.add_row(what, "", "", "", "", note, "")


def loglik(report: Report) -> None:
    for family in PARAMETERS:
        u, params = points(family), params_of(family, jnp.array(PARAMETERS[family]))
        ours, compile_s, later = compiled(jax.jit(lambda u, p, f=family: jnp.sum(FAMILIES[f].logpdf(u, p))), u, params)
        what, peer = f"loglik {family}, n = 1e6", bicop(family)
        if peer is None:
            report.row(what, compile_s, later, "pyvinecopulib")
            continue
        theirs, other = peer.loglik(u), seconds(lambda peer=peer, u=u: peer.loglik(u))
        report.row(what, compile_s, later, "pyvinecopulib", other, close(ours, theirs, 1e-8))


def gradient(report: Report) -> None:
    for family in PARAMETERS:
        u, parameters = points(family), jnp.array(PARAMETERS[family])

        def total(parameters, u, family=family):
            return jnp.sum(FAMILIES[family].logpdf(u, params_of(family, parameters)))

        _, _, value_s = compiled(jax.jit(total), parameters, u)
        (value, slope), compile_s, both_s = compiled(jax.jit(jax.value_and_grad(total)), parameters, u)
        what, peer = f"value and gradient {family}, n = 1e6", bicop(family)
        report.row(what, compile_s, both_s, "own value", value_s, True)
        if peer is None:
            report.row(what, compile_s, both_s, "pyvinecopulib")
            continue
        names = ("par1", "par2")[: len(parameters)] if len(parameters) > 1 else ("par",)

        def both(peer=peer, u=u, names=names):
            return peer.loglik(u), np.array([peer.logpdf_deriv(u, name).sum() for name in names])

        peer_value, peer_slope = both()
        # The derivative is a sum of terms of both signs: relative to their number.
        agree = close(value, peer_value, 1e-8) and close(slope, peer_slope, 1e-6, NUM_POINTS)
        report.row(what, compile_s, both_s, "pyvinecopulib", seconds(both, 3), agree)


def inverse(report: Report) -> None:
    w = np.random.default_rng(1).uniform(size=(NUM_POINTS, 2))
    for family in PARAMETERS:
        params = params_of(family, jnp.array(PARAMETERS[family]))
        ours, compile_s, later = compiled(jax.jit(FAMILIES[family].inverse_rosenblatt), w, params)
        what, peer = f"h-inverse {family}, n = 1e6", bicop(family)
        if peer is None:
            report.row(what, compile_s, later, "pyvinecopulib")
            continue
        other = seconds(lambda peer=peer: peer.hinv1(w), 3)
        worst = float(np.abs(np.asarray(ours)[:, 1] - peer.hinv1(w)).max())
        report.row(what, compile_s, later, "pyvinecopulib", other, worst <= 1e-6, f"largest difference {worst:.1e}")


def sample(report: Report) -> None:
    for family in PARAMETERS:
        params = params_of(family, jnp.array(PARAMETERS[family]))
        function = jax.jit(lambda key, p, f=family: FAMILIES[f].sample(key, p, (NUM_POINTS, 2)))
        ours, compile_s, later = compiled(function, jax.random.key(2), params)
        what, peer = f"sample {family}, n = 1e6", bicop(family)
        if peer is None:
            report.row(what, compile_s, later, "pyvinecopulib")
            continue
        theirs = peer.sample(NUM_POINTS, seeds=[1])
        other = seconds(lambda peer=peer: peer.sample(NUM_POINTS, seeds=[1]), 3)
        taus = [scipy.stats.kendalltau(u[:, 0], u[:, 1]).statistic for u in (np.asarray(ours), theirs)]
        # The variance of a sample tau is below 2 (1 - tau**2) / n.
        agree = abs(taus[0] - taus[1]) < 5 * np.sqrt(4 * (1 - taus[0] ** 2) / NUM_POINTS)
        report.row(what, compile_s, later, "pyvinecopulib", other, agree, "in Kendall's tau")


def bootstrap(report: Report) -> None:
    num_rows = 500
    matrix = 0.5 * jnp.eye(3) + 0.5
    cases = (
        ("clayton", clayton.Params(jnp.asarray(2.0)), 2, "pyvinecopulib" if pv else None),
        ("student_t", student_t.Params(matrix, jnp.asarray(4.0)), 3, "rcopula" if rcopula else None),
    )
    for name, params, dim, peer in cases:
        u = FAMILIES[name].sample(jax.random.key(3), params, (num_rows, dim))
        key, fitted = jax.random.key(4), fit(u, name)
        options = {"method": "bootstrap", "estimator": "ml", "parametric": False, "num_resamples": BOOTSTRAP}
        errors, compile_s, later = compiled(
            functools.partial(standard_errors, u, name, fitted, key=key, **options), repeats=3
        )
        # The rows of replicate i, as standard_errors draws them.
        drawn = [jax.random.randint(jax.random.fold_in(key, i), (num_rows,), 0, num_rows) for i in range(PEER_REFITS)]
        what = f"{BOOTSTRAP} bootstrap refits, {name}, n = {num_rows}, d = {dim}"
        if peer is None:
            report.row(what, compile_s, later, "rcopula" if dim > 2 else "pyvinecopulib")
            continue
        resamples = np.asarray(u)[np.array(drawn)]
        start = time.perf_counter()
        theirs = np.array([peer_fit(name, v) for v in resamples])
        other = (time.perf_counter() - start) * BOOTSTRAP / PEER_REFITS
        ours = np.array(
            [plain(jax.tree.map(lambda a, i=i: a[i], errors.replicates.params)) for i in range(PEER_REFITS)]
        )
        note = f"largest difference {np.abs(ours - theirs).max():.1e}; {PEER_REFITS} fits, scaled"
        report.row(what, compile_s, later, peer, other, close(ours, theirs, 1e-3, 1), note)


def plain(params) -> np.ndarray:
    """Parameters as the peers give them: the upper triangle row by row, then df; or theta."""
    if not hasattr(params, "correlation"):
        return np.atleast_1d(params.theta)
    above = np.asarray(params.correlation)[np.triu_indices(len(params.correlation), 1)]
    return np.append(above, params.df) if hasattr(params, "df") else above


def peer_fit(family: str, u) -> np.ndarray:
    """The maximum likelihood estimate of pyvinecopulib for a pair, of rcopula in more dimensions."""
    if u.shape[1] == 2:
        pair = pv.Bicop(family=getattr(pv.BicopFamily, family))
        pair.fit(u)
        return pair.parameters.ravel()
    kind = rcopula.GaussianCopula if family == "gaussian" else rcopula.StudentCopula
    return np.asarray(rcopula.fit(kind(dim=u.shape[1], dispstr="un"), u, method="ml").params)


def fits(report: Report) -> None:
    dim, num_rows = 8, 210
    matrix = jnp.asarray(0.5 ** np.abs(np.subtract.outer(np.arange(dim), np.arange(dim))))
    truth = {"gaussian": gaussian.Params(matrix), "student_t": student_t.Params(matrix, jnp.asarray(4.0))}
    for name, params in truth.items():
        u = np.asarray(FAMILIES[name].sample(jax.random.key(5), params, (num_rows, dim)))
        fitted, compile_s, later = compiled(functools.partial(fit, family=name), u)
        what = f"fit {name}, n = {num_rows}, d = {dim}"
        if rcopula is None:
            report.row(what, compile_s, later, "rcopula")
            continue
        start = time.perf_counter()
        theirs = peer_fit(name, u)
        other = time.perf_counter() - start
        ours = plain(fitted.params)
        note = f"largest difference {np.abs(ours - theirs).max():.1e}; one run of the peer"
        report.row(what, compile_s, later, "rcopula", other, close(ours, theirs, 1e-3, 1), note)


def tau(report: Report) -> None:
    num_rows, dim = 5_000, 8
    continuous = np.random.default_rng(6).normal(size=(num_rows, dim))
    for name, x in (("", continuous), (" with ties", np.round(3 * continuous))):
        ours, compile_s, later = compiled(correlation.kendall_tau, x)

        def loop(x=x):
            pairs = [(i, j) for i in range(dim) for j in range(i)]
            return np.array([scipy.stats.kendalltau(x[:, i], x[:, j]).statistic for i, j in pairs])

        theirs, other = loop(), seconds(loop)
        agree = np.abs(np.asarray(ours)[np.tril_indices(dim, -1)] - theirs).max() <= 1e-12
        report.row(f"Kendall's tau, {num_rows} x {dim}{name}", compile_s, later, "scipy", other, agree)


def quantile(report: Report) -> None:
    p = np.random.default_rng(7).uniform(size=NUM_POINTS)
    df = 4.5
    ours, compile_s, later = compiled(jax.jit(student_t_quantile), p, df)
    theirs, other = scipy.stats.t.ppf(p, df), seconds(lambda: scipy.stats.t.ppf(p, df), 3)
    what = "t quantile, df = 4.5, n = 1e6"
    report.row(what, compile_s, later, "scipy", other, close(ours, theirs, 1e-6, 1))
    if tfp is None:
        report.row(what, compile_s, later, "tfp")
        return
    peer = jax.jit(
        lambda p: tfp.distributions.StudentT(jnp.asarray(df), jnp.asarray(0.0), jnp.asarray(1.0)).quantile(p)
    )
    theirs, _, other = compiled(peer, p[:TFP_POINTS])
    scale = NUM_POINTS / TFP_POINTS
    note = f"{TFP_POINTS} points, scaled"
    report.row(what, compile_s, later, "tfp", scale * other, close(ours[:TFP_POINTS], theirs, 1e-6, 1), note)


# Linux only: ru_maxrss of a child begins at that of its parent.
MEMORY = r"""
import pathlib, re, jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from jaxcop.copulas import FAMILIES, gaussian, student_t
matrix = 0.5 * jnp.eye(8) + 0.5
elliptical = {{"gaussian": gaussian.Params(matrix), "student_t": student_t.Params(matrix, jnp.asarray(4.0))}}
params = elliptical.get("{name}") or FAMILIES["{name}"].from_kendall_tau(0.5)
u = jax.random.uniform(jax.random.key(0), ({count}, 8))
program = jax.jit(FAMILIES["{name}"].logpdf).lower(u, params).compile()
jax.block_until_ready(program(u, params))
peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]
print(peak, program.memory_analysis().temp_size_in_bytes)
"""


def memory(report: Report) -> None:
    """Peak resident memory of a process of its own, imports and compilation included, and XLA's temporaries."""
    for name in PARAMETERS:
        script = MEMORY.format(name=name, count=NUM_POINTS)
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        kibibytes, temporary = map(int, done.stdout.split())
        note = f"peak {kibibytes / 2**10:.0f} MiB, temporaries {temporary / 2**20:.0f} MiB; u is 61 MiB"
        report.memory(f"memory of logpdf {name}, n = 1e6, d = 8", note)


PARTS = {
    "loglik": loglik,
    "gradient": gradient,
    "inverse": inverse,
    "sample": sample,
    "bootstrap": bootstrap,
    "fit": fits,
    "tau": tau,
    "quantile": quantile,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parts = parser.parse_args().only
    jax.config.update("jax_enable_x64", True)
    names = ("jaxcop",), ("jax",), ("numpy",), ("scipy",), ("pyvinecopulib",), ("rcopula",)
    versions = [version(*name) for name in (*names, ("tfp-nightly", "tensorflow-probability"))]
    print(", ".join(versions))
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{jax.devices()[0]}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}{load}")
    report = Report()
    try:
        for part in parts:
            PARTS[part](report)
    finally:
        Console(width=200).print(report.table)


if __name__ == "__main__":
    main()
