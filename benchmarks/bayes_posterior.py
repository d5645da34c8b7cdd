"""Posterior of Clayton's theta: seconds cold, warm, and of twenty tables in one program.

    python benchmarks/bayes_posterior.py

262 rows of 8 columns, 4 chains of 1,000 draws after 1,000 of warm-up, float32. Beside it the same model, its density
written by hand, in plain NumPyro, whose ``MCMC`` is run twice.
"""

import os
import platform
import time

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxcop import bayes
from jaxcop.copulas import clayton
from numpyro.infer import MCMC, NUTS

ROWS, COLUMNS, TABLES = 262, 8, 20


def timed(call):
    start = time.perf_counter()
    value = jax.block_until_ready(call())
    return value, time.perf_counter() - start


def plain(u):
    tau = numpyro.sample("tau", dist.Uniform(0.0, 1.0))
    theta = 2 * tau / (1 - tau)
    total = jnp.sum(u**-theta, -1) - COLUMNS + 1
    falling = jnp.sum(jnp.log1p(theta * jnp.arange(1, COLUMNS)))
    density = falling - (1 + theta) * jnp.log(u).sum(-1) - (COLUMNS + 1 / theta) * jnp.log(total)
    numpyro.factor("u", density.sum())


def main() -> None:
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"jax {jax.__version__}, numpyro {numpyro.__version__}, {jax.devices()[0]}, {os.cpu_count()} cores", end="")
    print(f", Python {platform.python_version()}{load}")
    u = clayton.sample(jax.random.key(0), clayton.Params(0.5), (TABLES, ROWS, COLUMNS))
    found, cold = timed(lambda: bayes.copula_posterior(jax.random.key(1), u[0], "clayton").samples)
    warm = min(
        timed(lambda i=i: bayes.copula_posterior(jax.random.key(i), u[i], "clayton").samples)[1] for i in (2, 3, 4)
    )
    print(f"one table: cold {cold:.1f} s, warm {warm:.2f} s; theta {found['theta'].mean():.3f}")
    many = [
        timed(lambda: [p.samples for p in bayes.copula_posterior(jax.random.key(9), u, "clayton")])[1] for _ in "ab"
    ]
    print(
        f"{TABLES} tables in one program: cold {many[0]:.1f} s, warm {many[1]:.2f} s, {many[1] / warm:.1f} single runs"
    )
    mcmc = MCMC(
        NUTS(plain), num_warmup=1000, num_samples=1000, num_chains=4, chain_method="vectorized", progress_bar=False
    )
    times = []
    for seed in (0, 1):
        times.append(timed(lambda seed=seed: mcmc.run(jax.random.key(seed), u[0]) or mcmc.get_samples())[1])
    print(f"plain NumPyro, density by hand: first {times[0]:.1f} s, second {times[1]:.2f} s")


if __name__ == "__main__":
    main()
