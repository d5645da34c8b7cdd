"""What a batch of VAE training seeds costs against as many single runs, and that a new number compiles nothing.

    python benchmarks/vae_replicas.py

Prints compile and run apart: medians of several runs on this machine, each blocked until ready.
"""

import os
import platform
import statistics
import time

import jax
import numpy as np
from jaxcop import sweep, synthesizers
from jaxcop.vae import Config, Hyper

SEEDS, REPEATS = 32, 3
CONFIG = Config(hidden=(64, 32), latent_dim=16, prior="gmm", num_components=10, epochs=300, batch_size=64)


def main() -> None:
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
    print(f"one seed: first call {single_first:.2f} s, then {single:.3f} s")
    print(f"{SEEDS} seeds: first call {batch_first:.2f} s, then {batch:.2f} s, {batch / SEEDS:.4f} s a seed")
    print(f"{SEEDS} seeds / {SEEDS} single runs: {batch / (SEEDS * single):.2f}")
    print(f"traces for other keys, betas and learning rates after the first call: {len(traces) - compiled}")


if __name__ == "__main__":
    main()
