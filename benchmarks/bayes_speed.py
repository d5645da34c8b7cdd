"""What the posterior of Clayton's theta costs: 262 rows, 8 columns, 4 chains of 1,000 draws after 1,000 of warm-up.

    pip install -e ".[bayes]"
    python benchmarks/bayes_speed.py

Cold is the first call of a process, compilation and diagnostics included; warm is another table of the same shape. The
batch is 20 tables in one call against 20 calls. The peer is the same model as one would write it for Stan (the
log-density by hand in one numpyro.factor), in plain NumPyro with vectorised chains; its summaries must agree.
"""

import os
import platform
import statistics
import time

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxcop import bayes
from jaxcop.copulas import clayton
from numpyro.infer import MCMC, NUTS

ROWS, COLUMNS, CHAINS, DRAWS, TABLES, REPEATS = 262, 8, 4, 1000, 20, 5


def by_hand(u):
    """Clayton's density, as in a Stan program."""
    tau = numpyro.sample("tau", dist.Uniform(0.0, 1.0))
    theta = numpyro.deterministic("theta", 2 * tau / (1 - tau))
    d = u.shape[1]
    constant = jnp.log1p(theta * jnp.arange(1, d)).sum()
    total = jnp.log((u**-theta).sum(1) - d + 1)
    numpyro.factor("rows", (constant - (theta + 1) * jnp.log(u).sum(1) - (d + 1 / theta) * total).sum())


def timed(call):
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def main() -> None:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    print(f"jax {jax.__version__}, numpyro {numpyro.__version__}, {platform.machine()}, {jax.devices()}")
    keys = jax.random.split(jax.random.key(0), TABLES)
    tables = jax.vmap(lambda key: clayton.sample(key, clayton.Params(jnp.float32(1.0)), (ROWS, COLUMNS)))(keys)
    tables = jax.block_until_ready(tables)

    def one(i):
        return bayes.copula_posterior(keys[i], tables[i], "clayton", num_chains=CHAINS, num_draws=DRAWS)

    found, cold = timed(lambda: one(0))
    singles = [timed(lambda i=i: one(i))[1] for i in range(TABLES)]
    warm = statistics.median(singles)
    print(f"jaxcop: cold {cold:.1f} s; warm {warm:.2f} s (median of {TABLES}, highest {max(singles):.2f})")

    def all_at_once():
        return bayes.copula_posterior(jax.random.key(1), tables, "clayton", num_chains=CHAINS, num_draws=DRAWS)

    first = timed(all_at_once)[1]
    batch = statistics.median(timed(all_at_once)[1] for _ in range(REPEATS))
    print(f"{TABLES} tables in one call: cold {first:.1f} s, then {batch:.2f} s = {batch / warm:.1f} single calls")

    # Compiled once, as ``jit_model_args`` lets it.
    kernel = NUTS(by_hand, target_accept_prob=0.9)
    sampler = MCMC(
        kernel,
        num_warmup=1000,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
        jit_model_args=True,
    )

    def peer(i):
        sampler.run(keys[i], tables[i])
        theta = np.asarray(sampler.get_samples(group_by_chain=True)["theta"])
        return theta, arviz.rhat(theta), arviz.ess(theta)

    (theta, r_hat, effective), cold = timed(lambda: peer(0))
    warm_peer = statistics.median(timed(lambda i=i: peer(i))[1] for i in range(1, REPEATS + 1))
    print(f"plain NumPyro, density by hand, no elpd: cold {cold:.1f} s; warm {warm_peer:.2f} s (median of {REPEATS})")
    ours = found.summary["theta"]
    print(
        f"theta: jaxcop {ours.mean:.4f} ({ours.sd:.4f}), R-hat {ours.r_hat:.3f}, {ours.effective:.0f} effective draws; "
        f"by hand {theta.mean():.4f} ({theta.std():.4f}), R-hat {r_hat:.3f}, {effective:.0f}"
    )


if __name__ == "__main__":
    main()
