"""What many VAE training seeds cost against as many single runs, and that a new number compiles nothing.

    python benchmarks/vae_replicas.py
    JAX_COMPILATION_CACHE_DIR=/tmp/cache python benchmarks/vae_replicas.py   # the second time from the cache
    python benchmarks/vae_replicas.py --many 1000

Prints compile (the first call beyond the later ones) and run apart: medians of several runs on this machine, each
blocked until ready; the largest count runs once.
"""

import argparse
import os
import platform
import resource
import statistics
import time

import jax
import numpy as np
from jaxcop import sweep, synthesizers
from jaxcop.vae import Config, Hyper

SEEDS, REPEATS = 32, 3
CONFIG = Config(hidden=(64, 32), latent_dim=16, prior="gmm", num_components=10, epochs=300, batch_size=64)


def main(many: int) -> None:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    x = np.random.default_rng(0).normal(size=(209, 7)).astype(np.float32)
    generator = synthesizers.vae(CONFIG)
    traces = []

    def fit(key, hyper):
        traces.append(1)
        return generator.fit(key, x, np.ones(len(x), bool), hyper)

    def seconds(count: int, beta: float) -> float:
        keys = jax.random.split(jax.random.key(int(1000 * beta)), count)
        hyper = Hyper(*(np.full(count, value, np.float32) for value in Hyper(beta_max=beta)))
        start = time.perf_counter()
        jax.block_until_ready(sweep.replicate(fit, keys, hyper))
        return time.perf_counter() - start

    print(f"jax {jax.__version__}, {len(jax.devices())} devices, {platform.machine()}, {CONFIG}")
    single_first, batch_first = seconds(1, 0.5), seconds(SEEDS, 0.5)
    compiled = len(traces)
    singles = [seconds(1, 0.5 + 0.01 * i) for i in range(REPEATS * 3)]
    batches = [seconds(SEEDS, 0.5 + 0.01 * i) for i in range(REPEATS)]
    single, batch = statistics.median(singles), statistics.median(batches)
    print(f"one seed: compile {single_first - single:.2f} s, then {single:.3f} s")
    print(f"{SEEDS} seeds: compile {batch_first - batch:.2f} s, then {batch:.2f} s, {batch / SEEDS:.4f} s a seed")
    print(f"{SEEDS} seeds / {SEEDS} single runs: {batch / (SEEDS * single):.2f}")
    print(f"traces for other keys, betas and learning rates after the first call: {len(traces) - compiled}")
    if many:
        total = seconds(many, 0.5)
        print(
            f"{many} seeds: {total:.1f} s, {total / many:.4f} s a seed, {total / many * SEEDS / batch:.2f} of {SEEDS}"
        )
        print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=0, help="this many seeds too, in chunks")
    main(parser.parse_args().many)
